"""Blur as a sensor produces it: by adding up linear light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.synthesis.kernels import Kernel


def blur_image(image: NDArray[np.float64], kernel: Kernel, gamma: float = 2.2) -> NDArray[np.float64]:
    """Convolve an image with a point spread function in linear light; the border is reflected.

    Args:
        image: (H, W, C) in [0, 1], gamma-encoded.
        kernel: (k, k) with odd k and sum 1.
        gamma: of the encoding; linear light = image ** gamma. 1 blurs the values directly.

    Returns:
        (H, W, C) in [0, 1], gamma-encoded.
    """
    linear = np.clip(image, 0, 1) ** gamma
    # filter2D correlates; a convolution is a correlation with the kernel rotated by 180 degrees.
    blurred = cv2.filter2D(linear, cv2.CV_64F, kernel[::-1, ::-1].copy(), borderType=cv2.BORDER_REFLECT_101)
    return np.power(np.clip(blurred, 0, 1), 1 / gamma, dtype=np.float64)
