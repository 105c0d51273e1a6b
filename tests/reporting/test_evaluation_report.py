"""What testing and training write for people to look at, with a network of width 4."""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import torch

from basicsr.config.cli import Arguments
from basicsr.data import PairedImageGroupMaskDataset
from basicsr.data.fields import Field, StoredField
from basicsr.masks import read_label_map
from basicsr.metrics import SetMetric, metric
from basicsr.models.base import run_whole
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.reporting.page import read_page
from basicsr.test import test as run_test
from basicsr.train import train as run_train
from basicsr.utils.errors import UserError
from basicsr.utils.image import decode_rgb
from basicsr.utils.pixel_limit import PixelLimit
from basicsr.utils.registry import DATASETS, METRICS, MODELS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path("results/Demo-SegNAFNet")
TINY = ["num_gpu=0", "network_g.width=4", "network_g.enc_blk_nums=[1]", "network_g.dec_blk_nums=[1]"]
TRAINED = "path.pretrain_network_g=experiments/Demo-SegNAFNet/models/net_g_latest.pth"
TRAIN = [
    "path.pretrain_network_g=null",
    "datasets.train.num_worker_per_gpu=0",
    "datasets.train.gt_size=16",
    "datasets.train.batch_size_per_gpu=2",
    "train.total_iter=2",
]


@pytest.fixture
def trained(paired_set, tmp_path, monkeypatch) -> Path:
    """The current folder, with the option files, a tiny set in the place of the Demo set, and weights."""
    shutil.copytree(ROOT / "options", tmp_path / "options")
    for split in ("train", "test"):
        shutil.copytree(paired_set, tmp_path / "datasets/Demo" / split)
    monkeypatch.chdir(tmp_path)
    options = "options/train/Demo/SegNAFNet.yml"
    run_train(Arguments(options, [*TINY, *TRAIN, "logger.print_freq=1"], "none", False, debug=True))
    return tmp_path


def evaluate(*overrides: str) -> dict:
    options = "options/test/Demo/SegNAFNet.yml"
    run_test(Arguments(options, [*TINY, TRAINED, *overrides], "none", False, debug=True))
    return read_page(RESULTS / "report.html")


def test_the_report_of_an_evaluation(trained, capsys):
    document = evaluate()
    assert capsys.readouterr().out.splitlines()[-1].endswith("report: results/Demo-SegNAFNet/report.html")
    metrics = json.loads((RESULTS / "metrics.json").read_text())
    (shown,) = document["sets"]
    assert shown["name"] == "Demo" and document["gain"] == "psnr"
    described = {name: (item["unit"], item["better"]) for name, item in document["metrics"].items()}
    assert described == {"psnr": ("dB", "higher"), "ssim": ("", "higher"), "mcr": ("rate", "lower")}
    assert shown["summaries"] == [{}], "of means the page takes the images"
    facts = dict(document["runs"][0]["facts"])
    assert facts["Network"].startswith("SegNAFNet") and "width 4" in facts["Network"]
    assert facts["Weights"].endswith("net_g_latest.pth")
    assert facts["Options"] == shlex.join(["options/test/Demo/SegNAFNet.yml", *TINY, TRAINED])
    for image, row in zip(shown["images"], metrics["Demo"]["images"], strict=True):
        (result,) = image["results"]
        assert image["key"] == row["key"]
        assert image["input"] == {
            "psnr": pytest.approx(10 * np.log10(255**2 / 9)),  # 3 gray values too bright
            "ssim": row["input_ssim"],
            "mcr": 0.0,
        }
        assert result["values"] == {name: row[name] for name in ("psnr", "ssim", "mcr")}
        files = {**image["full"], "restored": result["full"]}
        found = {
            name: (RESULTS / unquote(file)).resolve().relative_to(trained) for name, file in files.items()
        }
        assert found == {
            "lq": Path(f"datasets/Demo/test/input/{image['key']}.png"),
            "gt": Path(f"datasets/Demo/test/target/{image['key']}.png"),
            "restored": RESULTS / f"visualization/Demo/{image['key']}.png",
        }
        labels = decode_rgb(base64.b64decode(image["thumbnails"]["labels"]), "labels")[..., 0]
        whole = read_label_map(trained / f"datasets/Demo/test/grouped_masks/{image['key']}.png")
        assert np.array_equal(labels, whole)


def test_pictures_and_report_are_a_choice(trained):
    document = evaluate("val.save_img=false")
    assert [image["results"][0]["full"] for image in document["sets"][0]["images"]] == [None] * 6
    assert not (RESULTS / "visualization").exists()
    options = "options/test/Demo/SegNAFNet.yml"
    run_test(Arguments(options, [*TINY, TRAINED, "val.report=false"], "none", False, debug=True))
    assert (RESULTS / "metrics.json").is_file() and not (RESULTS / "report.html").exists()


def test_a_suffix_that_makes_names_too_long_is_told_before_the_work(trained, monkeypatch):
    monkeypatch.setattr("basicsr.engine.evaluator.move_to", None)  # the first step of the work
    with pytest.raises(UserError, match=r"the name has 2\d\d bytes, a file system holds 255; shorten"):
        evaluate(f"val.suffix={'x' * 250}")


def test_without_a_psnr_there_is_no_gain(trained):
    document = evaluate("val.metrics={other: {type: calculate_ssim}}")
    image = document["sets"][0]["images"][0]
    assert document["gain"] is None and image["input"] == {}
    assert "other" in image["results"][0]["values"]


