"""Time what follows SAM's decoder against SamAutomaticMaskGenerator: ``python scripts/benchmark/masks.py``.

Both get the same stored logits of 32 x 32 points with three masks each, for a photo of 1280x720, and end with
boolean masks of that size. No weights are needed: the logits are those of regions of a known map, with the
smooth edges and the near duplicates of a network's.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch
from inputs import region_map
from numpy.typing import NDArray
from report import circumstances, replace_block, table
from timing import Goal, Row, compare
from torch import Tensor

from basicsr.config.cli import run_command
from basicsr.segmenters.base import Photo
from basicsr.segmenters.everything import Everything, Options
from basicsr.segmenters.upsampling import Frame
from basicsr.utils.errors import UserError
from basicsr.utils.extras import optional_import
from basicsr.utils.typed_path import typed_path

HEAD = (
    "1280x720, 1024 points, 3072 masks",
    "ours",
    "SamAutomaticMaskGenerator",
    "ratio",
    "goal",
    "met",
    "checked before",
)
FRAME = Frame(side=256, padded=1024, used=(576, 1024), size=(720, 1280))
SMALL = (FRAME.used[0] * FRAME.side // FRAME.padded, FRAME.side)  # what the photo takes of the logits
REGIONS = (200, 50, 10)  # in the maps of a point's three masks: subpart, part, whole
SLOPE = 6.0  # logits a small pixel across an edge
POINTS = 32
ROWS = {
    "default thresholds; half of the masks pass the IoU's": Options(),
    "no thresholds: all masks are kept up to NMS": Options(pred_iou_thresh=0.0, stability_score_thresh=0.0),
}


class Stored:
    """Answers of a decoder, in memory, for both sides: a `basicsr.segmenters.everything.Decoder`, and what
    the library's generator asks of its predictor.
    """

    threshold = 0.0

    def __init__(self, logits: Tensor, quality: Tensor) -> None:
        self.logits = logits
        self.quality = quality
        self.device = logits.device
        self.model = SimpleNamespace(
            mask_threshold=self.threshold, image_encoder=SimpleNamespace(img_size=FRAME.padded)
        )
        self.transform = SimpleNamespace(apply_coords=lambda points, size: points)
        self.begin = 0

    def look(self, photo: Photo) -> Frame:
        self.begin = 0
        return FRAME

    set_image = look

    def reset_image(self) -> None:
        """The library forgets its photo here."""

    def answer(self, points: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        here = slice(self.begin, self.begin + len(points))
        self.begin = here.stop
        return self.logits[here], self.quality[here]

    def predict_torch(self, points: Tensor, labels: Tensor, **how: bool) -> tuple[Tensor, Tensor, Tensor]:
        sam = optional_import(
            "segment_anything.modeling", "the benchmark", "pip install segment-anything"
        ).Sam
        logits, quality = self.answer(points.cpu().numpy())
        enlarged = sam.postprocess_masks(self.model, logits, FRAME.used, FRAME.size)
        return enlarged, quality, logits


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each row; default: 5")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table into this document"
    )
    typed = parser.parse_args()
    if typed.rounds < 1:
        parser.error(f"--rounds takes 1 or more, not {typed.rounds}")
    run_command(lambda: run(typed.rounds, typed.device, typed.write), debug=False)


def run(rounds: int, device_name: str, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    if device_name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here; measure with --device cpu")
    device = torch.device(device_name)
    stored = Stored(*stored_answers(device))
    rows = [measure(name, options, stored, rounds) for name, options in ROWS.items()]
    text = f"{table(HEAD, [_cells(row) for row in rows])}\n\n{circumstances(device)}\n* Rounds: {rounds}"
    print(text)
    if document is not None:
        replace_block(document, f"masks on {device.type}", text)


def stored_answers(device: torch.device) -> tuple[Tensor, Tensor]:
    """Logits (1024, 3, 256, 256) and qualities (1024, 3), about half of which are above 0.88."""
    generator = np.random.default_rng(0)
    maps = [region_map(*SMALL, regions, seed) for seed, regions in enumerate(REGIONS)]
    ripples = [cv2.GaussianBlur(generator.normal(0, 4, SMALL), (0, 0), 3) for _ in range(16)]
    places = ((np.arange(POINTS) + 0.5) / POINTS)[:, None] * SMALL
    points = [(int(y), int(x)) for y in places[:, 0] for x in places[:, 1]]
    logits = np.full((len(points), len(maps), FRAME.side, FRAME.side), -20, np.float32)
    for i, (y, x) in enumerate(points):
        for k, labels in enumerate(maps):
            clean = SLOPE * signed_distance(labels == labels[y, x])
            noisy = clean + ripples[generator.integers(len(ripples))]
            logits[i, k, : SMALL[0]] = noisy.clip(-20, 20)
    quality = generator.uniform(0.76, 1.0, (len(points), len(maps))).astype(np.float32)
    return torch.from_numpy(logits).to(device), torch.from_numpy(quality).to(device)


def signed_distance(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance in pixels to the edge of a region, positive inside."""
    to_outside, to_inside = (
        cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        for part in (inside, ~inside)
    )
    return to_outside - to_inside


def measure(name: str, options: Options, stored: Stored, rounds: int) -> Row:
    """Check that both find the same masks, then time both."""
    photo = np.zeros((*FRAME.size, 3), np.uint8)
    everything = Everything(stored, options)
    library: Any = optional_import("segment_anything", "the benchmark", "pip install segment-anything")
    generator = library.SamAutomaticMaskGenerator(stored.model, **asdict(options))
    generator.predictor = stored

    def ours() -> NDArray[np.bool_]:
        return everything.masks(photo).cpu().numpy()

    def reference() -> NDArray[np.bool_]:
        return np.stack([record["segmentation"] for record in generator.generate(photo)])

    found, expected = ours(), reference()
    if found.shape != expected.shape:
        raise UserError(f"{name}: {len(found)} masks, the library finds {len(expected)}")
    least = min((a & b).sum() / (a | b).sum() for a, b in zip(found, expected, strict=True))
    if least < 0.99:
        raise UserError(f"{name}: a mask has an IoU of {least:.3f} with the library's")
    agreement = f"{len(found)} masks each, least IoU {least:.4g}"
    return compare(name, Goal("faster", 5), agreement, ours, reference, rounds)


def _cells(row: Row) -> list[str]:
    times = [f"{time / 1000:.3g} s" for time in (row.ours, row.reference)]
    return [row.name, *times, f"{row.ratio:.3g}×", str(row.goal), "yes" if row.met else "no", row.agreement]


if __name__ == "__main__":
    main()
