"""Reports of plain colors."""

from __future__ import annotations

import numpy as np

from basicsr.metrics.base import facts_of
from basicsr.reporting import Report, ReportImage, ReportSet, make_thumbnails

METRICS = {"psnr": facts_of("calculate_psnr"), "ssim": facts_of("calculate_ssim")}
RED, GREEN, BLUE = (200, 40, 40), (40, 160, 60), (40, 60, 200)


def plain(color: tuple[int, int, int], height: int = 60, width: int = 90) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def make_image(key: str, before: float = 30.0, after: float = 31.0, **more) -> ReportImage:
    """Red input, green result, blue ground truth, the left half one region."""
    labels = np.zeros((60, 90), np.int32)
    labels[:, :45] = 7
    thumbnails = make_thumbnails(plain(RED), plain(GREEN), plain(BLUE), labels)
    return ReportImage(key, thumbnails, {"psnr": after, "ssim": 0.9}, {"psnr": before}, **more)


def make_report(*images: ReportImage, title: str = "Run") -> Report:
    return Report(title, [("Network", "NAFNet")], [ReportSet("Set", images)], METRICS)
