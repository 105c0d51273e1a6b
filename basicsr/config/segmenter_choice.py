"""A segmenter on the command line: a name in any case, and options as ``key=value``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from basicsr.config.yaml_text import read_yaml
from basicsr.utils.convert import Mistakes
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import SEGMENTERS
from basicsr.utils.typed_path import expand

DEFAULT_SEGMENTER = "graph"


@dataclass(frozen=True)
class SegmenterChoice:
    """A registered segmenter with checked options."""

    name: str
    options: Mapping[str, Any]

    def build(self) -> Any:
        """The segmenter; loads its weights."""
        return SEGMENTERS.build(self.name, self.options)


def add_segmenter_arguments(parser: argparse._ActionsContainer) -> None:
    """The arguments that `read_segmenter` reads, and ``--rule``."""
    parser.add_argument(
        "--segmenter", metavar="NAME",
        help="graph (default; classical, without weights, not SAM), sam, transformers or precomputed",
    )  # fmt: skip
    parser.add_argument("--model", help="short for --option model=...")
    parser.add_argument(
        "--checkpoint", type=expand, help="weights of the segmenter; short for --option checkpoint=..."
    )
    parser.add_argument(
        "--option", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="options",
        help="options of the segmenter",
    )  # fmt: skip
    parser.add_argument(
        "--rule", default="exact", choices=["exact", "smallest_on_top", "published"],
        help="what a pixel under several masks belongs to: a region for each combination of masks (default), "
        "the smallest mask, or SAM-Deblur's gray values, on masks of the photo as BGR",
    )  # fmt: skip


def read_segmenter(typed: argparse.Namespace) -> SegmenterChoice:
    """What was typed for `add_segmenter_arguments`, checked before anything is loaded.

    Raises:
        OptionError: with all mistakes.
    """
    name = find_segmenter(typed.segmenter or DEFAULT_SEGMENTER)
    options = read_options(typed.options, {"model": typed.model, "checkpoint": typed.checkpoint})
    check_options(name, options)
    return SegmenterChoice(name, options)


def find_segmenter(typed: str) -> str:
    """The registered name that equals ``typed`` except for upper and lower case.

    Raises:
        OptionError: there is none.
    """
    known = {name.lower(): name for name in SEGMENTERS.names()}
    if typed.lower() not in known:
        mistakes = Mistakes()
        mistakes.unknown("--segmenter", "no such segmenter", typed.lower(), known, typed)
        raise OptionError("--segmenter", mistakes.lines)
    return known[typed.lower()]


def read_options(typed: Sequence[str], shorthands: Mapping[str, Any]) -> dict[str, Any]:
    """``key=value`` strings, with values in YAML, and those of ``shorthands`` that are not None.

    Raises:
        OptionError: not of that form, or an option that is given twice.
    """
    options = {name: value for name, value in shorthands.items() if value is not None}
    for item in typed:
        key, separator, text = item.partition("=")
        if not separator or not key:
            raise OptionError("--option", [f"--option: expected key=value (got {item!r})"])
        if key in options:
            raise OptionError("--option", [f"--option {key}: given twice (got {text!r})"])
        try:
            options[key], _ = read_yaml(text)
        except ValueError as error:
            raise OptionError(
                "--option", [f"--option {key}: not valid YAML: {error} (got {text!r})"]
            ) from error
    return options


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Check ``options`` against the segmenter's signature, before anything is loaded.

    Raises:
        OptionError: with all mistakes.
    """
    mistakes = Mistakes()
    SEGMENTERS.check(name, options, "", mistakes)
    if mistakes.lines:
        raise OptionError(f"segmenter {name.lower()}", mistakes.lines)
