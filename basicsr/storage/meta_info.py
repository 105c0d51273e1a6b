"""``meta_info`` files of BasicSR: which images of a folder or an LMDB count."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from basicsr.utils.errors import UserError

# (h,w,c), then the compression level in the lists of an LMDB
_SHAPE = re.compile(r" \(\d+(,\d+)+\)( .*)?$")


def read_meta_info(path: Path) -> list[str]:
    """Keys of a ``meta_info`` file: the names in its lines without suffix, in their order.

    Raises:
        UserError: not text, or without a name.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: the meta file is not UTF-8 text; save it again") from error
    names = [_SHAPE.sub("", line.strip()) for line in lines]
    keys = [str(PurePosixPath(name).with_suffix("")) for name in names if name]
    if not keys:
        raise UserError(f"{path}: the meta file lists no image; write a name in each line")
    return keys
