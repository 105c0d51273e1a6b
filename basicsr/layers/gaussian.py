"""Gaussian blur, as `scipy.ndimage.gaussian_filter` with ``mode="nearest"``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_CUT_OFF = 4.0  # standard deviations


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur (B, C, H, W) by a Gaussian that is cut off at four standard deviations; borders are repeated.

    Args:
        sigma: standard deviation in pixels, above 0.
    """
    radius = int(_CUT_OFF * sigma + 0.5)
    places = torch.arange(-radius, radius + 1, device=image.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(image.dtype)
    channels = image.shape[1]
    columns = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    image = nn.functional.pad(image, (radius,) * 4, mode="replicate")
    image = nn.functional.conv2d(image, columns, groups=channels)
    return nn.functional.conv2d(image, columns.transpose(2, 3), groups=channels)
