"""Paths as people type them, on a command line or in an option file."""

from __future__ import annotations

import os
from pathlib import Path


def expand(typed: str) -> str:
    """``~``, ``~user``, ``$NAME`` and ``${NAME}`` replaced as shells do it.

    A path that exists as typed is taken literally, whatever characters it has; a variable that is not set
    stays, so the error shows it.
    """
    return typed if os.path.lexists(typed) else os.path.expandvars(os.path.expanduser(typed))


def typed_path(typed: str) -> Path:
    """`expand` as a path; the ``type`` of every argument that is one."""
    return Path(expand(typed))
