"""Metrics of clips whose direction of time nobody can know: each clip is judged in the better one.

A blurred photo says as little of which end of its exposure came first as a footprint of which foot. So the
prediction and its reversal are compared with the reference, frame by frame, and the direction whose mean over
the frames is better is kept (HyperCUT, CVPR 2023). Each metric chooses for itself. Metrics of images, judged
frame by frame, say what a clip is worth in the order in which it is predicted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.metrics.base import metric
from basicsr.metrics.lpips import LPIPS, LPIPSNet
from basicsr.metrics.psnr_ssim import Border, calculate_psnr, calculate_ssim
from basicsr.utils.convert import ExistingFile
from basicsr.utils.image import Array

Judge = Callable[[Array, Array], float]


@metric("pPSNR", better="higher", unit="dB", digits=2, per="clip", headline=True)
def calculate_ppsnr(
    restored: Array, gt: Array, crop_border: Border = 0, test_y_channel: bool = False
) -> list[float]:
    """`calculate_psnr` of each frame in the better direction.

    Args:
        restored, gt: (T, H, W, 3).
        crop_border, test_y_channel: as there.
    """

    def judge(one: Array, other: Array) -> float:
        return calculate_psnr(one, other, crop_border, test_y_channel=test_y_channel)

    return better_direction(restored, gt, judge, "higher")


@metric("pPSNR", better="higher", unit="dB", digits=2, per="clip", input_of="calculate_ppsnr")
def calculate_input_ppsnr(
    lq: Array, gt: Array, crop_border: Border = 0, test_y_channel: bool = False
) -> list[float]:
    """`calculate_ppsnr` of a clip that stands still: the degraded photo (H, W, 3) as each of its frames."""
    return calculate_ppsnr(np.broadcast_to(lq, gt.shape), gt, crop_border, test_y_channel)


@metric("pPSNR still", better="higher", unit="dB", digits=2, per="clip")
def calculate_still_ppsnr(
    restored: Array, gt: Array, crop_border: Border = 0, test_y_channel: bool = False
) -> list[float]:
    """`calculate_ppsnr` of the predicted middle frame as each frame; motion that is right has more."""
    return calculate_input_ppsnr(restored[len(restored) // 2], gt, crop_border, test_y_channel)


@metric("pSSIM", better="higher", per="clip")
def calculate_pssim(
    restored: Array, gt: Array, crop_border: Border = 0, test_y_channel: bool = False, ssim3d: bool = True
) -> list[float]:
    """`calculate_ssim` of each frame in the better direction.

    Args:
        restored, gt: (T, H, W, 3).
        crop_border, test_y_channel, ssim3d: as there.
    """

    def judge(one: Array, other: Array) -> float:
        return calculate_ssim(one, other, crop_border, test_y_channel=test_y_channel, ssim3d=ssim3d)

    return better_direction(restored, gt, judge, "higher")


@metric("pLPIPS", better="lower", per="clip")
class PLPIPS:
    """`LPIPS` of each frame in the better direction, which is the one with the smaller mean.

    Args:
        backbone, heads, net, device: as there.
    """

    def __init__(
        self, backbone: ExistingFile, heads: ExistingFile, net: LPIPSNet = "alex", device: str = "auto"
    ) -> None:
        self.judge = LPIPS(backbone, heads, net, device)

    def __call__(self, restored: Array, gt: Array) -> list[float]:
        """Distances of clips (T, H, W, 3), one a frame."""
        return better_direction(restored, gt, self.judge, "lower")


@metric("flow error", better="lower", unit="px", digits=3, per="clip")
def calculate_flow_error(restored: Array, gt: Array) -> list[float]:
    """How far the motion between neighbouring frames is from that of the reference, in the better direction.

    The mean distance of the ends of two optical flows, one a pair of neighbours, by dense inverse search
    (Kroeger et al., ECCV 2016). A clip that stands still has the mean length of the reference's motion.

    Args:
        restored, gt: (T, H, W, 3) uint8, or float in [0, 1].

    Raises:
        ValueError: the shapes differ.
    """
    _require_alike(restored, gt)
    found = _flows(restored), _flows(restored[::-1])
    wanted = _flows(gt)
    errors = [
        [float(np.linalg.norm(one - other, axis=-1).mean()) for one, other in zip(flows, wanted, strict=True)]
        for flows in found
    ]
    return min(errors, key=_worth)


def better_direction(
    restored: Array, gt: Array, judge: Judge, better: Literal["higher", "lower"]
) -> list[float]:
    """Values of the frames of a clip or of its reversal, whichever has the better mean.

    Where frames are perfect and their PSNR is infinite, more of them are better; then the mean of the others.

    Args:
        restored, gt: (T, H, W, 3).
        judge: two frames -> value.

    Raises:
        ValueError: the shapes differ.
    """
    _require_alike(restored, gt)
    there, back = (
        [judge(one, other) for one, other in zip(frames, gt, strict=True)]
        for frames in (restored, restored[::-1])
    )
    is_better = _worth(back) > _worth(there) if better == "higher" else _worth(back) < _worth(there)
    return back if is_better else there


def _worth(values: Sequence[float]) -> tuple[int, float]:
    """How many frames are perfect, then the mean of the others, which a perfect one must not hide."""
    finite = [value for value in values if math.isfinite(value)]
    return len(values) - len(finite), sum(finite) / max(len(finite), 1)


def _require_alike(restored: Array, gt: Array) -> None:
    if restored.shape != gt.shape or restored.ndim != 4:
        raise ValueError(f"clips (T, H, W, 3) are compared, got restored {restored.shape}, gt {gt.shape}")


def _flows(clip: Array) -> list[NDArray[np.float32]]:
    """Flow (H, W, 2) from each frame to the next."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    gray = [cv2.cvtColor(_as_8_bit(frame), cv2.COLOR_RGB2GRAY) for frame in clip]
    return [search.calc(one, other, None) for one, other in pairwise(gray)]  # type: ignore[call-overload]


def _as_8_bit(frame: Array) -> NDArray[np.uint8]:
    if frame.dtype == np.uint8:
        return np.ascontiguousarray(frame)
    return (np.clip(frame, 0, 1) * 255).round().astype(np.uint8)
