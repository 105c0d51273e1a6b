"""Regions with kernels of their own: shares sum to 1, light is kept, and it is the published formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import next_fast_len
from scipy.signal import fftconvolve
from torch import Tensor

from basicsr.synthesis import camera_shake
from basicsr.synthesis.composition import (
    _fast_length,
    blur_regions,
    complete_background,
    convolve_valid,
    soft_masks,
)

SIZE = 15
BOTH = pytest.mark.parametrize("behind", [False, True])


@pytest.fixture
def image() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((3, 60, 71), np.float32))


@pytest.fixture
def objects() -> Tensor:
    """A disc, a stripe that touches it, and a corner of the photo."""
    y, x = np.mgrid[:60, :71]
    labels = np.zeros((60, 71), int)
    labels[(y - 28) ** 2 + (x - 30) ** 2 < 144] = 1
    labels[20:40, 42:50] = 2
    labels[:9, :12] = 3
    return torch.from_numpy(labels == np.arange(1, 4)[:, None, None])


@pytest.fixture
def kernels() -> Tensor:
    return shakes(4)


def shakes(count: int) -> Tensor:
    generator = np.random.default_rng(1)
    made = [camera_shake(generator, 0.3, focal_length=150.0, size=SIZE) for _ in range(count)]
    return torch.from_numpy(np.stack(made)).float()


def impulse() -> Tensor:
    kernel = torch.zeros(SIZE, SIZE)
    kernel[SIZE // 2, SIZE // 2] = 1
    return kernel


def inner(image: Tensor) -> Tensor:
    radius = SIZE // 2
    return image[..., radius:-radius, radius:-radius]


@BOTH
def test_soft_masks_sum_to_one(objects, kernels, behind: bool):
    masks = soft_masks(objects, kernels, behind)
    assert masks.shape == (4, 60 - SIZE + 1, 71 - SIZE + 1)
    torch.testing.assert_close(masks.sum(0), torch.ones_like(masks[0]), atol=1e-5, rtol=0)
    assert masks.min() > -1e-5 and masks.max() < 1 + 1e-5
    shares = ((masks > 0.05) & (masks < 0.95)).float().mean((1, 2))
    assert (shares > 0.01).all(), "each is soft somewhere"


@BOTH
def test_still_regions_leave_the_photo_as_it_is(image, objects, behind: bool):
    still = impulse().expand(4, -1, -1)
    torch.testing.assert_close(blur_regions(image, objects, still, behind), inner(image), atol=1e-5, rtol=0)


@BOTH
def test_an_even_surface_stays_even_whatever_moves(objects, kernels, behind: bool):
    gray = torch.full((3, 60, 71), 0.3)
    blurred = blur_regions(gray, objects, kernels, behind)
    torch.testing.assert_close(blurred, inner(gray), atol=1e-5, rtol=0)


@BOTH
def test_regions_that_move_alike_are_one_convolution(image, objects, behind: bool):
    kernel = shakes(1)
    blurred = blur_regions(image, objects, kernel.expand(4, -1, -1), behind)
    whole = blur_regions(image, objects[:0], kernel, behind)
    # with what is behind, edges of objects show a little of it, even when nothing moves against it
    far = 1 - soft_masks(objects, kernel.expand(4, -1, -1), behind).max(0).values < 1e-4
    assert 0.2 < far.float().mean() < 1
    torch.testing.assert_close(blurred[:, far], whole[:, far], atol=1e-4, rtol=0)
    if not behind:
        torch.testing.assert_close(blurred, whole, atol=1e-5, rtol=0)


def test_the_published_formula_word_for_word(image, objects, kernels):
    masks = np.stack([~objects.any(0).numpy(), *objects.numpy()]).astype(np.float64)
    turned = [(mask, kernel) for mask, kernel in zip(masks, kernels.double().numpy(), strict=True)]
    alpha = np.stack([fftconvolve(mask, kernel, "valid") for mask, kernel in turned])
    shares = alpha / (alpha.sum(0) + 1e-6)
    expected = np.stack(
        [
            sum(
                share * fftconvolve(channel, kernel, "valid")
                for share, kernel in zip(shares, kernels.double().numpy(), strict=True)
            )
            for channel in image.double().numpy()
        ]
    )
    np.testing.assert_allclose(blur_regions(image, objects, kernels, False), expected, atol=1e-5)
    np.testing.assert_allclose(soft_masks(objects, kernels, False), shares, atol=1e-5)


def test_overlapping_objects_share_their_pixels_as_published():
    """Two still objects on one place: half each, as the masks are only normalized."""
    objects = torch.zeros(2, 40, 40, dtype=torch.bool)
    objects[:, 10:30, 10:30] = True
    masks = soft_masks(objects, impulse().expand(3, -1, -1), behind=False)
    assert masks[1:, 13, 13].tolist() == pytest.approx([0.5, 0.5], abs=1e-5)


def test_light_is_kept():
    """A lamp away from borders: its light is all there after the blur, whichever region it is in."""
    kernels = shakes(2)
    for row in (18, 52):
        lamp = torch.zeros(3, 70, 60)
        lamp[:, row, 30] = 5
        objects = torch.zeros(1, 70, 60, dtype=torch.bool)
        objects[0, 35:] = True
        for behind in (False, True):
            blurred = blur_regions(lamp, objects, kernels, behind)
            window = blurred[0, row - 14 : row + 1, 16:31]
            assert window.sum().item() == pytest.approx(5, rel=1e-4)
            torch.testing.assert_close(window, 5 * kernels[row // 35], atol=1e-3, rtol=0)


def test_colors_of_objects_do_not_bleed_into_a_still_background():
    """A red disc moves over a still blue wall; the published model hides too much or too little of it."""
    y, x = torch.meshgrid(torch.arange(60), torch.arange(60), indexing="ij")
    disc = (y - 30) ** 2 + (x - 30) ** 2 < 100
    image = torch.zeros(3, 60, 60)
    image[0, disc], image[2, ~disc] = 1, 1
    line = torch.zeros(SIZE, SIZE)
    line[SIZE // 2] = 1 / SIZE
    kernels = torch.stack([impulse(), line])
    blurred = blur_regions(image, disc[None], kernels, behind=True)
    share = soft_masks(disc[None], kernels, behind=True)[1]
    torch.testing.assert_close(blurred[0], share, atol=1e-5, rtol=0), "red is the object's share"
    torch.testing.assert_close(blurred[2], 1 - share, atol=1e-5, rtol=0), "the rest is wall"
    published = blur_regions(image, disc[None], kernels, behind=False)
    assert (published[0] - share).abs().max() > 0.2


def test_a_moving_edge_is_half_object_half_background():
    """Where the edge was in the middle of the exposure, each was seen half of the time."""
    objects = torch.zeros(1, 50, 80, dtype=torch.bool)
    objects[0, :, 40:] = True
    line = torch.zeros(SIZE, SIZE)
    line[SIZE // 2] = 1 / SIZE
    share = soft_masks(objects, torch.stack([impulse(), line]), behind=True)[1, 20]
    edge = 40 - SIZE // 2
    assert (share[edge - 1] + share[edge]).item() / 2 == pytest.approx(0.5, abs=1e-5)
    assert share[: edge - 8].max() < 1e-5 and share[edge + 8 :].min() > 1 - 1e-5


def test_convolution_is_valid_and_not_turned():
    plane = torch.rand(2, 33, 47, generator=torch.Generator().manual_seed(0))
    kernel = torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    expected = [fftconvolve(channel, kernel.numpy(), "valid") for channel in plane.numpy()]
    np.testing.assert_allclose(convolve_valid(plane, kernel), expected, rtol=1e-4)


def test_holes_are_filled_from_their_surroundings():
    """Pixels outside stay; inside, values lie between those around, and a plain wall stays plain."""
    hole = torch.zeros(40, 50, dtype=torch.bool)
    hole[10:30, 15:35] = True
    image = torch.linspace(0.2, 0.8, 50).expand(3, 40, 50).clone()
    marked = torch.where(hole, torch.tensor(9.0), image)
    filled = complete_background(marked, hole)
    assert torch.equal(filled[:, ~hole], image[:, ~hole])
    assert filled.min() >= 0.2 and filled.max() <= 0.8
    assert (filled[:, 20, 15] < filled[:, 20, 34]).all()
    wall = torch.where(hole, torch.tensor(9.0), torch.full((3, 40, 50), 0.4))
    torch.testing.assert_close(complete_background(wall, hole), torch.full((3, 40, 50), 0.4))


@pytest.mark.parametrize(("rim", "stays_out"), [(2, True), (3, False)])
def test_two_pixels_beside_a_hole_are_not_trusted(rim: int, stays_out: bool):
    """Outlines are rarely drawn to the pixel: the object still shows beside them."""
    hole = torch.zeros(40, 50, dtype=torch.bool)
    hole[10:30, 15:35] = True
    image = torch.full((3, 40, 50), 0.4)
    image[:, 10 - rim : 30 + rim, 15 - rim : 35 + rim] = 9.0
    filled = complete_background(image, hole)
    assert (filled[:, hole].max() < 0.41) == stays_out
    assert torch.equal(filled[:, ~hole], image[:, ~hole]), "but stay"


def test_transforms_have_the_next_length_that_is_fast():
    """A product of 2, 3 and 5, as SciPy has it for real input."""
    for length in range(1, 300):
        assert _fast_length(length) == next_fast_len(length, real=True)


def test_empty_objects_change_nothing(image, objects, kernels):
    nothing = torch.zeros(1, 60, 71, dtype=torch.bool)
    for behind in (False, True):
        without = blur_regions(image, objects, kernels, behind)
        more = torch.cat([objects, nothing]), torch.cat([kernels, kernels[:1]])
        torch.testing.assert_close(blur_regions(image, *more, behind), without)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA is not available")
@BOTH
def test_a_gpu_gives_the_same(image, objects, kernels, behind: bool):
    on_gpu = blur_regions(image.cuda(), objects.cuda(), kernels.cuda(), behind)
    torch.testing.assert_close(on_gpu.cpu(), blur_regions(image, objects, kernels, behind))
