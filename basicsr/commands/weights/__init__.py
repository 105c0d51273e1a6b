"""Weights by short names, one module per verb."""
