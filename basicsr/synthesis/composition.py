"""Blur in linear light, each region of a photo with a kernel of its own.

With an image u, masks M_i, kernels k_i and * the convolution, the published model is (Carbajal et al.,
"Rethinking Motion Deblurring Training", arXiv 2209.12675)

    m_i = (k_i * M_i) / (sum_j k_j * M_j),    B = sum_i m_i (k_i * u),

where layer 0 is the background, M_0 = 1 outside of all objects. In it the colours of objects and background
run into each other, as every kernel blurs the whole photo, and nothing is seen of what an object uncovers.

``behind`` has what stands behind the objects instead: each layer brings along its own light only,

    m_i = (k_i * M_i) / max(1, sum_(j >= 1) k_j * M_j) for objects,    m_0 = 1 - sum_(i >= 1) m_i,
    B = m_0 (k_0 * u_0) + sum_(i >= 1) m_i (k_i * M_i u) / (k_i * M_i),

with u_0 the photo without objects, see `complete_background`.

Convolutions are by FFT in float32, and only what needs no border is kept: of (H, W) with kernels of size K
(H - K + 1, W - K + 1). An object costs the box that it can reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

_LEAST = 1e-6
# Of an outline drawn by hand or by a network, so many pixels outside may still show the object.
_OUTLINE = 2


def blur_regions(image: Tensor, objects: Tensor, kernels: Tensor, behind: bool) -> Tensor:
    """Blur a photo whose objects move apart.

    Args:
        image: float (C, H, W), linear light.
        objects: bool (M, H, W); they may overlap unless ``behind``. M may be 0, an object may be empty.
        kernels: float (M + 1, K, K) with odd K, that of the background first.
        behind: what is behind moving objects shows through; False is the published model.

    Returns:
        (C, H - K + 1, W - K + 1), on the device of ``image``.
    """
    if len(objects) == 0:
        return convolve_valid(image, kernels[0])
    light = image.new_zeros(_valid_shape(image, kernels))
    cover = torch.zeros_like(light[0])
    for window, color, alpha in _layers(image, objects, kernels, behind):
        place = light[(slice(None), *window)]
        if behind:
            place += color
        else:
            place.addcmul_(color, alpha)
        cover[window] += alpha
    if not behind:
        return light.div_(cover.add_(_LEAST))
    background = convolve_valid(complete_background(image, _union(objects)), kernels[0])
    excess = cover.clamp(min=1)
    return light.div_(excess).addcmul_(background, 1 - cover.div_(excess))


def soft_masks(objects: Tensor, kernels: Tensor, behind: bool) -> Tensor:
    """The m_i of `blur_regions`, (M + 1, H - K + 1, W - K + 1): they sum to 1."""
    nothing = objects.new_zeros((0, *objects.shape[1:]), dtype=kernels.dtype)
    masks = kernels.new_zeros(len(kernels), *_valid_shape(objects, kernels)[1:])
    layers = _layers(nothing, objects, kernels, behind)
    for number, (window, _, alpha) in enumerate(layers, start=1 if behind else 0):
        masks[(number, *window)] = alpha
    if not behind:
        return masks / (masks.sum(0) + _LEAST)
    masks /= masks.sum(0).clamp(min=1)
    masks[0] = 1 - masks.sum(0)
    return masks


def convolve_valid(planes: Tensor, kernel: Tensor) -> Tensor:
    """(C, H, W) * (K, K) -> (C, H - K + 1, W - K + 1)."""
    count, height, width = planes.shape
    margin = kernel.shape[-1] - 1
    # What a cyclic convolution wraps around ends in the first rows and columns, which are not kept.
    size = _fast_length(height), _fast_length(width)
    factor = torch.fft.fft(torch.fft.rfft(kernel, n=size[1]), n=size[0], dim=0)
    result = planes.new_empty(count, height - margin, width - margin)
    if count == 0:  # of nothing, some versions of PyTorch have no transform
        return result
    at_once = 1 if planes.device.type == "cpu" else max(1, count)  # one by one they stay in the cache
    for some, place in zip(planes.split(at_once), result.split(at_once), strict=True):
        spectrum = torch.fft.rfft2(some, s=size).mul_(factor)
        rows = torch.fft.ifft(spectrum, dim=-2)[:, margin:height]
        place.copy_(torch.fft.irfft(rows, n=size[1])[..., margin:width])
    return result


def complete_background(image: Tensor, hole: Tensor) -> Tensor:
    """Fill a hole with means of what is around it, smoother the deeper inside (push-pull interpolation).

    Args:
        image: (C, H, W).
        hole: bool (H, W); pixels beside it are not trusted either, but stay.
    """
    known = 1 - _widened(hole)[None].to(image.dtype)
    return torch.where(hole, _around(image * known, known), image)


def _around(light: Tensor, known: Tensor) -> Tensor:
    """Means of neighbourhoods; what is not known in them is taken from larger ones.

    Args:
        light: (C, H, W), weighted with ``known``.
        known: (1, H, W) in 0..1.
    """
    if min(light.shape[-2:]) < 2:
        return (light.sum((1, 2), keepdim=True) / known.sum().clamp(min=_LEAST)).expand_as(light)
    coarse, weight = (avg_pool2d(planes[None], 2, ceil_mode=True)[0] for planes in (light, known))
    coarse = coarse + (1 - weight) * _around(coarse, weight)
    return interpolate(coarse[None], size=light.shape[-2:], mode="bilinear", align_corners=False)[0]


def _layers(
    image: Tensor, objects: Tensor, kernels: Tensor, behind: bool
) -> Iterator[tuple[tuple[slice, slice], Tensor, Tensor]]:
    """Blurred colour (C, h, w) and mask (h, w) of each layer that has a mask, and their place in the result.

    The colour is that of the photo, or with ``behind`` that of the object alone, times its mask. The
    background has a mask unless ``behind``.
    """
    masks = objects if behind else torch.cat([~_union(objects)[None], objects])
    for mask, kernel in zip(masks, kernels[len(kernels) - len(masks) :], strict=True):
        cut = _empty_rings(kernel)
        tight = _inside(kernel, cut)
        read, window = _reach(_inside(mask, cut), len(tight) - 1)
        own = _inside(mask, cut)[read].to(image.dtype)
        color = _inside(image, cut)[(slice(None), *read)]
        alpha = convolve_valid(own[None], tight)[0].clamp_(min=0)
        yield window, convolve_valid(color * own if behind else color, tight), alpha


def _empty_rings(kernel: Tensor) -> int:
    """How many rows and columns of zeros surround the rest of a kernel on all sides."""
    radius = len(kernel) // 2
    return radius - int((kernel.nonzero() - radius).abs().max())


def _inside(planes: Tensor, cut: int) -> Tensor:
    """(.., H, W) without ``cut`` rows and columns on each side, a view."""
    height, width = planes.shape[-2:]
    return planes[..., cut : height - cut, cut : width - cut]


def _reach(mask: Tensor, margin: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where in the result a mask can have an effect, and what of the photo that takes: (photo, result)."""
    read, window = [], []
    for axis, length in enumerate(mask.shape):
        used = mask.view(torch.uint8).amax(1 - axis).nonzero()
        first, last = (int(used[0]), int(used[-1])) if len(used) else (0, 0)
        begin, end = max(0, first - margin), min(length - margin, last + 1)
        begin = min(begin, end - 1)
        window.append(slice(begin, end))
        read.append(slice(begin, end + margin))
    return (read[0], read[1]), (window[0], window[1])


def _widened(hole: Tensor) -> Tensor:
    """Bool (H, W), a square larger on all sides by `_OUTLINE` pixels; many times faster than pooling."""
    wide = pad(hole, [_OUTLINE] * 4)
    for axis, length in enumerate(hole.shape):
        shifts = [wide.narrow(axis, shift, length) for shift in range(2 * _OUTLINE + 1)]
        wide = reduce(torch.logical_or, shifts)
    return wide


def _union(objects: Tensor) -> Tensor:
    """Bool (M, H, W) -> (H, W); on bytes, as PyTorch is slow at reducing booleans."""
    return objects.view(torch.uint8).amax(0).view(torch.bool)


def _valid_shape(planes: Tensor, kernels: Tensor) -> tuple[int, int, int]:
    margin = kernels.shape[-1] - 1
    return planes.shape[0], planes.shape[1] - margin, planes.shape[2] - margin


def _fast_length(length: int) -> int:
    """The next product of powers of 2, 3 and 5, for which Fourier transforms are fast."""
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1
