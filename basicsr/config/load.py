"""From an option file on disk to a checked `Config`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from basicsr.config.schema import Command, Config, effective_options, semantic_mistakes
from basicsr.utils.convert import Mistakes, convert
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import MODELS
from basicsr.utils.typed_path import expand, typed_path


def load_config(path: str | Path, overrides: Sequence[str] = (), command: Command = "train") -> Config:
    """Read an option file, follow ``base:``, apply ``key=value`` overrides, and check everything.

    Args:
        path: YAML file. Its ``base:`` (one path or a list, relative to the file) is read first; the file's
            own keys win, blocks are merged key by key, and a list replaces a list.
        overrides: ``dotted.key=value`` strings; the value is read as YAML.
        command: paths of data sets that the command does not use need not exist; ``demo`` uses none.

    Raises:
        OptionError: with all mistakes at once.
    """
    merged = _read_with_bases(typed_path(str(path)), ())
    for override in overrides:
        _apply_override(merged, override)
    used = _used_blocks(command, merged.get("datasets"))
    mistakes = Mistakes(
        check_paths=lambda where: where.startswith(used) or where.startswith(("train.", "val."))
    )
    config = convert(merged, Config, "", mistakes)
    if "model_type" in merged and merged["model_type"] not in MODELS.names():
        what = f"unknown model {merged['model_type']!r}"
        mistakes.unknown("model_type", what, str(merged["model_type"]), MODELS.names())
    lines = mistakes.lines + (semantic_mistakes(config, command) if config is not None else [])
    if lines:
        raise OptionError(str(path), lines)
    assert isinstance(config, Config)
    return config


def _used_blocks(command: Command, datasets: Any) -> tuple[str, ...]:
    """Beginnings of the keys whose paths have to exist."""
    if command == "train":
        return ("datasets.train", "datasets.val", "path")
    if command == "demo":
        return ("path",)
    has_test = isinstance(datasets, dict) and any(str(phase).startswith("test") for phase in datasets)
    return ("datasets.test" if has_test else "datasets.val", "path")


def dump_config(config: Config) -> str:
    """The effective options as YAML; `load_config` reads them back to an equal run."""
    return yaml.safe_dump(effective_options(config), sort_keys=False, allow_unicode=True)


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML in which a key given twice in one block is an error instead of a silent replacement."""

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        # The text is looked at before `<<` fills in keys, which may well be given again to replace them.
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    what = f"key '{key.value}' is given twice"
                    raise yaml.constructor.ConstructorError(None, None, what, key.start_mark)
                seen.add(key.value)
        return node


def _read_with_bases(path: Path, readers: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in readers:
        raise OptionError(str(path), ["base: option files inherit from each other in a circle"])
    options = _read_yaml(path)
    bases = options.pop("base", None) or []
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise OptionError(
            str(path), [f"base: expected the path of an option file, or a list (got {bases!r})"]
        )
    merged: dict[str, Any] = {}
    for base in bases:
        merged = _merge(merged, _read_with_bases(path.parent / expand(base), (*readers, path.resolve())))
    return _merge(merged, options)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        others = [item.name for item in path.parent.glob("*.yml") if item.name != path.name]
        near = difflib.get_close_matches(path.name, others, n=1)
        hint = f" Did you mean '{path.parent / near[0]}'?" if near else ""
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise OptionError(str(path), [f"cannot read the option file: {reason}.{hint}"]) from error
    try:
        options = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - derived from SafeLoader
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that no calendar has
        raise OptionError(str(path), [f"not valid YAML: {' '.join(str(error).split())}"]) from error
    if not isinstance(options, dict):
        raise OptionError(str(path), ["expected a block of `key: value` lines"])
    return options


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        both_blocks = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both_blocks else value
    return merged


def _apply_override(options: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise OptionError("--set", [f"expected key=value (got {override!r})"])
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise OptionError("--set", [f"{key}: the value is not valid YAML (got {text!r})"]) from error
    *blocks, name = key.split(".")
    place = options
    for depth, block in enumerate(blocks):
        inner = place.get(block)
        if inner is not None and not isinstance(inner, dict):
            raise OptionError("--set", [f"{key}: '{'.'.join(blocks[: depth + 1])}' is a value, not a block"])
        place[block] = dict(inner or {})  # a copy: a YAML alias may share this block with another place
        place = place[block]
    place[name] = value
