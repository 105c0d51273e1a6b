"""Trained networks as ONNX files: any size, checked against PyTorch before they get their name."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from basicsr import __version__
from basicsr.archs.base import RestorationNetwork, facts_of, require_restoring
from basicsr.checkpoints.rebuild import Rebuilt, rebuild_network
from basicsr.layers.local_pool import LocalAvgPool2d
from basicsr.layers.normalization import Normalization
from basicsr.layers.padding import Padding
from basicsr.restoration.onnx_network import INSTALL, OnnxNetwork
from basicsr.utils.errors import UserError
from basicsr.utils.extras import optional_import
from basicsr.utils.files import write_atomically

TOLERANCE = 1e-3
_LEAST_OPSET = 18
_TRACED_SIZE = (72, 104)
_REGIONS = 40


def export_onnx(
    weights: Path,
    output: Path,
    local: bool | None = None,
    opset: int | None = None,
    padding: Padding | None = None,
    param_key: str | None = None,
) -> str:
    """Write the network of a weight file as ONNX.

    Inputs of the graph: ``lq`` float32 (1, C, height, width) RGB in [0, 1], with the mask as fourth channel
    where the network takes one; ``labels`` int32 (1, height, width), 0 = uncovered, where it takes label
    maps. Output: ``restored`` float32 (1, 3, height, width), not clamped. Height and width are free; the
    graph pads and crops, and normalizes where the network was trained so. The metadata name the network, the
    facts and the SHA-256 of the weights, and the version of this package.

    Args:
        output: ``.onnx`` file; appears only when onnxruntime gives PyTorch's numbers within `TOLERANCE`, at
            two sizes that were not traced.
        local: see `rebuild_network`.
        opset: version of the operators; None leaves it to PyTorch.
        padding: see `rebuild_network`.
        param_key: see `rebuild_network`.

    Returns:
        A line for the user.

    Raises:
        UserError: no known network, packages missing, an opset that is not possible, or numbers that differ.
    """
    if output.suffix != ".onnx":
        raise UserError(f"{output}: the name of an ONNX file ends in .onnx")
    if opset is not None and opset < _LEAST_OPSET:
        raise UserError(
            f"--opset {opset}: PyTorch writes {_LEAST_OPSET} and later; omit it to use the default"
        )
    optional_import("onnxruntime", "checking an ONNX file", INSTALL)
    rebuilt = rebuild_network(weights, local, padding, param_key)
    net = _of_photos(require_restoring(rebuilt.net, str(weights)))
    program = _trace(net, opset, weights)
    program.model.metadata_props.update(_metadata(rebuilt, weights))
    difference = 0.0

    def write_and_check(temporary: Path) -> None:
        nonlocal difference
        program.save(str(temporary))
        difference = largest_difference(net, OnnxNetwork(temporary, providers=["CPUExecutionProvider"]))
        if not difference <= TOLERANCE:  # written this way around, NaN is a mistake too
            raise UserError(
                f"{output}: not written: onnxruntime differs from PyTorch by {difference:.3g}, more than "
                f"{TOLERANCE:g}; try another --opset"
            )

    write_atomically(output, write_and_check)
    return f"{rebuilt.summary}; wrote {output}, which differs from PyTorch by at most {difference:.1e}"


def largest_difference(net: RestorationNetwork, exported: RestorationNetwork) -> float:
    """Largest absolute difference of two networks on random images; NaN where either gives one.

    One image has pixels that no region covers and is larger than the window of local pooling, one neither.
    """
    windows = [max(module.window) for module in net.modules() if isinstance(module, LocalAvgPool2d)]
    beyond = max(windows, default=96)
    generator = torch.Generator().manual_seed(0)
    differences = []
    for height, width, least_label in ((48, 80, 1), (beyond + 5, beyond + 18, 0)):
        inputs = [
            torch.rand(x.shape, generator=generator)
            if x.is_floating_point()
            else torch.randint(least_label, _REGIONS, x.shape, generator=generator, dtype=x.dtype)
            for x in net.example_inputs(height, width)
        ]
        with torch.no_grad():
            differences.append((net(*inputs) - exported(*inputs)).abs().max())
    return float(torch.stack(differences).max())


class _Normalized(RestorationNetwork):
    """A network for normalized images, taking and giving images in [0, 1]."""

    def __init__(self, net: RestorationNetwork, normalization: Normalization) -> None:
        super().__init__()
        self.net = net
        self._inside = normalization

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        normalized = self._inside.apply(x)
        restored: Tensor = self.net(normalized) if labels is None else self.net(normalized, labels)
        return self._inside.undo(restored)

    def example_inputs(self, height: int, width: int) -> tuple[Tensor, ...]:
        return self.net.example_inputs(height, width)


def _of_photos(net: RestorationNetwork) -> RestorationNetwork:
    normalization = net.normalization
    if normalization is None or normalization.changes_nothing:
        return net
    return _Normalized(net, normalization)


def _trace(net: RestorationNetwork, opset: int | None, weights: Path) -> Any:
    optimizer = optional_import("onnxscript.optimizer", "writing an ONNX file", INSTALL)
    example = net.example_inputs(*_TRACED_SIZE)
    names = ("lq", "labels")[: len(example)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns about its own parts
            program = torch.onnx.export(
                net,
                example,
                dynamo=True,
                opset_version=opset,
                input_names=names,
                output_names=["restored"],
                dynamic_shapes=tuple({x.ndim - 2: "height", x.ndim - 1: "width"} for x in example),
                # The optimizer takes the 1e-8 of mask average pooling for a zero and leaves 0 / 0 behind.
                optimize=False,
                verbose=False,
            )
            assert program is not None
            optimizer.inline(program.model)
            optimizer.fold_constants(program.model)
            optimizer.remove_unused_nodes(program.model)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        asked = "" if opset is None else f" with --opset {opset}"
        raise UserError(f"{weights}: PyTorch cannot write this network as ONNX{asked}: {reason}") from error
    written = program.model.opset_imports[""]
    if opset is not None and written != opset:
        raise UserError(f"--opset {opset}: this network can be written with opset {written}; leave it out")
    # PyTorch names these by the arithmetic of padding and cropping, which amounts to the same.
    shape = program.model.graph.outputs[0].shape
    assert shape is not None
    shape[len(shape) - 2], shape[len(shape) - 1] = "height", "width"
    return program


def _metadata(rebuilt: Rebuilt, weights: Path) -> dict[str, str]:
    return {
        "basicsr.network": json.dumps(rebuilt.net.block),
        "basicsr.facts": json.dumps(facts_of(rebuilt.net).to_builtins()),
        "basicsr.weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "basicsr.version": __version__,
    }
