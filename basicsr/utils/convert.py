"""Turn plain YAML values into annotated Python types, collecting every mistake.

A mistake is one line ``<yaml path>: <what is wrong> (got <value>)``. Leaves are converted by msgspec in its
lax mode, so the YAML 1.1 string ``1e-3`` becomes a float where a float is asked for.
"""

from __future__ import annotations

import difflib
import os
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin, get_type_hints

import msgspec

from basicsr.utils.shipped import no_such_weights, weight_file
from basicsr.utils.typed_path import expand


class IsPath:
    """Marks a path, which `convert` expands as shells do."""

    def check(self, path: str, where: str, mistakes: Mistakes) -> None:
        """Anything may be a path."""


# leaves room for the suffix of a run that is put aside
_LONGEST_FOLDER_NAME = 200


@dataclass(frozen=True)
class MustExist(IsPath):
    """Marks a path option that must be there before anything runs."""

    kind: Literal["file", "folder"]

    def check(self, path: str, where: str, mistakes: Mistakes) -> None:
        found = Path(path).is_dir() if self.kind == "folder" else Path(path).is_file()
        if not found and mistakes.check_paths(where):
            mistakes.add(where, f"no such {self.kind}", path)


class Rule(Protocol):
    """What an annotation requires beyond its type: ``Annotated[kind, rule]``."""

    def check(self, value: Any, where: str, mistakes: Mistakes) -> None:
        """Note what is wrong with ``value``."""


@dataclass(frozen=True)
class Advice:
    """Marks an option with a hint for values that users try and it does not accept.

    Args:
        missing: where no value is given.
        several: where a list is given.
    """

    missing: str = ""
    several: str = ""

    def check(self, value: Any, where: str, mistakes: Mistakes) -> None:
        """A value of the right type needs no advice."""


def advice_on(kind: Any, value: Any) -> str:
    """The `Advice` of an annotation on a value that it does not take, with ``; `` in front; may be empty."""
    given = [item for item in getattr(kind, "__metadata__", ()) if isinstance(item, Advice)]
    texts = [item.missing if value is None else item.several for item in given]
    return "".join(f"; {text}" for text in texts if text and (value is None or isinstance(value, list)))


class IsWeights(IsPath):
    """Marks the path of a weight file, or the name of weights that are bundled or were fetched."""

    def check(self, named: str, where: str, mistakes: Mistakes) -> None:
        if not weight_file(named).is_file() and mistakes.check_paths(where):
            mistakes.add(where, no_such_weights(named), named)


class FolderName:
    """Marks an option that becomes the name of a folder."""

    def check(self, name: str, where: str, mistakes: Mistakes) -> None:
        if not name or name.startswith(".") or "/" in name or "\\" in name:
            mistakes.add(where, "becomes a folder's name: not empty, no slash, no dot in front", name)
        if len(os.fsencode(name)) > _LONGEST_FOLDER_NAME:
            what = f"becomes a folder's name: at most {_LONGEST_FOLDER_NAME} bytes, found"
            mistakes.add(where, f"{what} {len(os.fsencode(name))}", name)


class Template:
    """Marks a file name in which ``{}`` stands for the stem."""

    def check(self, template: str, where: str, mistakes: Mistakes) -> None:
        # Nothing within the braces: `{:>1000000000}` is a name of as many characters.
        if template.count("{}") != 1 or set("{}") & set(template.replace("{}", "")):
            mistakes.add(where, "expected one `{}`, which stands for the file stem", template)


@dataclass(frozen=True)
class NotInFiles:
    """Marks a choice of a `Literal` that Python code may take and option files may not.

    Args:
        choice: which one.
        reason: why, and a hint.
    """

    choice: str
    reason: str

    def check(self, value: object, where: str, mistakes: Mistakes) -> None:
        if value == self.choice:
            mistakes.add(where, self.reason, value)


Name = Annotated[str, FolderName()]
FileTemplate = Annotated[str, Template()]
Count = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
ExistingFile = Annotated[str, MustExist("file")]
AnyPath = Annotated[str, IsPath()]
WeightFile = Annotated[str, IsWeights()]
_ONE_FOLDER = "make one folder with a link to each (ln -s A B ONE), of the same names for every root"
ExistingFolder = Annotated[str, MustExist("folder"), Advice(several=_ONE_FOLDER)]


@dataclass
class Mistakes:
    """The mistakes found so far, as lines; ``check_paths(where)`` decides where paths have to exist."""

    check_paths: Callable[[str], bool] = lambda where: True
    lines: list[str] = field(default_factory=list)

    def add(self, where: str, what: str, value: object = ...) -> None:
        got = "" if value is ... else f" (got {value!r})"
        self.lines.append(f"{where}: {what}{got}")

    def unknown(self, where: str, what: str, name: str, known: Iterable[str], value: object = ...) -> None:
        """An unknown name, with the nearest valid one, or all valid ones where none is near."""
        known = list(known)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        self.add(
            where,
            f"{what}. " + (f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known) or 'none'}"),
            value,
        )


