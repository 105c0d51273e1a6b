"""Gaussian pyramids against their definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.transform import pyramid_gaussian

from basicsr.layers.pyramid import gaussian_pyramid


@pytest.mark.parametrize("size", [(16, 24), (12, 8), (4, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_pyramid_of_skimage(size: tuple[int, int], dtype: torch.dtype):
    """skimage resizes in double precision; each value here is a sum of 64 products."""
    image = torch.rand(2, 3, *size, dtype=dtype, generator=torch.Generator().manual_seed(0))
    levels = gaussian_pyramid(image, 3)
    for number in range(2):
        pages = pyramid_gaussian(image[number].double().numpy(), max_layer=2, channel_axis=0)
        for level, page in zip(levels, pages, strict=True):
            assert level.dtype == dtype
            assert np.abs(level[number].double().numpy() - page).max() < 200 * torch.finfo(dtype).eps


def test_constant_images_stay_and_the_first_level_is_the_image():
    image = torch.full((1, 1, 8, 8), 0.3, dtype=torch.float64)
    levels = gaussian_pyramid(image, 4)
    assert levels[0] is image
    assert [level.shape[-1] for level in levels] == [8, 4, 2, 1]
    for level in levels:
        torch.testing.assert_close(level, torch.full_like(level, 0.3))
