"""Weights out of the wrapping of toolkits: an entry of a file, and a prefix of each name.

A file may be ``{"model": {"generator.intro.weight": ..}, "epoch": 3}``. Unambiguous weights are taken; else
the error lists the candidates, and ``param_key`` chooses: an entry (``model``), a prefix of names
(``generator``), or both (``model.generator``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from basicsr.utils.errors import UserError

State = dict[str, Tensor]

WHOLE_FILE = "whole file"
# In this order; validation evaluated the averaged weights.
_PREFERRED = ("params_ema", "params-ema", "params", "state_dict")
_CHOOSE = "choose one with path.param_key or --param_key"
_COMPILED = "_orig_mod"  # what torch.compile puts into names
_SHOWN = 10


def find_entry(contents: Mapping[str, Any], path: Path, param_key: str | None) -> tuple[str, State]:
    """The entry of a file that holds the weights, and these.

    Args:
        contents: of the file.
        path: of the file, for errors.
        param_key: an entry, a prefix of names, or both; ``params`` where the file has none of these.
            None takes ``params_ema``, then ``params``, then ``state_dict``, then the only one.

    Raises:
        UserError: no weights, or several candidates.
    """
    entries = _entries(contents)
    if param_key is None:
        return _only(entries, contents, path)
    for name in (param_key, param_key.replace("-", "_"), param_key.replace("_", "-")):
        if name in entries:
            return name, entries[name]
    if param_key in contents:
        raise UserError(f"{path}: entry '{param_key}' is not a dictionary of weights")
    inside = {}
    for name, state in entries.items():
        for prefix in (param_key, param_key.removeprefix(f"{name}.")):
            if part := below(state, f"{prefix}."):
                inside[f"{name}.{prefix}"] = part
    if inside:
        return _only(inside, inside, path)
    if "params" in entries:
        return "params", entries["params"]
    raise UserError(f"{path}: has no entry '{param_key}' (param_key). It has: {_first(map(str, contents))}")


def below(state: Mapping[str, Tensor], prefix: str) -> State:
    """Those weights whose names begin with ``prefix``, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}


def prefix_of(state: Mapping[str, Tensor], expected: Collection[str], path: Path) -> str:
    """The prefix of a network's names in a file: ``"module."``, ``"generator."``, mostly none.

    Args:
        expected: names of the network's weights.
        path: of the file, for errors.

    Raises:
        UserError: several networks in the file fit equally well.
    """
    found: Counter[str] = Counter()
    for name in state:
        parts = name.split(".")
        for depth in range(len(parts)):
            if ".".join(parts[depth:]) in expected:
                found["".join(f"{part}." for part in parts[:depth])] += 1
    most = max(found.values(), default=0)
    best = [prefix for prefix, count in found.items() if count == most]
    if not best:
        return ""
    # A part of a network may have as many of the names as the whole, where the file has others for the rest.
    outermost = min(best, key=len)
    if all(prefix.startswith(outermost) for prefix in best):
        return outermost
    return the_only_prefix(best, state, path)


def the_only_prefix(prefixes: list[str], state: Mapping[str, Tensor], path: Path) -> str:
    """The single one.

    Raises:
        UserError: there are several.
    """
    if len(prefixes) > 1:
        raise UserError(f"{path}: holds several such networks: {_sizes(state, prefixes)}; {_CHOOSE}")
    return prefixes[0]


def _sizes(state: Mapping[str, Tensor], prefixes: list[str]) -> str:
    return _first(f"{prefix[:-1]} ({len(below(state, prefix))} weights)" for prefix in prefixes)


def _entries(contents: Mapping[str, Any]) -> dict[str, State]:
    """Everything in a file that could be weights."""
    found = {name: value for name, value in contents.items() if _is_weights(value)}
    loose = {name: value for name, value in contents.items() if isinstance(value, Tensor)}
    if loose and not any(found.values()):
        found[WHOLE_FILE] = loose
    return {name: _plain_names(state) for name, state in found.items()}


def _is_weights(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items()
    )


def _plain_names(state: Mapping[str, Tensor]) -> State:
    return {
        ".".join(part for part in name.split(".") if part != _COMPILED): tensor
        for name, tensor in state.items()
    }


def _only(entries: Mapping[str, State], contents: Mapping[str, Any], path: Path) -> tuple[str, State]:
    for name in _PREFERRED:
        if name in entries:
            return name, entries[name]
    filled = {name: state for name, state in entries.items() if state}
    if len(filled) == 1:
        return next(iter(filled.items()))
    if filled:
        sizes = _first(f"{name} ({len(state)} weights)" for name, state in filled.items())
        raise UserError(f"{path}: holds several sets of weights: {sizes}; {_CHOOSE}")
    kinds = _first(f"{name} ({type(value).__name__})" for name, value in contents.items())
    raise UserError(f"{path}: holds no weights. It has: {kinds or 'nothing'}")


def _first(items: Any) -> str:
    listed = list(items)
    return ", ".join(listed[:_SHOWN]) + (", .." if len(listed) > _SHOWN else "")
