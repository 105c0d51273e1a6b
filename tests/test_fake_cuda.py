"""The code for CUDA, run without a GPU: PyTorch's fake tensors have shapes, types and devices, no values.

They find every operation on tensors of two devices and every place where the program waits for the GPU.
Autograd asks the driver about tensors on "cuda"; so backward passes run on "meta", a device like any other.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from basicsr.archs.base import RestorationNetwork, network_class
from basicsr.data import SyntheticBlurDataset
from basicsr.data.paired import SampleIndex
from basicsr.engine.hooks import Ema
from basicsr.engine.inference import Windows
from basicsr.engine.trainer import StepSettings, Trainer
from basicsr.losses import PSNRLoss
from basicsr.masks.pooling import drop_regions, table_rows
from basicsr.models.base import gather_inputs
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.utils.image import write_png
from basicsr.utils.named import Named
from basicsr.utils.registry import ARCHS, LOSSES, OPTIMIZERS

SMALL = {"width": 4, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]}
OPTIONS: dict[str, dict[str, Any]] = {
    "WithMAP": {"net": {"type": "NAFNet", **SMALL}, "mask_dropout": 0.5},
    "SegNAFNet": SMALL | {"mask_dropout": 0.5},
    "EfficientDerain": {"width": 4},
    "MIMOUNet": {"width": 4, "num_res": 1},
    "MIMOUNetPlus": {"width": 4, "num_res": 1},
    "WithSPF": {"net": {"type": "NAFNet", **SMALL}},
    "RCDNet": {"num_stages": 2, "num_blocks": 1},
    "Uformer": {"depths": [2] + 8 * [1]},
    "MAXIM": {
        "width": 4,
        "num_stages": 1,
        "num_blocks": 1,
        "num_bottlenecks": 1,
        "block_size": 2,
        "low_block_size": 2,
    },
    "Jin": {"center_width": 8, "side_width": 8, "center_blocks": 1, "near_blocks": 1, "far_blocks": 1},
    "Purohit": {"width": 4, "flow_widths": [3, 4, 5]},
}
# A network that is built of weights needs a file.
NETWORKS = [
    name
    for name in ARCHS.names()
    if issubclass(network_class(name), RestorationNetwork)
    and not (network_class(name).needs_state or network_class(name).is_fixed)
]
# Of hundreds of layers.
LONG = pytest.param("Jin", "AdamW", marks=pytest.mark.slow)
# Where the program is known to wait: once a step for whether to skip it.
SKIPPING = ("trainer.py", "_update")


class Waits(TorchDispatchMode):
    """Notes where a value on a device is asked for, and answers true, or 9."""

    def __init__(self) -> None:
        super().__init__()
        self.places: set[tuple[str, str]] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        asks = function is torch.ops.aten._local_scalar_dense.default
        leaves = function is torch.ops.aten._to_copy.default and str(kwargs.get("device")) == "cpu"
        if (asks or leaves) and args[0].device.type != "cpu":
            own = [
                frame
                for frame in traceback.extract_stack()[:-1]
                if "/basicsr/" in frame.filename or frame.filename == __file__
            ]
            self.places.add((Path(own[-1].filename).name, own[-1].name))
        if asks and (args[0].device.type != "cpu" or isinstance(args[0], FakeTensor)):
            return args[0].dtype is torch.bool or 9
        return function(*args, **(kwargs or {}))


@contextmanager
def fake() -> Iterator[Waits]:
    """New tensors are fake, on any device."""
    with FakeTensorMode(allow_non_fake_inputs=True), Waits() as waits:
        yield waits


def build(name: str, device: str) -> nn.Module:
    with torch.device(device):
        small = SMALL if "enc_blk_nums" in ARCHS.options(name) else {}
        return ARCHS.build(name, OPTIONS.get(name, small))


def batch_on(device: str, height: int = 30, width: int = 33) -> dict[str, Any]:
    """As the loader gives it, two samples."""
    images = {"lq": 3, "gt": 3, "middle": 3, "mask": 1}
    batch = {key: torch.rand(2, channels, height, width, device=device) for key, channels in images.items()}
    labels = torch.zeros(2, height, width, dtype=torch.int32, device=device)
    return batch | {"labels": labels, "key": ["a", "b"]}


def test_mixed_devices_and_waiting_are_found():
    with fake() as waits:
        x = torch.rand(3, device="cuda")
        with pytest.raises(RuntimeError, match="device"):
            x + torch.rand(3)
        assert waits.places == set()
        total(x)
        assert waits.places == {("test_fake_cuda.py", "total")}


def total(x: torch.Tensor) -> float:
    return float(x.sum())


def test_tables_of_regions_wait_for_nothing():
    with fake() as waits:
        for dtype, rows in ((torch.uint8, 256), (torch.int32, 65_536)):
            labels = torch.zeros(1, 4, 4, dtype=dtype, device="cuda")
            assert table_rows(labels) == rows
            drop_regions(labels, 0.5)
        assert waits.places == set()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_run_where_their_weights_are(name: str, training: bool):
    with fake() as waits:
        net = build(name, "cuda").train(training)
        inputs = gather_inputs(net, batch_on("cuda"))
        with torch.no_grad():
            result = net(*inputs)
    assert result.device == torch.device("cuda", 0)
    restored = result[:, 0] if net.gives == "clip" else result
    assert restored.shape == (2, 3, 30, 33)
    assert waits.places == set()


@pytest.mark.parametrize("name", NETWORKS)
def test_windows_are_cut_and_blended_on_the_device(name: str):
    with fake() as waits, torch.no_grad():
        model = ImageRestorationModel({"g": build(name, "cuda")}, {}).eval()
        result = model.predict(batch_on("cuda"), Windows(30, 20, 4, 2, whole_means=True))
    assert result.device == torch.device("cuda", 0)
    assert waits.places == set()


def vgg_file(folder: Path) -> str:
    """Random weights of the first two convolutions of a VGG, under torchvision's names."""
    first, second = nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 3)
    state = {f"features.0.{name}": value for name, value in first.state_dict().items()}
    state |= {f"features.2.{name}": value for name, value in second.state_dict().items()}
    torch.save(state, folder / "vgg.pth")
    return str(folder / "vgg.pth")


