"""Whether a network may run in bfloat16: on this device, and without a loss that anybody could measure."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from basicsr.synthesis.blur import blur_image
from basicsr.synthesis.kernels import linear_motion
from basicsr.utils.image import Array

Precision = Literal["off", "bf16", "fp16"]

_LOST = 0.02  # dB, at most
# Good networks restore GoPro to 33 dB. At higher PSNR they change less, and so do their rounding errors.
_PSNR = 35.0
# An independent error of this PSNR lowers a PSNR of 35 dB to 34.98 dB.
LEAST_AGREEMENT = _PSNR - 10 * math.log10(10 ** (_LOST / 10) - 1)

_SIDE = 192
_LEAVES = 400
_BLUR = 12.0  # pixels
# Names in `torch.cpu` of the two instruction sets; they differ between its versions.
_CPU_CHECKS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself, instead of slowly by other means."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    return any(getattr(torch.cpu, check, bool)() for check in _CPU_CHECKS)


def agreement(exact: Tensor, other: Tensor) -> float:
    """PSNR in dB between two results in [0, 1]; infinite if they are equal, NaN if one is not finite."""
    error = float((exact.double() - other.double()).square().mean())
    return math.inf if error == 0 else -10 * math.log10(error) if math.isfinite(error) else math.nan


def drawn_photo() -> Array:
    """uint8 (192, 192, 3): disks that cover each other, blurred by motion; always the same.

    The dead leaves model has the edges and the spectrum of photos (Lee et al., "Occlusion Models for Natural
    Images", IJCV 2001).
    """
    generator = np.random.default_rng(0)
    leaves = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    # p(r) ~ r^-3 between 3 and 60 pixels, the law that is free of scale.
    radii = 1 / np.sqrt(generator.uniform(1 / 60**2, 1 / 3**2, _LEAVES))
    for radius in radii:
        x, y = generator.integers(0, _SIDE, 2).tolist()
        cv2.circle(leaves, (x, y), round(radius), generator.integers(0, 256, 3).tolist(), cv2.FILLED)
    blurred = blur_image(leaves / 255, linear_motion(_BLUR, math.pi / 6))
    return (blurred * 255).round().astype(np.uint8)
