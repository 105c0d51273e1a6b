"""Everything mode: all masks of a photo, from a decoder that answers points.

The method and its options are those of `SamAutomaticMaskGenerator` of the package segment-anything 1.0
(Kirillov et al., "Segment Anything", ICCV 2023, appendix B): a grid of points, three masks for each, filters
by predicted quality and by stability, non-maximum suppression, and the same again on crops. So are its masks
and their order; but the logits are read where they are small (see `upsampling`), and nothing is run-length
encoded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Annotated, NamedTuple, Protocol

import cv2
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor

from basicsr.segmenters.base import Masks, Photo
from basicsr.segmenters.upsampling import Frame, Upsampling, line_boxes
from basicsr.utils.convert import Count, Share
from basicsr.utils.errors import UserError
from basicsr.utils.log import logger

# A mask that comes this close to the edge of a crop, in pixels, is thought to be cut off by it.
_EDGE = 20


class Decoder(Protocol):
    """Answers points of a photo with masks.

    Args:
        threshold: logits above are inside.
        device: of the answers.
    """

    threshold: float
    device: torch.device

    def look(self, photo: Photo) -> Frame:
        """Take in the uint8 photo (H, W, 3) that the points lie on."""
        ...

    def answer(self, points: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Points (P, 2), as x and y in pixels -> logits (P, K, side, side), predicted quality (P, K)."""
        ...


@dataclass(frozen=True)
class Options:
    """What decides which masks are found; names and defaults of `SamAutomaticMaskGenerator`.

    Args:
        points_per_side: the grid on the photo has this many rows and columns.
        pred_iou_thresh: the predicted quality has to be more; 0 accepts any.
        stability_score_thresh: the area above threshold + offset has to be at least this share of that above
            threshold - offset; 0 accepts any.
        stability_score_offset: that offset, in logits.
        box_nms_thresh: of two masks of a crop whose boxes have a larger IoU, the one of higher quality stays.
        crop_n_layers: layer i >= 1 looks at 4**i overlapping crops, too.
        crop_nms_thresh: as box_nms_thresh, between crops; the mask of the smaller crop stays.
        crop_overlap_ratio: overlap of the crops of layer 1, as share of the photo's shorter side.
        crop_n_points_downscale_factor: layer i has points_per_side / factor**i points a side.
        min_mask_region_area: smaller holes are filled, smaller islands removed, in pixels; 0 leaves masks.
    """

    points_per_side: Count = 32
    pred_iou_thresh: Share = 0.88
    stability_score_thresh: Share = 0.95
    stability_score_offset: Annotated[float, Meta(ge=0)] = 1.0
    box_nms_thresh: Share = 0.7
    crop_n_layers: Annotated[int, Meta(ge=0)] = 0
    crop_nms_thresh: Share = 0.7
    crop_overlap_ratio: Share = 512 / 1500
    crop_n_points_downscale_factor: Count = 1
    min_mask_region_area: Annotated[int, Meta(ge=0)] = 0


