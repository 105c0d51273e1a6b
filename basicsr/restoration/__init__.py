"""Restoring photos, folders and videos with a trained network."""

from basicsr.restoration.restorer import Restored, RestoreOptions, Restorer

__all__ = ["RestoreOptions", "Restored", "Restorer"]
