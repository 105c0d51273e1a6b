"""Published networks of other toolkits, through the package spandrel (https://pypi.org/project/spandrel)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.layers.normalization import IDENTITY
from basicsr.layers.padding import SizeRule
from basicsr.layers.weights_facts import WeightsFacts
from basicsr.utils.extras import optional_import
from basicsr.utils.registry import ARCHS

INSTALL = "pip install 'sam-deblur[zoo]'"


@ARCHS.register
class Spandrel(RestorationNetwork):
    """A network that spandrel recognizes by its weights: FFTformer, Uformer, SwinIR and many others. Networks
    that change the size of a photo, or do not take RGB, are rejected. It can be tested and can restore, but
    is not trained.

    Args:
        state: its weights by name.

    Raises:
        ValueError: if spandrel does not recognize the weights, or the network does not take photos.
        UserError: if spandrel is not installed.
    """

    needs_state = True
    normalization = IDENTITY

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        spandrel = optional_import("spandrel", "running a network of another toolkit", INSTALL)
        version = f"spandrel {spandrel.__version__}"
        try:
            found = spandrel.ModelLoader().load_from_state_dict(dict(state))
        except spandrel.UnsupportedModelError as error:
            raise ValueError(f"{version} does not recognize these weights") from error
        except Exception as error:  # almost any, from weights that merely have the names of a known network
            first = next(iter(str(error).splitlines()), "")
            what = f"cannot build a network from these weights ({type(error).__name__}: {first})"
            raise ValueError(f"{version} {what}") from error
        self._kind = f"{' '.join((found.architecture.name, *found.tags))} of {version}"
        if (mistake := _mistake(found)) is not None:
            raise ValueError(f"{self._kind} {mistake}")
        self.net = found.model.eval().requires_grad_(False)
        self._restore = found
        needed = found.size_requirements
        self.size_rule = SizeRule(needed.multiple_of, minimum=max(needed.minimum, 1), square=needed.square)

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, 3, H, W) in [0, 1] -> the same; clamped, by spandrel.

        spandrel pads images of sizes that do not fit `size_rule` by reflection.
        """
        # One image at a time, as spandrel requires. Its results are inference tensors; a copy is not.
        return torch.cat([self._restore(image) for image in x.split(1)])

    def adopt_weights_facts(self, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
        return self._kind


def _mistake(found: Any) -> str | None:
    """Why a network of spandrel does not restore photos; None if it does."""
    if found.scale != 1:
        return f"enlarges {found.scale} times; use a network that keeps the size"
    if found.purpose not in ("Restoration", "SR"):
        return f"is made for {found.purpose}; use one that restores whole photos"
    if (found.input_channels, found.output_channels) != (3, 3):
        channels = f"{found.input_channels} channel(s) and returns {found.output_channels}"
        return f"takes {channels}, but photos are read as RGB; use one for RGB"
    return None