def test_the_ssim_of_the_input_stands_beside_that_of_the_result(trained):
    document = evaluate("val.metrics.before={type: calculate_input_ssim}")
    metrics = json.loads((RESULTS / "metrics.json").read_text())
    for image, row in zip(document["sets"][0]["images"], metrics["Demo"]["images"], strict=True):
        assert image["input"]["ssim"] == row["before"] != row["ssim"]
        assert "before" not in image["results"][0]["values"]


@pytest.fixture
def own_parts(monkeypatch) -> None:
    """A metric of the set, a metric of clips, a data set of clips and a model that makes them."""
    for registry in (METRICS, DATASETS, MODELS):
        monkeypatch.setattr(registry, "_entries", {name: registry[name] for name in registry.names()})

    @metric("Spread", better="lower", unit="levels", digits=1)
    class Spread(SetMetric[np.ndarray]):
        def __call__(self, restored) -> np.ndarray:
            return restored.mean((0, 1))

        def summarize(self, values) -> float:
            return float(np.ptp(values, axis=0).max())

    @metric("Error", better="lower", per="clip")
    def largest_errors(restored, frames) -> list[float]:
        return [float(np.abs(a.astype(int) - b).max()) for a, b in zip(restored, frames, strict=True)]

    @DATASETS.register
    class StillDataset(PairedImageGroupMaskDataset):
        reference = "frames"

        def make_fields(self) -> list[Field]:
            gt, *others = super().make_fields()
            assert isinstance(gt, StoredField)

            def still(data: bytes, name: str, limit: PixelLimit) -> np.ndarray:
                return np.stack([gt.decode(data, name, limit)] * 3)

            return [replace(gt, name="frames", decode=still), *others]

    @MODELS.register
    class ClipModel(ImageRestorationModel):
        def predict(self, batch, apply=run_whole) -> torch.Tensor:
            return torch.stack([super().predict(batch, apply)] * 3, dim=1)


def test_a_metric_of_the_set_goes_all_the_way(trained, own_parts):
    document = evaluate("val.metrics.spread={type: Spread}")
    metrics = json.loads((RESULTS / "metrics.json").read_text())["Demo"]
    assert metrics["mean"]["spread"] > 0 and "spread" not in metrics["images"][0]
    assert document["metrics"]["spread"] == {
        "title": "Spread", "unit": "levels", "digits": 1, "better": "lower", "averaged": False,
    }  # fmt: skip
    (shown,) = document["sets"]
    assert shown["summaries"] == [{"spread": {"mean": metrics["mean"]["spread"], "left_out": ""}}]
    assert "spread" not in shown["images"][0]["results"][0]["values"]


def test_clips_go_all_the_way(trained, own_parts):
    clips = ["model_type=ClipModel", "datasets.test.type=StillDataset"]
    document = evaluate(*clips, "val.metrics.error={type: largest_errors}", "val.metrics.mcr=null")
    metrics = json.loads((RESULTS / "metrics.json").read_text())["Demo"]
    for image, row in zip(document["sets"][0]["images"], metrics["images"], strict=True):
        (result,) = image["results"]
        assert result["values"] == {name: row[name] for name in ("psnr", "ssim", "error")}
        assert all(len(value) == 3 for value in result["values"].values())
        assert image["input"]["psnr"] == row["input_psnr"] == [pytest.approx(10 * np.log10(255**2 / 9))] * 3
        assert result["full"] == f"visualization/Demo/{image['key']}/0002.png"
    flat = [value for row in metrics["images"] for value in row["error"]]
    assert metrics["mean"]["error"] == pytest.approx(np.mean(flat))
    assert len(list((RESULTS / "visualization/Demo").glob("*/000[123].png"))) == 3 * 6


def test_training_leaves_its_curves(trained, capsys):
    experiment = Path("experiments/Demo-SegNAFNet")
    assert decode_rgb((experiment / "curves.png").read_bytes(), "curves").shape[1] == 1720
    assert "learning rate" in (experiment / "curves.svg").read_text()
    log = next(experiment.glob("train_*.log")).read_text()
    assert log.splitlines()[-1].endswith(
        f"training curves: {experiment}/curves.svg and {experiment}/curves.png"
    )


def test_an_interrupted_run_has_its_curves(trained, monkeypatch):
    """The interruption itself still ends the command."""
    from basicsr.engine.hooks import SaveCheckpoint
    from basicsr.engine.trainer import Trainer

    def interrupt(self: object, trainer: Trainer) -> None:
        if trainer.iteration == trainer.total_iter:
            raise KeyboardInterrupt

    monkeypatch.setattr(SaveCheckpoint, "after_step", interrupt)
    overrides = [*TINY, *TRAIN, "name=broken", "logger.print_freq=1"]
    with pytest.raises(KeyboardInterrupt):
        run_train(Arguments("options/train/Demo/SegNAFNet.yml", overrides, "none", False, debug=True))
    assert Path("experiments/broken/curves.png").is_file()


@pytest.mark.slow
@pytest.mark.dist
def test_several_processes_write_the_same_report(trained):
    alone = evaluate()
    clean = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=3", "--standalone"]
    words = ["-opt", "options/test/Demo/SegNAFNet.yml", "--set", *TINY, TRAINED]
    done = subprocess.run(
        [*launcher, str(ROOT / "basicsr/test.py"), *words],
        capture_output=True, text=True, env=clean | {"OMP_NUM_THREADS": "1"}, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    together = read_page(RESULTS / "report.html")
    for one, other in zip(alone["sets"][0]["images"], together["sets"][0]["images"], strict=True):
        assert one["key"] == other["key"] and one["thumbnails"] == other["thumbnails"]
        assert other["results"][0]["values"] == pytest.approx(one["results"][0]["values"], abs=1e-6)
