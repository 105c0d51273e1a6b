"""Own code: found, loaded once, checked like the package's, named by weight files and never run by them."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml

from basicsr.checkpoints.convert import convert_checkpoint
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import load_contents, save_network
from basicsr.commands import masks
from basicsr.config.json_schema import options_schema
from basicsr.config.load import dump_config, load_config
from basicsr.config.schema import DatasetOptions
from basicsr.data.loader import evaluation_loader
from basicsr.masks import read_label_map
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.parallel import in_parallel
from basicsr.utils.plugins import load_plugins
from basicsr.utils.registry import ARCHS, DATASETS, LOSSES

LOSS = """
from torch import Tensor, nn
from basicsr.utils.registry import LOSSES

@LOSSES.register
class TiltLoss(nn.Module):
    def __init__(self, slope: float = 1.0) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, restored: Tensor, gt: Tensor) -> Tensor:
        return self.slope * (restored - gt).mean()
"""
NETWORK = """
from torch import Tensor, nn
from basicsr.utils.registry import ARCHS
from basicsr.archs.base import RestorationNetwork

@ARCHS.register
class Doubled(RestorationNetwork):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, width, 1)
"""
WORK = """
import os
from basicsr.utils.registry import LOSSES

def has(name: str) -> tuple[bool, int]:
    return name in LOSSES.names(), os.getpid()
