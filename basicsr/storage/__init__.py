"""Encoded files as bytes by key, from a folder or from LMDB."""

from basicsr.storage.base import Storage, open_storage
from basicsr.storage.disk import DiskStorage
from basicsr.storage.lmdb_store import LmdbStorage, write_lmdb

__all__ = ["DiskStorage", "LmdbStorage", "Storage", "open_storage", "write_lmdb"]
