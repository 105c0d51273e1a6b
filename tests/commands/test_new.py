"""``sam-deblur new``: what it writes runs, trains, is judged, exported and restored as it is."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from basicsr import console
from basicsr.utils.image import read_rgb

SNAKE = {
    "network": ("MyOwnNet", "my_own_net"),
    "loss": ("EdgeLoss2d", "edge_loss2d"),
    "metric": ("mae", "mae"),
    "dataset": ("NoisyPairs", "noisy_pairs"),
    "segmenter": ("Squares", "squares"),
}


def run(capsys, *words: object) -> tuple[int, str, str]:
    code = 0
    try:
        console.main([str(word) for word in words])
    except SystemExit as end:
        code = int(end.code or 0)
    return code, *capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("kind", SNAKE)
def test_file_comes_with_a_test_that_passes(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name, stem = SNAKE[kind]
    code, out, _ = run(capsys, "new", kind, name)
    assert code == 0 and f"plugins: [{stem}.py]" in out
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_{stem}.py"]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": ""},
    )
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout


def test_nothing_is_overwritten(tmp_path, capsys):
    run(capsys, "new", "loss", "EdgeLoss", "--folder", tmp_path / "own")
    first, test = tmp_path / "own/edge_loss.py", tmp_path / "own/test_edge_loss.py"
    first.unlink()
    message = (1, "", f"error: {test}: exists already; choose another NAME or --folder\n")
    assert run(capsys, "new", "metric", "EdgeLoss", "--folder", tmp_path / "own") == message
    assert not first.exists() and "LOSSES" in test.read_text()


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("network", "My-Net", "NAME: expected letters, digits and underscores (got 'My-Net')"),
        ("network", "class", "NAME: expected letters, digits and underscores (got 'class')"),
        ("network", "NAFNet", "NAME: there is a network of that name; choose another (got 'NAFNet')"),
        ("loss", "Random", "NAME: Python has a module random; choose another (got 'Random')"),
    ],
)
def test_name_that_is_no_use_is_one_line(kind, name, message, tmp_path, capsys):
    assert run(capsys, "new", kind, name, "--folder", tmp_path) == (2, "", f"error: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_network_trains_two_steps_is_judged_and_restores(own_code, paired_set, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for kind, (name, _) in SNAKE.items():
        run(capsys, "new", kind, name, "--folder", own_code.folder)
    roots = {"dataroot_gt": str(paired_set / "target"), "dataroot_lq": str(paired_set / "input")}
    data = {"type": "PairedImageDataset", "num_worker_per_gpu": 0, **roots}
    options = {
        "name": "mine",
        "plugins": [f"{stem}.py" for _, stem in SNAKE.values()],
        "num_gpu": 0,
        "datasets": {
            "train": {**data, "name": "Set-train", "gt_size": 16, "batch_size_per_gpu": 2},
            "test": {**data, "name": "Set"},
        },
        "network_g": {"type": "MyOwnNet", "width": 4},
        "train": {
            "optim_g": {"type": "AdamW", "lr": 0.001},
            "scheduler": {"type": "TrueCosineAnnealingLR", "T_max": 2},
            "total_iter": 2,
            "pixel_opt": {"type": "EdgeLoss2d"},
        },
        "val": {"report": False, "metrics": {"mine": {"type": "mae", "crop_border": 1}}},
    }
    (own_code.folder / "mine.yml").write_text(yaml.safe_dump(options))
    assert run(capsys, "train", own_code.folder / "mine.yml")[0] == 0
    experiment, source = Path("experiments/mine"), (own_code.folder / "my_own_net.py").read_bytes()
    sha256 = hashlib.sha256(source).hexdigest()
    assert (experiment / f"plugins/my_own_net_{sha256[:8]}.py").read_bytes() == source
    assert f"SHA-256 {sha256}" in (experiment / "config.yml").read_text()
    (log,) = experiment.glob("train_*.log")
    assert f"my_own_net.py, SHA-256 {sha256}" in log.read_text()

    weights = experiment / "models/net_g_latest.pth"
    assert (
        run(capsys, "test", own_code.folder / "mine.yml", "--set", f"path.pretrain_network_g={weights}")[0]
        == 0
    )
    results = json.loads(Path("results/mine/metrics.json").read_text())
    assert 0 < results["Set"]["mean"]["mine"] < 255
    assert (Path("results/mine/plugins") / f"my_own_net_{sha256[:8]}.py").is_file()

    own_code.unload()
    restoring = ["restore", "-i", paired_set / "input/photo_0.png", "-o", "out", "--weights", weights]
    code, _, err = run(capsys, *restoring, "--device", "cpu")
    assert code == 1 and err.splitlines()[-1].endswith("give your copy with --plugin my_own_net.py")
    plugin = ["--plugin", own_code.folder / "my_own_net.py"]
    assert run(capsys, *restoring, *plugin, "--device", "cpu")[0] == 0
    assert read_rgb(Path("out/photo_0.png")).shape == (40, 48, 3)
    own_code.unload()
    assert run(capsys, "convert", weights, "small.safetensors", *plugin)[0] == 0
    own_code.unload()
    assert run(capsys, "schema", "schema.json", *plugin)[0] == 0
    networks = json.loads(Path("schema.json").read_text())["definitions"]["network"]
    assert "MyOwnNet" in networks["properties"]["type"]["enum"]


@pytest.mark.slow
def test_network_is_exported(own_code, tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxscript")
    from basicsr.checkpoints.weights import save_network
    from basicsr.utils.plugins import load_plugins
    from basicsr.utils.registry import ARCHS

    monkeypatch.chdir(tmp_path)
    run(capsys, "new", "network", "MyOwnNet", "--folder", own_code.folder)
    file = str(own_code.folder / "my_own_net.py")
    load_plugins([file], "--plugin")
    save_network(
        Path("net.pth"), ARCHS.build("MyOwnNet", {"width": 4}), None, {"type": "MyOwnNet", "width": 4}
    )
    own_code.unload()
    code, out, err = run(capsys, "export", "net.pth", "net.onnx", "--plugin", file)
    assert code == 0 and Path("net.onnx").is_file(), out + err
