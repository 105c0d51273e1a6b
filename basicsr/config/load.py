"""From an option file on disk to a checked `Config`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from basicsr.config.option_files import find_base, find_option_file
from basicsr.config.schema import Command, Config, effective_options, semantic_mistakes
from basicsr.config.yaml_text import LARGEST, read_yaml
from basicsr.utils.convert import Mistakes, convert
from basicsr.utils.errors import OptionError
from basicsr.utils.log import logger
from basicsr.utils.plugins import absolute, load_plugins
from basicsr.utils.reading import read_file
from basicsr.utils.registry import MODELS
from basicsr.utils.typed_path import typed_path

_MOST_BASES = 32
# Blocks whose names a file chooses, and which of those may be removed without being there.
_NAMED = {"datasets": ("train", "val", "test"), "networks": (), "train.losses": (), "val.metrics": ()}


def load_config(
    path: str | Path, overrides: Sequence[str] = (), command: Command = "train", plugins: Sequence[str] = ()
) -> Config:
    """Read an option file, follow ``base:``, apply ``key=value`` overrides, and check everything.

    Args:
        path: YAML file, or the name of a bundled one, see `find_option_file`. Its
            ``base:`` (one path or a list, see `find_base`) is read first; the file's own keys win,
            blocks are merged key by key, a list replaces a list, and null removes what is inherited.
        overrides: ``dotted.key=value`` strings; the value is read as YAML, and null removes the
            value of the file.
        plugins: files or modules that are loaded beside those that the option file names; they become part
            of the options.
        command: paths of data sets that the command does not use need not exist; ``demo`` uses none, and no
            network beside ``network_g``.

    Raises:
        OptionError: with all mistakes at once.
        UserError: a plugin fails.
    """
    merged = read_options(find_option_file(path, command), overrides)
    _load_plugins(merged, plugins)
    used = _used_blocks(command, merged.get("datasets"))
    mistakes = Mistakes(
        check_paths=lambda where: where.startswith(used) or where.startswith(("train.", "val."))
    )
    config = convert(merged, Config, "", mistakes)
    if "model_type" in merged and merged["model_type"] not in MODELS.names():
        what = f"unknown model {merged['model_type']!r}"
        mistakes.unknown("model_type", what, str(merged["model_type"]), MODELS.names())
    elif config is not None:
        MODELS.check(config.model_type, config.model_opt, "model_opt", mistakes)
    elif "model_type" in merged and isinstance(merged.get("model_opt"), dict):
        MODELS.check(merged["model_type"], merged["model_opt"], "model_opt", mistakes)
    lines = mistakes.lines + (semantic_mistakes(config, command) if config is not None else [])
    if lines:
        raise OptionError(str(path), lines)
    assert isinstance(config, Config)
    return config


def read_options(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The plain values of a YAML file with those of its ``base:`` and the overrides, as `load_config` merges
    them; nothing is checked.

    Raises:
        OptionError: a file cannot be read, or an override cannot be applied.
    """
    merged = _OptionFiles().read(typed_path(str(path)))
    for override in overrides:
        _apply_override(merged, override)
    return merged


def _used_blocks(command: Command, datasets: Any) -> tuple[str, ...]:
    """Beginnings of the keys whose paths have to exist."""
    if command == "demo":
        return ("path",)
    always = ("path", "networks.", "model_opt.")
    if command == "train":
        return ("datasets.train", "datasets.val", *always)
    named = datasets.items() if isinstance(datasets, dict) else ()
    has_test = any(str(phase).startswith("test") for phase, block in named if block is not None)
    return ("datasets.test" if has_test else "datasets.val", *always)


def dump_config(config: Config) -> str:
    """The effective options as YAML; `load_config` reads them back to an equal run.

    Comments at the end list the versions of the plugins.
    """
    options = yaml.safe_dump(effective_options(config), sort_keys=False, allow_unicode=True)
    return options + "".join(f"# {plugin.summary}\n" for plugin in load_plugins(config.plugins, "plugins"))


