"""Mask average pooling as a module that can be put in front of any network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from basicsr.masks.pooling import drop_regions, look_up, mask_average_pool

PUBLISHED_MASK_VALUE = 1.0 / 255.0
# How far a pooled feature sees beyond its own pixel: a 3x3 convolution.
HALO = 1


class MaskAveragePool(nn.Module):
    """MAP (SAM-Deblur, arXiv 2309.02270): features -> their means over regions. Has no parameters.

    Args:
        mask_dropout: share of the regions of each image that is ignored in each training step; never in
            evaluation.
        mask_value: strength of the masks in (0, 1]; see `mask_average_pool`.
    """

    def __init__(self, mask_dropout: float = 0.0, mask_value: float = 1.0) -> None:
        super().__init__()
        if not 0 <= mask_dropout <= 1:
            raise ValueError(f"mask_dropout is a share from 0 to 1, not {mask_dropout}")
        if not 0 < mask_value <= 1:
            raise ValueError(f"mask_value lies in (0, 1], not {mask_value}")
        self.mask_dropout = mask_dropout
        self.mask_value = mask_value

    def forward(self, features: Tensor, labels: Tensor, means: Tensor | None = None) -> Tensor:
        """Features (B, C, H, W) and label maps (B, H, W) of the same size -> region means (B, C, H, W).

        Args:
            means: (B, C, rows) of the regions, e.g. of a whole image of which ``labels`` shows a part; None
                takes them from ``features``. See `basicsr.masks.pooling.region_means`.
        """
        if labels.shape != (features.shape[0], *features.shape[2:]):
            raise ValueError(
                f"label maps of shape {tuple(labels.shape)} do not fit features of {tuple(features.shape)}"
            )
        if means is not None:
            return look_up(means.to(features.dtype), labels)
        if self.training and self.mask_dropout > 0:
            labels = drop_regions(labels, self.mask_dropout)
        with torch.autocast(features.device.type, enabled=False):
            return mask_average_pool(features, labels, self.mask_value)

    def extra_repr(self) -> str:
        return f"mask_dropout={self.mask_dropout}, mask_value={self.mask_value:.6g}"


class MapFeatures(nn.Module):
    """The learned half of MAP: image -> features, pooled over regions, to be concatenated to the image.

    Args:
        img_channel: channels of the image.
        seg_channel: channels of the result.
        mask_dropout: see `MaskAveragePool`.
        mask_value: see `MaskAveragePool`.
    """

    def __init__(
        self, img_channel: int = 3, seg_channel: int = 2, mask_dropout: float = 0.0, mask_value: float = 1.0
    ) -> None:
        super().__init__()
        self.pre_seg = nn.Conv2d(img_channel, seg_channel, 3, padding=1)
        self.pre_seg_in = nn.Conv2d(seg_channel, seg_channel, 1)
        self.pool = MaskAveragePool(mask_dropout, mask_value)

    def features(self, image: Tensor) -> Tensor:
        """(B, img_channel, H, W) -> (B, seg_channel, H, W), before pooling."""
        return self.pre_seg_in(self.pre_seg(image))

    def forward(self, image: Tensor, labels: Tensor, means: Tensor | None = None) -> Tensor:
        """(B, img_channel, H, W), (B, H, W) -> (B, seg_channel, H, W); ``means`` as in `MaskAveragePool`."""
        return self.pool(self.features(image), labels, means)
