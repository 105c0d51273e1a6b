"""Encoded files as bytes by key, from a folder or from LMDB."""

from basicsr.storage.base import Storage
from basicsr.storage.disk import DiskStorage
from basicsr.storage.lmdb_store import LmdbStorage, is_lmdb, write_lmdb
from basicsr.storage.meta_info import read_meta_info
from basicsr.storage.open import open_storage

__all__ = ["DiskStorage", "LmdbStorage", "Storage", "is_lmdb", "open_storage", "read_meta_info", "write_lmdb"]
