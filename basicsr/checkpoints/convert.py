"""Weight files in another form: smaller, or with the description that files from elsewhere lack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch

from basicsr.archs.base import Network, require_restoring
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.seal import UNSEALED, seal
from basicsr.checkpoints.weights import own_entry, save_network
from basicsr.layers.padding import Padding
from basicsr.utils.checksum import ENTRY
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes

Precision = Literal["float32", "float16", "bfloat16"]
SUFFIXES = (".pth", ".safetensors")


def convert_checkpoint(
    source: Path,
    output: Path,
    precision: Precision = "float32",
    overwrite: bool = False,
    padding: Padding | None = None,
    param_key: str | None = None,
    stages: int | None = None,
) -> str:
    """Write the network of ``source`` to ``output``, with everything needed to rebuild it.

    Args:
        source: own checkpoint, published weights or variables of TensorFlow (``.npz``); averaged weights
            are taken where there are some.
        output: ``.pth`` or ``.safetensors``.
        precision: of the stored weights; the network still runs in float32.
        overwrite: replace an existing ``output``.
        padding: see `rebuild_network`; stored in ``output``.
        param_key: see `basicsr.checkpoints.unwrap.find_entry`.
        stages: keep the first ones alone, see `RestorationNetwork.first_stages`; None keeps all.

    Returns:
        A line for the log.

    Raises:
        UserError: no weights of a known network, unknown suffix, ``output`` exists, or a weight exceeds the
            range of the precision, or there are no such stages.
    """
    from safetensors.torch import save

    if output.suffix not in SUFFIXES:
        raise UserError(f"{output}: unknown suffix; choose {' or '.join(SUFFIXES)}")
    if output.exists() and not overwrite:
        raise UserError(f"{output}: exists already; choose another name, or --overwrite")
    rebuilt = rebuild_network(source, padding=padding, param_key=param_key)
    net = rebuilt.net if stages is None else _first_stages(rebuilt.net, stages, source)
    net = net.to(getattr(torch, precision))
    broken = [name for name, tensor in net.state_dict().items() if not tensor.isfinite().all()]
    if broken:
        raise UserError(f"{source}: {broken[0]} is not finite in {precision}; take another precision")
    description = net.block
    if output.suffix == ".pth":
        save_network(output, net, None, description)
    else:
        metadata = {"basicsr": json.dumps(own_entry(net, description)), ENTRY: UNSEALED}
        state = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
        write_bytes(output, seal(save(state, metadata)), durable=True)
    return f"{rebuilt.summary}; written to {output} in {precision}, {output.stat().st_size / 1e6:.1f} MB"


def _first_stages(net: Network, stages: int, source: Path) -> Network:
    try:
        return require_restoring(net, str(source)).first_stages(stages)
    except ValueError as error:
        raise UserError(f"{source}: --stages: {error}") from error
