"""The four rows of the paper, trained and tested on one budget."""
