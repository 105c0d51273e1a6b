"""A segmenter from what was typed: a name in any case, and options as ``key=value``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from basicsr.utils.convert import Mistakes
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import SEGMENTERS


def find_segmenter(typed: str) -> str:
    """The registered name that equals ``typed`` but for upper and lower case.

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
            options[key] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise OptionError("--option", [f"--option {key}: not valid YAML (got {text!r})"]) from error
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
