"""Comparing folders of restored images by the protocols of data sets whose ground truth is not in place."""
