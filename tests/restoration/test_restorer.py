"""A photo through a network: any size and depth, whole or in tiles, with the masks of the whole photo."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork
from basicsr.checkpoints.weights import save_network
from basicsr.engine.inference import Windows
from basicsr.layers.local_pool import GlobalAvgPool2d
from basicsr.layers.normalization import Normalization
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.segmenters import graph_regions
from basicsr.utils.errors import UserError
from basicsr.utils.log import logger
from basicsr.utils.registry import ARCHS

LEVELS = {"width": 8, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1], "middle_blk_num": 1}


def mild(name: str, **options: object) -> nn.Module:
    """A network with random weights that changes a photo about as much as restoring does."""
    torch.manual_seed(0)
    net = ARCHS.build(name, LEVELS | options)
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            if key.endswith(("beta", "gamma")):
                parameter.fill_(0.3)
        net.ending.weight.mul_(0.15)
        net.ending.bias.zero_()
    return net


def noise(height: int, width: int, dtype: type = np.uint8) -> np.ndarray:
    """A smooth random picture."""
    generator = np.random.default_rng(1)
    coarse = torch.from_numpy(generator.random((1, 3, height // 8 + 2, width // 8 + 2)))
    fine = nn.functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)
    return (fine[0].permute(1, 2, 0).clamp(0, 1).numpy() * np.iinfo(dtype).max).astype(dtype)


def quadrants(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return (1 + (rows > height // 2) + 2 * (columns > width // 2)).astype(np.int32)


class PassOn(RestorationNetwork):
    """A network that returns its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :3]

    def example_inputs(self, height: int, width: int) -> tuple[Tensor, ...]:
        return (torch.zeros(1, 3, height, width),)


