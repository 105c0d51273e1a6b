"""Label maps for people to look at: a colour for each region."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.masks.label_map import LabelMap

Picture = NDArray[np.uint8]


def region_colors(count: int) -> Picture:
    """RGB (count + 1, 3) for ids 0..count: black, then colours whose hues keep away from those before."""
    ids = np.arange(count + 1)
    hue = 180 * (ids * 0.618034 % 1)
    value = 255 - 70 * (ids // 8 % 2)
    hsv = np.stack([hue, np.where(ids // 16 % 2, 140, 220), value], -1).astype(np.uint8)
    colors: Picture = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
    colors[0] = 0
    return colors


def color_regions(labels: LabelMap) -> Picture:
    """Label map (H, W) -> (H, W, 3) RGB, a colour for each region; uncovered pixels are black."""
    colors: Picture = region_colors(int(labels.max()))[labels]
    return colors


def overlay(image: Picture, labels: LabelMap) -> Picture:
    """Photo uint8 (H, W, 3) RGB with tinted regions and white borders; uncovered pixels keep their colour."""
    tinted = cv2.addWeighted(image, 0.5, color_regions(labels), 0.5, 0)
    picture = np.where(labels[..., None] > 0, tinted, image)
    picture[_borders(labels)] = 255
    return picture


def _borders(labels: LabelMap) -> NDArray[np.bool_]:
    """Pixels whose right or lower neighbour is of another region; wider on large photos."""
    border = np.zeros(labels.shape, np.bool_)
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    border[:-1] |= labels[:-1] != labels[1:]
    width = max(labels.shape) // 1000 + 1
    return cv2.dilate(border.astype(np.uint8), np.ones((width, width), np.uint8)) > 0
