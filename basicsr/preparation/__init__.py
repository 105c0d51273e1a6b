"""Making data sets ready for training and testing: region masks, pairs, layouts."""
