"""From a sharp photo to a pair: the camera's steps in their physical order, and draws that are records."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

from basicsr.synthesis import PRESETS, Draw, Preset, choose_instances, choose_regions, draw_pair, make_pair
from basicsr.synthesis.camera import Response, add_noise, add_spikes, jpeg, raise_highlights
from basicsr.synthesis.draw import Motion

SIZE = 9


def still() -> torch.Tensor:
    kernel = torch.zeros(1, SIZE, SIZE)
    kernel[0, SIZE // 2, SIZE // 2] = 1
    return kernel


def plain(**changes: object) -> Draw:
    """No motion, no noise, nothing else."""
    draw = Draw(
        motions=(Motion(kind="file"),),
        behind=False,
        response=Response(),
        illumination=1.0,
        highlight_gain=1.0,
        spikes=0,
        brightest_spike=0.0,
        full_well=None,
        read_noise=0.0,
        jpeg=None,
        seed=0,
    )
    return msgspec.structs.replace(draw, **changes)


@pytest.fixture
def sharp() -> torch.Tensor:
    levels = np.random.default_rng(0).integers(0, 256, (3, 40, 50))
    return torch.from_numpy(levels.astype(np.float32) / 255)


@pytest.mark.parametrize("response", [Response(), Response("gamma", 1.0), Response("exponential", 7.0)])
def test_without_motion_and_augmentation_both_sides_are_the_cropped_photo(sharp, response: Response):
    nothing = torch.zeros(0, 40, 50, dtype=torch.bool)
    lq, gt = make_pair(sharp, nothing, still(), plain(response=response))
    expected = (sharp[:, 4:-4, 4:-4] * 255).round().to(torch.uint8)
    assert torch.equal(gt, expected)
    assert torch.equal(lq, expected)


@pytest.mark.parametrize("response", [Response("gamma", 2.2), Response("exponential", 5.0)])
def test_responses_are_inverted(response: Response):
    values = torch.arange(255) / 255  # white is a limit of the exponential response
    torch.testing.assert_close(response.to_image(response.to_light(values)), values, atol=1e-5, rtol=0)
    assert response.to_image(torch.tensor([-1.0, 100.0])).tolist() == pytest.approx([0, 1])


def test_the_exponential_response_is_not_corrected_again():
    light = torch.tensor([0.1, 0.5])
    assert Response("exponential", 7.0).to_image(light).tolist() == pytest.approx(
        [1 - np.exp(-0.7), 1 - np.exp(-3.5)]
    )


def test_blur_adds_up_light_not_values():
    """Half black, half white under a wide even kernel: the edge has half the light, 0.5 ** (1 / 2.2)."""
    sharp = torch.zeros(3, 40, 50)
    sharp[..., 25:] = 1
    line = torch.zeros(1, SIZE, SIZE)
    line[0, SIZE // 2] = 1 / SIZE
    lq, _ = make_pair(sharp, torch.zeros(0, 40, 50, dtype=torch.bool), line, plain())
    row = (lq[0, 10] / 255) ** 2.2
    expected = torch.cat([torch.zeros(17), torch.arange(1, 9) / 9, torch.ones(17)])
    torch.testing.assert_close(row, expected, atol=4e-3, rtol=0)


def test_illumination_brightens_both_sides_and_clips(sharp):
    nothing = torch.zeros(0, 40, 50, dtype=torch.bool)
    lq, gt = make_pair(sharp, nothing, still(), plain(illumination=2.0))
    expected = (2 * sharp**2.2).clamp(max=1) ** (1 / 2.2)
    torch.testing.assert_close(gt / 255, expected[:, 4:-4, 4:-4], atol=0.0021, rtol=0)
    assert (lq.int() - gt.int()).abs().max() <= 1


def test_noise_has_the_variance_of_electrons_and_spares_the_target(sharp):
    """Shot noise: variance = mean; read noise adds its own."""
    light = torch.full((3, 200, 200), 0.25)
    noisy = add_noise(light, 1000.0, 5.0, torch.Generator().manual_seed(0))
    electrons = noisy * 1000
    assert electrons.mean().item() == pytest.approx(250, abs=0.2)
    assert electrons.var().item() == pytest.approx(250 + 25, rel=0.02)
    nothing = torch.zeros(0, 40, 50, dtype=torch.bool)
    _, clean = make_pair(sharp, nothing, still(), plain())
    lq, gt = make_pair(sharp, nothing, still(), plain(full_well=500.0))
    assert torch.equal(gt, clean) and not torch.equal(lq, clean)
    assert torch.equal(lq, make_pair(sharp, nothing, still(), plain(full_well=500.0))[0])
    assert not torch.equal(lq, make_pair(sharp, nothing, still(), plain(full_well=500.0, seed=1))[0])


def test_light_above_the_full_well_is_lost_before_noise():
    light = torch.full((3, 100, 100), 3.0)
    noisy = add_noise(light, 1000.0, 0.0, torch.Generator().manual_seed(0))
    assert noisy.max() == 1
    assert (1 - noisy).max() < 6 / 1000**0.5, "the noise of 1000 electrons, not of 3000"


def test_jpeg_only_touches_the_blurred_side(sharp):
    nothing = torch.zeros(0, 40, 50, dtype=torch.bool)
    lq, gt = make_pair(sharp, nothing, still(), plain(jpeg=60))
    assert torch.equal(gt, make_pair(sharp, nothing, still(), plain())[1])
    assert torch.equal(lq, jpeg(gt, 60)) and not torch.equal(lq, gt)
    red = torch.zeros(3, 16, 16, dtype=torch.uint8)
    red[0] = 255
    assert jpeg(red, 95)[0].min() > 240, "channels keep their order"


def test_white_areas_are_raised_and_their_shape_is_kept():
    image = torch.full((3, 60, 60), 0.5)
    image[:, 20:40, 20:40] = 1
    image[0, 5:9, 5:9] = 1
    raised = raise_highlights(image, image, 4.0)
    assert raised[:, 23:37, 23:37].eq(4).all()
    assert torch.equal(raised[:, :17], image[:, :17]), "a single saturated channel is no highlight"
    few = torch.full((3, 60, 60), 0.5)
    few[:, 0, :3] = 1
    assert torch.equal(raise_highlights(few, few, 4.0), few)


@pytest.mark.parametrize(("white", "enough"), [(9, False), (10, True)])
def test_highlights_are_raised_from_one_white_pixel_in_1000_on(white: int, enough: bool):
    image = torch.full((3, 100, 100), 0.5)
    image[:, 50, 40 : 40 + white] = 1
    assert (not torch.equal(raise_highlights(image, image, 4.0), image)) == enough
    assert raise_highlights(image, image, 1.0) is image


def test_a_raised_area_has_no_holes_of_a_pixel_and_soft_edges():
    """Twice the mean over three pixels: 1, 3, 6 and 8 ninths of the gain across an edge."""
    image = torch.ones(3, 30, 40)
    image[..., :20] = 0.5
    image[:, 15, 30] = 0.5
    factor = raise_highlights(image, image, 4.0) / image
    expected = torch.ones(40)
    expected[18:22] = 1 + 3 * torch.tensor([1, 3, 6, 8]) / 9
    expected[22:] = 4
    torch.testing.assert_close(factor[:, 2:-2, 2:-2], expected[2:-2].expand(3, 26, 36))


def test_spikes_are_up_to_7_by_9_pixels_around_centers_inside_of_the_margin():
    boxes, tops, lefts, added = set(), set(), set(), []
    for seed in range(400):
        spiked = add_spikes(torch.zeros(3, 30, 26), 1, 4.0, 10, np.random.default_rng(seed))
        rows, columns = (spiked[0] > 0).any(1).nonzero(), (spiked[0] > 0).any(0).nonzero()
        boxes.add((len(rows), len(columns)))
        tops.add(float(rows.float().mean()))
        lefts.add(float(columns.float().mean()))
        added.append(float(spiked.max()))
        assert torch.equal(spiked > 0, (spiked == spiked.max()) & (spiked > 0))
    assert boxes == {(height, width) for height in (1, 3, 5, 7) for width in (1, 3, 5, 7, 9)}
    assert tops == set(range(10, 20)) and lefts == set(range(10, 16))
    assert 0 <= min(added) < 0.1 and 3.9 < max(added) <= 4


def test_spikes_at_a_border_are_cut_off_there():
    spiked = [add_spikes(torch.zeros(1, 2, 2), 1, 1.0, 0, np.random.default_rng(seed)) for seed in range(20)]
    assert any((image > 0).all() for image in spiked)


def test_white_has_a_light_also_in_the_exponential_response():
    """-ln(1e-9) = 20.7, divided by the factor."""
    for factor in (1.0, 7.0):
        white = Response("exponential", factor).to_light(torch.ones(1)).item()
        assert white == pytest.approx(20.7 / factor, rel=2e-3)


def test_spikes_become_streaks_and_leave_the_input_alone():
    dark = torch.zeros(3, 80, 80)
    spiked = add_spikes(dark, 5, 4.0, 10, np.random.default_rng(0))
    assert dark.max() == 0
    assert 0 < spiked.max() <= 20 and torch.equal(spiked[0], spiked[2])
    assert 5 <= (spiked[0] > 0).sum() <= 5 * 7 * 9
    assert spiked[:, :7].sum() == spiked[:, -7:].sum() == 0


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_draw_is_a_record_from_which_the_pair_can_be_made_again(sharp, name):
    rules = msgspec.structs.replace(PRESETS[name], kernel_size=SIZE, focal_length=50.0, object_extent=(0, 2))
    objects = torch.zeros(1, 40, 50, dtype=torch.bool)
    objects[0, 10:30, 10:30] = True
    draw, kernels = draw_pair(rules, [3], np.random.default_rng(0))
    again, same = draw_pair(rules, [3], np.random.default_rng(0))
    assert draw == again and np.array_equal(kernels, same)
    assert msgspec.json.decode(msgspec.json.encode(draw), type=Draw) == draw
    pair = make_pair(sharp, objects, torch.from_numpy(kernels).float(), draw)
    assert [tuple(side.shape) for side in pair] == [(3, 32, 42)] * 2
    assert all(side.dtype == torch.uint8 for side in pair)
    assert not torch.equal(*pair)


def test_regions_are_chosen_by_area_and_leave_background():
    labels = np.zeros((100, 100), np.int32)
    labels[:60], labels[60:80, :50], labels[60:80, 50:], labels[99, :5] = 1, 2, 5, 9
    rules = Preset(objects=(3, 3), min_object_area=100, max_object_share=0.5)
    for seed in range(20):
        assert sorted(choose_regions(labels, rules, np.random.default_rng(seed))) == [2, 5]
    narrow = Preset(objects=(3, 3), min_object_area=100, max_object_share=0.15)
    chosen = {tuple(choose_regions(labels, narrow, np.random.default_rng(seed))) for seed in range(20)}
    assert chosen == {(2,), (5,)}, "together they would take more than the share"


def test_a_region_may_have_just_the_least_area_and_take_just_the_whole_share():
    labels = np.zeros((10, 10), np.int32)
    labels[:2] = 3
    for area, share, chosen in ((20, 0.2, [3]), (21, 0.2, []), (20, 0.19, []), (0, 1.0, [3])):
        rules = Preset(objects=(2, 2), min_object_area=area, max_object_share=share)
        assert choose_regions(labels, rules, np.random.default_rng(0)) == chosen
    assert choose_regions(labels, Preset(objects=(0, 0), min_object_area=1), np.random.default_rng(0)) == []
    counts = Preset(objects=(0, 2), min_object_area=1)
    labels[5:] = 7
    numbers = {len(choose_regions(labels, counts, np.random.default_rng(seed))) for seed in range(30)}
    assert numbers == {0, 1, 2}


def test_instances_are_chosen_as_published():
    """Score above the threshold, area above the least, the surest first."""
    areas, scores = np.array([5000, 4000, 9000, 9000, 9000]), np.array([0.95, 0.99, 0.9, 0.91, 0.99])
    rules = PRESETS["sbdd"]
    assert choose_instances(areas, scores, rules, np.random.default_rng(0)) == [4, 0, 3]
    two = rules.adapted(max_objects=2)
    assert choose_instances(areas, scores, two, np.random.default_rng(0)) == [4, 0]
