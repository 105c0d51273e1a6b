"""`basicsr.masks.from_stack` for masks on a device: the same label maps, without a stack in main memory."""

from __future__ import annotations

import torch
from torch import Tensor

from basicsr.masks import LabelMap, Overlap, check_label_map


def paint(masks: Tensor, overlap: Overlap, name: str) -> LabelMap:
    """bool (M, H, W) -> label map (H, W), painted on the device of ``masks``.

    Args:
        overlap: what a pixel under several masks belongs to, see `basicsr.masks.from_stack`.
        name: what the masks are of, for the error.

    Raises:
        UserError: more than 65535 regions.
    """
    rules = {
        "exact": split_by_each,
        "smallest_on_top": paint_smallest_last,
        "published": group_by_gray_value,
    }
    return check_label_map(rules[overlap](masks).int().cpu().numpy(), name)


def split_by_each(masks: Tensor) -> Tensor:
    """bool (M, H, W) -> int64 (H, W), a region for every combination of masks that occurs.

    Refined mask by mask: of a region that is partly inside the mask, the inside gets a new id.
    """
    device, shape = masks.device, masks.shape[1:]
    labels = torch.zeros(shape.numel(), dtype=torch.long, device=device)
    areas = torch.tensor([labels.numel()], device=device)
    for mask in masks.flatten(1):
        inside = mask.nonzero()[:, 0]
        before = labels[inside]
        shared = before.bincount(minlength=len(areas))
        split = (shared > 0) & (shared < areas)
        split[0] = shared[0] > 0
        news = shared[split]
        ids = torch.arange(len(areas) + len(news), device=device)
        ids[: len(areas)][split] = ids[len(areas) :]
        labels[inside] = ids[before]
        areas = torch.cat([areas - shared * split, news])
    return labels.view(shape)


def paint_smallest_last(masks: Tensor) -> Tensor:
    """bool (M, H, W) -> int64 (H, W), each pixel in its smallest mask; of equal ones, the earlier."""
    labels = torch.zeros(masks.shape[1:], dtype=torch.long, device=masks.device)
    for i in masks.sum((1, 2)).argsort(stable=True).flip(0).tolist():
        labels.masked_fill_(masks[i], i + 1)
    visible = labels.flatten().bincount(minlength=len(masks) + 1) > 0
    visible[0] = False
    return visible.cumsum(0)[labels]


def group_by_gray_value(masks: Tensor) -> Tensor:
    """bool (M, H, W) -> int64 (H, W), a region for each value of `basicsr.masks.published_gray`."""
    gray = torch.zeros(masks.shape[1:], dtype=torch.long, device=masks.device)
    for i, mask in enumerate(masks):
        gray.add_(mask, alpha=2 * (i + 1) if i < 127 else 2 * (255 - i) - 1)
    occurs = gray.clamp_(0, 255).flatten().bincount(minlength=256) > 0
    return occurs.cumsum(0)[gray]
