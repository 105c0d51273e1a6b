"""What is in a folder: the one rule by which every command and every data set reads folders of users.

Names are sorted. Links to files and folders are followed, and only a link that leads back to a folder above
it is not entered. Names that begin with a dot are hidden: files of programs, not of people. What is visible
and of no use is counted in the log.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from basicsr.utils.errors import UserError
from basicsr.utils.log import logger

# Notes about the other files, and what file managers leave: nobody expects them to be read as images.
_NOTES = {
    ".csv", ".db", ".htm", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".rst", ".tsv", ".txt", ".xml",
    ".xmp", ".yaml", ".yml",
}  # fmt: skip


def find_files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """The files below ``folder`` with one of ``suffixes``, in upper or lower case.

    A warning counts what else is there: ``photos: 3 files left out: .xcf (2), .psd (1)``.

    Args:
        suffixes: with their dots.

    Raises:
        UserError: no such folder, or it cannot be read.
    """
    wanted = {suffix.lower() for suffix in suffixes}
    found: list[Path] = []
    left_out: Counter[str] = Counter()
    for path in walk(folder):
        suffix = path.suffix.lower()
        if suffix in wanted:
            found.append(path)
        elif suffix not in _NOTES:
            left_out[suffix or "without suffix"] += 1
    if left_out:
        ordered = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
        kinds = ", ".join(f"{suffix} ({count})" for suffix, count in ordered)
        count = left_out.total()
        logger().warning(f"{folder}: {count} {'file' if count == 1 else 'files'} left out: {kinds}")
    return found


def walk(folder: Path) -> Iterator[Path]:
    """All visible files below ``folder``, sorted by the parts of their paths; a link to nowhere is one, too.

    Raises:
        UserError: no such folder, or it cannot be read; one below it is left out with a warning.
    """
    # what is neither is a socket or a pipe, which would be waited for
    return (path for path in _entries(folder) if path.is_file() or not path.exists())


def _entries(folder: Path) -> Iterator[Path]:
    """Everything visible below ``folder``; a folder comes before what is in it."""
    names = _visible_or_error(folder)
    yield from _below(folder, names, (_identity(folder),))


def _below(folder: Path, names: list[str], above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    for name in names:
        path = folder / name
        if not path.is_dir():
            yield path
            continue
        try:
            identity, inside = _identity(path), _visible(path)
        except OSError as error:
            logger().warning(f"{path}: the folder cannot be read ({error.strerror}), left out")
            continue
        if identity not in above:
            yield path
            yield from _below(path, inside, (*above, identity))


def visible_folders(folder: Path) -> list[Path]:
    """The folders directly in ``folder``, sorted.

    Raises:
        UserError: no such folder, or it cannot be read.
    """
    return [path for name in _visible_or_error(folder) if (path := folder / name).is_dir()]


def visible_files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """The files directly in ``folder`` with one of ``suffixes``, in upper or lower case, sorted.

    Raises:
        UserError: no such folder, or it cannot be read.
    """
    wanted = {suffix.lower() for suffix in suffixes}
    paths = [folder / name for name in _visible_or_error(folder)]
    return [path for path in paths if path.suffix.lower() in wanted and not path.is_dir()]


def is_empty(folder: Path) -> bool:
    """Whether nothing visible is in ``folder``.

    Raises:
        UserError: no such folder, or it cannot be read.
    """
    return not _visible_or_error(folder)


def require_outside(output: Path, source: Path) -> None:
    """Check that an output is not below the folder that is read, where a second run would read it too.

    Raises:
        UserError: it is, directly or through a link in that folder.
    """
    place = output.resolve()
    links = (path for path in _entries(source) if path.is_symlink() and path.is_dir())
    if any(place.is_relative_to(folder.resolve()) for folder in (source, *links)):
        raise UserError(f"{output}: lies in the input folder {source}; choose a place outside of it")


def _visible_or_error(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; check the path")
    try:
        return _visible(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error


def _visible(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino
