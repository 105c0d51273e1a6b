"""The parameters that a folder of masks was made with, and a record of each file.

``manifest.json`` holds the parameters, which are the same for all files, and the version of this package that
started the folder. ``regions_<i>of<n>.jsonl`` has a line per photo, appended by shard i of n after its mask
is in place, so shards on several machines never write to the same file. Both carry checksums of their
content.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

import basicsr
from basicsr.utils.checksum import with_checksum, without_checksum
from basicsr.utils.differences import differences
from basicsr.utils.display import ESCAPED
from basicsr.utils.errors import UserError
from basicsr.utils.files import append_line, remove_dead, require_short_names, write_bytes
from basicsr.utils.folder_lock import FolderLock
from basicsr.utils.log import logger
from basicsr.utils.reading import parse_json

MANIFEST = "manifest.json"
VERSION = "version"

Line = TypeVar("Line", bound=msgspec.Struct)


class Record(msgspec.Struct, frozen=True):
    """One photo with its mask; ``made_with`` identifies the parameters, ``photo_bytes`` the photo's file."""

    key: str
    height: int
    width: int
    regions: int
    notes: list[str]
    photo_bytes: int
    made_with: str


def claim_folder(
    folder: Path, parameters: Mapping[str, Any], targets: Iterable[Path], overwrite: bool
) -> None:
    """Claim ``folder`` for masks with these parameters, unless it already has them.

    A different version of this package only causes a warning: most versions change no mask.

    Args:
        targets: files to be written; their names must not be too long.
        overwrite: replace existing files, and accept changed parameters.

    Raises:
        UserError: if the folder has masks with other parameters, or has one of ``targets`` but no manifest,
            or one of them cannot be a file name.
    """
    manifest = folder / MANIFEST
    targets = list(targets)
    require_short_names(targets)
    remove_dead(folder)
    # checked first: another shard may be making both, the manifest before its first mask
    taken = next((target for target in targets if target.exists()), None)
    if manifest.exists() and not overwrite:
        before = _read(manifest)
        begun_with = before.pop(VERSION, None)
        changes = list(differences(before, parameters))
        if changes:
            hint = "use another folder, or --overwrite to make all files again"
            raise UserError(f"{manifest}: made with other parameters ({'; '.join(changes)}); {hint}")
        if begun_with != basicsr.__version__:
            logger().warning(f"{manifest}: started with version {begun_with}, this is {basicsr.__version__}")
        return
    if taken is not None and not overwrite:
        hint = "use another folder, or --overwrite to replace it"
        raise UserError(f"{taken}: exists already, but {manifest} does not; {hint}")
    content = with_checksum({**parameters, VERSION: basicsr.__version__})
    write_bytes(manifest, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode(errors=ESCAPED))


def lock_of(folder: Path, index: int, count: int) -> Path:
    """The file that names the process that makes a shard (``index`` from 0, of ``count``)."""
    return folder / f".shard_{index + 1}of{count}.lock"


def lock_shard(folder: Path, index: int, count: int) -> FolderLock:
    """The lock of one shard (``index`` from 0, of ``count``), next to which the other shards may run.

    Raises:
        UserError: if a running process has the same shard, or splits the folder into a different number of
            shards.
    """
    hint = "use another folder"
    lock = FolderLock(lock_of(folder, index, count), folder, hint)
    try:
        for file in folder.glob(".shard_*of*.lock"):
            if not file.name.endswith(f"of{count}.lock"):
                FolderLock(file, folder, hint).release()
    except BaseException:
        lock.release()
        raise
    return lock


def identify(parameters: Mapping[str, Any]) -> str:
    """A short digest of the parameters."""
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:16]


def to_line(record: msgspec.Struct) -> str:
    """One JSON line with a checksum."""
    return json.dumps(with_checksum(msgspec.to_builtins(record)), ensure_ascii=False, separators=(",", ":"))


def read_lines(file: Path, kind: type[Line]) -> Iterator[Line]:
    """The records in a file of `to_line`; lines that are cut short or damaged are skipped.

    Args:
        kind: of the records.
    """
    for line in file.read_bytes().splitlines():
        try:
            content = msgspec.convert(parse_json(line), dict[str, Any])
            yield msgspec.convert(without_checksum(content), kind)
        except ValueError:
            continue


def read_records(folder: Path) -> dict[str, list[Record]]:
    """All records of all shards by key, oldest first in each shard."""
    records = defaultdict(list)
    for file in sorted(folder.glob("regions_*of*.jsonl")):
        for record in read_lines(file, Record):
            records[record.key].append(record)
    return dict(records)


class RecordFile:
    """The records of one shard (``index`` from 0, of ``count``), to append to."""

    def __init__(self, folder: Path, index: int, count: int) -> None:
        self.path = folder / f"regions_{index + 1}of{count}.jsonl"
        if self.path.is_file() and self.path.read_bytes()[-1:] not in (b"\n", b""):
            append_line(self.path, "")  # ends a line that a power failure left

    def append(self, record: Record) -> None:
        """Add a line."""
        append_line(self.path, to_line(record))


def _read(manifest: Path) -> dict[str, Any]:
    try:
        content = parse_json(manifest.read_bytes())
        if isinstance(content, dict):
            return without_checksum(content)
    except ValueError as error:
        raise UserError(f"{manifest}: damaged ({error}); use another folder, or --overwrite") from error
    raise UserError(f"{manifest}: expected parameters, found {content!r:.40}; use another folder")
