"""Make blurred and sharp pairs from sharp photos as if a moving camera had filmed them.

The mean of a few frames is the blurred side, the frame in the middle the sharp one, as in GoPro and REDS; so
odd numbers of frames are drawn. The camera shifts, turns and comes nearer, so that blur differs within a
photo. A second run makes only what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = """examples:
  {command} --sharp photos --out datasets/Mine/train --extent 2 30
  {command} --sharp photos --out frames --clips --frames 7 7"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare film") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("--sharp", type=typed_path, required=True, metavar="DIR", help="sharp photos")
    parser.add_argument(
        "--out", type=typed_path, required=True, metavar="DIR", help="gets input, target and manifest.json"
    )
    parser.add_argument(
        "--labels", type=typed_path, metavar="DIR",
        help="label maps named like the photos; grouped_masks gets the part of each that its target shows",
    )  # fmt: skip
    parser.add_argument("--n", type=int, default=4, metavar="N", help="pairs per photo (default: 4)")
    parser.add_argument(
        "--extent", type=float, nargs=2, metavar="PIXELS",
        help="minimum and maximum shift of the camera during a clip (default: 1.5 40)",
    )  # fmt: skip
    parser.add_argument(
        "--frames", type=int, nargs=2, metavar="N", help="minimum and maximum per clip (default: 7 13)"
    )
    parser.add_argument(
        "--even", action="store_true",
        help="draw even numbers of frames as well; targets of these lie half a frame too late",
    )  # fmt: skip
    parser.add_argument(
        "--clips", action="store_true",
        help="write the sharp frames, one folder per clip, for prepare clips; with shorter exposures",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="make all pairs again, even by other rules")
    typed = parser.parse_args(argv)
    if typed.n < 1 or typed.seed < 0:
        parser.error("--n takes 1 or more, --seed 0 or more")
    for name in ("extent", "frames"):
        limits = getattr(typed, name)
        if limits is not None and not 0 < limits[0] <= limits[1]:
            parser.error(f"--{name} takes two numbers above 0, the lower first")

    def command() -> None:
        from basicsr.preparation.pairs.film_photos import FilmJob, film_photos
        from basicsr.synthesis import ClipRules
        from basicsr.utils.log import open_log

        open_log(True)
        usual = ClipRules()
        rules = ClipRules(
            extent=tuple(typed.extent or usual.extent),
            frames=tuple(typed.frames or usual.frames),
            even=typed.even,
            shutter=(0.1, 0.3) if typed.clips else usual.shutter,
        )
        job = FilmJob(
            sharp=typed.sharp,
            output=typed.out,
            rules=rules,
            copies=typed.n,
            seed=typed.seed,
            workers=typed.workers,
            overwrite=typed.overwrite,
            clips=typed.clips,
            labels=typed.labels,
        )
        film_photos(job)

    run_command(command, debug=False)