class Crop(NamedTuple):
    """A part of the photo, in pixels; right and bottom are excluded."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class _Candidates:
    """Masks of one crop: boxes (N, 4) on the photo, quality (N), and prepared logits (N, h, w)."""

    boxes: Tensor
    quality: Tensor
    logits: Tensor

    def __getitem__(self, chosen: Tensor) -> _Candidates:
        return _Candidates(self.boxes[chosen], self.quality[chosen], self.logits[chosen])


class Everything:
    """Finds the masks of photos.

    Args:
        points_per_batch: points answered at once. Halved, for good, when the GPU's memory does not suffice.
    """

    def __init__(self, decoder: Decoder, options: Options, points_per_batch: int = 64) -> None:
        self.decoder = decoder
        self.options = options
        self.points_per_batch = points_per_batch

    @torch.inference_mode()
    def masks(self, photo: Photo) -> Tensor:
        """uint8 (H, W, 3) -> bool (M, H, W) on the decoder's device, in the order of the library."""
        height, width = photo.shape[:2]
        layers = crop_layers(height, width, self.options.crop_n_layers, self.options.crop_overlap_ratio)
        found = [
            (crop, *self._search(photo, crop, layer)) for layer, crops in enumerate(layers) for crop in crops
        ]
        sizes = torch.tensor([(crop.right - crop.left) * (crop.bottom - crop.top) for crop, _, _ in found])
        numbers = torch.tensor([len(candidates.boxes) for _, _, candidates in found])
        kept = torch.arange(int(numbers.sum()), device=self.decoder.device)
        if len(found) > 1:
            boxes = torch.cat([candidates.boxes for _, _, candidates in found])
            smallness = (1 / sizes).repeat_interleave(numbers).to(boxes.device)
            kept = suppress(boxes, smallness, self.options.crop_nms_thresh)
        masks = torch.zeros(len(kept), height, width, dtype=torch.bool, device=kept.device)
        begin = 0
        for crop, upsampling, candidates in found:
            here = ((kept >= begin) & (kept < begin + len(candidates.boxes))).nonzero()[:, 0]
            logits = candidates.logits[kept[here] - begin]
            painted = upsampling.masks(logits, self.decoder.threshold)
            masks[here, crop.top : crop.bottom, crop.left : crop.right] = painted
            begin += len(candidates.boxes)
        least = self.options.min_mask_region_area
        nms_thresh = max(self.options.box_nms_thresh, self.options.crop_nms_thresh)
        return tidy(masks, least, nms_thresh) if least else masks

    def _search(self, photo: Photo, crop: Crop, layer: int) -> tuple[Upsampling, _Candidates]:
        """The masks of one crop, by descending quality."""
        part = photo[crop.top : crop.bottom, crop.left : crop.right]
        upsampling = Upsampling(self.decoder.look(part), self.decoder.device)
        side = self.options.points_per_side // self.options.crop_n_points_downscale_factor**layer
        points = grid(max(1, side)) * (crop.right - crop.left, crop.bottom - crop.top)
        batches: list[_Candidates] = []
        done = 0
        while done < len(points):
            try:
                asked = points[done : done + self.points_per_batch]
                batches.append(self._filter(*self.decoder.answer(asked), upsampling, crop, photo.shape))
                done += self.points_per_batch
                continue
            except torch.cuda.OutOfMemoryError as error:
                if self.points_per_batch == 1:
                    hint = "take a smaller photo, or device=cpu"
                    raise UserError(
                        f"points_per_batch: 1 point is too many for the memory; {hint}"
                    ) from error
            # Outside of the except block: the error's traceback holds what was computed so far.
            self.points_per_batch //= 2
            torch.cuda.empty_cache()
            logger().warning("out of GPU memory; going on with points_per_batch=%d", self.points_per_batch)
        names = ("boxes", "quality", "logits")
        every = _Candidates(*(torch.cat([getattr(batch, name) for batch in batches]) for name in names))
        return upsampling, every[suppress(every.boxes, every.quality, self.options.box_nms_thresh)]

    def _filter(
        self, logits: Tensor, quality: Tensor, upsampling: Upsampling, crop: Crop, size: tuple[int, ...]
    ) -> _Candidates:
        options, threshold = self.options, self.decoder.threshold
        logits, quality = logits.flatten(0, 1), quality.flatten()
        if options.pred_iou_thresh > 0:
            good = quality > options.pred_iou_thresh
            logits, quality = logits[good], quality[good]
        logits = upsampling.prepare(logits)
        if options.stability_score_thresh > 0:
            offset = options.stability_score_offset
            wide, narrow = upsampling.count(logits, [threshold - offset, threshold + offset]).unbind(1)
            stable = narrow / wide >= options.stability_score_thresh
            logits, quality = logits[stable], quality[stable]
        corner = torch.tensor([crop.left, crop.top, crop.left, crop.top], device=logits.device)
        boxes = upsampling.boxes(logits, threshold) + corner
        whole = ~cut_off(boxes, crop, Crop(0, 0, size[1], size[0]))
        return _Candidates(boxes, quality, logits)[whole]


def grid(side: int) -> NDArray[np.float64]:
    """The centres of side x side equal cells of the unit square, row by row: (side * side, 2), x and y."""
    centers = np.linspace(0.5 / side, 1 - 0.5 / side, side)
    return np.stack(np.meshgrid(centers, centers), axis=-1).reshape(-1, 2)


