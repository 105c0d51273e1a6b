"""Published weights give their published pictures at every size.

Beside the package's networks stands a second formulation of the published ones, of plain functions of a state
dict: images are filled up with zeros on the right and at the bottom, regions are averaged over a dense stack
of masks. The numbers of the published code hold it in place.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from basicsr.archs.base import RestorationNetwork
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import load_network, read_weights, save_network
from basicsr.engine.inference import Windows
from basicsr.layers.map_unit import PUBLISHED_MASK_VALUE
from basicsr.masks.label_map import read_label_map
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.utils.image import decode_single, read_rgb, to_chw, to_tensor
from basicsr.utils.registry import ARCHS

LEVELS = {"width": 4, "enc_blk_nums": [1, 0, 0, 0], "middle_blk_num": 1, "dec_blk_nums": [0, 0, 0, 1]}
TRAIN_SIZE = (32, 32)
NETWORKS = {
    "NAFNet": {"type": "NAFNet", **LEVELS},
    "CAT": {"type": "NAFNet", "mask": True, **LEVELS},
    "SegNAFNet": {"type": "SegNAFNet", "seg_channel": 2, **LEVELS},
    "Baseline": {"type": "Baseline", **LEVELS},
    "WithMAP": {"type": "WithMAP", "seg_channel": 2, "net": {"type": "Baseline", **LEVELS}},
}
SIZES = [(160, 128), (157, 121), (33, 47)]
# Some 30 layers, each a sum of up to 100 products of size 1, in float32.
TOLERANCE = 30 * 100 * torch.finfo(torch.float32).eps


class Published(RestorationNetwork):
    """The published networks, as functions of their weights.

    Args:
        state: weights by their published names.
        window: side of local pooling at full resolution; None pools globally.
        mask_value: strength of the masks.
    """

    def __init__(self, state: dict[str, Tensor], window: int | None = None, mask_value: float = 1.0) -> None:
        super().__init__()
        self.state = {name: tensor.double() for name, tensor in state.items()}
        self.window, self.mask_value = window, mask_value
        self.map = next((name for name in ("map.", "") if f"{name}pre_seg.weight" in state), None)
        self.net = "net." if self.map else ""
        self.takes_labels = self.map is not None
        if f"{self.net}intro.weight" in state and self.map is None and state["intro.weight"].shape[1] == 4:
            self.image_inputs = ("lq", "mask")
        self.whole: tuple[Tensor, Tensor] | None = None  # image and labels that region means come from

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        height, width = x.shape[-2:]
        levels = len({name.split(".")[-2] for name in self.state if ".downs." in f".{name}"})
        fill = (0, -width % 2**levels, 0, -height % 2**levels)
        padded = functional.pad(x.double(), fill)
        image = padded
        if labels is not None:
            pooled = self.pooled(padded, functional.pad(labels, fill))
            padded = torch.cat([padded, pooled], 1)
        features = self.conv(padded, f"{self.net}intro", padding=1)
        skips = []
        for level in range(levels):
            features = self.blocks(features, f"{self.net}encoders.{level}", level)
            skips.append(features)
            features = self.conv(features, f"{self.net}downs.{level}", stride=2)
        features = self.blocks(features, f"{self.net}middle_blks", levels)
        for step in range(levels):
            level = levels - 1 - step
            up = functional.pixel_shuffle(self.conv(features, f"{self.net}ups.{step}.0"), 2)
            features = self.blocks(up + skips[level], f"{self.net}decoders.{step}", level)
        restored = self.conv(features, f"{self.net}ending", padding=1)
        return (restored + image[:, :3])[..., :height, :width].float()

    def pooled(self, padded: Tensor, labels: Tensor) -> Tensor:
        source, regions = (padded, labels) if self.whole is None else self.whole
        features = self.conv(self.conv(source, f"{self.map}pre_seg", padding=1), f"{self.map}pre_seg_in")
        ids = range(1, int(regions.max()) + 1)
        masks, seen = ([self.mask_value * (each == k).double() for k in ids] for each in (regions, labels))
        rest, rest_seen = (1 - sum(each).clamp(0, 1) for each in (masks, seen))
        result = 0.0
        for mask, shown in zip([*masks, rest], [*seen, rest_seen], strict=True):
            mean = (features * mask).sum((2, 3), keepdim=True) / (mask.sum() + 1e-8)
            result = result + mean * shown
        return result

    def blocks(self, x: Tensor, stage: str, level: int) -> Tensor:
        for index in range(len({n.split(".")[stage.count(".") + 1] for n in self.state if f"{stage}." in n})):
            name = f"{stage}.{index}"
            first, second = (
                (self.simple_half, self.simple_feed)
                if f"{name}.sca.1.weight" in self.state
                else (self.plain_half, self.plain_feed)
            )
            x = x + self.state[f"{name}.beta"] * first(self.norm(x, f"{name}.norm1"), name, level)
            x = x + self.state[f"{name}.gamma"] * second(self.norm(x, f"{name}.norm2"), name)
        return x

    def simple_half(self, x: Tensor, name: str, level: int) -> Tensor:
        x = gate(self.depthwise(self.conv(x, f"{name}.conv1"), f"{name}.conv2"))
        return self.conv(x * self.conv(self.mean(x, level), f"{name}.sca.1"), f"{name}.conv3")

    def simple_feed(self, x: Tensor, name: str) -> Tensor:
        return self.conv(gate(self.conv(x, f"{name}.conv4")), f"{name}.conv5")

    def plain_half(self, x: Tensor, name: str, level: int) -> Tensor:
        x = functional.gelu(self.depthwise(self.conv(x, f"{name}.conv1"), f"{name}.conv2"))
        squeezed = functional.relu(self.conv(self.mean(x, level), f"{name}.se.1"))
        return self.conv(x * torch.sigmoid(self.conv(squeezed, f"{name}.se.3")), f"{name}.conv3")

    def plain_feed(self, x: Tensor, name: str) -> Tensor:
        return self.conv(functional.gelu(self.conv(x, f"{name}.conv4")), f"{name}.conv5")

    def mean(self, x: Tensor, level: int) -> Tensor:
        height, width = x.shape[-2:]
        window = max(height, width) if self.window is None else self.window // 2**level
        rows, columns = min(window, height), min(window, width)
        if (rows, columns) == (height, width):
            return x.mean((2, 3), keepdim=True)
        means = functional.avg_pool2d(x, (rows, columns), stride=1)
        down, across = height - means.shape[2], width - means.shape[3]
        around = (across // 2, across - across // 2, down // 2, down - down // 2)
        return functional.pad(means, around, mode="replicate")

    def norm(self, x: Tensor, name: str) -> Tensor:
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0) + 1e-6).sqrt()
        return x * self.state[f"{name}.weight"][:, None, None] + self.state[f"{name}.bias"][:, None, None]

    def conv(self, x: Tensor, name: str, **how: int) -> Tensor:
        return functional.conv2d(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), **how)

    def depthwise(self, x: Tensor, name: str) -> Tensor:
        return self.conv(x, name, padding=1, groups=x.shape[1])


def gate(x: Tensor) -> Tensor:
    return x[:, : x.shape[1] // 2] * x[:, x.shape[1] // 2 :]


def options_of(kind: str, local: bool = False) -> tuple[str, dict]:
    """Type and options of a network."""
    block = dict(NETWORKS[kind])
    if local:
        size = {"train_size": [1, 3, *TRAIN_SIZE]}
        block |= {"net": block["net"] | size} if "net" in block else size
    return block.pop("type"), block


def random_net(kind: str, local: bool = False) -> nn.Module:
    torch.manual_seed(0)
    name, options = options_of(kind, local)
    net = ARCHS.build(name, options).eval()
    for key, parameter in net.named_parameters():
        if key.endswith(("beta", "gamma")):
            nn.init.normal_(parameter, std=0.5)
    return net


def published_file(kind: str, path: Path) -> Path:
    """Weights as they are published: names and tensors, and nothing else."""
    torch.save({"params": dict(random_net(kind).state_dict())}, path)
    return path


def reference(kind: str, path: Path, local: bool = False) -> Published:
    mask_value = PUBLISHED_MASK_VALUE if kind == "SegNAFNet" else 1.0
    return Published(read_weights(path).state, int(1.5 * TRAIN_SIZE[0]) if local else None, mask_value).eval()


def inputs_of(net: nn.Module, height: int, width: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(height)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    labels = (rows // 25 + 3 * (columns // 40)).int()[None]
    channels = 4 if "mask" in net.image_inputs else 3
    image = torch.rand(1, channels, height, width, generator=generator)
    return (image, labels) if net.takes_labels else (image,)


def difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


@pytest.fixture(scope="module", params=NETWORKS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def file(kind: str, tmp_path_factory) -> Path:
    return published_file(kind, tmp_path_factory.mktemp("published") / f"{kind}.pth")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("local", [False, True])
def test_whole_pictures(kind: str, file: Path, size: tuple[int, int], local: bool):
    """The line in the log says how it is padded; padded otherwise, another picture comes out."""
    name, options = options_of(kind, local)
    net, other = ARCHS.build(name, options).eval(), random_net(kind, local)
    assert "padding zeros (published weights" in load_network(net, file)
    if kind == "SegNAFNet":
        other.pool.mask_value = PUBLISHED_MASK_VALUE
    inputs = inputs_of(net, *size)
    with torch.no_grad():
        expected = reference(kind, file, local)(*inputs)
        assert difference(net(*inputs), expected) < TOLERANCE
        edges = difference(other(*inputs), expected)
    if size == SIZES[0]:
        assert edges < TOLERANCE, "nothing is padded"
    else:
        assert edges > 20 * TOLERANCE


@pytest.mark.parametrize("size", SIZES[1:])
def test_tiles(kind: str, file: Path, size: tuple[int, int]):
    """Each tile is filled up by itself; the regions are those of the whole picture, filled up."""
    net, published = rebuild_network(file).net, reference(kind, file)
    inputs = inputs_of(net, *size)
    if net.takes_labels:
        fill = (0, -size[1] % 16, 0, -size[0] % 16)
        published.whole = (functional.pad(inputs[0].double(), fill), functional.pad(inputs[1], fill))
    with torch.no_grad():
        ours = Windows(40, 40, 8, 1, whole_means=True)(net, inputs)
        expected = Windows(40, 40, 8, 1)(published, inputs)
    assert difference(ours, expected) < TOLERANCE


@pytest.mark.parametrize("tile", [0, 72])
def test_photos(kind: str, file: Path, tile: int):
    """As `infer.py` restores them, to the last level; roundings may fall to either side."""
    size = SIZES[1]
    options = RestoreOptions(tile=tile, overlap=8, guard="off", device="cpu")
    published = reference(kind, file)
    image, *labels = inputs_of(published, *size)
    photo = (image[0, :3].permute(1, 2, 0) * 255).round().byte().numpy()
    given = labels[0][0].numpy() if labels else None
    mask = (image[0, 3] * 255).round().byte().numpy() if image.shape[1] == 4 else None
    if labels:
        fill = (0, -size[1] % 16, 0, -size[0] % 16)
        published.whole = (
            functional.pad(to_tensor(to_chw(photo))[None].double(), fill),
            functional.pad(labels[0], fill),
        )
    ours = Restorer.from_checkpoint(file, options).restore(photo, given, mask)
    expected = Restorer(published, options).restore(photo, given, mask)
    assert np.abs(ours.astype(int) - expected).max() <= 1
    assert np.mean(ours != expected) < 0.01
    edges = Restorer.from_checkpoint(file, options, padding="edge").restore(photo, given, mask)
    assert np.mean(edges != expected) > 0.01


@pytest.mark.slow
def test_onnx(kind: str, file: Path, tmp_path):
    pytest.importorskip("onnxruntime", reason="ONNX needs the extra `export`")
    pytest.importorskip("onnxscript", reason="ONNX needs the extra `export`")
    from basicsr.restoration.onnx_export import export_onnx
    from basicsr.restoration.onnx_network import OnnxNetwork

    export_onnx(file, tmp_path / "net.onnx")
    exported, published = OnnxNetwork(tmp_path / "net.onnx"), reference(kind, file)
    assert json.loads(exported.metadata()["basicsr.facts"])["padding"] == "zeros"
    for size in SIZES:
        inputs = inputs_of(published, *size)
        assert difference(exported(*inputs), published(*inputs)) < TOLERANCE


def test_tuned_here_they_keep_their_zeros_unless_the_option_says_otherwise(kind: str, file: Path, tmp_path):
    name, options = options_of(kind)
    for padding in (None, "edge"):
        tuned = options
        if padding:
            tuned = options | ({"net": options["net"] | {"padding": padding}} if "net" in options else
                               {"padding": padding})  # fmt: skip
        net = ARCHS.build(name, tuned)
        load_network(net, file)
        save_network(tmp_path / "tuned.pth", net, None, {"type": name, **tuned})
        again = rebuild_network(tmp_path / "tuned.pth")
        assert again.net.size_rule.padding == (padding or "zeros")
        assert ("forced" if padding else "from the checkpoint") in again.summary


def test_networks_made_here_keep_the_edge(kind: str, file: Path, tmp_path):
    """New ones, those of files that say so, and those of files from before files said it."""
    name, options = options_of(kind)
    net = random_net(kind)
    assert net.size_rule.padding == "edge"
    save_network(tmp_path / "own.pth", net, None, {"type": name, **options})
    assert "padding edge (from the checkpoint)" in rebuild_network(tmp_path / "own.pth").summary
    contents = torch.load(tmp_path / "own.pth", weights_only=True)
    del contents["basicsr"]["facts"]["padding"]
    torch.save(contents, tmp_path / "earlier.pth")
    earlier = rebuild_network(tmp_path / "earlier.pth")
    assert earlier.net.size_rule.padding == "edge" and "padding edge (written before" in earlier.summary
    loaded = ARCHS.build(name, options)
    load_network(loaded, file)
    load_network(loaded, tmp_path / "earlier.pth")
    assert loaded.size_rule.padding == "edge"


def test_plain_loading_recognizes_published_state_dicts_as_well(kind: str):
    """PyTorch keeps a version with a state dict; published ones say 1."""
    published = random_net(kind).state_dict()
    for metadata in published._metadata.values():
        metadata["version"] = 1
    net = random_net(kind)
    net.load_state_dict(published)
    assert net.size_rule.padding == "zeros"
    own = random_net(kind)
    own.load_state_dict(random_net(kind).state_dict())
    assert own.size_rule.padding == "edge"


@pytest.mark.parametrize("row", ["CAT", "SegNAFNet"])
def test_a_network_with_masks_begins_as_the_published_one_without(row: str, tmp_path):
    """What is loaded into a wider network brings its padding: the pictures are the same at first."""
    plain = published_file("NAFNet", tmp_path / "nafnet.pth")
    name, options = options_of(row)
    net = ARCHS.build(name, options).eval()
    load_network(net, plain, strict=False)
    inputs = inputs_of(net, 33, 47)
    with torch.no_grad():
        expected = reference("NAFNet", plain)(inputs[0][:, :3])
        assert difference(net(*inputs), expected) < TOLERANCE


@pytest.mark.data
@pytest.mark.parametrize(
    ("key", "name", "window", "mask_value"),
    [
        ("NAFNet", "NAFNet", False, 1.0),
        ("NAFNetLocal", "NAFNet", True, 1.0),
        ("MaskNAFNet", "MaskNAFNet", False, 1.0),
        ("SegNAFNet_mask_value_1_over_255", "SegNAFNet", False, PUBLISHED_MASK_VALUE),
        ("SegNAFNet_mask_value_1", "SegNAFNet", False, 1.0),
        ("SegNAFNetLocal_mask_value_1_over_255", "SegNAFNet", True, PUBLISHED_MASK_VALUE),
    ],
)
def test_the_second_formulation_gives_the_numbers_of_the_published_code(
    shared, key: str, name: str, window: bool, mask_value: float
):
    folder = shared / "parity"
    train_size = json.loads((folder / "network.json").read_text())["local_train_size"]
    state = read_weights(folder / f"{name}.pth").state
    net = Published(state, int(1.5 * train_size[-1]) if window else None, mask_value)
    image = to_tensor(to_chw(read_rgb(folder / "input.png")))[None]
    mask = to_tensor(decode_single((folder / "mask_channel.png").read_bytes(), "mask"))[None, None]
    fields = {"lq": image, "mask": mask}
    inputs = [torch.cat([fields[field] for field in net.image_inputs], 1)]
    if net.takes_labels:
        inputs.append(torch.from_numpy(read_label_map(folder / "masks.npz"))[None])
    expected = torch.from_numpy(np.load(folder / "expected.npz")[key])
    assert difference(net(*inputs), expected) < 1e-4
