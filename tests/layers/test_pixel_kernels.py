"""Filtering with a kernel for each pixel, against sums that are written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from basicsr.layers.pixel_kernels import filter_with_pixel_kernels


def unfolded(image: Tensor, kernels: Tensor, dilation: int) -> Tensor:
    """The same of an unfolded image."""
    size = round(kernels.shape[2] ** 0.5)
    patches = functional.unfold(image, size, dilation, padding=dilation * (size // 2))
    return (patches.view(kernels.shape) * kernels).sum(2)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_sums_of_an_unfolded_image(size: int):
    image, kernels = random(2, 3, 7, 9), random(2, 3, size**2, 7, 9, seed=1)
    results = filter_with_pixel_kernels(image, kernels, (1, 3, 6))
    for result, dilation in zip(results, (1, 3, 6), strict=True):
        torch.testing.assert_close(result, unfolded(image, kernels, dilation))


def test_one_kernel_for_all_pixels_is_a_convolution():
    """Of each channel with its own; rows come before columns, and nothing is mirrored."""
    image, weight = random(1, 2, 6, 5), random(2, 1, 3, 3, seed=1)
    kernels = weight.view(1, 2, 9, 1, 1).expand(1, 2, 9, 6, 5)
    (result,) = filter_with_pixel_kernels(image, kernels, (2,))
    expected = functional.conv2d(image, weight, padding=2, dilation=2, groups=2)
    torch.testing.assert_close(result, expected)


def test_a_one_in_the_middle_changes_nothing():
    image = torch.rand(1, 3, 4, 5)
    kernels = torch.zeros(1, 3, 9, 4, 5)
    kernels[:, :, 4] = 1
    assert all(torch.equal(each, image) for each in filter_with_pixel_kernels(image, kernels, (1, 2, 3, 4)))


def test_gradients_are_exact_once_and_twice():
    image, kernels = random(1, 1, 3, 4).requires_grad_(), random(1, 1, 9, 3, 4, seed=1).requires_grad_()

    def apply(image: Tensor, kernels: Tensor) -> tuple[Tensor, ...]:
        return filter_with_pixel_kernels(image, kernels, (1, 3))

    assert torch.autograd.gradcheck(apply, (image, kernels))
    assert torch.autograd.gradgradcheck(apply, (image, kernels))


def test_training_keeps_the_image_and_the_kernels_alone():
    image, kernels = (
        torch.rand(1, 3, 16, 16, requires_grad=True),
        torch.rand(1, 3, 9, 16, 16, requires_grad=True),
    )
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda x: x):
        filter_with_pixel_kernels(image, kernels, (1, 2, 3, 4))
    assert {tensor.data_ptr() for tensor in kept} == {image.data_ptr(), kernels.data_ptr()}
