"""Semantic-guided relation (SGR): how the regions of an image differ from each other, as features see them.

"Distilling Semantic Priors from SAM to Efficient Image Restoration Models" (CVPR 2024, arXiv 2403.16368),
equations 5 to 7; what they leave open is an option here, see docs/distillation.md.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from basicsr.layers.pretrained import ImageNetInput, VggFeatures, VggType
from basicsr.losses.pixel import require_same_shape
from basicsr.masks.largest import rank_regions
from basicsr.masks.pooling import region_sums
from basicsr.utils.convert import Count, ExistingFile
from basicsr.utils.registry import LOSSES

Pool = Literal["mean", "sum"]
Relation = Literal["l2", "cosine"]

# Smaller regions of a feature map say little, and their means jump with a pixel.
_SMALLEST_AREA = 4
# The distance of a vector to itself has no gradient without it.
_EPS = 1e-6


@LOSSES.register
class SemanticRelationLoss(nn.Module):
    """Mean squared difference of the relations between the regions of two images.

    z_k is the mean (or the sum) of VGG features over region k, and R_ab the distance of z_a and z_b. The loss
    is the mean of (R of pred - R of target)^2 over pairs a != b of an image, then over images that have at
    least two regions. The target gets no gradient. Computed in float32, also under autocast.

    Args:
        vgg_weights: file with torchvision's state dict of ``vgg_type``; nothing is downloaded.
        loss_weight: factor.
        vgg_type: which VGG.
        layer: whose features are compared; names as in `basicsr.layers.pretrained.layer_names`.
        regions: largest regions of each image that are compared; what is left over is not.
        pool: ``mean`` divides by the area; ``sum`` is the dot product with masks that the paper writes.
        relation: ``l2`` or ``cosine`` distance, 1 - cosine.

    Raises:
        UserError: the layer does not exist, or the file does not hold such weights.
    """

    def __init__(
        self,
        vgg_weights: ExistingFile,
        loss_weight: float = 1.0,
        vgg_type: VggType = "vgg19",
        layer: str = "relu3_4",
        regions: Count = 16,
        pool: Pool = "mean",
        relation: Relation = "l2",
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.layer = layer
        self.regions = regions
        self.pool: Pool = pool
        self.relation: Relation = relation
        self.normalize = ImageNetInput()
        self.vgg = VggFeatures([layer], vgg_type, vgg_weights)

    def forward(self, pred: Tensor, target: Tensor, labels: Tensor) -> Tensor:
        """Scalar.

        Args:
            pred, target: (B, 3, H, W) RGB in [0, 1].
            labels: (B, H, W) label maps of both.
        """
        require_same_shape(pred, target)
        with torch.autocast(pred.device.type, enabled=False):
            features = self.vgg(self.normalize(pred))[self.layer]
            with torch.no_grad():
                goals = self.vgg(self.normalize(target))[self.layer]
            ranks = _shrunk(rank_regions(labels, self.regions), features.shape[-2:])
            own, pairs = region_relations(features, ranks, self.regions, self.pool, self.relation)
            with torch.no_grad():
                wanted, _ = region_relations(goals, ranks, self.regions, self.pool, self.relation)
            counts = pairs.sum((1, 2))
            differences = torch.where(pairs, own - wanted, 0.0).square().sum((1, 2)) / counts.clamp(min=1)
            return self.loss_weight * differences.sum() / (counts > 0).sum().clamp(min=1)


def region_relations(
    features: Tensor, ranks: Tensor, regions: int, pool: Pool = "mean", relation: Relation = "l2"
) -> tuple[Tensor, Tensor]:
    """Distances of all pairs of regions.

    Args:
        features: (B, C, h, w).
        ranks: (B, h, w), below ``regions`` for the regions, ``regions`` for what is left.

    Returns:
        (B, regions, regions), and which of them are pairs of two regions that are there.
    """
    sums, areas = region_sums(features, ranks, regions + 1)
    vectors = (sums / areas.clamp(min=1) if pool == "mean" else sums)[:, :, :regions].transpose(1, 2)
    there = areas[:, 0, :regions] >= _SMALLEST_AREA
    pairs = there[:, :, None] & there[:, None, :] & ~torch.eye(regions, dtype=torch.bool, device=ranks.device)
    match relation:
        case "l2":
            difference = vectors[:, :, None] - vectors[:, None, :]
            return (difference.square().sum(3) + _EPS).sqrt(), pairs
        case "cosine":
            directions = nn.functional.normalize(vectors, dim=2)
            return 1 - directions @ directions.transpose(1, 2), pairs


def _shrunk(ranks: Tensor, size: torch.Size) -> Tensor:
    return nn.functional.interpolate(ranks[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()
