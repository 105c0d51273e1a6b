"""JSON schema of option files for editors, made from the types and signatures of the checks here.

Nothing is required in it, since a file may inherit what it lacks from its ``base:``, and everything may be
null, which removes what is inherited.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from basicsr.config.schema import Component, Config
from basicsr.utils.convert import NotInFiles
from basicsr.utils.registry import (
    ARCHS,
    LOSSES,
    METRICS,
    MODELS,
    OPTIMIZERS,
    SCHEDULES,
    SEGMENTERS,
    TRANSFORMS,
    Nested,
    Registry,
)

Schema = dict[str, Any]


def options_schema() -> Schema:
    """The schema of a whole option file."""
    schema = _struct_schema(Config)
    text = {"type": "string"}
    base = {
        **_or_null({"anyOf": [text, {"type": "array", "items": text}]}),
        "description": "Option file(s) to inherit from.",
    }
    schema["properties"] = {"base": base, **schema["properties"]}
    schema["properties"]["model_type"]["enum"] = [*MODELS.names(), None]
    # Networks may hold networks, so components are described once and referred to.
    roles = (ARCHS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES, SEGMENTERS, TRANSFORMS)
    definitions = {registry.role: _component_schema({}, registry) for registry in roles}
    draft = "http://json-schema.org/draft-07/schema#"
    return {"$schema": draft, "title": "Option file", **schema, "definitions": definitions}


def _schema_of(kind: Any) -> Schema:
    if get_origin(kind) is Annotated:
        kind, *rules = get_args(kind)
        nested = [rule.registry for rule in rules if isinstance(rule, Nested)]
        if nested:
            return _reference(nested[0])
        left_out = [rule.choice for rule in rules if isinstance(rule, NotInFiles)]
        if left_out:
            return {"enum": [choice for choice in get_args(kind) if choice not in left_out]}
        bounds = [rule for rule in rules if isinstance(rule, msgspec.Meta)]
        return msgspec.json.schema(Annotated[kind, bounds[0]]) if bounds else _schema_of(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return {"anyOf": [_schema_of(member) for member in get_args(kind)]}
    if get_origin(kind) is dict:
        return {"type": "object", "additionalProperties": _or_null(_schema_of(get_args(kind)[1]))}
    if get_origin(kind) in (list, Sequence):
        return {"type": "array", "items": _schema_of(get_args(kind)[0])}
    if get_origin(kind) is tuple:
        items = [_schema_of(member) for member in get_args(kind)]
        return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
    if inspect.isclass(kind) and issubclass(kind, Component):
        frame = {key: value for key, value in _properties(kind).items() if key not in ("type", "options")}
        if not frame:
            return _reference(kind.registry)
        return _described(_component_schema(frame, kind.registry), kind)
    if inspect.isclass(kind) and issubclass(kind, msgspec.Struct):
        return _struct_schema(kind)
    return {} if kind is Any else msgspec.json.schema(kind)


def _struct_schema(kind: type[msgspec.Struct]) -> Schema:
    return _described(
        {"type": "object", "properties": _properties(kind), "additionalProperties": False}, kind
    )


def _properties(kind: type[msgspec.Struct]) -> Schema:
    hints = get_type_hints(kind, include_extras=True)
    return {
        item.name: _with_default(_or_null(_schema_of(hints[item.name])), item.default)
        for item in msgspec.structs.fields(kind)
    }


def _or_null(schema: Schema) -> Schema:
    """The same, and null."""
    if schema.get("type") == "null" or not schema:
        return schema
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    members = schema.get("anyOf", [schema])
    return {"anyOf": members if {"type": "null"} in members else [*members, {"type": "null"}]}


def _reference(registry: Registry) -> Schema:
    return {"$ref": f"#/definitions/{registry.role}"}


def _component_schema(frame: Mapping[str, Any], registry: Registry) -> Schema:
    """A block whose keys follow from its ``type``; without one (inherited) those of all types."""
    branches = []
    known = {"type", *frame}
    for name in registry.names():
        options = {
            key: _with_default(
                _or_null(_schema_of(option.kind)), msgspec.UNSET if option.required else option.default
            )
            for key, option in registry.options(name).items()
        }
        known |= options.keys()
        summary = (inspect.getdoc(registry[name]) or "").split("\n\n")[0].replace("\n", " ")
        properties = {
            "type": {"const": name, "description": summary},
            **dict.fromkeys(frame, True),
            **options,
        }
        # An option of an inherited type may be there for its null, which takes it away.
        then = {"properties": properties, "additionalProperties": {"type": "null"}}
        branches.append({"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": then})
    return {
        "type": "object",
        "properties": {"type": {"enum": registry.names()}, **frame},
        "propertyNames": {"enum": sorted(known)},
        "allOf": branches,
    }


def _with_default(schema: Schema, default: Any) -> Schema:
    plain = (str, int, float, bool, list, tuple)
    return {**schema, "default": msgspec.to_builtins(default)} if isinstance(default, plain) else schema


def _described(schema: Schema, kind: type) -> Schema:
    text = inspect.getdoc(kind) if "__doc__" in vars(kind) and vars(kind)["__doc__"] else None
    return {**schema, "description": " ".join(text.split())} if text else schema
