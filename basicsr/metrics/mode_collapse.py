"""Mode collapse: a network makes an image worse than the input."""

from __future__ import annotations

from basicsr.metrics.base import RATE, metric
from basicsr.metrics.psnr_ssim import Border, ImageLike, calculate_psnr


@metric("MCR", better="lower", unit=RATE, digits=2, unchanged=0.0)
def calculate_mcr(
    restored: ImageLike, gt: ImageLike, lq: ImageLike, threshold: float = 3.0, crop_border: Border = 0
) -> float:
    """1.0 if restoring lost more than ``threshold`` dB of PSNR, else 0.0; the mean is the mode collapse rate.

    Args:
        restored: (H, W, 3) RGB, uint8 in 0..255 or float in 0..1.
        gt, lq: same shape and type.
        threshold: in dB; 3 as published with SAM-Deblur.
        crop_border: pixels left out at each side.

    Raises:
        ValueError: as `calculate_psnr`.
    """
    before, after = calculate_psnr(lq, gt, crop_border), calculate_psnr(restored, gt, crop_border)
    return float(before - after > threshold)