@pytest.mark.parametrize("size", [(1, 1), (17, 5000), (5000, 17), (40, 33)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_size_and_depth_comes_back_as_it_is(size: tuple[int, int], dtype: type):
    image = noise(*size, dtype)
    result = Restorer(PassOn(), RestoreOptions(tile=256)).restore(image)
    assert result.dtype == dtype and result.shape == image.shape
    assert np.abs(result.astype(int) - image).max() <= (0 if dtype is np.uint8 else 1)


@pytest.mark.parametrize("name", ["NAFNetLocal", "SegNAFNetLocal", "NAFNet", "SegNAFNet"])
def test_tiles_and_the_whole_photo_differ_by_less_than_one_level(name: str):
    image, labels = noise(400, 500), quadrants(400, 500)
    net = mild(name)
    whole, tiled = (
        Restorer(net, RestoreOptions(tile=tile, guard="off")).restore(image, labels) for tile in (0, 256)
    )
    assert np.abs(whole.astype(float) - image).mean() > 4, "the network does something"
    assert np.abs(whole.astype(float) - tiled).mean() < 1


def test_the_regions_of_a_tile_are_those_of_the_photo():
    """Of a network whose result is a region's mean, tiles give exactly what the whole photo gives."""
    net = ARCHS.build("SegNAFNet", LEVELS)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.pre_seg.weight[0, :, 1, 1] = 1.0
        net.pre_seg_in.weight[0, 0] = 1.0
        net.intro.weight[0, 3, 1, 1] = 1.0  # the pooled channel
        net.ending.weight[:, 0, 1, 1] = 0.1
    image, labels = noise(150, 170), quadrants(150, 170)
    whole, tiled = (Restorer(net, RestoreOptions(tile=tile)).restore(image, labels) for tile in (0, 64))
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    assert np.abs(whole.astype(int) - image).max() > 5


@pytest.mark.parametrize("name", ["NAFNet", "SegNAFNet"])
@pytest.mark.parametrize("padding", ["edge", "zeros"])
@pytest.mark.parametrize("tile", [0, 64])
def test_a_network_of_normalized_images_gets_and_gives_them(name: str, padding: str, tile: int):
    """It restores the photo as another network restores the normalized one: padding and means included."""
    net = mild(name, padding=padding)
    net.normalization = Normalization((0.5, 0.4, 0.3), (0.5, 0.25, 0.4))
    image, labels = noise(91, 123), quadrants(91, 123)
    options = RestoreOptions(tile=tile, overlap=16, guard="off", device="cpu")
    restored = Restorer(net, options).restore(image, labels)
    x = net.normalization.apply(torch.from_numpy(image / np.float32(255)).permute(2, 0, 1)[None])
    inputs = (x, torch.from_numpy(labels)[None]) if net.takes_labels else (x,)
    side, overlap = tile or 123, 16 if tile else 0
    with torch.no_grad():
        expected = Windows(side, side, overlap, 1, whole_means=True)(net, inputs)
    expected = net.normalization.undo(expected)[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255
    # a tile is clamped before it is blended
    assert np.mean(np.abs(restored - expected) > 0.51) < 0.01
    assert np.abs(restored - image.astype(float)).mean() > 1
    net.normalization = None
    assert np.mean(np.abs(Restorer(net, options).restore(image, labels) - expected) > 0.51) > 0.1


def test_regions_that_only_tiles_know_are_named(caplog):
    class Labeled(PassOn):
        takes_labels = True

        def forward(self, x: Tensor, labels: Tensor) -> Tensor:
            return x

    image, labels = noise(70, 80), quadrants(70, 80)
    logger().propagate = True
    for net, tile, count in ((Labeled(), 0, 0), (Labeled(), 64, 1), (mild("SegNAFNet"), 64, 0)):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "basicsr"):
            Restorer(net, RestoreOptions(tile=tile)).restore(image, labels)
        message = "the network takes no region means from outside: each tile pools its own part"
        assert caplog.messages == [message] * count


def test_the_ensemble_turns_with_the_photo():
    """Averaging all eight copies commutes with turning the photo; a single pass does not."""
    net = mild("SegNAFNet")
    image, labels = noise(64, 64), quadrants(64, 64)
    turned, turned_labels = np.rot90(image).copy(), np.rot90(labels).copy()
    for ensemble in (True, False):
        restorer = Restorer(net, RestoreOptions(ensemble=ensemble, guard="off"))
        straight = restorer.restore(image, labels)
        other = np.rot90(restorer.restore(turned, turned_labels), -1)
        equal = np.abs(straight.astype(int) - other).max() <= 1
        assert equal == ensemble


def test_tiles_halve_until_they_fit(caplog):
    class Small(PassOn):
        """Runs out of memory above 100 x 100 pixels."""

        def forward(self, x: Tensor) -> Tensor:
            if x.shape[-1] * x.shape[-2] > 100 * 100:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(x)

    restorer = Restorer(Small(), RestoreOptions(tile=0))
    image = noise(300, 320)
    with caplog.at_level(logging.WARNING, "basicsr"):
        result = restorer.run(image)
    assert result.tile == 80 and np.array_equal(result.image, image)
    assert len(caplog.records) == 2
    assert restorer.run(image).tile == 80, "the next photo begins with what fits"


def test_no_memory_for_the_smallest_tile_is_one_line():
    class Hungry(PassOn):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: ..."
            )

    with pytest.raises(UserError, match="out of memory with tiles of 64 pixels"):
        Restorer(Hungry()).restore(noise(200, 200))


def test_other_errors_of_a_network_are_not_hidden():
    class Broken(PassOn):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        Restorer(Broken()).restore(noise(20, 20))


def test_a_collapsed_network_is_tried_with_local_pooling_and_then_given_up():
    """Weights that explode: the result is the photo itself, and the findings say so."""
    net = mild("NAFNet")
    with torch.no_grad():
        net.ending.bias.fill_(5.0)
    image = noise(100, 130)
    result = Restorer(net).run(image)
    assert np.array_equal(result.image, image)
    assert result.findings.replaced == result.findings.bad == 100 * 130
    kept = Restorer(net, RestoreOptions(guard="keep")).run(image)
    assert kept.findings.bad == 100 * 130 and (kept.image == 255).all()


def test_the_second_try_pools_locally():
    """Of a network that fails with global pooling only, the second try is the result."""

    class Net(RestorationNetwork):
        def __init__(self) -> None:
            super().__init__()
            self.pool = GlobalAvgPool2d()

        def forward(self, x: Tensor) -> Tensor:
            return x + 5 * isinstance(self.pool, GlobalAvgPool2d) + 0 * self.pool(x)

        def example_inputs(self, height: int, width: int) -> tuple[Tensor, ...]:
            return (torch.zeros(1, 3, height, width),)

    image = noise(100, 130)
    result = Restorer(Net()).run(image)
    assert np.array_equal(result.image, image)
    assert result.findings.recovered == 100 * 130 and result.findings.replaced == 0


class Counted(PassOn):
    """Leaves the photo, but not in float32 if ``amp`` is all that is wrong with it."""

    def __init__(self, only_with_amp: bool) -> None:
        super().__init__()
        self.only_with_amp, self.calls = only_with_amp, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x if self.only_with_amp and not torch.is_autocast_enabled("cpu") else x + 5


def test_without_global_pooling_and_amp_there_is_no_second_way():
    net = Counted(only_with_amp=False)
    result = Restorer(net, RestoreOptions(device="cpu")).run(noise(70, 80))
    assert net.calls == 1 and result.findings.replaced == 70 * 80


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_the_second_try_is_in_float32(amp: str):
    image = noise(70, 80)
    result = Restorer(Counted(only_with_amp=True), RestoreOptions(amp=amp, device="cpu")).run(image)
    assert np.array_equal(result.image, image)
    assert result.findings.recovered == 70 * 80 and result.findings.replaced == 0


@pytest.mark.parametrize(
    ("amp", "dtype"), [("off", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_amp_is_the_precision_of_convolutions(amp: str, dtype: torch.dtype):
    seen = []

    class Net(PassOn):
        def __init__(self) -> None:
            super().__init__()
            self.same = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            seen.append(self.same(x).dtype)
            return x

    Restorer(Net(), RestoreOptions(amp=amp, device="cpu", guard="off")).restore(noise(8, 8))
    assert seen == [dtype]


@pytest.mark.parametrize(("channels", "width"), [(16, 16), (None, 32)])
def test_tiles_are_taken_where_a_photo_needs_more_than_half_of_the_free_memory(monkeypatch, channels, width):
    """48 bytes for each pixel and channel of the first convolution; 32 channels where there is none."""
    net = PassOn()
    if channels is not None:
        net.layers = nn.ModuleList([nn.Linear(3, 3), nn.Conv2d(3, channels, 1), nn.Conv2d(channels, 99, 1)])
    needed = 20 * 800 * 48 * width
    for free, tile in ((2 * needed, None), (2 * needed - 1, 768)):
        monkeypatch.setattr("basicsr.restoration.restorer.free_memory", lambda device, free=free: free)
        image = noise(20, 800)
        result = Restorer(net, RestoreOptions(device="cpu")).run(image)
        assert result.tile == tile and np.array_equal(result.image, image)


@pytest.mark.parametrize("options", [{"tile": 64}, {"tile": 0}, {"tile": "auto"}, {"overlap": 0}])
def test_ends_of_the_options_are_taken(options):
    RestoreOptions(**options)


@pytest.mark.parametrize(("options", "message"), [
    ({"tile": 63}, "tile: 63 pixels; take at least 64, 0"),
    ({"tile": -1}, "tile: -1 pixels"),
    ({"overlap": -1}, "overlap: -1 pixels"),
])  # fmt: skip
def test_other_options_are_named(options, message: str):
    with pytest.raises(UserError, match=message):
        RestoreOptions(**options)


@pytest.mark.parametrize(("asked", "overlap", "count"), [(16, 16, 4), (32, 32, 6), (500, 32, 6)])
def test_tiles_overlap_as_asked_and_by_half_at_most(asked: int, overlap: int, count: int):
    """200 columns, each of its own number, in tiles of 64: ceil((200 - overlap) / (64 - overlap)) of them."""
    seen = []

    class Net(PassOn):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(round(float(x[0, 0, 0, 0] * 255)))
            return x

    image = np.arange(200, dtype=np.uint8)[None, :, None].repeat(64, 0).repeat(3, 2)
    Restorer(Net(), RestoreOptions(tile=64, overlap=asked, guard="off", device="cpu")).restore(image)
    assert len(seen) == count and (seen[0], seen[-1]) == (0, 136)
    assert np.diff(seen).max() <= 64 - overlap


def test_no_label_map_is_made_where_the_mask_is_given(monkeypatch):
    def refuse(image: np.ndarray) -> np.ndarray:
        raise AssertionError("no regions are needed")

    monkeypatch.setattr("basicsr.restoration.restorer.graph_regions", refuse)
    mask = np.full((16, 16), 90, np.uint8)
    assert Restorer(mild("NAFNet", mask=True)).run(noise(16, 16), mask=mask).labels is None
    Restorer(mild("NAFNet", mask=True)).run(noise(16, 16), quadrants(16, 16))
    Restorer(mild("NAFNet")).run(noise(16, 16))


def test_masks_are_found_where_none_are_given():
    image = noise(64, 80)
    found = Restorer(mild("SegNAFNet")).run(image)
    assert np.array_equal(found.labels, graph_regions(image))
    deep = Restorer(mild("SegNAFNet")).run(image.astype(np.uint16) * 257)
    assert np.array_equal(found.labels, deep.labels)
    assert Restorer(mild("NAFNet")).run(image).labels is None
    given = Restorer(mild("SegNAFNet")).restore(image, found.labels)
    assert np.array_equal(given, found.image)


def test_the_mask_channel_of_a_label_map_is_the_published_gray_image():
    from basicsr.masks import published_gray, to_stack

    labels = quadrants(30, 40)
    labels[:5] = 0
    restorer = Restorer(mild("NAFNet", mask=True))
    image = noise(30, 40)
    expected = restorer.restore(image, mask=published_gray(to_stack(labels)))
    assert np.array_equal(restorer.restore(image, labels), expected)


@pytest.mark.parametrize("name", ["NAFNet", "SegNAFNet"])
def test_from_checkpoint(tmp_path, name: str):
    net = mild(name)
    net.normalization = Normalization((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    save_network(tmp_path / "net.pth", net, None, {"type": name, **LEVELS})
    image, labels = noise(50, 60), quadrants(50, 60)
    restored = Restorer.from_checkpoint(tmp_path / "net.pth").restore(image, labels)
    assert np.array_equal(restored, Restorer(net).restore(image, labels))


def test_only_the_precision_of_onnx_files_is_fixed(tmp_path):
    save_network(tmp_path / "net.pth", mild("NAFNet"), None, {"type": "NAFNet", **LEVELS})
    options = RestoreOptions(amp="bf16")
    assert Restorer.from_checkpoint(tmp_path / "net.pth", options).options == options
    with pytest.raises(UserError, match="amp: the precision of .*net.ONNX is fixed"):
        Restorer.from_checkpoint(tmp_path / "net.ONNX", options)


def test_bad_arguments_are_one_line():
    restorer = Restorer(mild("SegNAFNet"))
    with pytest.raises(UserError, match=r"float64 \(4, 4, 3\)"):
        restorer.restore(np.zeros((4, 4, 3)))
    with pytest.raises(UserError, match="RGB"):
        restorer.restore(np.zeros((4, 4), np.uint8))
    with pytest.raises(UserError, match="label map of"):
        restorer.restore(noise(8, 8), quadrants(8, 9))
    with pytest.raises(UserError, match="tile: 10 pixels"):
        RestoreOptions(tile=10)
    with pytest.raises(UserError, match="no such checkpoint"):
        Restorer.from_checkpoint("nowhere.pth")


class Brighter(RestorationNetwork):
    """A clip of three frames: the photo, the photo and 4 levels, the photo and 8 levels."""

    gives = "clip"

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x + 4 * index / 255 for index in range(3)], 1)


@pytest.mark.parametrize("tile", [0, 64])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_network_of_clips_gives_frames(tile: int, dtype: type):
    image = noise(90, 110, dtype) // 2
    step = 4 * np.iinfo(dtype).max // 255
    net = Brighter()
    net.normalization = Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    restorer = Restorer(net, RestoreOptions(tile=tile, overlap=16, ensemble=True, device="cpu"))
    restored = restorer.run(image)
    expected = np.stack([image + dtype(step * index) for index in range(3)])
    assert restored.frames.dtype == dtype
    assert np.abs(restored.frames.astype(int) - expected).max() <= (0 if dtype is np.uint8 else 1)
    assert np.array_equal(restored.image, restored.frames[1])
    assert np.array_equal(restorer.restore(image), restored.frames)


def test_a_clip_of_normalized_frames_is_undone_frame_by_frame():
    net = Brighter()
    net.normalization = Normalization((0.5, 0.4, 0.3), (0.5, 0.25, 0.4))
    image = noise(20, 30) // 2
    frames = Restorer(net, RestoreOptions(device="cpu", guard="off")).run(image).frames
    shift = frames.astype(int) - image
    for index in range(3):
        expected = 4 * index * np.array([0.5, 0.25, 0.4])
        assert np.abs(shift[index] - expected).max() <= 0.5 + 1e-3


def test_each_frame_of_a_clip_is_guarded():
    """The last frame leaves the photo; its second try is the last frame of the second clip."""

    class Net(Brighter):
        def __init__(self) -> None:
            super().__init__()
            self.pool = GlobalAvgPool2d()

        def forward(self, x: Tensor) -> Tensor:
            clip = super().forward(x + 0 * self.pool(x))
            return torch.cat([clip[:, :2], clip[:, 2:] + 5 * isinstance(self.pool, GlobalAvgPool2d)], 1)

    image = noise(70, 80) // 2
    result = Restorer(Net(), RestoreOptions(device="cpu")).run(image)
    assert np.array_equal(result.frames, np.stack([image, image + 4, image + 8]))
    assert (result.findings.pixels, result.findings.recovered) == (3 * 70 * 80, 70 * 80)


def test_inputs_that_a_photo_does_not_have_are_named():
    class Net(PassOn):
        image_inputs = ("lq", "events")

    with pytest.raises(UserError, match="Net takes 'events', which a photo does not have"):
        Restorer(Net())


def test_every_tile_is_told_and_may_end_the_run():
    told = []
    options = RestoreOptions(tile=64, overlap=0, device="cpu")
    Restorer(PassOn(), options, lambda done, number: told.append((done, number))).restore(noise(64, 128))
    assert told == [(0, 2), (1, 2), (2, 2)]

    def stop(done: int, number: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Restorer(PassOn(), options, stop).restore(noise(64, 128))
