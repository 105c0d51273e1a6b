"""Writing masks as COCO run lengths; `basicsr.masks.legacy` reads them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from basicsr.segmenters.base import Masks


def encode_coco(masks: Masks) -> bytes:
    """Stack (M, H, W) -> JSON list like that of SamAutomaticMaskGenerator with ``coco_rle``.

    An item has ``segmentation`` (size and COCO's string), ``area`` and ``bbox`` (x, y, width, height).
    """
    return (json.dumps([_coco_item(mask) for mask in masks]) + "\n").encode()


def _coco_item(mask: Masks) -> dict[str, Any]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    box = [0, 0, 0, 0]
    if rows.size:
        box = [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
    segmentation = {"size": list(mask.shape), "counts": _compress(_runs(mask))}
    return {"segmentation": segmentation, "area": int(np.count_nonzero(mask)), "bbox": box}


def _runs(mask: Masks) -> list[int]:
    """Lengths of alternating runs outside and inside, column by column; the first is outside, possibly 0."""
    flat = mask.ravel(order="F")
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs: list[int] = np.diff(np.concatenate([[0], starts, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else runs


def _compress(runs: list[int]) -> str:
    """COCO's string; see `basicsr.masks.legacy` for its rules."""
    text = []
    for i, run in enumerate(runs):
        number = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            bits = number & 31
            number >>= 5  # rounds down, so that the sign is kept
            more = number != (-1 if bits & 16 else 0)
            text.append(chr(48 + bits + 32 * more))
    return "".join(text)
