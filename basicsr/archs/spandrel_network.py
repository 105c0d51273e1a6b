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
    that change the size of a photo, or do not take RGB, are refused. It is tested and restores, and is not
    trained.

    Args:
        state: its weights by name.

    Raises:
        ValueError: spandrel knows no network of these weights, or photos do not fit it.
        UserError: spandrel is not installed.
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
            raise ValueError(f"{version} knows no network of these weights") from error
        except Exception as error:  # nearly any, of weights that only have the names of those of a network
            first = next(iter(str(error).splitlines()), "")
            what = f"cannot build a network of these weights ({type(error).__name__}: {first})"
            raise ValueError(f"{version} {what}") from error
        self._kind = f"{' '.join((found.architecture.name, *found.tags))} of {version}"
        if (mistake := _mistake(found)) is not None:
            raise ValueError(f"{self._kind} {mistake}")
        self.net = found.model.eval().requires_grad_(False)
        self._restore = found
        needed = found.size_requirements
        self.size_rule = SizeRule(needed.multiple_of, minimum=max(needed.minimum, 1), square=needed.square)

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, 3, H, W) in [0, 1] -> the same; clamped, since spandrel does it.

        Images of other sizes than `size_rule` says are padded with their mirror image, by spandrel.
        """
        # One image at a time, as spandrel asks for. Its results belong to inference mode; a copy does not.
        return torch.cat([self._restore(image) for image in x.split(1)])

    def adopt_weights_facts(self, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
        return self._kind


def _mistake(found: Any) -> str | None:
    """Why a network of spandrel restores no photos; None where it does."""
    if found.scale != 1:
        return f"enlarges {found.scale} times; take a network that keeps the size"
    if found.purpose not in ("Restoration", "SR"):
        return f"is made for {found.purpose}; take one that restores whole photos"
    if (found.input_channels, found.output_channels) != (3, 3):
        channels = f"{found.input_channels} channel(s) and gives {found.output_channels}"
        return f"takes {channels}, but photos are read as RGB; take one for RGB"
    return None
