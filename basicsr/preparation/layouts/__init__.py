"""Data sets on disk: published layouts, crops, LMDB, and a check of all of them."""
