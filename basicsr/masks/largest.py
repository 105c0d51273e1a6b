"""Regions by size."""

from __future__ import annotations

from torch import Tensor

from basicsr.masks.pooling import region_areas, table_rows


def rank_regions(labels: Tensor, count: int) -> Tensor:
    """Rank the regions of each image by area.

    Args:
        labels: (B, H, W) integer label map, 0 = uncovered.
        count: how many of the largest regions get their own number.

    Returns:
        int64 (B, H, W): 0 for the largest region, 1 for the next, .. and ``count`` for the rest, including
            uncovered pixels. Of equal ones, the smaller label comes first.
    """
    areas = region_areas(labels, table_rows(labels))
    areas[:, 0] = 0
    order = areas.argsort(dim=1, descending=True, stable=True)
    ranks = order.argsort(dim=1).clamp(max=count).masked_fill(areas == 0, count)
    return ranks.gather(1, labels.flatten(1).long()).reshape(labels.shape)
