"""Weights by short names, one file a verb."""
