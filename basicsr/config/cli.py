"""The command line of training and testing. Imports nothing heavy, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from basicsr.utils.errors import OptionError, UserError


@dataclass(frozen=True)
class Arguments:
    """What was typed."""

    opt: str
    overrides: list[str]
    launcher: Literal["none", "pytorch", "slurm"]
    auto_resume: bool
    debug: bool


def parse_arguments(command: Literal["train", "test"], argv: Sequence[str] | None = None) -> Arguments:
    """Read the command line of ``basicsr/train.py`` or ``basicsr/test.py``; exits with 2 on a mistake."""
    example = f"example: python basicsr/{command}.py -opt options/{command}/Demo/SegNAFNet.yml"
    about = {
        "train": "Train a network from an option file.",
        "test": "Evaluate a network on every datasets.test*.",
    }
    parser = argparse.ArgumentParser(description=about[command], epilog=example)
    parser.add_argument("-opt", "--opt", required=True, metavar="FILE", help="option file (YAML)")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="overrides",
        help="override options by dotted key, e.g. --set train.optim_g.lr=5e-4",
    )  # fmt: skip
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm"], default="none",
        help="pytorch: started by torchrun; slurm: started by srun",
    )  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("--local_rank", "--local-rank", type=int, help="ignored; the environment says it")
    if command == "train":
        parser.add_argument(
            "--auto_resume", action="store_true", help="go on from the newest state of this experiment"
        )
    typed = parser.parse_args(argv)
    auto_resume = command == "train" and typed.auto_resume
    return Arguments(typed.opt, typed.overrides, typed.launcher, auto_resume, typed.debug)


def add_weights_arguments(parser: argparse._ActionsContainer) -> None:
    """What a weight file may leave open, or say otherwise than its user wants."""
    parser.add_argument(
        "--padding", choices=["edge", "zeros"],
        help="of images whose sides do not fit the network: last row and column repeated, or black; default: "
        "what the weights say, and zeros for published ones",
    )  # fmt: skip
    parser.add_argument(
        "--param_key", "--param-key", metavar="NAME",
        help="entry of the weight file, or what stands before the names of the network's weights in it; "
        "default: what is unambiguous",
    )  # fmt: skip


def run_command(command: Callable[[], None], debug: bool) -> None:
    """Run ``command``; a mistake of the user ends in a clear message and exit code 1 (options: 2)."""
    try:
        with _named_disk_errors():
            command()
        if "RANK" in os.environ:
            sys.stdout.flush()
            _leave(0)
    except UserError as error:
        if debug:
            raise
        sys.stdout.flush()
        found_by_all = isinstance(error, OptionError)
        if not found_by_all or os.environ.get("LOCAL_RANK", "0") == "0":  # once on each machine
            print(f"error: {error}", file=sys.stderr)  # noqa: T201
        _leave(error.exit_code)
    except KeyboardInterrupt:
        if debug:
            raise
        print("interrupted", file=sys.stderr)  # noqa: T201
        _leave(130)


@contextmanager
def _named_disk_errors() -> Iterator[None]:
    """A full, read-only or missing place on disk is the user's to mend: say which file and why."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is None:
            raise
        kinds = (way for kind, way in _WAYS_ON.items() if isinstance(error, kind))
        is_long = error.errno == errno.ENAMETOOLONG
        way_on = "shorten the name" if is_long else next(kinds, "free some space")
        raise UserError(f"{error.filename}: {error.strerror}; {way_on}") from error


_WAYS_ON: dict[type[OSError], str] = {
    PermissionError: "choose a place that you may read and write",
    FileNotFoundError: "check the path",
    NotADirectoryError: "a file stands where a folder is needed, move it or choose another folder",
    IsADirectoryError: "a folder stands where a file is needed, move it or choose another name",
    FileExistsError: "move it or choose another name",
}


def _leave(code: int) -> None:
    """Exit; under a launcher at once.

    There, after an error, other processes may wait for this one in a collective; after success, threads of
    the process group that is gone can abort the process while Python tears it down.
    """
    if "RANK" in os.environ:
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
