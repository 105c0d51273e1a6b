"""The cost of the network of a row: parameters, multiply-adds, time."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from basicsr.archs.base import RestorationNetwork, require_restoring
from basicsr.config.schema import Config
from basicsr.engine.networks import start_network
from basicsr.engine.run import device_of_process
from basicsr.utils.dist import Ranks
from basicsr.utils.files import write_bytes
from basicsr.utils.registry import MODELS

_WARM_UP = 1
_RUNS = 5


@dataclass(frozen=True)
class Place:
    """Image size and device on which a cost is measured.

    Args:
        height, width: of the image, in pixels.
        device: ``cpu`` or the name of the GPU.
        threads: of PyTorch.
    """

    height: int
    width: int
    device: str
    threads: int

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'} of the CPU"
        return f"{self.width}x{self.height} pixels on {threads if self.device == 'cpu' else self.device}"


@dataclass(frozen=True)
class Cost:
    """What a network needs to restore one image.

    Args:
        parameters: number of parameters.
        macs_per_pixel: multiply-adds of convolutions and matrix products.
        seconds_per_megapixel: median of a few runs; a megapixel is 10^6 pixels.
    """

    parameters: int
    macs_per_pixel: float
    seconds_per_megapixel: float


def cost_of(config: Config, size: tuple[int, int], record: Path) -> tuple[Place, Cost]:
    """The cost of the network that predicts in a test, with its weights.

    Args:
        size: height and width of the image.
        record: file that it is written to, or read from if it was measured before under the same conditions.
    """
    device = device_of_process(config.num_gpu, Ranks())
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    place = Place(*size, name, torch.get_num_threads())
    if record.is_file():
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["place"] == asdict(place):
            return place, Cost(**known["cost"])
    net = start_network(config, MODELS[config.model_type].predicts_with, device)  # type: ignore[attr-defined]
    cost = measure(require_restoring(net.to(device).eval(), "network_g"), *size)
    text = json.dumps({"place": asdict(place), "cost": asdict(cost)}, indent=2)
    write_bytes(record, f"{text}\n".encode())
    return place, cost


@torch.no_grad()
def measure(net: RestorationNetwork, height: int, width: int) -> Cost:
    """The cost of a network, on its device, for an image of this size."""
    inputs = net.example_inputs(height, width)
    # attention as plain products, since the counter does not support the fused one on CPUs
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        net(*inputs)
    seconds = [_seconds(net, inputs) for _ in range(_WARM_UP + _RUNS)][_WARM_UP:]
    return Cost(
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        macs_per_pixel=counter.get_total_flops() / 2 / (height * width),
        seconds_per_megapixel=statistics.median(seconds) / (height * width) * 1e6,
    )


def _seconds(net: RestorationNetwork, inputs: tuple[torch.Tensor, ...]) -> float:
    device = inputs[0].device
    started = time.perf_counter()
    net(*inputs)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
