"""What distillation leaves behind is the plain network, and sharing weights survives saving and resuming."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
import yaml

from basicsr.archs.base import RestorationNetwork, build_network
from basicsr.archs.wrapper import inside
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.commands import train

NETWORKS = {
    "NAFNet": {"width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1]},
    "EfficientDerain": {"width": 2},
    "RCDNet": {"num_stages": 2, "num_maps": 4, "num_duals": 4, "num_blocks": 1},
    "Uformer": {"embed_dim": 2, "depths": [1] * 9, "modulator": True},
}


def trained(name: str, network: dict, steps: int = 2, resume: bool = False, **changes) -> Path:
    """Train on the paired set; returns the folder of the weights."""
    roots = {"dataroot_gt": "set/target", "dataroot_lq": "set/input"}
    options = {
        "name": name,
        "num_gpu": 0,
        "network_g": network,
        "datasets": {
            "train": {
                "type": "PairedImageDataset", "name": "train", **roots, "gt_size": 16,
                "batch_size_per_gpu": 2, "num_worker_per_gpu": 0,
            },
        },
        "train": {
            "optim_g": {"type": "AdamW", "lr": 1e-2},
            "scheduler": {"type": "TrueCosineAnnealingLR", "T_max": 4},
            "total_iter": steps,
            "ema_decay": 0.5,
            "pixel_opt": {"type": "L1Loss"},
        },
    }  # fmt: skip
    options["datasets"]["train"] |= changes.pop("data", {})
    Path(f"{name}.yml").write_text(yaml.safe_dump(options | changes))
    train.main(["-opt", f"{name}.yml", *(["--auto_resume"] if resume else [])])
    return Path(f"experiments/{name}/models")


def distilled(name: str, network: dict, steps: int = 2, resume: bool = False, share: bool = False) -> Path:
    """The same with SPF units, SPD and SGR."""
    relation = {"type": "SemanticRelationLoss", "vgg_weights": "vgg.pth", "vgg_type": "vgg11"}
    return trained(
        name, network, steps, resume,
        model_type="SemanticDistillationModel",
        model_opt={
            "spd": {"type": "SmoothL1Loss"}, "sgr": {**relation, "layer": "relu1_1"}, "share_weights": share,
        },
        networks={"second": {"type": "WithSPF", "net": network, "regions": 3, "prior_channels": 4}},
        data={"type": "PairedImageGroupMaskDataset", "dataroot_mask": "set/grouped_masks"},
    )  # fmt: skip


@pytest.fixture
def workplace(paired_set, tmp_path, monkeypatch, run_script) -> Path:
    """The current folder, with pairs, label maps and a VGG."""
    monkeypatch.chdir(tmp_path)
    assert run_script("random_vgg.py", "vgg.pth", "--vgg_type", "vgg11", "--layer", "relu1_1").returncode == 0
    return tmp_path


def layout(path: Path) -> list[tuple[str, int, int]]:
    """The records of a weight file without its name: what each is called, where it begins, its bytes."""
    with zipfile.ZipFile(path) as file:
        return [
            (record.filename.partition("/")[2], record.header_offset, record.file_size)
            for record in file.infolist()
        ]


def pickled(path: Path) -> bytes:
    """All of a weight file but the numbers: entries, names, shapes, strides, types, the network's block."""
    with zipfile.ZipFile(path) as file:
        (name,) = (name for name in file.namelist() if name.endswith("data.pkl"))
        return file.read(name)


def graph_of(net: RestorationNetwork) -> str:
    """Every operation of a pass over an image, with its inputs, its constants and the shape of its result."""
    return str(torch.export.export(net.eval(), net.example_inputs(32, 32)))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "share"), [("NAFNet", True), *((kind, False) for kind in NETWORKS)])
def test_what_is_exported_is_the_plain_network(workplace, kind: str, share: bool):
    """The file, the parameters, the graph and the image of the network are those of a plain training."""
    network = {"type": kind, **NETWORKS[kind]}
    plain = trained("plain", network) / "net_g_latest.pth"
    exported = distilled("distilled", network, share=share) / "net_g_latest.pth"
    assert layout(exported) == layout(plain)
    assert pickled(exported) == pickled(plain)
    assert exported.stat().st_size == plain.stat().st_size

    net, before, fresh = rebuild_network(exported).net, rebuild_network(plain).net, build_network(network)
    assert net.block == before.block
    assert graph_of(net) == graph_of(fresh)
    shapes = [(name, tuple(item.shape)) for name, item in fresh.named_parameters()]
    assert [(name, tuple(item.shape)) for name, item in net.named_parameters()] == shapes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())

    weights = torch.load(exported, weights_only=True)["params_ema"]
    assert all(torch.equal(weights[name], item) for name, item in net.state_dict().items())
    fresh.load_state_dict(weights)
    image = torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(net(image), fresh.eval()(image))
        assert not torch.equal(net(image), before(image)), "the trainings differ"


def test_shared_weights_are_equal_in_all_files_and_a_resumed_run_is_bit_exact(workplace):
    """Weights, their averages, and the optimizer's state, which has each weight once."""
    network = {"type": "NAFNet", **NETWORKS["NAFNet"]}
    whole = distilled("whole", network, steps=4, share=True)
    distilled("cut", network, steps=2, share=True)
    cut = distilled("cut", network, steps=4, share=True, resume=True)
    for folder in (whole, cut):
        g, second = (torch.load(folder / f"net_{name}_4.pth", weights_only=True) for name in ("g", "second"))
        for entry in ("params", "params_ema"):
            inner = inside(second[entry])
            assert inner.keys() == g[entry].keys()
            assert all(torch.equal(item, inner[name]) for name, item in g[entry].items())
    for name in ("net_g_4.pth", "net_second_4.pth"):
        one, other = (torch.load(folder / name, weights_only=True) for folder in (whole, cut))
        for entry in ("params", "params_ema"):
            assert all(torch.equal(item, other[entry][key]) for key, item in one[entry].items()), name
    states = [
        torch.load(folder.parent / "training_states/4.state", weights_only=True)["optimizer"]["state"]
        for folder in (whole, cut)
    ]
    units = [key for key in second["params"] if not key.startswith("net.")]
    assert len(states[0]) == len(g["params"]) + len(units)
    for number, moments in states[0].items():
        assert all(torch.equal(item, states[1][number][key]) for key, item in moments.items())
