"""Time and memory of the networks of clips on the CPU: ``python scripts/benchmark/clips.py``.

Three tables: the networks beside plain formulations of them, memory by length and size of clips, and how long
a whole photo takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from clip_cases import SIZES, cases, lengths, of_photos
from inputs import photo
from memory import printed_bytes
from report import circumstances, replace_block, table
from sides import HEAD, SIDES, STEPS, growth, measure
from timing import median_time
from tqdm import tqdm

from basicsr.config.cli import run_command
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.utils.typed_path import typed_path

TABLES = ("compared", "memory", "photo")
NETWORKS = ("jin", "purohit", "ordering")
FITS = 40  # the plain formulations do not pad: 20 divides it for Jin's, 8 for Purohit's
LENGTHS = (3, 7, 15)
MADE_BY_JIN = 7
MEMORY_HEAD = ("network", "frames", "size", *(f"memory of a {what}" for what in STEPS))
PHOTO_HEAD = ("network", "parameters", "photo", "tiles", "time", "frames per second")


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Args:
        tables: of `TABLES`.
        networks: of `NETWORKS`.
        size: of the networks; see `clip_cases.SIZES`.
        side: of a frame in pixels; memory is also measured at twice that.
        photo: height and width of the photo.
        rounds: timed ones.
    """

    tables: Sequence[str]
    networks: Sequence[str]
    size: str
    side: int
    photo: tuple[int, int]
    rounds: int


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each row; default: 3")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="default: all")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, help="default: all")
    parser.add_argument(
        "--network_size", choices=SIZES, default="published", help="how large they are; default: published"
    )
    parser.add_argument(
        "--side", type=int, default=160, help=f"of a frame in pixels, a multiple of {FITS}; default: 160"
    )
    parser.add_argument(
        "--photo",
        type=int,
        nargs=2,
        default=(720, 1280),
        metavar="N",
        help="height and width; default: 720 1280",
    )
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the tables into this document"
    )
    parser.add_argument(
        "--growth", nargs="+", metavar="WORD",
        help="only print bytes: one of ours, reference; or frames and step",
    )  # fmt: skip
    typed = parser.parse_args()
    if typed.rounds < 1:
        parser.error(f"--rounds takes 1 or more, not {typed.rounds}")
    if typed.side < FITS or typed.side % FITS:
        parser.error(f"--side takes multiples of {FITS}, not {typed.side}")
    plan = Plan(
        typed.tables, typed.networks, typed.network_size, typed.side, tuple(typed.photo), typed.rounds
    )
    if typed.growth is not None:
        print(growth_of(plan, typed.growth))
    else:
        run_command(lambda: run(plan, typed.write), debug=False)


def growth_of(plan: Plan, words: Sequence[str]) -> int:
    """Bytes of the first network: of a training step of one of `SIDES`, or of a step on so many frames."""
    name = plan.networks[0]
    if words[0] in SIDES:
        case = cases(plan.size)[name]
        return growth(getattr(case.prepare(), words[0]), case.example(plan.side), "training step")
    frames, what = words
    net, x = lengths(plan.size)[name](int(frames), plan.side)
    return growth(net, x, what)


def run(plan: Plan, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    made = {"compared": compared, "memory": memory, "photo": photos}
    for name in plan.tables:
        text = f"{made[name](plan)}\n\n{circumstances(torch.device('cpu'))}\n* Rounds: {plan.rounds}"
        print(text)
        if document is not None:
            replace_block(document, f"clips on cpu, {name}", text)


def compared(plan: Plan) -> str:
    """Each network beside a plain formulation."""
    chosen = {name: case for name, case in cases(plan.size).items() if name in plan.networks}
    rows = []
    for name, case in tqdm(chosen.items(), unit="network"):
        rows += measure(case, plan.side, plan.rounds, [*_words(plan, name, plan.side), "--growth"])
    return table(HEAD, rows)


def memory(plan: Plan) -> str:
    """Memory of a step of ours, by frames and their size."""
    rows = []
    for name in plan.networks:
        for frames in (MADE_BY_JIN,) if name == "jin" else LENGTHS:
            for side in (plan.side, 2 * plan.side):
                words = [*_words(plan, name, side), "--growth", str(frames)]
                needed = [f"{printed_bytes([*words, what]) / 1e6:,.0f} MB" for what in STEPS]
                rows.append([f"{name}, {plan.size}", str(frames), f"{side}x{side}", *needed])
    return table(MEMORY_HEAD, rows)


def photos(plan: Plan) -> str:
    """From the pixels of a photo to those of a clip, as `sam-deblur restore` does it between the files."""
    height, width = plan.photo
    image = photo("motorcycle_left.png", height, width)
    rows = []
    for name, net in of_photos(plan.size).items():
        if name not in plan.networks:
            continue
        restorer = Restorer(net, RestoreOptions(device="cpu"))
        restored = restorer.run(image)
        seconds = median_time(lambda restorer=restorer: restorer.run(image), plan.rounds, warm_up=0) / 1000
        parameters = sum(parameter.numel() for parameter in net.parameters())
        tiles = "none" if restored.tile is None else f"of {restored.tile} pixels"
        speed = f"{len(restored.frames) / seconds:.3g}"
        title = f"{name}, {plan.size}"
        rows.append([title, f"{parameters:,}", f"{width}x{height}", tiles, f"{seconds:.3g} s", speed])
    return table(PHOTO_HEAD, rows)


def _words(plan: Plan, name: str, side: int) -> list[str]:
    """The words that measure one network in its own process."""
    return [__file__, "--networks", name, "--network_size", plan.size, "--side", str(side)]


if __name__ == "__main__":
    main()