"""


def options(folder, **changes) -> str:
    roots = {"dataroot_gt": str(folder), "dataroot_lq": str(folder)}
    plain = {
        "name": "own",
        "datasets": {"train": {"type": "PairedImageDataset", "name": "Own", **roots}},
        "network_g": {"type": "NAFNet", "width": 8},
        "train": {
            "optim_g": {"type": "AdamW", "lr": 0.001},
            "scheduler": {"type": "TrueCosineAnnealingLR", "T_max": 100},
            "total_iter": 100,
            "pixel_opt": {"type": "TiltLoss", "slope": 2},
        },
    }
    return yaml.safe_dump(plain | changes)


def test_option_file_names_a_plugin_beside_it(own_code, tmp_path):
    plugin = own_code.write(LOSS)
    file = own_code.write(options(tmp_path, plugins=["my_code.py"]), "own.yml")
    config = load_config(file)
    assert config.plugins == [str(plugin)]
    assert config.train.pixel_opt.build().slope == 2
    text = dump_config(config)
    assert text.endswith(f"# plugin {plugin}, SHA-256 {hashlib.sha256(plugin.read_bytes()).hexdigest()}\n")
    assert dump_config(load_config(own_code.write(text, "elsewhere/config.yml"))) == text


def test_options_of_a_plugin_are_checked_and_completed_like_others(own_code, tmp_path):
    own_code.write(LOSS)
    wrong = {"optim_g": {"type": "AdamW", "lr": 0.001}, "total_iter": 1}
    wrong |= {"scheduler": {"type": "TrueCosineAnnealingLR", "T_max": 1}}
    files = [
        own_code.write(
            options(tmp_path, plugins=["my_code.py"], train=wrong | {"pixel_opt": loss}), "own.yml"
        )
        and load_mistakes(own_code.folder / "own.yml")
        for loss in ({"type": "TiltLos"}, {"type": "TiltLoss", "slop": 1})
    ]
    assert files[0] == ["train.pixel_opt.type: unknown loss 'TiltLos'. Did you mean 'TiltLoss'?"]
    assert files[1] == ["train.pixel_opt.slop: TiltLoss has no such option. Did you mean 'slope'? (got 1)"]
    assert "TiltLoss" in options_schema()["definitions"]["loss"]["properties"]["type"]["enum"]


def test_example_of_the_readme_is_a_plugin(own_code):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:python|yaml)\n# (edge_loss\.py|own\.yml)\n(.*?)```", readme, re.S)
    for name, text in blocks:
        own_code.write(text, name)
    assert all("no such folder" in mistake for mistake in load_mistakes(own_code.folder / "own.yml"))
    loss = LOSSES.build("EdgeLoss", {"loss_weight": 2})
    step = torch.zeros(1, 3, 2, 2)
    step[..., 1] = 0.5
    assert loss(step, torch.zeros_like(step)) == 1


def load_mistakes(file) -> list[str]:
    with pytest.raises(OptionError) as caught:
        load_config(file)
    return caught.value.mistakes


def test_plugins_of_a_base_are_relative_to_it_and_of_the_command_line_to_the_folder(
    own_code, tmp_path, monkeypatch
):
    loss, network = own_code.write(LOSS, "losses/tilt.py"), own_code.write(NETWORK, "nets/doubled.py")
    own_code.write(options(tmp_path, plugins=["tilt.py"]), "losses/base.yml")
    own_code.write("base: losses/base.yml\nnetwork_g: {type: Doubled, width: 3}", "own.yml")
    monkeypatch.chdir(own_code.folder)
    with pytest.raises(OptionError, match="unknown network 'Doubled'"):
        load_config("own.yml", ["network_g.width=3"])
    config = load_config("own.yml", plugins=["nets/doubled.py"])
    assert config.plugins == [str(loss), str(network)]
    again = load_config("own.yml", ["plugins=[nets/doubled.py, losses/tilt.py]"])
    assert again.plugins == [str(network), str(loss)]


def test_module_is_taken_by_name(own_code, monkeypatch):
    own_code.write(LOSS, "somebody/losses.py")
    monkeypatch.syspath_prepend(own_code.folder)
    (plugin,) = load_plugins(["somebody.losses"], "plugins")
    assert plugin.named == "somebody.losses" and plugin.file == own_code.folder / "somebody/losses.py"
    assert "TiltLoss" in LOSSES.names()


def test_plugin_runs_once_however_it_is_named(own_code, monkeypatch, capsys):
    path = own_code.write("print('runs')")
    monkeypatch.chdir(own_code.folder)
    load_plugins([str(path), "my_code.py"], "--plugin")
    load_plugins(["./my_code.py", "../own/my_code.py"], "--plugin")
    assert capsys.readouterr().out == "runs\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nraise ValueError('no\\nmore')", "line 2: ValueError: no"),
        ("def f():\n    return 1 / 0\n\nf()", "line 2: ZeroDivisionError: division by zero"),
        ("x = 1\ny = = 2", "line 2: SyntaxError: invalid syntax"),
        (
            "import nothing_of_that_name",
            "line 1: ModuleNotFoundError: No module named 'nothing_of_that_name'",
        ),
        ("import json\njson.loads('{')", "line 2: JSONDecodeError: "),
        (
            NETWORK.replace("Doubled", "NAFNet"),
            "line 6: ValueError: network 'NAFNet' of my_code is already registered by basicsr.archs.nafnet",
        ),
        (
            NETWORK.replace("width: int", "width"),
            "line 6: ValueError: network 'Doubled': option 'width' has no annotation",
        ),
    ],
)
def test_plugin_that_fails_is_one_line_and_loads_once_it_is_mended(own_code, text, message):
    path = own_code.write(LOSS + text)
    line = int(message.split()[1].strip(":")) + LOSS.count("\n")
    with pytest.raises(UserError) as caught:
        load_plugins([str(path)], "--plugin")
    assert str(caught.value).startswith(f"{path}, line {line}: {message.partition(': ')[2]}")
    assert "\n" not in str(caught.value)
    own_code.write(LOSS)
    load_plugins([str(path)], "--plugin")
    assert "TiltLoss" in LOSSES.names()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.py", "--plugin: no such file (got '"),
        (
            "my-code.py",
            "--plugin: a plugin is imported by its name: letters, digits and underscores, then .py",
        ),
        ("random.py", "--plugin: another module has that name: "),
        ("no_module", "--plugin: no such module; a file ends with .py (got 'no_module')"),
    ],
)
def test_name_that_cannot_be_loaded_is_one_line(own_code, name, message):
    if name != "absent.py":
        own_code.write("", name)
    with pytest.raises(OptionError) as caught:
        load_plugins([str(own_code.folder / name) if name.endswith(".py") else name], "--plugin")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_a_package_of_python_is_not_shadowed(own_code):
    own_code.write("raise ValueError", "json.py")
    load_plugins([str(own_code.write(""))], "--plugin")
    assert sys.path[-1] == str(own_code.folder)
    assert importlib.reload(sys.modules["json"]).loads("1") == 1


@pytest.mark.parametrize("method", ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_worker_processes_have_the_same_registries(own_code, method):
    work, loss = own_code.write(WORK, "work.py"), own_code.write(LOSS)
    load_plugins([str(work), str(loss)], "--plugin")
    has = sys.modules["work"].has
    found = list(in_parallel(has, ["TiltLoss", "TiltLos"], "", 2, method, progress=False))
    assert [known for known, _ in found] == [True, False]
    assert sys.modules["work"].os.getpid() not in {process for _, process in found}


def test_weight_file_names_the_plugin_and_does_not_run_it(own_code, tmp_path, monkeypatch, capsys):
    plugin = own_code.write(NETWORK + "print('runs')")
    load_plugins([str(plugin)], "--plugin")
    net = ARCHS.build("Doubled", {})
    save_network(tmp_path / "net.pth", net, None, {"type": "Doubled"})
    convert_checkpoint(tmp_path / "net.pth", tmp_path / "net.safetensors")
    sha256 = hashlib.sha256(plugin.read_bytes()).hexdigest()
    own_code.unload()
    capsys.readouterr()
    monkeypatch.chdir(own_code.folder)
    for name in ("net.pth", "net.safetensors"):
        assert load_contents(tmp_path / name)["basicsr"]["plugins"] == [
            {"name": "my_code.py", "sha256": sha256}
        ]
        with pytest.raises(UserError) as caught:
            rebuild_network(tmp_path / name)
        what = f"its network comes from the plugin my_code.py (SHA-256 {sha256[:8]}..), which is not loaded"
        assert str(caught.value) == f"{tmp_path / name}: {what}; give your copy with --plugin my_code.py"
    assert "runs" not in capsys.readouterr().out

    renamed = own_code.write(plugin.read_text(), "renamed.py")
    load_plugins([str(renamed)], "--plugin")
    rebuilt = rebuild_network(tmp_path / "net.pth")
    assert torch.equal(rebuilt.net.layer.weight, net.layer.weight) and "changed" not in rebuilt.summary
    own_code.unload()
    load_plugins([str(own_code.write(NETWORK))], "--plugin")
    assert "the plugin my_code.py has changed since" in rebuild_network(tmp_path / "net.pth").summary


def test_weight_file_of_a_network_of_the_package_names_no_plugin(own_code, tmp_path):
    load_plugins([str(own_code.write(NETWORK))], "--plugin")
    save_network(
        tmp_path / "net.pth", ARCHS.build("NAFNet", {"width": 4}), None, {"type": "NAFNet", "width": 4}
    )
    assert set(load_contents(tmp_path / "net.pth")["basicsr"]) == {"network", "facts"}


def test_module_of_a_package_is_named_by_its_module(own_code, tmp_path, monkeypatch):
    own_code.write("from somebody_else.nets import Doubled", "somebody_else/__init__.py")
    own_code.write(NETWORK, "somebody_else/nets.py")
    monkeypatch.syspath_prepend(own_code.folder)
    load_plugins(["somebody_else"], "plugins")
    net = ARCHS.build("Doubled", {})
    save_network(tmp_path / "net.pth", net, None, {"type": "Doubled"})
    (named,) = load_contents(tmp_path / "net.pth")["basicsr"]["plugins"]
    assert named["name"] == "somebody_else"


DATASET = """
from dataclasses import dataclass
from basicsr.data.paired import PairedImageDataset
from basicsr.utils.registry import DATASETS, LOSSES