def crop_layers(height: int, width: int, layers: int, overlap_ratio: float) -> list[list[Crop]]:
    """The photo itself, then for each layer i >= 1 its 2**i x 2**i crops, column by column;
    of a tiny photo there may be fewer.

    Crops of layer 1 overlap by ``overlap_ratio`` of the shorter side, those of layer i by 1 / 2**(i - 1) of
    that.
    """
    crops = [[Crop(0, 0, width, height)]]
    for layer in range(1, layers + 1):
        number = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / number))
        (long_y, tops), (long_x, lefts) = (_starts(size, number, overlap) for size in (height, width))
        crops.append(
            [
                Crop(left, top, min(left + long_x, width), min(top + long_y, height))
                for left, top in product(lefts, tops)
            ]
        )
    return crops


def _starts(size: int, number: int, overlap: int) -> tuple[int, list[int]]:
    """Length of each of at most ``number`` overlapping parts, and where they begin."""
    length = math.ceil((overlap * (number - 1) + size) / number)
    starts = [(length - overlap) * i for i in range(number)]
    return length, [start for start in starts if start < size]


def cut_off(boxes: Tensor, crop: Crop, photo: Crop) -> Tensor:
    """(N, 4) -> bool (N): a side of the box lies near one of the crop that is not near that of the photo."""
    near_crop, near_photo = ((boxes - boxes.new_tensor(edges)).abs() <= _EDGE for edges in (crop, photo))
    return (near_crop & ~near_photo).any(1)


def suppress(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression: indices of the boxes that stay, by descending score.

    A box stays unless its IoU with one that stays and comes before it is more than ``threshold``; of equal
    scores, the earlier comes first.

    Args:
        boxes: (N, 4), left, top, right, bottom; the area is (right - left) * (bottom - top).
        scores: (N).
    """
    order = scores.argsort(descending=True, stable=True)
    ordered = boxes[order].float()
    # Some rows at a time: of ten thousand boxes there are 10^8 pairs.
    beats = torch.cat([_iou(rows, ordered).double() > threshold for rows in ordered.split(1024)]).triu(1)
    # Whether a box stays depends on those before it, so each round settles at least one more: the rounds are
    # as many as the longest chain of boxes that beat each other, and need no loop over boxes.
    stays = torch.ones_like(order, dtype=torch.bool)
    while not torch.equal(stays, settled := ~(beats & stays[:, None]).any(0)):
        stays = settled
    return order[stays]


def _iou(a: Tensor, b: Tensor) -> Tensor:
    """(A, 4), (B, 4) -> (A, B)."""
    low = torch.maximum(a[:, None, :2], b[:, :2])
    high = torch.minimum(a[:, None, 2:], b[:, 2:])
    common = (high - low).clamp(min=0).prod(2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b))
    return common / (area_a[:, None] + area_b - common)


def tidy(masks: Tensor, min_area: int, nms_thresh: float) -> Tensor:
    """Fill small holes of masks (N, H, W), remove small islands, and what thereby became a duplicate.

    Masks that needed nothing come first and are preferred.
    """
    device = masks.device
    tidied = [_without_small(mask, min_area) for mask in masks.cpu().numpy()]
    if not tidied:
        return masks
    masks = torch.from_numpy(np.stack([mask for mask, _ in tidied])).to(device)
    unchanged = torch.tensor([float(not changed) for _, changed in tidied], device=device)
    return masks[suppress(mask_boxes(masks), unchanged, nms_thresh)]


def mask_boxes(masks: Tensor) -> Tensor:
    """bool (N, H, W) -> (N, 4) int64: left, top, right, bottom pixel inside; 0 of an empty mask."""
    return line_boxes(masks.any(2), masks.any(1))


def _without_small(mask: Masks, min_area: int) -> tuple[Masks, bool]:
    """The mask (H, W), and whether there was anything small; at least its largest island remains."""
    changed = False
    for islands in (False, True):
        parts = (mask == islands).astype(np.uint8)
        _, part, facts, _ = cv2.connectedComponentsWithStats(parts, connectivity=8)
        areas = facts[:, cv2.CC_STAT_AREA]
        small = areas < min_area
        small[0] = False  # what is not among the parts
        changed |= bool(small.any())
        if islands and small[1:].all() and len(areas) > 1:
            small[1 + areas[1:].argmax()] = False
        mask = np.where(small[part], not islands, mask)
    return mask, changed
