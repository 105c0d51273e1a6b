"""Reading files of users: regular ones only, and no larger than expected."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from basicsr.utils.errors import UserError

LARGEST_IMAGE = (1 << 32) + (1 << 28)
"""Bytes of an encoded image: as many pixels as are read, with eight bytes each, and what goes with them."""
LARGEST_TEXT = 1 << 26
"""Bytes of a list, a record or a table."""


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a regular file.

    Args:
        most: bytes that it may have.

    Raises:
        UserError: a device, a pipe or a socket, which may never end; or more bytes.
        OSError: it cannot be read.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):  # opening reports a folder
        raise UserError(f"{path}: not a regular file, but a device, pipe or socket; save it as a file")
    with path.open("rb") as file:
        if found.st_size > most:
            raise UserError(f"{path}: more than the {most:,} bytes that such a file may have; check the file")
        return file.read()


def parse_json(data: bytes | str) -> Any:
    """The values of a JSON text.

    Raises:
        ValueError: no JSON, or nested too deeply.
    """
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
