"""What command lines share. Imports nothing heavy, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NewType, NoReturn

from basicsr.utils.display import shown
from basicsr.utils.errors import OptionError, ReportedError, UserError
from basicsr.utils.interruption import Interrupted, Interruption, end_workers, explaining_workers
from basicsr.utils.pixel_limit import LARGEST_MAX_PIXELS, MAX_PIXELS

OptionFileName = NewType("OptionFileName", str)
"""The ``type`` of arguments that take the path of an option file, or the name of one of the package."""
WeightsName = NewType("WeightsName", str)
"""The ``type`` of arguments that take a weight file, or the short name of one."""


@dataclass(frozen=True)
class Arguments:
    """What was typed."""

    opt: str
    overrides: list[str]
    launcher: Literal["none", "pytorch", "slurm"]
    auto_resume: bool
    debug: bool
    plugins: Sequence[str] = ()


def command_parser(called: str, about: str | None, examples: str) -> argparse.ArgumentParser:
    """The parser of one command.

    Args:
        called: what is typed to run it: ``sam-deblur restore``, ``python basicsr/infer.py``.
        about: shown as it stands, line by line.
        examples: the end of ``--help``; ``{command}`` becomes ``called``.
    """
    return _Parser(
        prog=called,
        description=about,
        epilog=examples.replace("{command}", called),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def parser_of(main: Callable[[Sequence[str], str], None], called: str) -> argparse.ArgumentParser:
    """The parser that a command reads its words with; the command does not run.

    Args:
        main: of the command.
        called: see `command_parser`.
    """
    try:
        main([_ASK], called)
    except _Asked as answer:
        return answer.parser
    raise TypeError(f"{called} reads its words without command_parser")


_ASK = "\0"  # a word that no command line can hold


class _Asked(Exception):  # noqa: N818
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


class _Parser(argparse.ArgumentParser):
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if args == [_ASK]:
            raise _Asked(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        super().error(shown(message))


_ABOUT = {
    "train": "Train a network from an option file.",
    "test": "Evaluate a network on every datasets.test* of an option file.",
}
_EXAMPLES = """examples:
  {command} Demo/SegNAFNet
  {command} -opt options/COMMAND/Demo/SegNAFNet.yml --set num_gpu=0"""


def parse_arguments(
    command: Literal["train", "test"], argv: Sequence[str] | None = None, called: str | None = None
) -> Arguments:
    """Read the command line of training or testing; exits with 2 on a mistake.

    Args:
        called: see `command_parser`; null is ``sam-deblur <command>``.
    """
    examples = _EXAMPLES.replace("COMMAND", command)
    parser = command_parser(called or f"sam-deblur {command}", _ABOUT[command], examples)
    add_option_file_arguments(parser)
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="overrides",
        help="override options by dotted key, e.g. --set train.optim_g.lr=5e-4",
    )  # fmt: skip
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm"], default="none",
        help="pytorch: started by torchrun; slurm: started by srun",
    )  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("--local_rank", "--local-rank", type=int, help="ignored; read from the environment")
    if command == "train":
        parser.add_argument(
            "--auto_resume", action="store_true", help="resume from the newest state of this experiment"
        )
    add_plugin_argument(parser)
    typed = parser.parse_args(argv)
    auto_resume = command == "train" and typed.auto_resume
    opt = option_file_of(typed, parser)
    return Arguments(opt, typed.overrides, typed.launcher, auto_resume, typed.debug, typed.plugins)


def add_option_file_arguments(parser: argparse.ArgumentParser) -> None:
    """The option file, by place or behind ``-opt``; `option_file_of` reads it."""
    parser.add_argument(
        "file", nargs="?", type=OptionFileName, metavar="FILE",
        help="option file (YAML), or the name of a bundled one, e.g. GoPro/SegNAFNet",
    )  # fmt: skip
    parser.add_argument(
        "-opt", "--opt", type=OptionFileName, metavar="FILE", help="the same, as in published commands"
    )


def option_file_of(typed: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """What was typed for `add_option_file_arguments`; ends the program unless it is one file."""
    if (typed.file is None) == (typed.opt is None):
        parser.error(f"one option file is needed (got {'none' if typed.opt is None else 'two'})")
    named: str = typed.file if typed.opt is None else typed.opt
    return named


def add_plugin_argument(parser: argparse._ActionsContainer) -> None:
    """``--plugin FILE``, as often as there are files; `basicsr.utils.plugins.load_plugins` takes them."""
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="FILE", dest="plugins",
        help="own Python file (or module) that registers networks, losses and the like; may be repeated",
    )  # fmt: skip


def add_weights_arguments(parser: argparse._ActionsContainer) -> None:
    """What a weight file may leave open, or a user may want to override."""
    parser.add_argument(
        "--padding", choices=["edge", "zeros", "reflect"],
        help="of images whose sides do not fit the network: last row and column repeated, black or mirrored; "
        "default: as stored in the weights, or as each published network was evaluated",
    )  # fmt: skip
    parser.add_argument(
        "--param_key", "--param-key", metavar="NAME",
        help="entry of the weight file, or the prefix of the names of the network's weights in it; "
        "default: the unambiguous one",
    )  # fmt: skip


def add_tile_argument(parser: argparse._ActionsContainer) -> None:
    """``--tile N``: a number of pixels, or ``auto``."""
    parser.add_argument(
        "--tile", default="auto", metavar="N", type=_tile_side,
        help="side of blended tiles in pixels; 0: whole photo; auto (default): whole where memory allows",
    )  # fmt: skip


def _tile_side(typed: str) -> int | str:
    if typed != "auto" and not typed.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of pixels, or auto (got {typed})")
    return typed if typed == "auto" else int(typed)


def add_max_pixels_argument(parser: argparse._ActionsContainer) -> None:
    """``--max_pixels N``, for a `basicsr.utils.pixel_limit.PixelLimit`."""
    parser.add_argument(
        "--max_pixels", type=_max_pixels, metavar="N", default=MAX_PIXELS,
        help="of a photo or a frame; a file that declares more is refused before memory is taken for it; "
        f"default: {MAX_PIXELS:,}, at most {LARGEST_MAX_PIXELS:,}",
    )  # fmt: skip


def _max_pixels(typed: str) -> int:
    count = int(typed)
    if not 1 <= count <= LARGEST_MAX_PIXELS:
        raise argparse.ArgumentTypeError(f"expected 1 to {LARGEST_MAX_PIXELS:,} (got {typed})")
    return count


def run_command(command: Callable[[], None], debug: bool) -> None:
    """Run ``command``; a mistake of the user ends in a clear message and exit code 1 (options: 2).

    A signal that asks to exit ends in that of `basicsr.utils.interruption.Interrupted`.
    """
    try:
        with Interruption().raised(), _named_disk_errors(), explaining_workers():
            command()
        if "RANK" in os.environ:
            sys.stdout.flush()
            _leave(0)
    except UserError as error:
        if debug:
            raise
        sys.stdout.flush()
        # a mistake that every process finds is printed once per machine
        is_reported = isinstance(error, OptionError) and os.environ.get("LOCAL_RANK", "0") != "0"
        if not is_reported and not isinstance(error, ReportedError):
            print(f"error: {error.shown}", file=sys.stderr)  # noqa: T201
        _leave(error.exit_code)
    except Interrupted as interrupted:
        if debug:
            raise
        sys.stdout.flush()
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(interrupted, file=sys.stderr)  # noqa: T201
        _leave(interrupted.exit_code)


@contextmanager
def _named_disk_errors() -> Iterator[None]:
    """A full, read-only or missing place on disk is for the user to fix: name the file and the cause."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is None:
            raise
        kinds = (way for kind, way in _HINTS.items() if isinstance(error, kind))
        hint = _HINTS_BY_NUMBER.get(error.errno) or next(kinds, "free some space")
        raise UserError(f"{error.filename}: {error.strerror}; {hint}") from error


_OTHER_PLACE = "choose a place that you may read and write"
_HINTS_BY_NUMBER = {errno.ENAMETOOLONG: "shorten the name", errno.EROFS: _OTHER_PLACE}
_HINTS: dict[type[OSError], str] = {
    PermissionError: _OTHER_PLACE,
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
    if code != 0:
        end_workers()
    if "RANK" in os.environ:
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