def loss_options(name: str, folder: Path) -> dict[str, Any]:
    """What has no default, and a file of features where one is asked for."""
    known = LOSSES.options(name)
    given = {"layer_weights": {"conv1_2": 1.0}, "layer": "conv1_2"}
    options = {key: value for key, value in given.items() if key in known}
    return options | ({"vgg_weights": vgg_file(folder)} if "vgg_weights" in known else {})


def stages_on(device: str) -> dict[str, Any]:
    """What networks give, by the names that losses take."""
    images = [torch.rand(2, 3, 32 >> level, 40 >> level, device=device) for level in range(3)]
    restored = torch.rand(2, 3, 30, 33, device=device)
    return {
        "restored": restored,
        "scales": images,
        "stage_scales": [[restored, restored[..., ::2, ::2]]] * 2,
        "backgrounds": [restored] * 3,
        "rain_layers": [restored] * 2,
        "scores": torch.rand(2, 3, device=device),
        "swapped": torch.rand(2, 3, device=device),
        "flows": [torch.rand(2, 7, 2, 8, 8, device=device)],
    }


@pytest.mark.parametrize("name", LOSSES.names())
def test_losses_stay_on_the_device(name: str, tmp_path):
    loss = LOSSES.build(name, loss_options(name, tmp_path))
    tensors = {**dict(loss.named_parameters()), **dict(loss.named_buffers())}
    with fake() as waits:
        moved = {key: torch.empty(x.shape, dtype=x.dtype, device="cuda") for key, x in tensors.items()}
        batch = batch_on("cuda")
        offered = batch | stages_on("cuda") | {"pred": batch["lq"], "target": batch["gt"]}
        # as training hands them over where train.channels_last is on
        last = {"memory_format": torch.channels_last}
        offered |= {key: offered[key].contiguous(**last) for key in ("pred", "target", "lq", "restored")}
        if type(loss).__module__ == "basicsr.losses.clip":
            offered |= {key: offered[key].unsqueeze(1).repeat(1, 7, 1, 1, 1) for key in ("pred", "target")}
        needs = Named(loss).needs
        result = torch.func.functional_call(loss, moved, kwargs={key: offered[key] for key in needs})
    assert result.device == torch.device("cuda", 0) and result.ndim == 0
    assert waits.places == set()


