"""Perceptual and style loss on VGG features, with weights from a local file.

Source: Johnson et al., "Perceptual Losses for Real-Time Style Transfer" (ECCV 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from basicsr.layers.pretrained import ImageNetInput, VggFeatures, VggType
from basicsr.losses.pixel import require_same_shape
from basicsr.utils.convert import ExistingFile
from basicsr.utils.errors import UserError, require_choice
from basicsr.utils.registry import LOSSES

DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda features, goals: (features - goals).abs().mean(),
    "l2": lambda features, goals: (features - goals).square().mean(),
    "fro": lambda features, goals: torch.linalg.vector_norm(features - goals),
}


@LOSSES.register
class PerceptualLoss(nn.Module):
    """Weighted distance of VGG features (perceptual) plus that of their Gram matrices (style), as one scalar.

    ``pred`` and ``target`` are (B, 3, H, W) RGB in [0, 1]; the target gets no gradient. Computed in float32,
    also under autocast.

    Args:
        layer_weights: factor for each layer, e.g. ``{relu3_4: 1.0}``; names as in
            `basicsr.layers.pretrained.layer_names`.
        vgg_weights: file with torchvision's state dict of ``vgg_type``; nothing is downloaded.
        vgg_type: which VGG.
        use_input_norm: normalise by ImageNet's mean and standard deviation, as VGG was trained.
        range_norm: images are in [-1, 1]; map them to [0, 1] first.
        perceptual_weight, style_weight: factors of the two terms; a term with factor 0 is not computed.
        criterion: mean absolute (``l1``) or mean squared (``l2``) difference, or the norm of the difference
            over the whole batch (``fro``).

    Raises:
        UserError: both terms are off, a layer does not exist, or the file does not hold such weights.
        ValueError: there is no such ``vgg_type`` or ``criterion``.
    """

    def __init__(
        self,
        layer_weights: dict[str, float],
        vgg_weights: ExistingFile,
        vgg_type: VggType = "vgg19",
        use_input_norm: bool = True,
        range_norm: bool = False,
        perceptual_weight: float = 1.0,
        style_weight: float = 0.0,
        criterion: Literal["l1", "l2", "fro"] = "l1",
    ) -> None:
        super().__init__()
        require_choice("criterion", criterion, DISTANCES)
        if perceptual_weight == 0 and style_weight == 0:
            raise UserError("perceptual_weight: 0, and style_weight too; set one of them, or remove the loss")
        self.layer_weights = dict(layer_weights)
        self.range_norm = range_norm
        self.perceptual_weight = perceptual_weight
        self.style_weight = style_weight
        self.distance = DISTANCES[criterion]
        self.normalize = ImageNetInput() if use_input_norm else None
        self.vgg = VggFeatures(list(layer_weights), vgg_type, vgg_weights)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        require_same_shape(pred, target)
        with torch.autocast(pred.device.type, enabled=False):
            features = self.vgg(self._normalize(pred))
            with torch.no_grad():
                goals = self.vgg(self._normalize(target))
            loss = pred.new_zeros((), dtype=torch.float32)
            for name, weight in self.layer_weights.items():
                feature, goal = features[name], goals[name]
                if self.perceptual_weight:
                    loss = loss + self.perceptual_weight * weight * self.distance(feature, goal)
                if self.style_weight:
                    loss = loss + self.style_weight * weight * self.distance(gram(feature), gram(goal))
        return loss

    def _normalize(self, image: Tensor) -> Tensor:
        image = image.float()
        if self.range_norm:
            image = (image + 1) / 2
        return image if self.normalize is None else self.normalize(image)


def gram(features: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, C): inner products of the channels, divided by C*h*w."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])
