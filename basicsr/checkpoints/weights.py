"""Weights and training states on disk: written beside and renamed, read without running code from the file.

A weight file is ``{"params": state_dict, "params_ema": state_dict, "basicsr": {"network": {...}, "facts":
{...}}}``; other BasicSR-like toolkits read it. Files without the last entry come from elsewhere, e.g.
published ones. The facts are those of `basicsr.layers.weights_facts`. All files have a checksum
(`basicsr.checkpoints.seal`).
"""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from basicsr.archs.base import Network, adopt_facts, facts_of, recognize
from basicsr.checkpoints.recognize import recognize_below
from basicsr.checkpoints.seal import is_damaged, seal_zip
from basicsr.checkpoints.unwrap import below, find_entry, prefix_of, the_only_prefix
from basicsr.layers.weights_facts import WeightsFacts
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.npz import Npz
from basicsr.utils.plugins import plugins_of

_OWN = "basicsr"
# Weights hardly compress, except for zeros; ours are stored uncompressed.
_MOST_OF_ONE_BYTE = 16
_MOST_SHOWN = 4  # tensors may share their values, e.g. those of a network and its average
_ROOM = 1 << 26


def save_network(
    path: Path,
    net: nn.Module,
    averaged: nn.Module | None,
    description: Mapping[str, Any] | None = None,
) -> None:
    """Write a weight file.

    Args:
        net: its ``state_dict`` becomes ``params``.
        averaged: EMA copy of ``net``, becomes ``params_ema``.
        description: block that builds ``net``.
    """
    contents: dict[str, Any] = {"params": _on_cpu(net.state_dict())}
    if averaged is not None:
        contents["params_ema"] = _on_cpu(averaged.state_dict())
    contents[_OWN] = own_entry(net, description or {})
    save_contents(path, contents)


def own_entry(net: nn.Module, description: Mapping[str, Any]) -> dict[str, Any]:
    """What a weight file states about ``net``: how to build it, facts of its weights, needed plugins."""
    facts = facts_of(net).to_builtins() if isinstance(net, Network) else {}
    entry: dict[str, Any] = {"network": dict(description), "facts": facts}
    plugins = plugins_of(net.modules())
    return entry | ({"plugins": plugins} if plugins else {})


def save_contents(path: Path, contents: Mapping[str, Any]) -> None:
    """Write tensors and plain values; a full disk is an `OSError` with the name of the file."""
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    write_bytes(path, seal_zip(buffer.getvalue()), durable=True)