def _load_plugins(options: dict[str, Any], further: Sequence[str]) -> None:
    """Load the plugins of an option file and ``further`` ones, and put them into the options."""
    named = options.get("plugins", [])
    if _are_texts(named):
        options["plugins"] = list(dict.fromkeys(absolute(name, Path()) for name in [*named, *further]))
        load_plugins(options["plugins"], "plugins")


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


class _OptionFiles:
    """Option files with those that they inherit from; each is read once."""

    def __init__(self) -> None:
        self._read: dict[Path, dict[str, Any]] = {}

    def read(self, path: Path, readers: tuple[Path, ...] = ()) -> dict[str, Any]:
        """The options of a file, merged.

        Args:
            readers: the files that led to it.
        """
        place = Path(os.path.realpath(path))
        if place in readers:
            raise OptionError(str(path), ["base: option files inherit from each other in a circle"])
        if len(readers) > _MOST_BASES:
            raise OptionError(str(path), [f"base: more than {_MOST_BASES} option files inherit in a row"])
        if place not in self._read:
            self._read[place] = self._merged(path, (*readers, place))
        return dict(self._read[place])

    def _merged(self, path: Path, readers: tuple[Path, ...]) -> dict[str, Any]:
        options = _read_file(path)
        if _are_texts(options.get("plugins")):
            options["plugins"] = [absolute(name, path.parent) for name in options["plugins"]]
        bases = options.pop("base", None) or []
        bases = [bases] if isinstance(bases, str) else bases
        if not isinstance(bases, list) or not all(
            isinstance(base, str) and "\0" not in base for base in bases
        ):
            raise OptionError(
                str(path), [f"base: expected the path of an option file, or a list (got {bases!r})"]
            )
        merged: dict[str, Any] = {}
        for base in bases:
            merged = _merge(merged, self.read(find_base(base, path.parent), readers))
        return _merge(merged, options)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        options, odd = read_yaml(read_file(path, LARGEST).decode())
    except UnicodeDecodeError as error:
        raise OptionError(str(path), ["not UTF-8 text; save it as UTF-8"]) from error
    except OSError as error:
        hint = _nearest_file(path) if isinstance(error, FileNotFoundError) else ""
        raise OptionError(str(path), [f"cannot read the option file: {error.strerror}.{hint}"]) from error
    except ValueError as error:
        raise OptionError(str(path), [f"not valid YAML: {error}"]) from error
    if not isinstance(options, dict):
        raise OptionError(str(path), ["expected a block of `key: value` lines"])
    for line in odd:
        logger().warning(f"{path}: {line}")
    return options


def _nearest_file(path: Path) -> str:
    others = [item.name for item in path.parent.glob("*.y*ml") if item.name != path.name]
    near = difflib.get_close_matches(path.name, others, n=1)
    return f" Did you mean '{path.parent / near[0]}'?" if near else ""


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Block by block, key by key; a list replaces a list, and null removes what is inherited."""
    merged = dict(under)
    for key, value in over.items():
        inherited = merged.get(key)
        if isinstance(value, dict) and isinstance(inherited, dict):
            merged[key] = _merge(inherited, value)
        elif value is None and key in merged:
            del merged[key]
        else:
            merged[key] = value
    return merged


def _apply_override(options: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise OptionError("--set", [f"expected key=value (got {override!r})"])
    try:
        value, _ = read_yaml(text)
    except ValueError as error:
        raise OptionError("--set", [f"{key}: the value is not valid YAML: {error} (got {text!r})"]) from error
    *blocks, name = key.split(".")
    place = options
    for depth, block in enumerate(blocks):
        inner = place.get(block)
        if inner is not None and not isinstance(inner, dict):
            raise OptionError("--set", [f"{key}: '{'.'.join(blocks[: depth + 1])}' is a value, not a block"])
        place[block] = dict(inner or {})  # a copy: a YAML alias may share this block with another place
        place = place[block]
    if value is None and name in place:
        del place[name]
    elif value is None and name not in _NAMED.get(".".join(blocks), (name,)):
        mistakes = Mistakes()
        known = dict.fromkeys([*map(str, place), *_NAMED[".".join(blocks)]])
        mistakes.unknown(key, "there is nothing of this name to remove", name, known)
        raise OptionError("--set", mistakes.lines)
    else:
        place[name] = value
