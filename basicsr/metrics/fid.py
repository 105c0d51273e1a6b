"""Fréchet distance of deep features of two sets of images, with weights from a local file.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium"
(NeurIPS 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray

from basicsr.layers.inception import KNOWN_WEIGHTS, InceptionFeatures
from basicsr.metrics.base import SetMetric, metric
from basicsr.metrics.psnr_ssim import ImageLike, comparable
from basicsr.utils.convert import Advice, ExistingFile
from basicsr.utils.devices import choose_device
from basicsr.utils.image import Array

Features = NDArray[np.float32]


@metric("FID", better="lower", digits=2)
class FID(SetMetric[tuple[Features, Features]]):
    """Fréchet distance between the restored images and the references of a set; lower is better.

    It needs many images: of N images the covariance has at most the rank N - 1, and few give a larger figure.
    Figures by different weights, and of sets of different size, do not compare.

    Args:
        weights: file with Inception v3, see `basicsr.layers.inception`. Published figures have those of
            pytorch-fid, which were ported from TensorFlow.
        device: where it runs, as PyTorch writes it; ``auto`` is a GPU where there is one.

    Raises:
        UserError: the file does not hold such weights, or there is no such device.
    """

    def __init__(
        self,
        weights: Annotated[ExistingFile, Advice(missing=f"it is a file, {KNOWN_WEIGHTS}")],
        device: str = "auto",
    ) -> None:
        self.device = choose_device(device)
        self.network = InceptionFeatures(weights).to(self.device)

    def __call__(self, restored: ImageLike, gt: ImageLike) -> tuple[Features, Features]:
        """The features (2048,) of two images (H, W, 3) RGB, uint8 in 0..255 or float in 0..1.

        Raises:
            ValueError: shapes or types differ or are not supported.
        """
        ours, theirs, _ = comparable(restored, gt, 0, "HWC", False)
        return self.features(ours), self.features(theirs)

    def features(self, image: Array) -> Features:
        """(H, W, 3) RGB, uint8 in 0..255 or float in 0..1 -> (2048,)."""
        white = 255.0 if image.dtype.kind == "u" else 1.0
        tensor = torch.as_tensor(image.transpose(2, 0, 1).copy(), dtype=torch.float32, device=self.device)
        with torch.no_grad():
            found: Features = self.network(tensor[None] / white)[0].cpu().numpy()
        return found

    def summarize(self, values: Sequence[tuple[Features, Features]]) -> float:
        ours, theirs = (np.stack(features) for features in zip(*values, strict=True))
        return frechet_distance(ours, theirs)


def frechet_distance(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Distance of the Gaussians with the means and (unbiased) covariances of two samples.

    It is |m_x - m_y|^2 + tr(C_x) + tr(C_y) - 2 tr((C_x C_y)^(1/2)). With C = A^T A, the eigenvalues of
    C_x C_y are the squared singular values of A_x A_y^T: no root of a matrix is needed, whatever the rank.

    Args:
        x: (N, D), N at least 2.
        y: (M, D), M at least 2.

    Raises:
        ValueError: a sample is too small.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"FID needs at least 2 images on each side, got {len(x)} and {len(y)}")
    x, y = x.astype(np.float64), y.astype(np.float64)
    mean_x, mean_y = x.mean(0), y.mean(0)
    root_x, root_y = _root(x - mean_x), _root(y - mean_y)
    shared = np.linalg.norm(root_x @ root_y.T, "nuc")
    traces = np.square(root_x).sum() + np.square(root_y).sum()
    return float(np.square(mean_x - mean_y).sum() + traces - 2 * shared)


def _root(centered: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, D) without its mean -> A, (min(N, D), D), with A^T A the covariance."""
    triangle = np.linalg.qr(centered / np.sqrt(len(centered) - 1), mode="r")
    return np.asarray(triangle, np.float64)
