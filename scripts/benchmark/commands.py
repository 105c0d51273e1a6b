"""What commands take besides their work: ``python scripts/benchmark/commands.py``.

Each run is a process of its own. Runs that are compared alternate; the least time counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from inputs import PHOTOS, blurred, photo
from report import circumstances, replace_block, table

from basicsr.config.cli import run_command
from basicsr.utils.image import write_png
from basicsr.utils.typed_path import typed_path

HEAD = ("command", "time", "beside", "time", "ratio", "goal", "met")
FOLDER = 40  # photos
HEIGHT, WIDTH = 240, 320
SAM_DEBLUR = ["-c", "from basicsr.console import main; main()"]
RESTORE = [*SAM_DEBLUR, "restore"]


def seconds_of(words: Sequence[str]) -> float:
    """Time of ``python WORDS``."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def alternated(commands: Sequence[Sequence[str]], rounds: int) -> list[float]:
    """Least seconds of each command; the first round warms up the page cache."""
    found = [[seconds_of(words) for words in commands] for _ in range(1 + rounds)]
    return [min(times) for times in zip(*found[1:], strict=True)]


def limited(name: str, words: Sequence[str], limit: float, rounds: int) -> list[str]:
    """A row with a goal in seconds, beside Python's own start."""
    ours, empty = alternated([words, ["-c", "pass"]], rounds)
    goal, met = f"at most {limit:g} s", "yes" if ours <= limit else "no"
    return [name, f"{ours:.2f} s", "`python -c pass`", f"{empty:.2f} s", f"{ours / empty:.1f}×", goal, met]


def started(folder: Path, rounds: int) -> list[str]:
    """Restoring a photo so small that almost all of the time is the start."""
    tiny = folder / "tiny.png"
    write_png(tiny, blurred(photo(PHOTOS[0], 32, 32)))
    restore = [*RESTORE, "-i", str(tiny), "-o", str(folder / "tiny"), "--overwrite"]
    ours, torch_alone = alternated([restore, ["-c", "import torch"]], rounds)
    ratio = ours / torch_alone
    met = "yes" if ratio <= 1.5 else "no"
    name = "restore a photo of 32x32"
    return [
        name,
        f"{ours:.2f} s",
        "`import torch`",
        f"{torch_alone:.2f} s",
        f"{ratio:.2f}×",
        "at most 1.5×",
        met,
    ]


def foldered(folder: Path) -> list[str]:
    """A folder at once, and its photos one by one; once each, as it takes minutes."""
    photos = [folder / f"photos/{number:02d}.png" for number in range(FOLDER)]
    for number, path in enumerate(photos):
        image = photo(PHOTOS[number % len(PHOTOS)], HEIGHT, WIDTH)
        write_png(path, blurred(image[:, :: 1 - 2 * (number // 4 % 2)]))
    seconds_of([*RESTORE, "-i", str(photos[0]), "-o", str(folder / "warm")])
    together = seconds_of([*RESTORE, "-i", str(folder / "photos"), "-o", str(folder / "together")])
    singly = sum(
        seconds_of([*RESTORE, "-i", str(path), "-o", str(folder / "singly" / path.stem)]) for path in photos
    )
    ratio = singly / together
    name, met = f"restore a folder of {FOLDER} photos, {WIDTH}x{HEIGHT}", "yes" if ratio >= 1.3 else "no"
    return [
        name, f"{together:.1f} s", "the same one by one", f"{singly:.1f} s", f"{ratio:.2f}× as fast",
        "at least 1.3×", met,
    ]  # fmt: skip


def run(rounds: int, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    with tempfile.TemporaryDirectory() as place:
        rows = [
            limited("`import basicsr`", ["-c", "import basicsr"], 0.15, rounds),
            limited("`sam-deblur --help`", [*SAM_DEBLUR, "--help"], 0.4, rounds),
            limited("`sam-deblur restore --help`", [*RESTORE, "--help"], 0.4, rounds),
            limited("`sam-deblur train --help`", [*SAM_DEBLUR, "train", "--help"], 0.4, rounds),
            started(Path(place), rounds),
            foldered(Path(place)),
        ]
    text = f"{table(HEAD, rows)}\n\n{circumstances(torch.device('cpu'))}\n* Rounds: {rounds}"
    print(text)
    if document is not None:
        replace_block(document, "commands on cpu", text)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="of short commands; default: 7")
    parser.add_argument("--write", type=typed_path, metavar="FILE", help="also write the table into it")
    typed = parser.parse_args()
    if typed.rounds < 1:
        parser.error(f"--rounds takes 1 or more, not {typed.rounds}")
    run_command(lambda: run(typed.rounds, typed.write), debug=False)


if __name__ == "__main__":
    main()
