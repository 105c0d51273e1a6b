"""Mask average pooling on label maps: one segment sum and one gather for any number of regions.

SAM-Deblur (arXiv 2309.02270) defines it on a stack of M masks with value s inside a region. Its masks are
disjoint, so with a label map L the same result is a table with one row per region and a look-up; see
`mask_average_pool`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from basicsr.masks.label_map import MAX_REGIONS, compact

# A float32 sum over more pixels loses digits that a mean needs (at 2^24 it would even stop counting).
_FLOAT32_PIXELS = 1 << 22
_UINT8_ROWS = 256


def mask_average_pool(features: Tensor, labels: Tensor, mask_value: float = 1.0) -> Tensor:
    """Replace every feature by its mean over the pixel's region.

    With s = ``mask_value``, S_k the sum and A_k the area of region k, and region 0 the uncovered pixels:
    mean_k = s S_k / (s A_k + 1e-8); the remainder weights uncovered pixels by 1 and covered ones by 1 - s,
    and its mean is mean_r; the result is mean_r for uncovered pixels, else s mean_k + (1 - s) mean_r.

    Args:
        features: (B, C, H, W) floating point; summed in float32 or better.
        labels: (B, H, W) integer label map, 0 = uncovered, at most `MAX_REGIONS`.
        mask_value: s in (0, 1]. 1 pools at full strength; published SegNAFNet checkpoints were trained with
            1/255.

    Returns:
        (B, C, H, W) in the type of ``features``.
    """
    # An exported graph works for all sizes and has no branch.
    sizes_are_free = isinstance(labels.shape[-1], torch.SymInt)
    many = sizes_are_free or labels[0].numel() > _FLOAT32_PIXELS
    wide = torch.promote_types(features.dtype, torch.float64 if many else torch.float32)
    means = region_means(*region_sums(features.to(wide), labels, table_rows(labels)), mask_value)
    return look_up(means.to(features.dtype), labels)


def region_sums(features: Tensor, labels: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Sums (B, C, rows) and areas (B, 1, rows) of the regions, in the type of ``features``.

    The results for the parts of an image add up to those for the image.

    Args:
        features: (B, C, H, W).
        labels: (B, H, W), below ``rows``.
    """
    index = labels.reshape(labels.shape[0], 1, -1).long()
    flat = features.flatten(2)
    sums = flat.new_zeros(*flat.shape[:2], rows).scatter_add(2, index.expand(-1, flat.shape[1], -1), flat)
    return sums, _areas(index, rows, flat.dtype)


def region_means(sums: Tensor, areas: Tensor, mask_value: float = 1.0) -> Tensor:
    """Results of `region_sums` -> the value of `mask_average_pool` for each region (B, C, rows)."""
    weights = torch.full((sums.shape[2],), 1.0 - mask_value, device=sums.device, dtype=sums.dtype)
    weights[0] = 1.0
    remainder = (sums * weights).sum(2, keepdim=True) / ((areas * weights).sum(2, keepdim=True) + 1e-8)
    means = mask_value * sums / (mask_value * areas + 1e-8)
    covered = mask_value * means + (1.0 - mask_value) * remainder
    return torch.cat([remainder, covered[:, :, 1:]], dim=2)


def look_up(means: Tensor, labels: Tensor) -> Tensor:
    """Means (B, C, rows) and label maps (B, H, W) -> the mean of each pixel's region (B, C, H, W)."""
    batch, channels, _ = means.shape
    index = labels.reshape(batch, 1, -1).long().expand(-1, channels, -1)
    return means.gather(2, index).reshape(batch, channels, *labels.shape[1:])


def drop_regions(labels: Tensor, fraction: float) -> Tensor:
    """Mask dropout: set floor(fraction * regions present) regions of each image to uncovered.

    Args:
        labels: (B, H, W) integer label map.
        fraction: p in [0, 1]; the regions of each image are drawn without replacement.

    Returns:
        A new label map; random numbers come from PyTorch's generator on the device of the labels.
    """
    batch = labels.shape[0]
    rows = table_rows(labels)
    index = labels.reshape(batch, -1).long()
    present = region_areas(labels, rows) > 0
    present[:, 0] = False
    # Absent regions get the largest scores, so ranks 0, 1, .. number the present ones in random order.
    scores = torch.rand(batch, rows, device=labels.device).masked_fill(~present, 2.0)
    ranks = scores.argsort(dim=1).argsort(dim=1)
    # in float64, as Python computes it: 0.53 * 100 is 53, in float32 a little less
    dropped = ranks < (present.sum(1, keepdim=True).double() * fraction).floor()
    return labels.masked_fill(dropped.gather(1, index).reshape(labels.shape), 0)


def compact_labels(labels: Tensor | Sequence[Tensor]) -> Tensor:
    """Number the regions of each image as 1..K without gaps, which changes no pooled value; see `table_rows`.

    Args:
        labels: (B, .., H, W) integer label maps on the CPU, or one (.., H, W) for each image, of equal shape.

    Returns:
        (B, .., H, W); uint8 if no image has more than 255 regions, else int32.
    """
    maps = [compact(image.numpy().reshape(len(image), -1)) for image in labels]
    fits = all(image.max() < _UINT8_ROWS for image in maps)
    stacked = np.stack(maps, dtype=np.uint8 if fits else np.int32, casting="unsafe")
    return torch.from_numpy(stacked).view(len(maps), *labels[0].shape)


def table_rows(labels: Tensor) -> int:
    """Rows of a table of all labels, known without waiting for a device.

    256 for uint8. For other types one more than the largest label on the CPU, and the upper limit elsewhere
    and in a traced graph, where data cannot set sizes.
    """
    if labels.dtype == torch.uint8:
        return _UINT8_ROWS
    is_traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[no-untyped-call]
    if is_traced or labels.device.type != "cpu":
        return MAX_REGIONS + 1
    return int(labels.max()) + 1


def region_areas(labels: Tensor, rows: int) -> Tensor:
    """Pixels (B, rows) float32 of each region of label maps (B, H, W), below ``rows``."""
    return _areas(labels.flatten(1).unsqueeze(1).long(), rows, torch.float32).squeeze(1)


def _areas(index: Tensor, rows: int, dtype: torch.dtype) -> Tensor:
    ones = torch.ones_like(index, dtype=dtype)
    return ones.new_zeros(index.shape[0], 1, rows).scatter_add(2, index, ones)
