"""A network from its weight file alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from basicsr.checkpoints.recognise import KNOWN, recognise_below
from basicsr.checkpoints.unwrap import the_only_prefix
from basicsr.checkpoints.weights import Weights, put_weights, read_weights
from basicsr.layers.local_pool import LocalAvgPool2d
from basicsr.layers.padding import Padding
from basicsr.utils.convert import Mistakes
from basicsr.utils.errors import UserError
from basicsr.utils.registry import ARCHS, split_type

_SHOWN = 5


@dataclass(frozen=True)
class Rebuilt:
    """A network with its weights.

    Attributes:
        net: on the CPU, in evaluation mode.
        type: its registered name.
        options: its other options.
        said: a line for the log: how the network was found, and what `put_weights` says.
    """

    net: nn.Module
    type: str
    options: dict[str, Any]
    said: str


def rebuild_network(
    path: Path, local: bool | None = None, padding: Padding | None = None, param_key: str | None = None
) -> Rebuilt:
    """Build the network that a weight file belongs to, and load it.

    Files written here describe their network. Others, e.g. published ones, are recognised by the names and
    shapes of their weights.

    Args:
        path: ``.pth`` or ``.safetensors``.
        local: whether blocks pool locally (TLC), over windows of 1.5 times the training crops, which are
            taken to be 256 x 256 where the file does not say. None does as the file says. Files from
            elsewhere do not say; they are built with global pooling, since local pooling can leave artifacts
            on photographs unlike the training data. NAFNet's published numbers on GoPro need ``local=True``.
        padding: of images whose sides do not fit the network; None does as the weights say, see
            `basicsr.layers.padding.SizeRule`. Files from elsewhere do not say; they are run with zeros, as
            published networks were trained.
        param_key: see `basicsr.checkpoints.unwrap.find_entry`.

    Raises:
        UserError: one line: no weight file, no known network, or a description that does not fit.
    """
    weights = read_weights(path, param_key)
    if weights.network:
        block = _with_old_defaults(weights.network, weights.state)
    else:
        weights, block = _recognised(weights)
    _check(block, path)
    if local is not None:
        block = _with_pooling(block, local, path)
    if padding is not None:
        block = _with_padding(block, padding, path)
    name, options = split_type(block)
    try:
        net: nn.Module = ARCHS.build(name, options)
    except ValueError as error:
        raise UserError(_describes_wrongly(path, str(error))) from error
    if weights.network:
        found, way_on = "described by the file", "The file is damaged or put together by hand; fetch it again"
    else:
        found = "recognised by the shapes of its weights"
        way_on = f"Known without a description are {KNOWN}"
    pooling = (
        "local pooling" if any(isinstance(m, LocalAvgPool2d) for m in net.modules()) else "global pooling"
    )
    said = put_weights(net, weights, way_on)
    return Rebuilt(net.eval(), name, options, f"{name}, {found}, with {pooling}; {said}")


def _recognised(weights: Weights) -> tuple[Weights, dict[str, Any]]:
    """The weights of the known network in a file, by their plain names, and its ``network_g`` block."""
    found = recognise_below(weights.state)
    if not found:
        raise UserError(f"{weights.path}: holds weights of none of {KNOWN}. It has: {_some_shapes(weights)}")
    prefix = the_only_prefix(list(found), weights.state, weights.path)
    return weights.below(prefix), found[prefix]


def _with_old_defaults(block: dict[str, Any], state: Mapping[str, Tensor]) -> dict[str, Any]:
    """A description whose writer may have had another default than today's for the channels of MAP."""
    if str(block.get("type")).removesuffix("Local") != "SegNAFNet" or "pre_seg.weight" not in state:
        return block
    return {"seg_channel": state["pre_seg.weight"].shape[0], **block}


def _check(block: dict[str, Any], path: Path) -> None:
    mistakes = Mistakes()
    ARCHS.check(*split_type(block), "", mistakes)
    if mistakes.lines:
        raise UserError(_describes_wrongly(path, "; ".join(mistakes.lines)))


def _describes_wrongly(path: Path, what: str) -> str:
    return f"{path}: describes a network that this version cannot build: {what}. Update this package"


def _with_pooling(block: dict[str, Any], local: bool, path: Path) -> dict[str, Any]:
    """The same network with local or global pooling; of a wrapper, the network inside."""
    if isinstance(block.get("net"), dict):
        return block | {"net": _with_pooling(block["net"], local, path)}
    name: str = block["type"]
    if not local:
        rest = {key: value for key, value in block.items() if key != "train_size"}
        return rest | {"type": name.removesuffix("Local")}
    if name.endswith("Local") or block.get("train_size") is not None:
        return block
    if f"{name}Local" not in ARCHS.names():
        raise UserError(f"{path}: {name} has no variant with local pooling; leave --local out")
    return block | {"type": f"{name}Local"}


def _with_padding(block: dict[str, Any], padding: Padding, path: Path) -> dict[str, Any]:
    """The same network with that padding; of a wrapper, the network inside pads."""
    if isinstance(block.get("net"), dict):
        return block | {"net": _with_padding(block["net"], padding, path)}
    if "padding" not in ARCHS.options(block["type"]):
        raise UserError(f"{path}: {block['type']} pads in one way only; leave --padding out")
    return block | {"padding": padding}


def _some_shapes(weights: Weights) -> str:
    shown = [f"{name} {tuple(tensor.shape)}" for name, tensor in list(weights.state.items())[:_SHOWN]]
    return ", ".join(shown) + (", .." if len(weights.state) > _SHOWN else "") if shown else "nothing"
