"""The networks of an option file, with the weights that they start from."""

from __future__ import annotations

from pathlib import Path

import torch

from basicsr.archs.base import (
    Network,
    RestorationNetwork,
    build_network,
    changed,
    facts_of,
    network_class,
)
from basicsr.checkpoints.rebuild import build_from_weights, describe
from basicsr.checkpoints.weights import load_network, put_weights
from basicsr.config.paths import ExperimentPaths, iteration_of
from basicsr.config.schema import Config, NetworkOptions, network_place
from basicsr.models.base import check_channels
from basicsr.utils.errors import OptionError
from basicsr.utils.log import logger
from basicsr.utils.shipped import weight_file


def start_network(
    config: Config,
    name: str,
    device: torch.device,
    resumed: Path | None = None,
    is_trained: bool = False,
) -> Network:
    """Build a network and load what it starts from, on the CPU; it is logged.

    Args:
        name: of the network; ``g`` is ``network_g``.
        device: where it is going to run, for the log.
        resumed: training state that a run continues from; the weights beside it are loaded.
        is_trained: whether random weights are expected.

    Raises:
        OptionError: the options are not possible.
        UserError: the weights cannot be read, or do not fit.
    """
    options, where = config.all_networks[name], network_place(name)
    beside = None if resumed is None or options.frozen else weights_beside(resumed, name)
    net, summary = _built(options, where, beside)
    if isinstance(net, RestorationNetwork):
        check_channels(net, where)
    if is_trained and not options.frozen and (net.needs_state or net.is_fixed):
        what = f"{net.block['type']} is not trained, only tested"
        raise OptionError(where, [f"{where}.type: {what}; take another type, or set {where}.frozen=true"])
    size = sum(parameter.numel() for parameter in net.parameters())
    label = net.block["type"] if name == "g" else f"{where}, {net.block['type']}"
    logger().info(f"{label}: {size:,} parameters, on {device}")
    if options.frozen:
        net.requires_grad_(False)
    path = config.path
    if beside is not None:
        summary = summary or load_network(net, beside, param_key="params")
    elif summary is None and options.weights is not None:
        summary = load_network(net, weight_file(options.weights), options.strict, options.param_key)
    elif name == "g" and path.pretrain_network_g is not None:
        weights = weight_file(path.pretrain_network_g)
        summary = load_network(net, weights, path.strict_load_g, path.param_key)
    if summary is not None:
        logger().info(summary)
    elif is_trained and not options.frozen:
        logger().info(", ".join(filter(None, ("new weights", str(facts_of(net))))))
    elif not net.is_fixed:
        key = "path.pretrain_network_g" if name == "g" else f"{where}.weights"
        logger().warning(f"{key} is not given: the network has random weights")
    return net


def _built(options: NetworkOptions, where: str, beside: Path | None) -> tuple[Network, str | None]:
    """The network, and a line for the log on its weights; None where it has none yet.

    Args:
        beside: the weights of the run that is resumed, which describe the network as well.
    """
    if options.type:
        block = {"type": options.type, **options.options}
        if network_class(options.type).needs_state and options.weights is not None:
            return build_from_weights(block, weight_file(options.weights), options.param_key)
        return build_network(block, where), None
    assert options.weights is not None
    if beside is not None:
        weights, block = describe(beside, "params")
    else:
        weights, block = describe(weight_file(options.weights), options.param_key)
    net = build_network(changed(block, options.options), where)
    hint = f"Check the options beside {where}.weights" if options.strict else None
    return net, put_weights(net, weights, hint)


def weights_beside(state: Path, name: str = "g") -> Path:
    """The weights of a network that belong to a training state."""
    return ExperimentPaths(state.parent.parent).network(iteration_of(state), name)
