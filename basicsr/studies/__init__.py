"""Rows of option files, trained and tested on one budget with the same seeds, and their table."""
