"""Every network that is trained learns: a few steps on one batch lower its loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from basicsr.archs.base import RestorationNetwork, network_class
from basicsr.utils.registry import ARCHS
from tests.archs.small_networks import SMALL_OPTIONS

SIDE = 16
STEPS = 30
ENOUGH = 0.8  # of the loss before the first step
RATE = 3e-3
RATES = {"RCDNet": 3e-2}  # where others are needed within so few steps
# Ordering networks give scores; test_hypercut.py trains those. What is built of weights is not trained.
TRAINED = [
    name
    for name in ARCHS.names()
    if issubclass(network_class(name), RestorationNetwork)
    and not (network_class(name).needs_state or network_class(name).is_fixed)
]
OTHER_FORMS = [("SRN", {"model": "gray"}), ("SRN", {"model": "lstm"})]


def clip(frames: int) -> Tensor:
    """A picture that moves by a pixel a frame, (2, frames, 3, SIDE, SIDE)."""
    wide = functional.interpolate(torch.rand(2, 3, 5, 6), (SIDE, SIDE + frames), mode="bicubic").clamp(0, 1)
    return torch.stack([wide[..., start : start + SIDE] for start in range(frames)], dim=1)


def batch_for(net: RestorationNetwork) -> tuple[tuple[Tensor, ...], Tensor]:
    """What the network takes, and what it should make of that: the sharp frame, or all of them."""
    frames = clip(getattr(net, "frames", 7))
    middle = frames[:, frames.shape[1] // 2]
    fields = {"lq": frames.mean(1) + 0.1, "middle": middle}
    inputs = [torch.cat([fields[name] for name in net.image_inputs], dim=1)]
    if net.takes_labels:
        inputs.append((torch.arange(SIDE) // 6).int().expand(2, SIDE, SIDE))
    return tuple(inputs), frames if net.gives == "clip" else middle


@pytest.mark.parametrize(("name", "form"), [*((name, {}) for name in TRAINED), *OTHER_FORMS])
def test_a_few_steps_lower_the_loss(name: str, form: dict[str, str]):
    if name not in SMALL_OPTIONS:
        pytest.fail(f"{name}: no small options; add some to tests/archs/small_networks.py")
    torch.manual_seed(0)
    net = ARCHS.build(name, SMALL_OPTIONS[name] | form).train()
    inputs, target = batch_for(net)
    optimizer = torch.optim.Adam(net.parameters(), RATES.get(name, RATE))
    losses: list[float] = []
    while len(losses) <= STEPS:
        optimizer.zero_grad()
        loss = (net(*inputs) - target).abs().mean()
        losses.append(loss.item())
        if losses[-1] < ENOUGH * losses[0]:
            return
        loss.backward()
        optimizer.step()
    pytest.fail(f"{name}: after {STEPS} steps {losses[-1]:.3g}, before {losses[0]:.3g}")