@DATASETS.register
@dataclass(kw_only=True, eq=False)
class Counted(PairedImageDataset):
    def finish(self, arrays, key, generator):
        return super().finish(arrays, key, generator) | {"known": "TiltLoss" in LOSSES.names()}
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_data_set_of_a_plugin_is_read_by_workers_that_are_started_anew(own_code, paired_set, method):
    data, loss = own_code.write(DATASET, "counted.py"), own_code.write(LOSS)
    load_plugins([str(data), str(loss)], "--plugin")
    roots = {"dataroot_gt": str(paired_set / "target"), "dataroot_lq": str(paired_set / "input")}
    dataset = DATASETS.build("Counted", roots)
    options = DatasetOptions(type="Counted", name="set", num_worker_per_gpu=1)
    loader = evaluation_loader(dataset, options, Ranks())
    loader.multiprocessing_context = method
    found = list(loader)
    assert len(found) == 6 and all(batch["known"].item() for batch in found)


SEGMENTER = """
import numpy as np
from basicsr.masks import from_stack
from basicsr.utils.registry import SEGMENTERS

@SEGMENTERS.register
class Halves:
    def __init__(self, share: float = 0.5) -> None:
        self.share = share

    def masks(self, image):
        left = np.arange(image.shape[1]) < self.share * image.shape[1]
        return np.stack([np.broadcast_to(side, image.shape[:2]) for side in (left, ~left)])

    def labels(self, image, overlap):
        return from_stack(self.masks(image), overlap=overlap)

    def facts(self):
        return {"method": "halves", "share": self.share}
"""


@pytest.mark.slow
def test_segmenter_of_a_plugin_makes_masks_in_several_processes(own_code, paired_set, tmp_path):
    plugin = own_code.write(SEGMENTER, "halves.py")
    words = [paired_set / "input", tmp_path / "masks", "--plugin", plugin, "--segmenter", "halves"]
    masks.main([*map(str, words), "--option", "share=0.25", "--workers", "2"])
    labels = read_label_map(tmp_path / "masks/photo_0.png")
    assert (labels[:, :12] != labels[0, -1]).all() and (labels[:, 12:] == labels[0, -1]).all()
