"""Making pairs, masks and layouts of data sets."""
