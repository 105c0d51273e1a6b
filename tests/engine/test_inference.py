"""Windows cover the image, meet without seams, and change nothing where a network looks at single pixels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from basicsr.archs.base import RestorationNetwork
from basicsr.config.schema import ValOptions
from basicsr.engine.inference import Windows, image_means, windows_of
from basicsr.layers.map_unit import MapFeatures, MaskAveragePool
from basicsr.layers.padding import SizeRule
from basicsr.masks.pooling import region_means, region_sums, table_rows
from basicsr.models.base import run_whole
from basicsr.utils.registry import ARCHS, split_type


class Pixelwise(RestorationNetwork):
    """A network of pixels and labels that does not look around."""

    takes_labels = True

    largest_batch = 0

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        assert x.shape[-2:] == labels.shape[-2:]
        Pixelwise.largest_batch = max(self.largest_batch, len(x))
        return 2 * x + labels.unsqueeze(1)


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    window=st.integers(2, 20),
    overlap=st.integers(0, 8),
    batch=st.integers(1, 2),
    at_once=st.sampled_from([None, 1, 3]),
)
def test_windows_change_nothing_for_a_network_of_single_pixels(size, window, overlap, batch, at_once):
    x = torch.rand(batch, 3, *size)
    labels = torch.randint(0, 9, (batch, *size))
    apply = Windows(window, window, min(overlap, window - 1), at_once)
    torch.testing.assert_close(apply(Pixelwise(), (x, labels)), 2 * x + labels.unsqueeze(1))


def test_at_most_so_many_windows_at_once():
    net = Pixelwise()
    Pixelwise.largest_batch = 0
    Windows(4, 4, 0, 3)(net, (torch.rand(1, 3, 16, 16), torch.zeros(1, 16, 16)))
    assert Pixelwise.largest_batch == 3


@pytest.mark.parametrize(("most", "largest"), [(1, 2), (3, 2), (4, 4), (None, 32)])
def test_windows_of_all_images_of_a_batch_count(most: int | None, largest: int):
    """A window of a batch of two is two images, and at least one window is looked at."""
    net = Pixelwise()
    Pixelwise.largest_batch = 0
    Windows(4, 4, 0, most)(net, (torch.rand(2, 3, 16, 16), torch.zeros(2, 16, 16)))
    assert Pixelwise.largest_batch == largest


def test_windows_have_their_height_and_width_but_never_more_than_the_image():
    seen = []

    class Look(RestorationNetwork):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(tuple(x.shape))
            return 3 * x

    x = torch.rand(1, 3, 8, 20)
    # also where means of the whole image are asked for: a network without label maps has none
    torch.testing.assert_close(Windows(4, 5, 0, 1, whole_means=True)(Look(), (x,)), 3 * x)
    assert seen == [(1, 3, 4, 5)] * 8
    seen.clear()
    Windows(50, 10)(Look(), (x,))
    Windows(4, 50)(Look(), (x,))
    assert seen == [(2, 3, 8, 10), (2, 3, 4, 20)]


class Position(RestorationNetwork):
    """The column inside the window: shows which window a pixel came from."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.arange(x.shape[-1], dtype=torch.float32).expand_as(x)


def test_grids_average_what_they_share_as_published():
    """Windows of 6 on 10 columns start at 0 and 4; the two shared columns are plain means."""
    result = Windows(1, 6)(Position(), (torch.zeros(1, 1, 1, 10),))
    assert result[0, 0, 0].tolist() == [0, 1, 2, 3, (4 + 0) / 2, (5 + 1) / 2, 2, 3, 4, 5]


def test_tiles_are_blended_by_a_ramp():
    result = Windows(1, 6, 2)(Position(), (torch.zeros(1, 1, 1, 10),))
    assert result[0, 0, 0].tolist() == pytest.approx([0, 1, 2, 3, 4 * 2 / 3, 5 / 3 + 1 * 2 / 3, 2, 3, 4, 5])


class Frames(RestorationNetwork):
    """Three frames, each brighter than the one before."""

    gives = "clip"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x, 2 * x, 3 * x], 1)


