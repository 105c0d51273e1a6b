"""Time the preparation of data: ``python scripts/benchmark/preparation.py``.

The default segmenter has an absolute goal, on one core. Cropping and writing an LMDB use all cores and are
compared with themselves in one process.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

import cv2
import torch
from inputs import PHOTOS, photo
from report import circumstances, replace_block, table
from timing import Goal, Row, compare, median_time, threads

from basicsr.config.cli import run_command
from basicsr.preparation.layouts.crop_patches import crop_folder
from basicsr.preparation.layouts.make_lmdb import make_lmdb
from basicsr.segmenters import graph_regions
from basicsr.storage import LmdbStorage
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png
from basicsr.utils.typed_path import typed_path

GRAPH_HEAD = ("graph, 1280x720, one core", "time", "goal", "met", "regions")
GRAPH_SECONDS = 2
PARALLEL_HEAD = ("work", "all cores", "one process", "ratio", "goal", "met", "checked before")
PARALLEL_GOAL = Goal("faster", 1.5)
PHOTO_FILES = 48
HEIGHT, WIDTH = 720, 1280

Output = dict[str, bytes]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each row; default: 5")
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the tables into this document"
    )
    typed = parser.parse_args()
    if typed.rounds < 1:
        parser.error(f"--rounds takes 1 or more, not {typed.rounds}")
    run_command(lambda: run(typed.rounds, typed.write), debug=False)


def run(rounds: int, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    graph = table(GRAPH_HEAD, [graph_cells(name, rounds) for name in PHOTOS])
    # progress bars are for people who wait for one thing
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        photos, crops = Path(folder) / "photos", Path(folder) / "crops"
        for number in range(PHOTO_FILES):
            # shifted, so that no two files are the same
            image = photo(PHOTOS[number % len(PHOTOS)], HEIGHT, WIDTH + number)[:, number:]
            write_png(photos / f"{number:03d}.png", image)
        crop_folder(photos, crops)
        rows = [crop_row(photos, rounds), lmdb_row(crops, rounds)]
    parallel = table(PARALLEL_HEAD, [_cells(row) for row in rows])
    text = f"{graph}\n\n{parallel}\n\n{circumstances(torch.device('cpu'))}\n* Rounds: {rounds}"
    print(text)
    if document is not None:
        replace_block(document, "preparation", text)


def graph_cells(name: str, rounds: int) -> list[str]:
    """Segment a photo that is resized to 1280x720."""
    import skimage.data

    stored = read_rgb(Path(skimage.data.__file__).parent / name)
    image = cv2.resize(stored, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    with threads(1):
        seconds = median_time(lambda: graph_regions(image), rounds) / 1000
    met = "yes" if seconds <= GRAPH_SECONDS else "no"
    return [name, f"{seconds:.2f} s", f"at most {GRAPH_SECONDS} s", met, str(graph_regions(image).max())]


def crop_row(photos: Path, rounds: int) -> Row:
    """`crop_folder` with its defaults."""

    def crop(target: Path, workers: int | None) -> None:
        crop_folder(photos, target, workers=workers)

    def read(target: Path) -> Output:
        return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*.png")}

    crops = _same_output(crop, read)
    name = f"cropping {PHOTO_FILES} photos of 1280x720"
    return _compare(name, f"{len(crops)} crops, same bytes", crop, rounds)


def lmdb_row(crops: Path, rounds: int) -> Row:
    """`make_lmdb`; reports what the file takes on disk, where LMDB could reserve far more than the data."""
    on_disk = []

    def make(target: Path, workers: int | None) -> None:
        make_lmdb(crops, target, workers)

    def read(target: Path) -> Output:
        storage = LmdbStorage(target)
        on_disk.append((target / "data.mdb").stat().st_blocks * 512)
        return {key: storage.read(key) for key in storage.keys()}  # noqa: SIM118

    entries = _same_output(make, read)
    data = sum(map(len, entries.values()))
    agreement = (
        f"{len(entries)} entries, same bytes; {max(on_disk) / 1e6:.1f} MB on disk for {data / 1e6:.1f} MB"
    )
    return _compare(f"LMDB of {len(entries)} crops of 512x512", agreement, make, rounds)


def _same_output(work: Callable[[Path, int | None], None], read: Callable[[Path], Output]) -> Output:
    """What ``work`` writes, after a check that the number of processes does not change it."""
    with tempfile.TemporaryDirectory() as folder:
        one, all_cores = Path(folder) / "one", Path(folder) / "all"
        work(one, 1)
        work(all_cores, None)
        if not read(one) == read(all_cores) != {}:
            raise UserError(f"{folder}: processes change what is written")
        return read(one)


def _compare(name: str, agreement: str, work: Callable[[Path, int | None], None], rounds: int) -> Row:
    def into_new_folder(workers: int | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            work(Path(folder) / "new", workers)

    return compare(
        name, PARALLEL_GOAL, agreement, lambda: into_new_folder(None), lambda: into_new_folder(1), rounds
    )


def _cells(row: Row) -> list[str]:
    times = [f"{time / 1000:.3g} s" for time in (row.ours, row.reference)]
    return [row.name, *times, f"{row.ratio:.3g}×", str(row.goal), "yes" if row.met else "no", row.agreement]


if __name__ == "__main__":
    main()
