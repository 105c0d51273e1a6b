"""Filtering an image with a different kernel for each pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


def filter_with_pixel_kernels(
    image: Tensor, kernels: Tensor, dilations: tuple[int, ...]
) -> tuple[Tensor, ...]:
    """Correlate each pixel's neighborhood with that pixel's kernel, once for each dilation.

    Neighbors outside the image are 0. Products are accumulated tap by tap on views of one padded image,
    forward and backward. An unfolded image would have k * k planes for each channel and dilation.

    Args:
        image: (B, C, H, W).
        kernels: (B, C, k * k, H, W), row by row; k is odd.
        dilations: distances of neighbors in pixels.

    Returns:
        (B, C, H, W) for each dilation.
    """
    return _PixelKernels.apply(image, kernels, dilations)


class _PixelKernels(torch.autograd.Function):
    @staticmethod
    def forward(image: Tensor, kernels: Tensor, dilations: tuple[int, ...]) -> tuple[Tensor, ...]:
        padded, size = _padded(image, kernels, dilations)
        results = []
        for dilation in dilations:
            result = torch.zeros_like(image)
            for tap, neighbors in enumerate(_shifted(padded, image, size, dilation)):
                result.addcmul_(kernels[:, :, tap], neighbors)
            results.append(result)
        return tuple(results)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        image, kernels, ctx.dilations = inputs
        ctx.save_for_backward(image, kernels)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        image, kernels = ctx.saved_tensors
        padded, size = _padded(image, kernels, ctx.dilations)
        of_padded = torch.zeros_like(padded) if ctx.needs_input_grad[0] else None
        of_kernels = torch.zeros_like(kernels) if ctx.needs_input_grad[1] else None
        for dilation, gradient in zip(ctx.dilations, gradients, strict=True):
            if of_padded is not None:
                for tap, neighbors in enumerate(_shifted(of_padded, image, size, dilation)):
                    neighbors.addcmul_(gradient, kernels[:, :, tap])
            if of_kernels is not None:
                for tap, neighbors in enumerate(_shifted(padded, image, size, dilation)):
                    of_kernels[:, :, tap].addcmul_(gradient, neighbors)
        if of_padded is None:
            return None, of_kernels, None
        reach = (padded.shape[-1] - image.shape[-1]) // 2
        return nn.functional.pad(of_padded, (-reach,) * 4), of_kernels, None


def _padded(image: Tensor, kernels: Tensor, dilations: tuple[int, ...]) -> tuple[Tensor, int]:
    """The image with zeros as far as the widest kernel reaches, and k."""
    size = round(kernels.shape[2] ** 0.5)
    return nn.functional.pad(image, (max(dilations) * (size // 2),) * 4), size


def _shifted(padded: Tensor, image: Tensor, size: int, dilation: int) -> Iterator[Tensor]:
    """Views of the size of the image: the neighbor at each tap of a kernel."""
    height, width = image.shape[-2:]
    first = (padded.shape[-1] - width) // 2 - dilation * (size // 2)
    for row in range(size):
        for column in range(size):
            top, left = first + dilation * row, first + dilation * column
            yield padded[..., top : top + height, left : left + width]