def convert(value: Any, kind: Any, where: str, mistakes: Mistakes) -> Any:
    """``value`` as an instance of ``kind``; a mistake is noted, and the result is then unusable.

    Structs (`msgspec.Struct`) are walked field by field. A struct class with a ``from_mapping(value, where,
    mistakes)`` class method converts itself.
    """
    rules: tuple[Rule | msgspec.Meta, ...] = ()
    advice = advice_on(kind, value)
    if get_origin(kind) is Annotated:
        kind, *rest = get_args(kind)
        rules = tuple(rest)
    if kind is Any:
        return value
    if get_origin(kind) in (Union, types.UnionType):
        return _convert_union(value, kind, where, mistakes)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _convert_struct(value, kind, where, mistakes)
    if get_origin(kind) is dict and (_holds_struct(get_args(kind)[1]) or _has_rules(get_args(kind)[1])):
        if not isinstance(value, Mapping):
            mistakes.add(where, "expected a block of `key: value` lines", value)
            return {}
        for key in value:
            if not isinstance(key, str):
                mistakes.add(join(where, key), "a name must be text; put it in quotes", key)
        return {
            key: convert(item, get_args(kind)[1], join(where, key), mistakes)
            for key, item in value.items()
            if item is not None  # a name without a block is none
        }
    if get_origin(kind) is list and _has_rules(get_args(kind)[0]):
        if not isinstance(value, (list, tuple)):
            mistakes.add(where, "expected a list" + advice, value)
            return []
        return [
            convert(item, get_args(kind)[0], f"{where}[{index}]", mistakes)
            for index, item in enumerate(value)
        ]
    return _convert_leaf(value, kind, rules, where, mistakes, advice)


def _convert_union(value: Any, kind: Any, where: str, mistakes: Mistakes) -> Any:
    members = [member for member in get_args(kind) if member is not type(None)]
    if value is None and len(members) < len(get_args(kind)):
        return None
    if len(members) > 1 and any(get_origin(member) is list for member in members):
        is_list = isinstance(value, (list, tuple))
        members = [member for member in members if (get_origin(member) is list) == is_list]
    if len(members) == 1:
        return convert(value, members[0], where, mistakes)
    for member in members:
        if _holds_struct(member) and isinstance(value, Mapping):
            return convert(value, member, where, mistakes)
    return _convert_leaf(value, kind, (), where, mistakes)


def _convert_struct(value: Any, kind: Any, where: str, mistakes: Mistakes) -> Any:
    if not isinstance(value, Mapping):
        mistakes.add(where, "expected a block of `key: value` lines", value)
        return None
    if hasattr(kind, "from_mapping"):
        return kind.from_mapping(value, where, mistakes)
    fields = struct_values(kind, value, where, mistakes)
    for name in value:
        if name not in fields.known:
            mistakes.unknown(join(where, name), "unknown key", str(name), fields.known, value[name])
    return fields.build(kind)


@dataclass
class StructValues:
    """Converted values of a struct; ``complete`` is False when one is missing or was a mistake."""

    known: list[str]
    values: dict[str, Any]
    complete: bool

    def build(self, kind: Any) -> Any:
        return kind(**self.values) if self.complete else None


def struct_values(
    kind: Any, value: Mapping[str, Any], where: str, mistakes: Mistakes, skip: tuple[str, ...] = ()
) -> StructValues:
    """Convert those keys of ``value`` that are fields of the struct ``kind``, except ``skip``."""
    hints = get_type_hints(kind, include_extras=True)
    fields = [item for item in msgspec.structs.fields(kind) if item.name not in skip]
    before = len(mistakes.lines)
    values = {}
    for item in fields:
        place = join(where, item.name)
        if item.name in value:
            values[item.name] = convert(value[item.name], hints[item.name], place, mistakes)
        elif item.required:
            mistakes.add(place, "required, but not given")
    return StructValues([item.name for item in fields], values, len(mistakes.lines) == before)


def _convert_leaf(
    value: Any,
    kind: Any,
    rules: tuple[Rule | msgspec.Meta, ...],
    where: str,
    mistakes: Mistakes,
    advice: str = "",
) -> Any:
    if get_origin(kind) is Literal and "off" in get_args(kind) and value is False:
        value = "off"  # YAML 1.1 reads a bare `off` as false
    try:
        result = msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        what = str(error)
        if get_origin(kind) is dict and not isinstance(value, Mapping):
            what = "expected a block of `key: value` lines"
        if get_origin(kind) is Literal:
            hidden = [rule.choice for rule in rules if isinstance(rule, NotInFiles)]
            choices = [str(choice) for choice in get_args(kind) if choice not in hidden]
            near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
            what = f"expected one of {', '.join(choices)}" + (f". Did you mean '{near[0]}'?" if near else "")
        mistakes.add(where, what + advice, value)
        return None
    if any(isinstance(rule, IsPath) for rule in rules):
        result = expand(result)
    for rule in rules:
        if isinstance(rule, msgspec.Meta):
            _check_bounds(result, rule, where, mistakes)
        else:
            rule.check(result, where, mistakes)
    return result


def _check_bounds(value: Any, rule: msgspec.Meta, where: str, mistakes: Mistakes) -> None:
    # written this way around, NaN is outside every bound
    if rule.ge is not None and not value >= rule.ge:
        mistakes.add(where, f"must be at least {rule.ge}", value)
    if rule.gt is not None and not value > rule.gt:
        mistakes.add(where, f"must be more than {rule.gt}", value)
    if rule.le is not None and not value <= rule.le:
        mistakes.add(where, f"must be at most {rule.le}", value)
    if rule.lt is not None and not value < rule.lt:
        mistakes.add(where, f"must be less than {rule.lt}", value)


def _holds_struct(kind: Any) -> bool:
    if get_origin(kind) in (Union, types.UnionType):
        return any(_holds_struct(member) for member in get_args(kind))
    if get_origin(kind) is dict:
        return _holds_struct(get_args(kind)[1])
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _has_rules(kind: Any) -> bool:
    """Whether an annotation asks more than msgspec checks."""
    rules = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return any(not isinstance(rule, msgspec.Meta) for rule in rules)


def join(where: str, name: object) -> str:
    """The YAML path of ``name`` inside ``where`` (empty at the top)."""
    return f"{where}.{name}" if where else str(name)
