"""Evaluating folders of restored images, or of labels found in them, by published protocols."""
