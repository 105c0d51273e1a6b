"""The images that restoring helped least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from basicsr.metrics.alignment import calculate_psnr_aligned
from basicsr.metrics.base import SetMetric, metric
from basicsr.metrics.psnr_ssim import ImageLike, calculate_psnr


@metric("worst gain", better="higher", unit="dB", digits=2, unchanged=0.0)
class WorstGain(SetMetric[float]):
    """Smallest gain of an image of the set: PSNR of what was restored, less that of the degraded image.

    Args:
        aligned: take `calculate_psnr_aligned`.
        share: of the images, whose smallest gains are averaged, at least one image; 0.05 is the worst 5 %.
    """

    def __init__(self, aligned: bool = False, share: Annotated[float, Meta(ge=0, le=1)] = 0.0) -> None:
        self._share = share
        self._psnr = calculate_psnr_aligned if aligned else calculate_psnr

    def __call__(self, restored: ImageLike, gt: ImageLike, lq: ImageLike) -> float:
        """The gain in dB; 0 if both images equal ``gt``.

        Args:
            restored, gt, lq: (H, W, 3) RGB, uint8 in 0..255 or float in 0..1.

        Raises:
            ValueError: as `calculate_psnr`.
        """
        after, before = self._psnr(restored, gt), self._psnr(lq, gt)
        return 0.0 if after == before else after - before

    def summarize(self, values: Sequence[float]) -> float:
        """The smallest one, or the mean of the ``share`` of smallest ones."""
        worst = sorted(values)[: max(1, math.ceil(self._share * len(values)))]
        return math.fsum(worst) / len(worst)