class DefaultGenerator:
    """Stands for a generator on "cuda", which only a driver can make."""

    def __init__(self, device: torch.device) -> None:
        assert device.type == "cuda"

    def manual_seed(self, seed: int) -> None:
        """None: random numbers come from the default generator."""


def test_blur_is_made_on_the_device(tmp_path, monkeypatch):
    """All of it but JPEG, whose encoder is OpenCV's."""
    rng = np.random.default_rng(0)
    for number in range(2):
        write_png(tmp_path / f"{number}.png", rng.integers(0, 255, (60, 60, 3), dtype=np.uint8))
    dataset = SyntheticBlurDataset(dataroot_gt=str(tmp_path), gt_size=16, on_device=True, train=True)
    samples = [dataset[SampleIndex(number, 0)] for number in range(2)]
    real = torch.utils.data.default_collate(samples)
    real["draw"] = [
        text.replace(f'"jpeg":{json.loads(text)["jpeg"]}', '"jpeg":null') for text in real["draw"]
    ]
    with fake() as waits:
        batch = {
            key: torch.empty(value.shape, dtype=value.dtype) if isinstance(value, torch.Tensor) else value
            for key, value in real.items()
        }
        monkeypatch.setattr(torch, "Generator", DefaultGenerator)
        pair = dataset.complete(batch, torch.device("cuda", 0))
    assert pair["lq"].device == pair["gt"].device == torch.device("cuda", 0)
    assert pair["lq"].shape == pair["gt"].shape == (2, 3, 16, 16)
    assert waits.places == set()


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        *((name, "AdamW") for name in NETWORKS if name != "Jin"),
        LONG,
        *(("NAFNet", other) for other in OPTIMIZERS.names()),
    ],
)
def test_a_training_step_mixes_no_devices_and_waits_once(name: str, optimizer: str, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda device, enabled: nullcontext())  # it does not know "meta"
    with fake() as waits:
        model = ImageRestorationModel({"g": build(name, "meta")}, {"l_pix": PSNRLoss()})
        batch = batch_on("cpu")
        if model.network("g").gives == "clip":
            batch["gt"] = batch["gt"].unsqueeze(1).expand(-1, 7, -1, -1, -1)
        batches = repeat(batch)
        trainer = Trainer(
            model,
            OPTIMIZERS.build(optimizer, {"lr": 1e-3}, params=model.networks.parameters())(),
            lambda step, base: base,
            batches,
            StepSettings(accumulate=2, clip_norm=0.01, channels_last=True),
            torch.device("meta"),
        )
        trainer.run(2)
    assert {parameter.device.type for parameter in model.networks.parameters()} == {"meta"}
    assert trainer.last_losses["loss"].device.type == "meta"
    assert waits.places == {SKIPPING}


def test_averaging_waits_for_nothing():
    """On plain "meta" tensors: copying fake ones, as averaging does at first, breaks PyTorch's memory."""
    model = ImageRestorationModel({"g": build("NAFNet", "meta")}, {"l_pix": PSNRLoss()})
    average = Ema(model, 0.9)
    with Waits() as waits:
        for _ in range(2):
            average.after_step(SimpleNamespace(model=model, was_skipped=False))
    assert average.state_dict() == {"n_averaged": 2}
    assert waits.places == set()
