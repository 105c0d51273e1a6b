"""A blurred photo and its sharp target from one sharp photo."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from basicsr.synthesis.camera import add_noise, add_spikes, jpeg, raise_highlights, round_to_8_bits
from basicsr.synthesis.composition import blur_regions
from basicsr.synthesis.draw import Draw


def make_pair(sharp: Tensor, objects: Tensor, kernels: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """The blurred and the sharp photo as a camera would have saved them.

    Light: inverse response, illumination, raised highlights, spikes, blur. Sensor: full well and noise,
    response, 8 bits, JPEG. The target sees the same light, without blur, noise and JPEG.

    Args:
        sharp: float (3, H, W) in [0, 1].
        objects: bool (M, H, W).
        kernels: float (M + 1, K, K), the background's first.

    Returns:
        Both uint8 (3, H - K + 1, W - K + 1), on the device of ``sharp``.
    """
    radius = kernels.shape[-1] // 2
    sharp = sharp.contiguous()  # decoded photos are channels-last, which slows down transforms
    light = draw.response.to_light(sharp).mul_(draw.illumination)
    light = raise_highlights(light, sharp, draw.highlight_gain)
    if draw.spikes:
        generator = np.random.default_rng(draw.seed)
        light = add_spikes(light, draw.spikes, draw.brightest_spike, radius, generator)
    blurred = blur_regions(light, objects, kernels, draw.behind)
    if draw.full_well is not None:
        noise = torch.Generator(light.device).manual_seed(draw.seed)
        blurred = add_noise(blurred, draw.full_well, draw.read_noise, noise)
    blurred = round_to_8_bits(draw.response.to_image(blurred))
    if draw.jpeg is not None:
        blurred = jpeg(blurred, draw.jpeg)
    height, width = light.shape[-2:]
    target = light[:, radius : height - radius, radius : width - radius]
    return blurred, round_to_8_bits(draw.response.to_image(target))
