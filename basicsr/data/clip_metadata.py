"""``metadata.json`` of clips, as HyperCUT publishes it: which frames a blurred photo was made from.

    {"name": str, "frame_per_seq": 7, "data": [{"id": "00000/0000", "order": "ignore", "partition": "train",
     "blur_path": path, "frame001_path": path, .. "frame007_path": path, "bbox": path}]}

Paths are relative to one folder. ``order`` is how to read the frames: ``reverse`` reverses them, ``keep`` and
``ignore`` leave them unchanged, ``random`` tosses a coin. ``bbox``, a file with the box around a person, is
in B-AIST++ only.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from basicsr.storage.base import as_key
from basicsr.utils.display import ESCAPED
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.reading import LARGEST_TEXT, parse_json, read_file

Order = Literal["ignore", "keep", "reverse", "random"]
Partition = Literal["train", "val", "test"]

ORDERS: tuple[Order, ...] = get_args(Order)
PARTITIONS: tuple[Partition, ...] = get_args(Partition)
METADATA = "metadata.json"

_FRAME = re.compile(r"frame(\d{3})_path")
_MOST_FRAMES = 999  # their numbers have three digits
_SHOWN = 20  # mistakes listed in an error


@dataclass(frozen=True)
class Clip:
    """A blurred photo and the frames of its exposure.

    Args:
        id: unique in its file, ``/`` between folders.
        order: how to read the frames.
        partition: that it belongs to.
        blur: path of the photo.
        frames: paths of the frames, as they are stored.
        box: path of a file with a bounding box, if there is one.
    """

    id: str
    order: Order
    partition: Partition
    blur: str
    frames: tuple[str, ...]
    box: str | None = None

    def to_record(self) -> dict[str, str]:
        """The entry for the file."""
        record: dict[str, str] = {"id": self.id, "order": self.order, "partition": self.partition}
        record["blur_path"] = self.blur
        record |= {f"frame{number:03d}_path": path for number, path in enumerate(self.frames, 1)}
        return record | ({} if self.box is None else {"bbox": self.box})


@dataclass(frozen=True)
class ClipMetadata:
    """The content of a whole file.

    Args:
        name: of the data set.
        frames: of each clip.
        clips: in the order of the file.
    """

    name: str
    frames: int
    clips: Sequence[Clip]

    def of(self, partition: Partition) -> list[Clip]:
        """The clips of a partition."""
        return [clip for clip in self.clips if clip.partition == partition]

    def write(self, path: Path) -> None:
        """Write the file next to ``path`` and rename it."""
        records = [clip.to_record() for clip in self.clips]
        content = {"name": self.name, "frame_per_seq": self.frames, "data": records}
        write_bytes(path, (json.dumps(content, indent=4, ensure_ascii=False) + "\n").encode(errors=ESCAPED))


def read_clip_metadata(path: Path, keys: Collection[str] | None = None, root: str = "") -> ClipMetadata:
    """Read and check ``metadata.json``.

    Args:
        keys: of the images that exist, paths without suffix; None does not check.
        root: where those are, for errors.

    Raises:
        UserError: lists every mistake in the file: unreadable content, missing or surplus frames, an unknown
            order or partition, a duplicate id, a path that leaves the folder, a missing image.
    """
    content = _load(path)
    mistakes: list[str] = []
    count = content.get("frame_per_seq")
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MOST_FRAMES:
        mistakes.append(f"frame_per_seq: expected a number of frames (got {count!r})")
        count = 0
    name = content.get("name")
    if not isinstance(name, str):
        mistakes.append(f"name: expected text (got {name!r})")
    records = content.get("data")
    if not isinstance(records, list) or not records:
        mistakes.append("data: expected a list of clips, and at least one")
        records = []
    clips = [_read_record(record, place, count, mistakes) for place, record in enumerate(records)]
    known = [clip for clip in clips if clip is not None]
    twice = [name for name, times in Counter(clip.id for clip in known).items() if times > 1]
    mistakes += [f"id '{name}' occurs {sum(clip.id == name for clip in known)} times" for name in twice]
    if keys is not None:
        mistakes += list(_missing(known, {as_key(key) for key in keys}, root))
    if mistakes:
        shown = mistakes[:_SHOWN]
        more = [f".. and {len(mistakes) - _SHOWN} more"] if len(mistakes) > _SHOWN else []
        what = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}; fix the file"
        raise UserError(f"{path}: {what}:", [*shown, *more])
    return ClipMetadata(str(name), count, known)


def key_of(path: str) -> str:
    """The key of a path in ``metadata.json`` in a folder or an LMDB: without suffix."""
    return as_key(PurePosixPath(path).with_suffix("").as_posix())


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = parse_json(read_file(path, LARGEST_TEXT))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON, or cut short ({error}); make it again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected name, frame_per_seq and data; make it again")
    return content


def _read_record(record: Any, place: int, count: int, mistakes: list[str]) -> Clip | None:
    """One entry of ``data``; None if it is not usable."""
    if not isinstance(record, dict):
        mistakes.append(f"data[{place}]: expected a clip (got {record!r:.40})")
        return None
    name = record.get("id")
    if not isinstance(name, str) or not name:
        mistakes.append(f"data[{place}].id: expected text (got {name!r})")
        return None
    where = f"data[{place}] '{name}'"
    before = len(mistakes)
    mistakes += _leaves("id", name, where)
    for field, choices in (("order", ORDERS), ("partition", PARTITIONS)):
        if record.get(field) not in choices:
            known = ", ".join(choices)
            mistakes.append(f"{where}: {field}: expected one of {known} (got {record.get(field)!r})")
    numbers = sorted(int(match[1]) for key in record if (match := _FRAME.fullmatch(key)))
    if count and numbers != list(range(1, count + 1)):
        missing = sorted(set(range(1, count + 1)) - set(numbers))
        surplus = sorted(set(numbers) - set(range(1, count + 1)))
        found = [f"{what} {', '.join(map(str, some))}" for what, some in
                 (("lacks", missing), ("also has", surplus)) if some]  # fmt: skip
        mistakes.append(f"{where}: of {count} frames it {' and '.join(found)}")
    fields = ["blur_path", *(f"frame{number:03d}_path" for number in numbers)]
    fields += ["bbox"] if "bbox" in record else []
    for field in fields:
        value = record.get(field)
        if not isinstance(value, str) or not value:
            mistakes.append(f"{where}: {field}: expected a path (got {value!r})")
        else:
            mistakes += _leaves(field, value, where)
    if len(mistakes) > before:
        return None
    frames = tuple(record[f"frame{number:03d}_path"] for number in numbers)
    return Clip(name, record["order"], record["partition"], record["blur_path"], frames, record.get("bbox"))


def _leaves(field: str, value: str, where: str) -> Iterator[str]:
    path = PurePosixPath(value.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", value):
        yield f"{where}: {field}: leaves the folder of the data set (got {value!r})"


def _missing(clips: Sequence[Clip], keys: Collection[str], root: str) -> Iterator[str]:
    for clip in clips:
        absent = [path for path in (clip.blur, *clip.frames) if key_of(path) not in keys]
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            yield f"'{clip.id}': {root} has no {absent[0]}{more}"
