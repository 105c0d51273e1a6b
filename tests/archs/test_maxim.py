"""MAXIM: its published size and numbers, what mixes what, and its stages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from basicsr.archs.base import adopt_facts, build_network
from basicsr.archs.maxim import MAXIM, Resized, shrink
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.layers.multi_axis import PositionMix, gelu, map_groups
from basicsr.layers.normalization import Normalization
from basicsr.layers.weights_facts import WeightsFacts
from basicsr.utils.fetchable import FETCHABLE

SMALL = {"width": 4, "num_blocks": 1, "num_bottlenecks": 1, "block_size": 2, "low_block_size": 2}


def random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(("num_stages", "million"), [(2, 14.1), (3, 22.2)])
def test_numbers_of_parameters_are_the_published_ones(num_stages: int, million: float):
    """As the paper has them; the layers of the coarse images of the last stage are 0.005 million."""
    with torch.device("meta"):
        net = MAXIM(num_stages=num_stages)
    assert abs(parameters(net) / 1e6 - million) < 0.1


@pytest.mark.slow
def test_published_numbers(shared):
    """What the published graph makes of crops of GoPro and of noise, with the fetched weights."""
    weights = FETCHABLE["maxim-deblurring"].path
    if not weights.is_file():
        pytest.skip(f"{weights} is not there; 'sam-deblur weights get maxim-deblurring' fetches it")
    net = rebuild_network(weights).net
    with np.load(shared / "teacher/maxim/parity.npz") as arrays:
        for number in range(3):
            x = torch.from_numpy(arrays[f"in_{number}"]).permute(2, 0, 1)[None]
            published = arrays[f"out_{number}"]
            with torch.no_grad():
                found = net(x)[0].permute(1, 2, 0).numpy()
            # Two orders of summation over some hundred layers in float32.
            assert np.abs(found - published).max() < 1e-5 * np.ptp(published)


def test_a_block_mixes_neighbors_and_a_grid_distant_pixels():
    """6 x 4 pixels: blocks of 2 x 2, or a grid that divides the image into 2 x 2 parts of 3 x 2."""
    x = random(1, 6, 4, 3)
    mix = PositionMix(2)
    neighbors = torch.stack([x[0, 2 + i, 2 + j] for i in range(2) for j in range(2)])
    distant = torch.stack([x[0, 1 + 3 * i, 1 + 2 * j] for i in range(2) for j in range(2)])
    for axis, pixels, of_first, of_last in (
        ("block", neighbors, (2, 2), (3, 3)),
        ("grid", distant, (1, 1), (4, 3)),
    ):
        expected = mix.dense.weight @ pixels + mix.dense.bias[:, None]
        mixed = map_groups(mix, x, axis, 2)[0]
        torch.testing.assert_close(mixed[of_first], expected[0])
        torch.testing.assert_close(mixed[of_last], expected[3])


def test_groups_are_worked_on_in_strips_alike(monkeypatch):
    """12 x 4 pixels in 6 rows of 2 groups, of which a strip takes one or four, or, with gradients, all."""
    mix, x, row_bytes = PositionMix(2), random(2, 12, 4, 3), 2 * 2 * 4 * 3 * 4
    for axis in ("block", "grid"):
        expected = map_groups(mix, x, axis, 2)
        for rows in (1, 4):
            counted: list[int] = []

            def work(part: Tensor, counted: list[int] = counted) -> Tensor:
                counted.append(len(part))
                return mix(part)

            monkeypatch.setattr(
                "basicsr.layers.multi_axis._CACHED_BYTES", -(-rows * row_bytes // torch.get_num_threads())
            )
            with torch.no_grad():
                torch.testing.assert_close(map_groups(work, x, axis, 2), expected)
            assert counted == {1: [4] * 6, 4: [16, 8]}[rows]


def test_activation_is_gelu_with_tanh():
    """Within the rounding of float32 at the largest value."""
    x = torch.linspace(-20, 20, 4001)
    with torch.no_grad():
        exact = nn.functional.gelu(x.double(), approximate="tanh")
        assert (gelu(x) - exact).abs().max() < 20 * 2**-23
    assert gelu(x.requires_grad_()).grad_fn is not None


@pytest.mark.parametrize("factor", [2, 4])
def test_shrinking_is_interpolation_without_aliasing(factor: int):
    x = random(2, 3, 8, 12)
    size = (8 // factor, 12 // factor)
    expected = nn.functional.interpolate(x, size, mode="bilinear", antialias=True)
    torch.testing.assert_close(shrink(x, factor), expected)


@pytest.mark.parametrize("levels_up", [-2, -1, 0, 1, 2])
def test_resized_features_are_those_of_the_resized_input(levels_up: int):
    """A projection of each pixel and a resizing whose weights sum to 1 commute."""
    resized, x = Resized(3, 5, levels_up), random(1, 8, 12, 3)
    size = [int(side * 2.0**levels_up) for side in (8, 12)]
    image = nn.functional.interpolate(x.permute(0, 3, 1, 2), size, mode="bilinear", antialias=True)
    torch.testing.assert_close(resized(x), resized.conv(image.permute(0, 2, 3, 1)))


def test_stages_are_images_of_three_scales():
    net = MAXIM(num_stages=2, **SMALL).eval()
    x = random(1, 3, 32, 48)
    stages = net.stages(x)
    shapes = [[tuple(image.shape[-2:]) for image in scales] for scales in stages["stage_scales"]]
    assert shapes == [[(32, 48), (16, 24), (8, 12)]] * 2
    torch.testing.assert_close(stages["restored"], stages["stage_scales"][-1][0])
    torch.testing.assert_close(stages["restored"], net(x))


@pytest.mark.parametrize("count", [1, 2])
def test_first_stages_restore_what_they_restored_among_others(count: int):
    net = MAXIM(num_stages=3, padding="edge", **SMALL).eval()
    net.normalization = Normalization((0.5, 0.4, 0.3), (0.5, 0.5, 0.5))
    x = random(1, 3, 16, 32)
    first = net.first_stages(count).eval()
    with torch.no_grad():
        assert torch.equal(first(x), net.stages(x)["stage_scales"][count - 1][0])
    assert first.block["num_stages"] == count and first.weights_facts() == WeightsFacts(padding="edge")
    assert first.normalization == net.normalization
    assert build_network(first.block).load_state_dict(first.state_dict())


def test_there_are_no_more_stages_than_those():
    net = MAXIM(num_stages=2, **SMALL)
    for count in (0, 2):
        with pytest.raises(ValueError, match=f"{count} stages: this network has 2; take fewer"):
            net.first_stages(count)


def test_images_of_stages_are_corrections_of_the_input():
    """With the last layers at zero each image is the input, of which coarse scales keep some pixels."""
    net = MAXIM(num_stages=2, **SMALL).eval()
    for name, parameter in net.named_parameters():
        if "to_image" in name or "outputs" in name:
            nn.init.zeros_(parameter)
    x = random(1, 3, 16, 16)
    for scales in net.stages(x)["stage_scales"]:
        assert torch.equal(scales[0], x)
        assert torch.equal(scales[1], x[..., 1::2, 1::2])
        assert torch.equal(scales[2], x[..., 2::4, 2::4])


def test_sizes_are_filled_up_by_reflection_on_all_sides():
    net = MAXIM(num_stages=1, **SMALL).eval()
    x = random(1, 3, 27, 13)
    padded = nn.functional.pad(x, (1, 2, 2, 3), mode="reflect")
    with torch.no_grad():
        torch.testing.assert_close(net(x), net(padded)[..., 2:29, 1:14])


@pytest.mark.parametrize("coarse_images", [True, False])
@pytest.mark.parametrize("num_stages", [1, 3])
def test_options_are_read_from_the_weights(num_stages: int, coarse_images: bool):
    options = {
        **{"img_channel": 3, "width": 8, "num_stages": num_stages, "num_blocks": 1, "num_bottlenecks": 2},
        **{"block_size": 4, "low_block_size": 2, "coarse_images": coarse_images},
    }
    assert MAXIM.recognize(MAXIM(**options).state_dict()) == options


def test_padding_belongs_to_the_weights():
    net = MAXIM(num_stages=1, **SMALL)
    assert net.weights_facts() == WeightsFacts(padding="reflect")
    adopt_facts(net, WeightsFacts(padding="edge"), [])
    assert net.size_rule.padding == "edge" and net.size_rule.centered
    adopt_facts(net, None, [])
    assert net.size_rule.padding == "reflect"
    forced = MAXIM(num_stages=1, padding="zeros", **SMALL)
    adopt_facts(forced, WeightsFacts(padding="edge"), [])
    assert forced.size_rule.padding == "zeros"


def test_widths_that_attention_cannot_divide_are_refused():
    with pytest.raises(ValueError, match="width 6: expected a multiple of 4"):
        MAXIM(width=6)
