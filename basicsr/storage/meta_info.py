"""``meta_info`` files of BasicSR: which images of a folder or an LMDB count."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from basicsr.storage.base import as_key
from basicsr.utils.errors import UserError
from basicsr.utils.image import READABLE
from basicsr.utils.reading import LARGEST_TEXT, read_file

# (h,w,c), then the compression level in the lists of an LMDB
_SHAPE = re.compile(r" \(\d+(,\d+)+\)( .*)?$")
# of files that a list names; what else follows a dot belongs to the name: frame.0000
_SUFFIXES = (*READABLE, ".npz")


def read_meta_info(path: Path) -> list[str]:
    """Keys of a ``meta_info`` file: the names in its lines without the suffix of an image, in their order.

    Raises:
        UserError: not text, or without a name.
    """
    return [as_key(name) for name in read_names(path)]


def read_names(path: Path) -> list[str]:
    """`read_meta_info` in the Unicode form in which the names are written."""
    names = [_name_in(line) for line in read_lines(path)]
    if not names:
        raise UserError(f"{path}: the meta file lists no image; write a name in each line")
    return names


def meta_line(name: str, shape: tuple[int, int, int], level: int) -> str | None:
    """The line of an entry; None where it would not be read back as ``name``, as with a line break in it, or
    bytes that are not UTF-8.

    Args:
        shape: (h, w, c) of the image.
        level: PNG compression level of the file.
    """
    height, width, channels = shape
    line = f"{name}.png ({height},{width},{channels}) {level}"
    return line if _is_read_back(line, name) else None


def _is_read_back(line: str, name: str) -> bool:
    is_text = not any("\ud800" <= character <= "\udfff" for character in line)
    return is_text and [_name_in(found) for found in _lines_in(line)] == [name]


def listed_name(file_name: str) -> str | None:
    """The line that names a file with its suffix; None where it would not be read back, see `meta_line`."""
    return file_name if _is_read_back(file_name, _without_suffix(file_name)) else None


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text that have something in them, stripped; without a byte order mark.

    Raises:
        UserError: it cannot be read, or is not such a text.
    """
    try:
        text = read_file(path, LARGEST_TEXT).decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check it") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: the list is not UTF-8 text; save it again") from error
    return _lines_in(text)


def _lines_in(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line]


def _name_in(line: str) -> str:
    return _without_suffix(_SHAPE.sub("", line))


def _without_suffix(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("") if path.suffix.lower() in _SUFFIXES else path)
