"""Learned perceptual image patch similarity, with weights from local files.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018); the
constants are those of version 0.1.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from basicsr.layers.pretrained import AlexFeatures, Frozen, VggFeatures, load_weights
from basicsr.metrics.base import metric
from basicsr.metrics.psnr_ssim import ImageLike, comparable
from basicsr.utils.convert import ExistingFile
from basicsr.utils.devices import choose_device
from basicsr.utils.errors import require_choice
from basicsr.utils.image import Array

LPIPSNet = Literal["alex", "vgg"]

VGG_LAYERS = ["relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"]
WIDTHS: dict[LPIPSNet, tuple[int, ...]] = {
    "alex": (64, 192, 384, 256, 256),
    "vgg": (64, 128, 256, 512, 512),
}
SMALLEST = 32  # pixels per side, the least that the last layer needs


@metric("LPIPS", better="lower")
class LPIPS:
    """Distance of deep features, weighted by learned heads; 0 for equal images, lower is better.

    Args:
        backbone: file with torchvision's state dict of AlexNet or VGG-16.
        heads: file with the linear heads of the lpips project for that network, its
            ``weights/v0.1/alex.pth`` or ``vgg.pth``.
        net: which network; the usual one for reporting is ``alex``.
        device: where it runs, in PyTorch's notation; ``auto`` is a GPU if there is one.

    Raises:
        UserError: if one of the files does not hold such weights, or there is no such device.
        ValueError: if ``net`` is unknown.
    """

    def __init__(
        self,
        backbone: ExistingFile,
        heads: ExistingFile,
        net: LPIPSNet = "alex",
        device: str = "auto",
    ) -> None:
        require_choice("net", net, WIDTHS)
        self.device = choose_device(device)
        self.distance = PerceptualDistance(backbone, heads, net).to(self.device)

    def __call__(self, restored: ImageLike, gt: ImageLike) -> float:
        """Distance of two images (H, W, 3) RGB, uint8 in 0..255 or float in 0..1.

        Raises:
            ValueError: if shapes or types differ or are not supported, or a side is shorter than 32 pixels.
        """
        restored, gt, _ = comparable(restored, gt, 0, "HWC", False)
        height, width = gt.shape[:2]
        if min(height, width) < SMALLEST:
            raise ValueError(f"LPIPS needs at least {SMALLEST}x{SMALLEST} pixels, got {height}x{width}")
        with torch.no_grad():
            return float(self.distance(self._tensor(restored), self._tensor(gt)))

    def _tensor(self, image: Array) -> Tensor:
        """(H, W, 3) -> (1, 3, H, W) in [-1, 1]."""
        white = 255.0 if image.dtype.kind == "u" else 1.0
        tensor = torch.as_tensor(image.transpose(2, 0, 1).copy(), dtype=torch.float32, device=self.device)
        return tensor[None] * (2 / white) - 1


class PerceptualDistance(Frozen):
    """The network of `LPIPS`: two images (B, 3, H, W) in [-1, 1] -> distances (B,)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, backbone: str, heads: str, net: LPIPSNet) -> None:
        super().__init__()
        self.features: AlexFeatures | VggFeatures = (
            AlexFeatures(backbone) if net == "alex" else VggFeatures(VGG_LAYERS, "vgg16", backbone)
        )
        self.heads = nn.ModuleDict({f"lin{number}": _Head(width) for number, width in enumerate(WIDTHS[net])})
        load_weights(self.heads, heads, f"the linear heads of lpips v0.1 for {net}")
        # ImageNet's mean and deviation, for images in [-1, 1]
        self.register_buffer("mean", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))
        self.freeze()

    def forward(self, image: Tensor, other: Tensor) -> Tensor:
        ours, theirs = (self.features((each - self.mean) / self.deviation) for each in (image, other))
        distance = image.new_zeros(image.shape[0])
        for head, a, b in zip(self.heads.values(), ours.values(), theirs.values(), strict=True):
            distance = distance + head((_unit_length(a) - _unit_length(b)).square()).mean((1, 2, 3))
        return distance


class _Head(nn.Module):
    """One weight per channel; the published keys are ``lin0.model.1.weight``, after a dropout."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        weighted: Tensor = self.model(features)
        return weighted


def _unit_length(features: Tensor) -> Tensor:
    """Divide the vector of channels of each pixel by its length."""
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + 1e-10)
