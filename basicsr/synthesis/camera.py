"""From light to the bytes of a photo: highlights, sensor noise, camera response, rounding, JPEG."""

from __future__ import annotations

from typing import Literal

import cv2
import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

_LEAST_SATURATED = 1e-3
_SPIKE_ROWS, _SPIKE_COLUMNS = 3, 4


class Response(msgspec.Struct, frozen=True):
    """The response of a camera to light; both scales are [0, 1].

    Args:
        kind: ``gamma``: x = light ** (1 / value). ``exponential``: x = 1 - exp(-value * light), which has
            headroom above white: x = 1 is the light 20.7 / value.
        value: gamma, or the factor of the exponential.
    """

    kind: Literal["gamma", "exponential"] = "gamma"
    value: float = 2.2

    def to_light(self, image: Tensor) -> Tensor:
        """Inverse response."""
        if self.kind == "gamma":
            return image.log().mul_(self.value).exp_()  # a power, in half the time that PyTorch's takes
        return torch.log(1 - image + 1e-9) / -self.value

    def to_image(self, light: Tensor) -> Tensor:
        """Response; light that is too bright or negative is clipped."""
        if self.kind == "gamma":
            return light.clamp(0, 1).log_().mul_(1 / self.value).exp_()
        return 1 - torch.exp(-self.value * light.clamp(min=0))


def raise_highlights(light: Tensor, image: Tensor, gain: float) -> Tensor:
    """Multiply light where a photo is white, since clipped light was brighter.

    Only where all channels are saturated: raising a single one would leave colored traces.

    Args:
        light: (C, H, W).
        image: the photo, (C, H, W) in [0, 1].
        gain: inside white areas; less at their edges. A photo with less than 1 white pixel in 1000 is left
            unchanged.
    """
    if gain == 1:
        return light
    saturated = (image >= 1).all(0, keepdim=True).to(light.dtype)
    # A factor instead of a branch, which would have to wait for the GPU.
    enough = (saturated.mean() >= _LEAST_SATURATED).to(light.dtype)
    closed = -max_pool2d(-max_pool2d(saturated, 3, 1, 1), 3, 1, 1)
    smooth = avg_pool2d(avg_pool2d(closed, 3, 1, 1), 3, 1, 1)
    return light * (1 + (gain - 1) * enough * smooth)


def add_spikes(
    light: Tensor, count: int, brightest: float, margin: int, generator: np.random.Generator
) -> Tensor:
    """Add small bright rectangles, which become light streaks when blurred.

    Args:
        light: (C, H, W).
        count: number of rectangles, up to 7 x 9 pixels each.
        brightest: largest brightness added by one, in units of white.
        margin: pixels from the border to their centers.
        generator: draws places, sizes and brightness.
    """
    light = light.clone()
    for _ in range(count):
        y, x = (int(generator.integers(margin, length - margin)) for length in light.shape[1:])
        rows, columns = int(generator.integers(_SPIKE_ROWS + 1)), int(generator.integers(_SPIKE_COLUMNS + 1))
        place = np.s_[:, max(0, y - rows) : y + rows + 1, max(0, x - columns) : x + columns + 1]
        light[place] += generator.uniform(0, brightest)
    return light


def add_noise(light: Tensor, full_well: float, read_noise: float, generator: torch.Generator) -> Tensor:
    """The signal of a sensor for light (C, H, W), in units of its full well: clipped there, with shot and
    read noise.

    The number of electrons is Poisson-distributed in reality; here it is Gaussian with the same variance,
    which is indistinguishable above about 20 electrons.

    Args:
        full_well: electrons of white.
        read_noise: standard deviation in electrons.
        generator: on the device of ``light``.
    """
    light = light.clamp(0, 1)
    deviation = (light / full_well + (read_noise / full_well) ** 2).sqrt()
    noise = torch.randn(light.shape, dtype=light.dtype, device=light.device, generator=generator)
    return (light + deviation * noise).clamp(0, 1)


def round_to_8_bits(image: Tensor) -> Tensor:
    """[0, 1] -> the nearest uint8."""
    return image.mul(255).round_().to(torch.uint8)


def jpeg(image: Tensor, quality: int) -> Tensor:
    """A JPEG of an RGB image uint8 (3, H, W), decoded again; ``quality`` is 1 to 100."""
    pixels = image.permute(1, 2, 0).cpu().numpy()
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return torch.from_numpy(decoded[..., ::-1].copy()).permute(2, 0, 1).to(image.device)
