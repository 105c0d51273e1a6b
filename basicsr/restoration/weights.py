"""Which network restores: that of a weight file, or a bundled one."""

from __future__ import annotations

from pathlib import Path

import torch

from basicsr.archs.base import RestorationNetwork, require_restoring
from basicsr.archs.ordering import OrderingNetwork
from basicsr.checkpoints.rebuild import UnknownNetworkError, build_from_weights, rebuild_network
from basicsr.layers.padding import Padding
from basicsr.models.base import channel_mistake
from basicsr.utils.errors import UserError
from basicsr.utils.log import logger
from basicsr.utils.shipped import no_such_weights, weight_file

STRONG = "MAXIM-1S"
QUICK = "SegNAFNet"  # a fifth of the time, and guided by regions
AUTO = "auto"  # one of these two


def load_any(
    path: Path, local: bool | None = None, padding: Padding | None = None, param_key: str | None = None
) -> RestorationNetwork:
    """The network of a weight file, rebuilt from the file alone, or of an ``.onnx`` file.

    Weights that no network here recognizes are tried with `basicsr.archs.spandrel_network.Spandrel`.

    Args:
        local: see `basicsr.checkpoints.rebuild.rebuild_network`, as for the others.

    Raises:
        UserError: no such file, damaged, or of no known network, or of one with other channels than
            photos.
    """
    if path.suffix.lower() == ".onnx":
        from basicsr.restoration.onnx_network import OnnxNetwork

        fixed = {"pooling": local, "padding": padding, "the entry": param_key}
        chosen = next((what for what, value in fixed.items() if value is not None), None)
        if chosen is not None:
            raise UserError(f"{path}: {chosen} is fixed in an .onnx file; export it with the other kind")
        return OnnxNetwork(path)
    try:
        rebuilt = rebuild_network(path, local, padding, param_key)
    except UnknownNetworkError as unknown:
        return _of_another_toolkit(path, local, padding, param_key, unknown)
    net = require_restoring(rebuilt.net, str(path))
    if (what := channel_mistake(net)) is not None:
        raise UserError(f"{path}: {what}")
    logger().info(rebuilt.summary)
    return net


def load_ordering(path: Path, device: torch.device) -> OrderingNetwork:
    """The ordering network of a weight file, on ``device``.

    Raises:
        UserError: no such file, damaged, or of another network.
    """
    rebuilt = rebuild_network(path)
    if not isinstance(rebuilt.net, OrderingNetwork):
        what = f"{type(rebuilt.net).__name__} does not predict an order"
        raise UserError(f"{path}: {what}; take the weights of an ordering network, such as HyperCUTNet")
    logger().info(rebuilt.summary)
    return rebuilt.net.to(device)


def _of_another_toolkit(
    path: Path,
    local: bool | None,
    padding: Padding | None,
    param_key: str | None,
    unknown: UnknownNetworkError,
) -> RestorationNetwork:
    try:
        net, summary = build_from_weights({"type": "Spandrel"}, path, param_key)
    except UserError as error:
        raise UserError(f"{unknown}. {str(error).removeprefix(f'{path}: ')}") from error
    if local or padding is not None:
        raise UserError(f"{path}: Spandrel pools and pads in one way only; leave --local and --padding out")
    logger().info(summary)
    return require_restoring(net, str(path))


def find_weights(typed: str | None, quick: bool = False) -> Path:
    """The weight file that a user means.

    Args:
        typed: path of a file, or the name of weights that come with this package or were fetched; ``auto``
            takes those of `STRONG`, and so does None, with a log line.
        quick: ``auto`` takes those of `QUICK`, for videos and where a user speaks of regions.

    Raises:
        UserError: neither a file nor such a name.
    """
    chosen, other = (QUICK, STRONG) if quick else (STRONG, QUICK)
    if typed is None:
        gain = "removes more blur in 5 times the time" if quick else "takes a fifth of the time"
        logger().warning(f"no --weights given: taking the bundled {chosen}; {other}, bundled too, {gain}")
        typed = AUTO
    path = weight_file(chosen if typed == AUTO else typed)
    if not path.is_file():
        raise UserError(f"{typed}: {no_such_weights(typed)}")
    return path
