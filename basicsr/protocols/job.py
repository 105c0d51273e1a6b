"""The jobs of the evaluation commands. Imports nothing heavy, so that ``--help`` is fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from basicsr.config.cli import command_parser
from basicsr.utils.typed_path import typed_path


@dataclass(frozen=True)
class EvaluationJob:
    """Folders to compare.

    Args:
        blurry, restored, sharp: folders of images that pair by path without suffix.
        output: folder for ``metrics.json``, ``metrics.csv`` and ``visualization/<key>.png``.
        pictures: write blurry, aligned and sharp images side by side.
        overwrite: replace the results of an earlier run.
        workers: processes; null is one per core.
    """

    blurry: Path
    restored: Path
    sharp: Path
    output: Path
    pictures: bool = True
    overwrite: bool = False
    workers: int | None = None


def read_job(
    called: str, about: str | None, example: str, sharp: str, argv: Sequence[str] | None = None
) -> EvaluationJob:
    """Read the command line; exits with 2 on a mistake.

    Args:
        called, about, example: see `basicsr.config.cli.command_parser`.
        sharp: content of the folder of the ground truth, for ``--help``.
    """
    parser = command_parser(called, about, example)
    folders = {
        "blurry": "folder of the blurry photos",
        "restored": "folder of the restored photos",
        "sharp": f"folder of {sharp}",
        "output": "folder for metrics.json, metrics.csv and pictures",
    }
    for name, meaning in folders.items():
        parser.add_argument(
            f"-{name[0]}", f"--{name}", type=typed_path, required=True, metavar="DIR", help=meaning
        )
    parser.add_argument("--no_pictures", action="store_true", help="write no pictures")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="replace the results of an earlier run")
    typed = parser.parse_args(argv)
    return EvaluationJob(
        blurry=typed.blurry,
        restored=typed.restored,
        sharp=typed.sharp,
        output=typed.output,
        pictures=not typed.no_pictures,
        overwrite=typed.overwrite,
        workers=typed.workers,
    )