def load_contents(path: Path) -> dict[str, Any]:
    """Read a ``.pth``, ``.state`` or ``.safetensors`` file onto the CPU, or the arrays of an ``.npz``.

    Raises:
        UserError: missing, cut short, damaged, not a checkpoint, or with Python objects inside (they
            could run code).
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    if is_damaged(path):
        what = "damaged, its content does not match its checksum"
        raise UserError(f"{path}: {what}; fetch it again, or take an earlier checkpoint")
    try:
        if path.suffix == ".safetensors":
            return _load_safetensors(path)
        if path.suffix == ".npz":
            return _load_npz(path)
        unpacked = path.stat().st_size
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(info.file_size for info in archive.infolist())
            _require_room(unpacked, path.stat().st_size, path)
        elif _is_tar(path):
            what = (
                "a tar file, as PyTorch wrote them before 0.1.10; save its state dict again with torch.save"
            )
            raise UserError(f"{path}: {what}")
        contents = torch.load(path, map_location="cpu", weights_only=True)
        _require_own_values(contents, unpacked, path)
    except UserError:
        raise
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path) or "GLOBAL" in str(error):
            what = "refused: it holds Python objects that could run code; save its state dict alone"
        else:
            what = "not a checkpoint, or cut short; fetch it again"
        raise UserError(f"{path}: {what}") from error
    except Exception as error:
        raise UserError(f"{path}: not a checkpoint, or cut short; fetch it again") from error
    if not isinstance(contents, dict):
        raise UserError(f"{path}: holds a {type(contents).__name__}; expected a dictionary of weights")
    return contents


@dataclass(frozen=True)
class Weights:
    """What a weight file holds.

    Attributes:
        path: of the file.
        entry: of the file that ``state`` comes from.
        state: tensors by the name of their parameter.
        network: ``network_g`` block of a file that was written here; empty where it has none.
        facts: what belongs to the weights; None in a file from elsewhere.
        plugins: those that ``network`` needs, see `basicsr.utils.plugins.plugins_of`.
    """

    path: Path
    entry: str
    state: dict[str, Tensor]
    network: dict[str, Any]
    facts: WeightsFacts | None
    plugins: Sequence[Mapping[str, Any]] = ()

    def below(self, prefix: str) -> Weights:
        """Those whose names begin with ``prefix``, without it."""
        if not prefix:
            return self
        return replace(self, state=below(self.state, prefix), entry=f"{self.entry}, {prefix}*")


def read_weights(path: Path, param_key: str | None = None) -> Weights:
    """Read a weight file of ours or of another toolkit.

    Args:
        param_key: see `basicsr.checkpoints.unwrap.find_entry`.

    Raises:
        UserError: one line, as `load_contents`; or there are no weights in the file, or several candidates;
            or the facts are damaged.
    """
    contents = load_contents(path)
    entry, state = find_entry(contents, path, param_key)
    if _OWN not in contents:
        return Weights(path, entry, state, {}, None)
    network, facts = _read_own(contents[_OWN], path)
    return Weights(path, entry, state, network, facts, contents[_OWN].get("plugins", ()))


def load_network(net: nn.Module, path: Path, strict: bool = True, param_key: str | None = None) -> str:
    """Read a weight file into ``net``.

    Args:
        strict: every key must fit; otherwise what fits is loaded, and a convolution that has more input
            channels than the file's ignores the further ones at first (their weights are 0).
        param_key: see `read_weights`.

    Returns:
        A line for the log.

    Raises:
        UserError: one line that counts missing, unexpected and misshapen keys, and names the network that
            the file belongs to, where that is known.
    """
    hint = "Check network_g, or load what fits with path.strict_load_g=false"
    return put_weights(net, read_weights(path, param_key), hint if strict else None)


def put_weights(net: nn.Module, weights: Weights, hint: str | None) -> str:
    """Put weights into ``net``, and the facts that belong to them.

    Args:
        hint: what to do about keys that do not fit, for the error; None loads what fits, see
            `load_network`.

    Returns:
        A line for the log.

    Raises:
        UserError: as `load_network`.
    """
    path, kind = weights.path, type(net).__name__
    weights = weights.below(_prefix(net, weights))
    if isinstance(net, Network):
        weights = replace(weights, state=dict(net.adapt_state(weights.state)))
    mismatch, fitting = _compare(net.state_dict(), weights.state)
    if mismatch and hint is not None:
        mismatch += _told_network(weights)
        raise UserError(f"{path}: its weights are not those of {kind}: {mismatch}. {hint}")
    if not fitting:
        raise UserError(f"{path}: holds no weight of {kind}")
    widened = _widened(net.state_dict(), weights.state)
    net.load_state_dict(fitting | widened, strict=False)
    lines = [f"loaded {len(fitting)} weights of {kind} from {path} [{weights.entry}]"]
    if mismatch:
        lines.append(f"not strict: {mismatch}")
    if widened:
        lines.append(f"further input channels of {', '.join(widened)} start at zero")
    if isinstance(net, Network):
        lines.append(adopt_facts(net, weights.facts, fitting.keys()))
    return "; ".join(filter(None, lines))


def _prefix(net: nn.Module, weights: Weights) -> str:
    """The prefix of the names of ``net`` in a file, or of the published names that it adapts."""
    names = net.state_dict().keys()
    prefix = prefix_of(weights.state, names, weights.path)
    if prefix or names & weights.state.keys():
        return prefix
    found = recognize_below(weights.state)
    return the_only_prefix(list(found), weights.state, weights.path) if found else ""


def _is_tar(path: Path) -> bool:
    """Whether `torch.load` would unpack it as a tar file, into a folder outside of it."""
    try:
        with tarfile.open(path, "r:"):
            return True
    except tarfile.TarError:
        return False


def _require_room(unpacked: int, packed: int, path: Path) -> None:
    """Check the unpacked size that an archive states."""
    if unpacked > _MOST_OF_ONE_BYTE * packed + _ROOM:
        what = f"has {packed:,} bytes that unpack to {unpacked:,}, which is too much for weights"
        raise UserError(f"{path}: {what}; fetch it again")


def _require_own_values(contents: Any, unpacked: int, path: Path) -> None:
    """Check that tensors are no larger than the file: views can repeat one value any number of times."""
    shown = 0
    waiting, seen = [contents], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            shown += item.numel() * item.element_size()
        elif isinstance(item, (Mapping, list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            waiting += item.values() if isinstance(item, Mapping) else item
    if shown > _MOST_SHOWN * unpacked + _ROOM:
        raise UserError(f"{path}: states {shown:,} bytes of weights and has {unpacked:,}; fetch it again")


def _load_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        contents: dict[str, Any] = {"params": {name: file.get_tensor(name) for name in file.keys()}}  # noqa: SIM118
        own = (file.metadata() or {}).get(_OWN)
    return contents | ({_OWN: json.loads(own)} if own is not None else {})


def _load_npz(path: Path) -> dict[str, Any]:
    """Arrays by their names: variables of a network of another framework."""
    archive = Npz(path)
    try:
        unpacked = sum(archive.header(name).nbytes for name in archive.keys())  # noqa: SIM118
        _require_room(unpacked, archive.packed_bytes(), path)
        return {"params": {name: torch.from_numpy(archive.read(name)) for name in archive.keys()}}  # noqa: SIM118
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        what = "refused: it holds Python objects that could run code; save its numeric arrays alone"
        raise UserError(f"{path}: {what}") from error


def _read_own(own: Any, path: Path) -> tuple[dict[str, Any], WeightsFacts]:
    """Description and facts of a file that was written here."""
    if not isinstance(own, dict) or not all(isinstance(own.get(key), dict) for key in ("network", "facts")):
        raise UserError(f"{path}: entry '{_OWN}' has an unexpected form; fetch or save the file again")
    try:
        return own["network"], WeightsFacts.from_builtins(own["facts"])
    except ValueError as error:
        what = f"entry '{_OWN}' has facts that this version does not know: {error}"
        raise UserError(f"{path}: {what}; update this package, or fetch the file again") from error


def _compare(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """What does not fit, in words, and what does."""
    misshapen = [
        f"{name} {tuple(found[name].shape)} in the file, {tuple(tensor.shape)} in the network"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    groups = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "of another shape": misshapen,
    }
    parts = [
        f"{len(names)} {what}: {names[0]}{', ..' if len(names) > 1 else ''}"
        for what, names in groups.items()
        if names
    ]
    fitting = {
        name: found[name]
        for name, tensor in expected.items()
        if name in found and found[name].shape == tensor.shape
    }
    return "; ".join(parts), fitting


def _told_network(weights: Weights) -> str:
    """The ``network_g`` block that a file describes or that its shapes determine; else empty."""
    block = weights.network or recognize(weights.state)
    if block is None:
        return ""
    how = "describes" if weights.network else "was recognized as"
    return f". The file {how} network_g: {json.dumps(block, default=str)}"


def _widened(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The file's convolutions for a network in which they have more input channels: zeros for those."""
    widened = {}
    for name, tensor in expected.items():
        old = found.get(name)
        if old is None or old.ndim != 4 or tensor.ndim != 4 or old.shape[1] >= tensor.shape[1]:
            continue
        if (old.shape[0], *old.shape[2:]) == (tensor.shape[0], *tensor.shape[2:]):
            widened[name] = torch.zeros_like(tensor, dtype=old.dtype)
            widened[name][:, : old.shape[1]] = old
    return widened


def _on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
