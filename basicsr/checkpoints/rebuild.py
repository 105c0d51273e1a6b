"""A network from its weight file alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from basicsr.archs.base import (
    Block,
    Network,
    changed_inside,
    innermost,
    network_class,
    pooled,
)
from basicsr.checkpoints.described import require_size_of, require_small_description
from basicsr.checkpoints.recognize import known, recognize_below
from basicsr.checkpoints.unwrap import the_only_prefix
from basicsr.checkpoints.weights import Weights, put_weights, read_weights
from basicsr.layers.padding import Padding
from basicsr.utils.convert import Mistakes
from basicsr.utils.errors import UserError
from basicsr.utils.plugins import require_plugins
from basicsr.utils.registry import ARCHS, split_type

_SHOWN = 5


class UnknownNetworkError(UserError):
    """A weight file without a description, of no known network."""


@dataclass(frozen=True)
class Rebuilt:
    """A network with its weights.

    Attributes:
        net: on the CPU, in evaluation mode; its ``block`` builds it.
        summary: a line for the log: how the network was found, and the line of `put_weights`.
    """

    net: Network
    summary: str

    @property
    def type(self) -> str:
        """Its registered name."""
        return str(self.net.block["type"])

    @property
    def options(self) -> dict[str, Any]:
        """Its other options."""
        return split_type(self.net.block)[1]


def rebuild_network(
    path: Path, local: bool | None = None, padding: Padding | None = None, param_key: str | None = None
) -> Rebuilt:
    """Build the network that a weight file belongs to, and load it.

    Files written here describe their network. Others, e.g. published ones, are recognized by the names and
    shapes of their weights.

    Args:
        path: ``.pth`` or ``.safetensors``.
        local: whether blocks pool locally (TLC), over windows of 1.5 times the training crops, which are
            taken to be 256 x 256 where the file does not record them. None follows the file. Files from
            elsewhere record nothing; they are built with global pooling, as local pooling can leave artifacts
            on photographs unlike the training data. NAFNet's published numbers on GoPro need ``local=True``.
        padding: of images whose sides do not fit the network; None follows the weights, see
            `basicsr.layers.padding.SizeRule`. Files from elsewhere record nothing; they run with zeros, as
            published networks were trained.
        param_key: see `basicsr.checkpoints.unwrap.find_entry`.

    Raises:
        UnknownNetworkError: one line: no known network.
        UserError: one line: not a weight file, a description that does not fit the weights or their
            size, or a network of a plugin that has not been loaded.
    """
    weights, block = describe(path, param_key)
    if local is not None:
        block = _with_pooling(block, local, path)
    if padding is not None:
        block = _with_padding(block, padding, path)
    name, options = split_type(block)
    try:
        require_size_of(lambda: ARCHS.build(name, options), weights.state, path)
        net: Network = ARCHS.build(name, options)
    except ValueError as error:
        raise UserError(_describes_wrongly(path, str(error))) from error
    if weights.network:
        found, hint = "described by the file", "The file is damaged or put together by hand; fetch it again"
    else:
        found = "recognized by the shapes of its weights"
        hint = f"Known without a description: {known()}"
    pooling = "local pooling" if net.pools_locally else "global pooling"
    summary = "; ".join([put_weights(net, weights, hint), *require_plugins(weights.plugins, path)])
    net.block = block
    net.eval()
    return Rebuilt(net, f"{name}, {found}, with {pooling}; {summary}")


def build_from_weights(block: Block, path: Path, param_key: str | None = None) -> tuple[Network, str]:
    """A network that is built from its weights (`Network.needs_state`), and a line for the log.

    Args:
        block: with its ``type``.
        path, param_key: as for `rebuild_network`.

    Raises:
        UserError: not a weight file, or the network cannot be built from these weights.
    """
    weights = read_weights(path, param_key)
    name, options = split_type(block)
    try:
        net: Network = ARCHS.build(name, options, state=weights.state)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    net.block = dict(block)
    summary = f"{name}, built of {len(weights.state)} weights from {path} [{weights.entry}]"
    return net.eval(), "; ".join(
        filter(None, (summary, net.adopt_weights_facts(weights.facts, weights.state)))
    )


def describe(path: Path, param_key: str | None = None) -> tuple[Weights, Block]:
    """The weights of a file, by their plain names, and the block of the network that they belong to.

    Args:
        path, param_key: as for `rebuild_network`.

    Raises:
        UserError: as `rebuild_network`.
    """
    weights = read_weights(path, param_key)
    require_plugins(weights.plugins, path)
    if not weights.network:
        return _recognized(weights)
    require_small_description(weights.network, path)
    name, options = split_type(weights.network)
    if name in ARCHS.names():
        options = network_class(name).completed(options, weights.state)
    mistakes = Mistakes()
    ARCHS.check(name, options, "", mistakes)
    if mistakes.lines:
        raise UserError(_describes_wrongly(path, "; ".join(mistakes.lines)))
    return weights, {"type": name, **options}


def _recognized(weights: Weights) -> tuple[Weights, Block]:
    found = recognize_below(weights.state)
    if not found:
        raise UnknownNetworkError(
            f"{weights.path}: holds weights of none of {known()}. It has: {_some_shapes(weights)}"
        )
    prefix = the_only_prefix(list(found), weights.state, weights.path)
    return weights.below(prefix), found[prefix]


def _describes_wrongly(path: Path, what: str) -> str:
    return f"{path}: describes a network that this version cannot build: {what}. Update this package"


def _with_pooling(block: Block, local: bool, path: Path) -> Block:
    changed_block = pooled(block, local)
    if changed_block is None:
        name = innermost(block)["type"]
        raise UserError(f"{path}: {name} has no variant with local pooling; leave --local out")
    return changed_block


def _with_padding(block: Block, padding: Padding, path: Path) -> Block:
    name = innermost(block)["type"]
    if "padding" not in ARCHS.options(name):
        raise UserError(f"{path}: {name} pads in one way only; leave --padding out")
    return changed_inside(block, {"padding": padding})


def _some_shapes(weights: Weights) -> str:
    shown = [f"{name} {tuple(tensor.shape)}" for name, tensor in list(weights.state.items())[:_SHOWN]]
    return ", ".join(shown) + (", .." if len(weights.state) > _SHOWN else "") if shown else "nothing"