@pytest.mark.parametrize("at_once", [None, 1, 3])
def test_clips_are_put_together_frame_by_frame(at_once: int | None):
    x = torch.rand(2, 3, 17, 22)
    clip = Windows(8, 9, 3, at_once)(Frames(), (x,))
    torch.testing.assert_close(clip, Frames()(x))


def test_options_choose_the_windows():
    assert windows_of(ValOptions()) is run_whole
    assert windows_of(ValOptions(tile=64, tile_overlap=8)) == Windows(64, 64, 8, 1, whole_means=True)
    grids = ValOptions(grids=True, crop_size_h=32, crop_size_w=48, max_minibatch=4)
    assert windows_of(grids) == Windows(32, 48, 0, 4)


NETWORKS = {
    "published strength": {"type": "SegNAFNet", "width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1]},
    "in front of another": {
        "type": "WithMAP",
        "net": {"type": "Baseline", "width": 4, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]},
    },
}


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("size", [(1100, 9), (511, 16), (1, 1), (513, 7)])
def test_means_from_strips_are_those_of_the_whole_image(options: dict, size: tuple[int, int]):
    """The network gives one and the same result with its own means and with those gathered strip by strip."""
    torch.manual_seed(0)
    name, rest = split_type(options)
    net = ARCHS.build(name, rest | {"mask_value": 1 / 255 if name == "SegNAFNet" else 1.0}).eval()
    x, labels = torch.rand(1, 3, *size), torch.randint(0, 4, (1, *size))
    means = image_means(
        net, lambda first, last: (x[..., first:last, :], labels[:, first:last]), *size, table_rows(labels)
    )
    with torch.no_grad():
        assert (net(x, labels, means) - net(x, labels)).abs().max() < 1e-4
        wrong = means + 1
        assert (net(x, labels, wrong) - net(x, labels)).abs().max() > 1e-3, "the means matter"


def test_a_tile_knows_the_regions_of_the_whole_image():
    """With means of the whole image, a tile pools what the image pools; without them it does not."""
    torch.manual_seed(0)
    net = MapProbe()
    x, labels = torch.rand(1, 3, 40, 40), torch.randint(0, 3, (1, 40, 40))
    whole = net(x, labels)
    assert (Windows(16, 16, 4, whole_means=True)(net, (x, labels)) - whole).abs().max() < 1e-4
    assert (Windows(16, 16, 4)(net, (x, labels)) - whole).abs().max() > 1e-2


@pytest.mark.parametrize("padding", ["edge", "zeros"])
@pytest.mark.parametrize("size", [(511, 20), (512, 9), (513, 24), (1030, 5)])
def test_means_from_strips_take_the_padding_of_the_network(padding: str, size: tuple[int, int]):
    """Also where the last strip is nothing but padding, as multiples that do not divide a strip have it."""
    torch.manual_seed(0)
    net = MapProbe(mask_value=0.5)
    net.size_rule = SizeRule(24, padding)
    x, labels = torch.rand(1, 3, *size), torch.randint(0, 3, (1, *size))
    features = net.region_features(net.size_rule.pad(x)).double()
    expected = region_means(*region_sums(features, net.size_rule.pad_labels(labels), 3), 0.5)
    means = image_means(net, lambda first, last: (x[..., first:last, :], labels[:, first:last]), *size, 3)
    torch.testing.assert_close(means, expected.float(), atol=1e-5, rtol=1e-5)


class MapProbe(RestorationNetwork):
    """MAP alone, as a network."""

    takes_labels = True

    def __init__(self, mask_value: float = 1.0) -> None:
        super().__init__()
        self.map = MapFeatures(mask_value=mask_value)

    @property
    def region_pool(self) -> MaskAveragePool:
        return self.map.pool

    def region_features(self, image: torch.Tensor) -> torch.Tensor:
        return self.map.features(image)

    def forward(
        self, x: torch.Tensor, labels: torch.Tensor, means: torch.Tensor | None = None
    ) -> torch.Tensor:
        return self.map(x, labels, means)
