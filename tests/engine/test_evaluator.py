"""What metrics get to see, and what an evaluation says of a set."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from basicsr.config.paths import ResultPaths
from basicsr.config.schema import DatasetOptions, MetricOptions, ValOptions
from basicsr.data.loader import evaluation_loader
from basicsr.engine.evaluator import Evaluation, build_metrics, evaluate
from basicsr.engine.hooks import Validate
from basicsr.engine.report import table, write_results
from basicsr.engine.trainer import Trainer
from basicsr.models.base import Apply, Batch, Model, run_whole
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png
from basicsr.utils.log import EventLog

CPU = torch.device("cpu")


class Changed(Model):
    """The input changed by a function."""

    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__({})
        self.change = change

    def training_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def predict(self, batch: Batch, apply: Apply = run_whole) -> torch.Tensor:
        return self.change(batch["lq"])


def loader_of(folder: Path):
    roots = {"dataroot_gt": str(folder / "target"), "dataroot_lq": str(folder / "input")}
    options = DatasetOptions(
        type="PairedImageDataset",
        name="Set",
        options=roots,
        num_worker_per_gpu=0,
        pin_memory=False,
    )
    return evaluation_loader(options.build(seed=0, train=False), options, Ranks())


def evaluation_of(folder: Path, change, metrics, **options) -> Evaluation:
    loader = loader_of(folder)
    return evaluate(Changed(change), loader, "Set", metrics, ValOptions(**options), CPU, Ranks())


def test_metrics_see_rounded_8_bit_images_or_unrounded_ones_all_clamped(paired_set: Path) -> None:
    """A result beyond black and white is shown as black and white, so it is judged so."""
    seen = []

    def metric(restored, gt, lq) -> float:
        seen.append({"restored": restored, "gt": gt, "lq": lq})
        return 0.0

    def stretch(image: torch.Tensor) -> torch.Tensor:
        return 3 * image - 1

    lq = read_rgb(paired_set / "input" / "photo_0.png")
    gt = read_rgb(paired_set / "target" / "photo_0.png")
    stretched = (3 * lq.astype(np.float64) / 255 - 1).clip(0, 1)
    assert (stretched == 0).any() and (stretched == 1).any()

    evaluation_of(paired_set, stretch, {"see": metric}, use_image=False)
    float_eps = 8 * np.finfo(np.float32).eps  # the images are float32 before
    for role, expected in (("restored", stretched), ("gt", gt / 255), ("lq", lq / 255)):
        assert seen[0][role].dtype == np.float64
        np.testing.assert_allclose(seen[0][role], expected, atol=float_eps)
        assert seen[0][role].min() >= 0 and seen[0][role].max() <= 1

    seen.clear()
    evaluation_of(paired_set, stretch, {"see": metric})
    for role, expected in (("restored", np.round(stretched * 255)), ("gt", gt), ("lq", lq)):
        assert seen[0][role].dtype == np.uint8
        np.testing.assert_array_equal(seen[0][role], expected)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"type": "calculate_ssim_2d"}, "2-D SSIM needs at least 11x11 pixels inside the border, got 9x30"),
        ({"type": "calculate_psnr", "crop_border": 5}, "crop_border 5 leaves nothing of an image of 9x30"),
        ({"type": "calculate_ssim_aligned"}, "aligned SSIM needs at least 11x11 pixels, got 9x30"),
        ({"type": "NIQE"}, "NIQE needs at least 96x96 pixels, got 9x30"),
    ],
)
def test_a_metric_that_cannot_judge_an_image_is_one_line_with_both_names(
    tmp_path: Path, options: dict, what: str
) -> None:
    for side in ("input", "target"):
        write_png(tmp_path / side / "trip" / "small.png", np.full((9, 30, 3), 90, np.uint8))
    rest = {key: value for key, value in options.items() if key != "type"}
    metrics = build_metrics({"mine": MetricOptions(type=options["type"], options=rest)})
    with pytest.raises(UserError) as caught:
        evaluation_of(tmp_path, lambda image: image, metrics)
    way_on = "change its options, or leave the image or the metric out"
    assert str(caught.value) == f"val.metrics.mine: {what} (Set, image trip/small); {way_on}"


@pytest.fixture
def perfect_one(tmp_path: Path) -> Path:
    """Three pairs: two off by 5 and 10 grey values, and one of equal images between them."""
    for name, offset in (("a", 5), ("b", 0), ("c", 10)):
        write_png(tmp_path / "target" / f"{name}.png", np.full((16, 16, 3), 100, np.uint8))
        write_png(tmp_path / "input" / f"{name}.png", np.full((16, 16, 3), 100 + offset, np.uint8))
    return tmp_path


PSNR = build_metrics({"psnr": MetricOptions(type="calculate_psnr", options={})})
MEAN = (20 * math.log10(255 / 5) + 20 * math.log10(255 / 10)) / 2


def test_one_perfect_image_hides_no_other(perfect_one: Path, tmp_path: Path) -> None:
    evaluation = evaluation_of(perfect_one, lambda image: image, PSNR)
    assert evaluation.mean == {"psnr": pytest.approx(MEAN, rel=1e-12)}
    assert evaluation.summaries["psnr"].infinite == 1

    paths = ResultPaths(tmp_path / "results")
    write_results(paths, [evaluation])
    (content,) = json.loads(paths.metrics_json.read_text()).values()
    assert content["mean"]["psnr"] == pytest.approx(MEAN, rel=1e-12)
    assert content["left_out"] == {"psnr": {"infinite": 1}}
    assert [row["psnr"] is None for row in content["images"]] == [False, True, False]
    rows = list(csv.DictReader(paths.metrics_csv.open()))
    assert [math.isinf(float(row["psnr"])) for row in rows] == [False, True, False]
    assert re.search(rf"Set +3 +{MEAN:.4f} \(1 infinite\)$", table([evaluation]))


def test_where_every_value_is_finite_nothing_is_said(paired_set: Path, tmp_path: Path) -> None:
    evaluation = evaluation_of(paired_set, lambda image: image, PSNR)
    paths = ResultPaths(tmp_path / "results")
    write_results(paths, [evaluation])
    (content,) = json.loads(paths.metrics_json.read_text()).values()
    assert content["left_out"] == {}
    assert "infinite" not in table([evaluation])


def test_validation_writes_the_finite_mean_and_the_count(perfect_one: Path, tmp_path: Path, caplog) -> None:
    events = EventLog(tmp_path / "events.jsonl")
    model = Changed(lambda image: image)
    options = ValOptions()
    loaders = {"Set": loader_of(perfect_one)}
    hook = Validate(1, loaders, PSNR, options, None, tmp_path / "pictures", events, Ranks())
    trainer = Trainer.__new__(Trainer)
    trainer.model, trainer.device, trainer.iteration = model, CPU, 7
    with caplog.at_level("INFO", "basicsr"):
        hook.after_step(trainer)
    (event,) = map(json.loads, (tmp_path / "events.jsonl").read_text().splitlines())
    assert event["psnr"] == pytest.approx(MEAN, rel=1e-12)
    assert event["psnr_infinite"] == 1 and "psnr_undefined" not in event
    assert f"psnr {MEAN:.4f} (1 infinite)" in caplog.text
