"""Damaged inputs by the thousand for every reader of the package; `scripts/fuzz.py` is the command."""
