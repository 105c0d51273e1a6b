"""What the published recipe costs on many GPUs: ``python scripts/benchmark/scaling.py``. Needs none.

Operations and bytes of a training step are counted on tensors without values; the rates are published ones.
A step on n GPUs takes at least

    max(operations / rate, bytes / bandwidth of memory) / n + waiting for gradients.

In a ring each GPU sends 2 (n - 1) / n times the gradients, over its slowest link; the backward pass, two
thirds of a step, hides what it can.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from report import ROOT, replace_block, table
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from basicsr.archs.base import RestorationNetwork, build_network
from basicsr.config.cli import run_command
from basicsr.config.load import read_options
from basicsr.losses import PSNRLoss
from basicsr.utils.typed_path import typed_path

RECIPES = ("Full/NAFNet", "Full/SegNAFNet")
GPUS = (1, 2, 4, 8, 16, 32, 64)
_PASSES = 3  # a backward pass is two products for each of the forward pass
_BACKWARD = 2 / 3  # of a step
# Views change no byte.
_VIEWS = ("view", "_unsafe_view", "permute", "transpose", "t", "expand", "slice", "split", "as_strided",
          "unsqueeze", "squeeze", "select", "detach", "alias", "reshape", "unbind")  # fmt: skip


class Gpu(NamedTuple):
    """Published rates of one GPU.

    Attributes:
        name: with its form.
        flops: operations per second in bfloat16, without sparsity.
        memory: bytes per second.
        link: bytes per second to others of the machine, each way.
        network: bytes per second to other machines, each way.
        per_machine: GPUs of a machine.
    """

    name: str
    flops: float
    memory: float
    link: float
    network: float
    per_machine: int = 8


# NVIDIA's data sheet of the H100 SXM; a DGX H100 has one 400 Gb/s adapter per GPU.
H100 = Gpu("H100 SXM", 989e12, 3.35e12, 450e9, 50e9)


class Cost(NamedTuple):
    """Of a training step for one sample, and what is exchanged once a step.

    Attributes:
        operations: floating-point, of forward and backward.
        moved: bytes that operations read and write, none fused, in bfloat16.
        gradients: bytes, in float32.
    """

    operations: float
    moved: float
    gradients: float


class Traffic(TorchDispatchMode):
    """Adds up the bytes of what operations take and give."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if function.overloadpacket.__name__ not in _VIEWS:
            tensors = (leaf for leaf in tree_leaves((args, result)) if isinstance(leaf, Tensor))
            self.bytes += sum(tensor.nbytes for tensor in tensors)
        return result


def cost_of(block: Mapping[str, Any], side: int, loss: nn.Module) -> Cost:
    """The cost of crops of ``side`` pixels, counted on fake tensors."""
    net = build_network(dict(block)).train()
    assert isinstance(net, RestorationNetwork)
    with FakeTensorMode(allow_non_fake_inputs=True):
        inputs = [x if x.is_floating_point() else x.byte() for x in net.example_inputs(side, side)]
        target = torch.zeros_like(inputs[0][:, :3])
        traffic = Traffic()
        with traffic:
            with FlopCounterMode(display=False) as counter:
                result = net(*inputs)
            loss(result, target).backward()
    # The counter takes the backward pass of a grouped convolution for that of a dense one.
    operations = _PASSES * counter.get_total_flops()
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return Cost(operations, traffic.bytes / 2, 4 * parameters)  # counted in float32


def seconds_per_step(cost: Cost, gpu: Gpu, number: int, batch: int) -> tuple[float, float]:
    """Least seconds of a step, and of these the waiting for gradients.

    Args:
        number: of GPUs.
        batch: samples of a step, over all GPUs.
    """
    working = max(cost.operations / gpu.flops, cost.moved / gpu.memory) * batch / number
    slowest = gpu.link if number <= gpu.per_machine else gpu.network
    sending = 2 * (number - 1) / number * cost.gradients / slowest
    waiting = max(0.0, sending - _BACKWARD * working)
    return working + waiting, waiting


def run(document: Path | None) -> None:
    """Count, print, and write into ``document``."""
    head = ("recipe", "per sample", "GPUs", "samples each", "time of a step", "of it waiting", "in all")
    rows = []
    for name in RECIPES:
        options = read_options(ROOT / f"options/train/{name}.yml")
        data, total_iter = options["datasets"]["train"], options["train"]["total_iter"]
        batch = data["batch_size_total"]
        cost = cost_of(options["network_g"], data["gt_size"], PSNRLoss())
        for number in GPUS:
            if number > batch:
                rows.append([name, "", str(number), "–", "more GPUs than samples", "–", "–"])
                continue
            step, waiting = seconds_per_step(cost, H100, number, batch)
            sample = f"{cost.operations / 1e9:.0f} GFLOP, {cost.moved / 1e9:.1f} GB"
            rows.append([
                name, sample, str(number), f"{batch / number:g}", f"{step * 1e3:.1f} ms",
                f"{waiting * 1e3:.1f} ms", f"{step * total_iter / 3600:.1f} h",
            ])  # fmt: skip
    text = table(head, rows)
    print(text)
    if document is not None:
        replace_block(document, "scaling", text)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=typed_path, metavar="FILE", help="also write the table into it")
    typed = parser.parse_args()
    run_command(lambda: run(typed.write), debug=False)


if __name__ == "__main__":
    main()
