"""Cut images and label maps into overlapping windows, all fields of a pair at the same positions.

Training reads a few small files much faster than one large file. Windows and names are those of the published
crops: ``<stem>_s001.png``, numbered from 1, row by row.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from basicsr.data.pairing import require_same
from basicsr.masks.label_map import relabel
from basicsr.preparation.reading import decode_as_it_is, read_bytes
from basicsr.storage import DiskStorage
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.files import require_short_names, write_bytes
from basicsr.utils.folders import is_empty, require_outside
from basicsr.utils.image import READABLE, write_png
from basicsr.utils.parallel import in_parallel

CROP_FOLDERS = {
    "target": "sharp_crops",
    "input": "blur_crops",
    "grouped_masks": "grouped_masks_crops",
    "input_mask": "blur_predeblur_mask_crops",
}
RECORD = "crop_patches.json"


@dataclass(frozen=True)
class CropWindows:
    """Squares of ``size`` pixels every ``step`` pixels; ``relabel`` renumbers the regions of each as 1..K.

    Raises:
        OptionError: if there are no pixels, or the step leaves gaps.
    """

    size: int = 512
    step: int = 256
    relabel: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise OptionError("--size", [f"--size: expected at least 1 pixel (got {self.size})"])
        if not 1 <= self.step <= self.size:
            raise OptionError("--step", [f"--step: expected 1 to {self.size}, the size (got {self.step})"])

    def corners(self, height: int, width: int) -> list[tuple[int, int]]:
        """Top and left of every window in an image of at least ``size`` pixels each way, row by row."""
        return [(top, left) for top in self._starts(height) for left in self._starts(width)]

    def _starts(self, length: int) -> list[int]:
        """Every ``step`` as long as a window fits, and one at the border if anything is left."""
        last = length - self.size
        starts = list(range(0, last + 1, self.step))
        return starts if starts[-1] == last else [*starts, last]


@dataclass(frozen=True)
class CropCount:
    """Result of `crop_split` and `crop_folder`: images read, crops written, crops that existed already."""

    images: int
    written: int
    kept: int


@dataclass(frozen=True)
class _Field:
    """One file of an image, and the path of its crops without their number."""

    source: Path
    crops: str
    is_label_map: bool


def crop_split(
    split: Path, output: Path, windows: CropWindows = CropWindows(), workers: int | None = None
) -> CropCount:
    """Crop ``target``, ``input`` and, if present, ``grouped_masks`` and ``input_mask`` of one split.

    The crops go to `CROP_FOLDERS` in ``output``. Existing crops are kept.

    Args:
        split: e.g. ``datasets/GoPro/train``.
        output: usually ``split`` itself.
        workers: processes; null is one per core.

    Raises:
        UserError: if files do not pair, ``output`` has crops of other windows, or, after all others are done,
            files are broken.
    """
    folders = [folder for folder in CROP_FOLDERS if (split / folder).is_dir()]
    for folder in ("target", "input"):
        if folder not in folders:
            raise UserError(f"{split / folder}: no such folder; a split has the folders target and input")
    storages = {folder: DiskStorage(split / folder, (*READABLE, ".npz")) for folder in folders}
    keys = storages["target"].keys()
    for folder in folders[1:]:
        require_same(keys, storages[folder].keys(), str(split / "target"), str(split / folder))
    for folder in folders:
        relabels = windows.relabel and folder == "grouped_masks"
        _keep_record(output / CROP_FOLDERS[folder], replace(windows, relabel=relabels))
    jobs = [
        tuple(
            _field(storages[name], key, output / CROP_FOLDERS[name], name == "grouped_masks")
            for name in folders
        )
        for key in keys
    ]
    return _crop_all(jobs, windows, workers)


def crop_folder(
    source: Path, output: Path, windows: CropWindows = CropWindows(), workers: int | None = None
) -> CropCount:
    """Crop every image below a folder, which may hold photos or label maps; see `crop_split`.

    ``windows.relabel`` means that they are label maps.
    """
    require_outside(output, source)
    storage = DiskStorage(source, (*READABLE, ".npz"))
    keys = storage.keys()
    _keep_record(output, windows)
    jobs = [(_field(storage, key, output, windows.relabel),) for key in keys]
    return _crop_all(jobs, windows, workers)


def _field(storage: DiskStorage, key: str, output: Path, is_label_map: bool) -> _Field:
    return _Field(Path(storage.describe(key)), str(output / key), is_label_map)


def _keep_record(folder: Path, windows: CropWindows) -> None:
    """Record how the crops in ``folder`` are made, so that later runs do not mix them with others."""
    record = folder / RECORD
    settings = json.dumps(asdict(windows)) + "\n"
    if record.is_file():
        made = record.read_text(encoding="utf-8")
        if made != settings:
            raise UserError(f"{folder}: holds crops made with {made.strip()}; use these, or another folder")
    elif folder.is_dir() and not is_empty(folder):
        raise UserError(f"{folder}: holds files from elsewhere (no {RECORD}); choose an empty folder")
    else:
        write_bytes(record, settings.encode())


def _crop_all(jobs: Sequence[tuple[_Field, ...]], windows: CropWindows, workers: int | None) -> CropCount:
    require_short_names(_crop(field, 1) for fields in jobs for field in fields)
    written = kept = 0
    for new, old in in_parallel(partial(_crop_one, windows=windows), jobs, "cropping", workers, threads=True):
        written, kept = written + new, kept + old
    return CropCount(len(jobs), written, kept)


def _crop_one(fields: tuple[_Field, ...], windows: CropWindows) -> tuple[int, int]:
    """Write the missing crops of one image; returns the numbers of new and of existing crops."""
    name = str(fields[0].source)
    height, width = _quick_size(fields[0].source)
    if min(height, width) < windows.size:
        found = f"{width}x{height} pixels, the window {windows.size}"
        raise UserError(f"{name}: has {found}; use a smaller --size or leave the image out")
    total = len(windows.corners(height, width))
    paths = [[_crop(field, number) for number in range(1, total + 1)] for field in fields]
    require_short_names(crops[-1] for crops in paths)
    missing = sum(not path.exists() for crops in paths for path in crops)
    if missing == 0:
        return 0, total * len(fields)
    images = [
        decode_as_it_is(read_bytes(field.source), str(field.source), field.is_label_map) for field in fields
    ]
    for field, image in zip(fields, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            sizes = "{1}x{0} pixels, {4} {3}x{2}".format(*image.shape[:2], *images[0].shape[:2], name)
            raise UserError(f"{field.source}: has {sizes}; make them the same size")
    for field, image, crops in zip(fields, images, paths, strict=True):
        for (top, left), path in zip(windows.corners(*image.shape[:2]), crops, strict=True):
            if not path.exists():
                crop = image[top : top + windows.size, left : left + windows.size]
                renumber = field.is_label_map and windows.relabel
                write_png(path, relabel(crop).astype(np.uint16) if renumber else crop)
    return missing, total * len(fields) - missing


def _crop(field: _Field, number: int) -> Path:
    """The published name."""
    return Path(f"{field.crops}_s{number:03d}.png")


def _quick_size(path: Path) -> tuple[int, int]:
    """Height and width, without decoding a PNG, since a second run checks every image."""
    try:
        with path.open("rb") as file:
            header = file.read(24)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check it") from error
    if header.startswith(b"\x89PNG") and len(header) == 24:
        width, height = struct.unpack(">II", header[16:])
        return height, width
    height, width = decode_as_it_is(read_bytes(path), str(path)).shape[:2]
    return height, width
