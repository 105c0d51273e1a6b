"""The plain formulations that the benchmark compares with: the papers' formulas, taken literally."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from basicsr.data.transforms import Arrays, build_transforms, usual_transforms

WINDOW = 11
SIGMA = 1.5


def dense_mask_average_pool(features: Tensor, masks: Tensor) -> Tensor:
    """Mask average pooling of one image over a dense stack of masks (SAM-Deblur, arXiv 2309.02270).

    Args:
        features: (C, H, W).
        masks: (M, 1, H, W), 0 outside of a region and its value s inside.

    Returns:
        (C, H, W): the means of the masks, each times its mask, plus the mean of the remainder, times it.
    """
    areas = masks.sum((2, 3), keepdim=True)
    means = (features * masks).sum((2, 3), keepdim=True) / (areas + 1e-8)
    remainder = 1 - masks.sum(0).clamp(0, 1)
    remainder_mean = (features * remainder).sum((1, 2), keepdim=True) / (remainder.sum() + 1e-8)
    return (means * masks).sum(0) + remainder_mean * remainder


def dense_region_relations(features: Tensor, ranks: Tensor, regions: int) -> Tensor:
    """Distances (B, regions, regions) between the mean features of regions, with a plane of masks per region.

    Args:
        features: (B, C, h, w).
        ranks: (B, H, W), below ``regions`` for the regions, ``regions`` for what is left.
    """
    planes = functional.one_hot(ranks, regions + 1).permute(0, 3, 1, 2)[:, :regions].float()
    planes = functional.interpolate(planes, size=features.shape[-2:], mode="nearest-exact")
    sums = torch.einsum("bkhw,bchw->bkc", planes, features)
    means = sums / planes.sum((2, 3)).clamp(min=1)[:, :, None]
    return ((means[:, :, None] - means[:, None]).square().sum(3) + 1e-6).sqrt()


def dense_ssim(restored: NDArray[Any], gt: NDArray[Any], dtype: torch.dtype = torch.float32) -> float:
    """SSIM as published with NAFNet: (H, W, 3) is one volume, smoothed by a dense 3-D convolution with an
    11x11x11 Gaussian and replicated borders.

    Args:
        restored: (H, W, 3), 0..255.
        gt: same shape.
        dtype: what the convolution runs in; float32 as published.
    """
    line = torch.from_numpy(cv2.getGaussianKernel(WINDOW, SIGMA).ravel())
    kernel = torch.einsum("i,j,k->ijk", line, line, line)[None, None].to(dtype)

    def smooth(volume: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(volume, (WINDOW // 2,) * 6, mode="replicate")
        return torch.nn.functional.conv3d(padded, kernel)

    x, y = (torch.from_numpy(image).to(dtype)[None, None] for image in (restored, gt))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = smooth(x), smooth(y)
    variance_x = smooth(x * x) - mean_x * mean_x
    variance_y = smooth(y * y) - mean_y * mean_y
    covariance = smooth(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return float((luminance * structure).mean())


def load_with_stack(
    images: Mapping[str, Path], stack: Path, size: int, generator: np.random.Generator
) -> dict[str, Tensor]:
    """A training sample with a dense stack of masks: decode, crop, flip and transpose, convert.

    Args:
        images: PNG files by name of the field.
        stack: ``.npz`` with the key ``masks``, bool (M, 1, H, W).
        size: side of the crop.
        generator: draws the crop and the symmetry, in the order of the package's data sets.

    Returns:
        Of each image (3, size, size) in [0, 1], RGB, and ``masks`` (M, 1, size, size) in {0, 1}; float32.
    """
    arrays: Arrays = {name: _read_chw(path) for name, path in images.items()}
    with np.load(stack) as archive:
        arrays["masks"] = archive["masks"]
    for transform in build_transforms(usual_transforms(size, use_flip=True, use_rot=True)):
        arrays = transform(arrays, generator)
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    return tensors | {name: tensors[name] / 255 for name in images}


def _read_chw(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(path)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).transpose(2, 0, 1).astype(np.uint8, copy=False)


def direct_aligned_scores(restored: NDArray[np.uint8], gt: NDArray[np.uint8]) -> tuple[float, float]:
    """PSNR and SSIM after alignment, as RealBlur and the set of Köhler et al. are evaluated: always 100
    iterations of ECC, and the whole SSIM map.
    """
    from skimage.metrics import structural_similarity

    x, z = np.float32(gt / 255), restored / 255
    z = np.float32(z * (x * z).sum() / (z * z).sum())
    gray_x, gray_z = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (x, z))
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 0.0)
    warp: Any = np.eye(3, dtype=np.float32)
    try:
        _, warp = cv2.findTransformECC(gray_x, gray_z, warp, cv2.MOTION_HOMOGRAPHY, criteria, None, 5)
    except cv2.error:
        warp = np.eye(3, dtype=np.float32)
    size = gt.shape[1::-1]
    inverse = cv2.WARP_INVERSE_MAP
    z = cv2.warpPerspective(z, warp, size, flags=cv2.INTER_CUBIC | inverse, borderMode=cv2.BORDER_REFLECT)
    valid = cv2.warpPerspective(np.ones_like(x), warp, size, flags=cv2.INTER_NEAREST | inverse)
    x, z = np.float64(x * valid), np.float64(z * valid)
    psnr = 10 * np.log10(1 / (((x - z) ** 2).sum() / valid.sum(dtype=np.float64)))
    _, ssim = structural_similarity(
        x,
        z,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=2,
        full=True,
    )
    inside = np.s_[5:-5, 5:-5]
    ssim = (ssim * valid)[inside].sum((0, 1)) / valid[inside].sum((0, 1), dtype=np.float64)
    return float(psnr), float(ssim.mean())
