"""Starting files, one module per verb: your own code, and option files for your own data."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

TEMPLATES = Path(__file__).parents[1] / "templates"


def start_code(kind: str, example: str, argv: Sequence[str] | None, called: str) -> None:
    """The command that writes a starting file for code.

    Args:
        kind: network, loss, metric, dataset or segmenter.
        example: a name, for ``--help``.
        argv, called: as of every command.
    """
    about = f"""Write a commented starting file for a {kind} of your own, with its test beside it.

The file runs unchanged. Name it as a plugin in an option file, or with --plugin."""
    examples = f"""examples:
  {{command}} {example}
  {{command}} {example} --folder plugins"""
    parser = command_parser(called, about, examples)
    parser.add_argument(
        "name", metavar="NAME", help="of the class or function: MyNetwork is in my_network.py"
    )
    parser.add_argument(
        "--folder", type=typed_path, default=Path(), metavar="DIR", help="default: the current folder"
    )
    typed = parser.parse_args(argv)
    run_command(lambda: command(kind, typed), debug=False)


def command(kind: str, typed: argparse.Namespace) -> None:
    """Write the file, and print what to do with it."""
    file, test = write_start(kind, typed.name, typed.folder)
    print(shown(f"{file}: a {kind} to begin with; plugins: [{file.name}] in an option file loads it"))
    print(shown(f"{test}: its test; python -m pytest {test}"))


def write_start(kind: str, name: str, folder: Path) -> tuple[Path, Path]:
    """Write ``<name in snake case>.py`` and its test.

    Args:
        kind: network, loss, metric, dataset or segmenter.

    Raises:
        OptionError: a name that is not valid in Python, or is taken.
        UserError: one of the files exists.
    """
    from importlib.util import find_spec
    from keyword import iskeyword
    from string import Template

    from basicsr.utils import registry
    from basicsr.utils.errors import OptionError, UserError
    from basicsr.utils.files import write_bytes

    if not name.isidentifier() or iskeyword(name):
        raise OptionError("NAME", [f"NAME: expected letters, digits and underscores (got {name!r})"])
    known = {
        "network": registry.ARCHS,
        "loss": registry.LOSSES,
        "metric": registry.METRICS,
        "dataset": registry.DATASETS,
        "segmenter": registry.SEGMENTERS,
    }[kind]
    stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    file, test = folder / f"{stem}.py", folder / f"test_{stem}.py"
    for path in (file, test):
        if path.exists():
            raise UserError(f"{path}: exists already; choose another NAME or --folder")
    if name in known.names():
        raise OptionError("NAME", [f"NAME: there is a {kind} of that name; choose another (got {name!r})"])
    if find_spec(stem) is not None:
        raise OptionError("NAME", [f"NAME: Python has a module {stem}; choose another (got {name!r})"])
    for path, template in ((file, kind), (test, f"test_{kind}")):
        text = Template((TEMPLATES / f"{template}.txt").read_text(encoding="utf-8"))
        write_bytes(path, text.substitute(name=name, file=file.name, test=test.name).encode())
    return file, test
