"""What is in a folder: the one rule for how all commands and data sets read folders of users.

Names are sorted. Links to files and folders are followed, except a link that leads back to a folder above it.
Names that begin with a dot are hidden: files of programs, not of people. Visible files that are not used are
counted in the log.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from basicsr.utils.errors import UserError
from basicsr.utils.log import logger

_Entry = os.DirEntry[str]

# Notes about the other files, and what file managers leave: they are not expected to be read as images.
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
    """All visible files below ``folder``, sorted by the parts of their paths; including broken links.

    Raises:
        UserError: no such folder, or it cannot be read; one below it is left out with a warning.
    """
    return (Path(entry) for entry in _entries(folder) if _is_file(entry))


def visible_folders(folder: Path) -> list[Path]:
    """The folders directly in ``folder``, sorted.

    Raises:
        UserError: no such folder, or it cannot be read.
    """
    return [Path(entry) for entry in _visible_or_error(folder) if _is_folder(entry)]


def visible_files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """The files directly in ``folder`` with one of ``suffixes``, in upper or lower case, sorted.

    Raises:
        UserError: no such folder, or it cannot be read.
    """
    wanted = {suffix.lower() for suffix in suffixes}
    paths = [Path(entry) for entry in _visible_or_error(folder) if _is_file(entry)]
    return [path for path in paths if path.suffix.lower() in wanted]


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
    links = (Path(entry) for entry in _entries(source) if entry.is_symlink() and _is_folder(entry))
    if any(place.is_relative_to(folder.resolve()) for folder in (source, *links)):
        raise UserError(f"{output}: lies in the input folder {source}; choose a place outside of it")


def _entries(folder: Path) -> Iterator[_Entry]:
    """Everything visible below ``folder``; a folder comes before what is in it."""
    entries = _visible_or_error(folder)
    yield from _below(entries, (_identity(folder),))


def _below(entries: list[_Entry], above: tuple[tuple[int, int], ...]) -> Iterator[_Entry]:
    for entry in entries:
        if not _is_folder(entry):
            yield entry
            continue
        try:
            identity, inside = _identity(entry), _visible(entry)
        except OSError as error:
            logger().warning(f"{entry.path}: the folder cannot be read ({error.strerror}), left out")
            continue
        if identity not in above:
            yield entry
            yield from _below(inside, (*above, identity))


def _visible_or_error(folder: Path) -> list[_Entry]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; check the path")
    try:
        return _visible(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error


def _visible(folder: Path | _Entry) -> list[_Entry]:
    with os.scandir(folder) as entries:
        return sorted(
            (entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name
        )


# Facts of scandir on an entry without links need no further access to the disk, which matters on network
# disks.


def _is_folder(entry: _Entry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: _Entry) -> bool:
    """A file or a broken link; not a socket or a pipe, which could block."""
    try:
        return entry.is_file() or not os.path.exists(entry)
    except OSError:
        return True


def _identity(folder: Path | _Entry) -> tuple[int, int]:
    found = os.stat(folder)
    return found.st_dev, found.st_ino
