"""Each image is restored, seen by the metrics as asked for, and counted once; what that says of a set."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.config.paths import ResultPaths
from basicsr.config.schema import DatasetOptions, MetricOptions, ValOptions
from basicsr.data.fields import Field, StoredField
from basicsr.data.loader import evaluation_loader
from basicsr.data.paired import PairedImageDataset, PairedImageGroupMaskDataset
from basicsr.data.sampler import ShareSampler
from basicsr.engine.evaluator import Evaluation, build_metrics, evaluate, interleave
from basicsr.engine.hooks import Validate
from basicsr.engine.report import table, write_results
from basicsr.engine.trainer import Trainer
from basicsr.metrics.base import Metric, MetricFacts, SetMetric
from basicsr.models.base import Apply, Batch, Model, run_whole
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png
from basicsr.utils.log import EventLog, logger
from basicsr.utils.pixel_limit import PixelLimit

CPU = torch.device("cpu")
PLAIN = ValOptions()


class Brighter(RestorationNetwork):
    """Adds 1.4 gray values."""

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training and not torch.is_grad_enabled()
        return x + 1.4 / 255


def run(dataset, metrics, options=PLAIN, kind=ImageRestorationModel, **more):
    model = kind({"g": Brighter()}, {})
    model.train()
    loading = DatasetOptions(type="PairedImageDataset", name="set", num_worker_per_gpu=0)
    loader = evaluation_loader(dataset, loading, Ranks())
    result = evaluate(model, loader, "set", metrics, options, CPU, Ranks(), **more)
    assert model.training, "the mode is the one before"
    return result


@pytest.fixture
def pairs(paired_set) -> PairedImageDataset:
    """The degraded images are three gray values brighter than their targets."""
    return PairedImageDataset(dataroot_gt=f"{paired_set}/target", dataroot_lq=f"{paired_set}/input")


def described(function: Callable, **facts) -> Metric:
    return Metric(function, MetricFacts("Shown", "Shown", better="higher", **facts))


def spy(seen: list) -> Metric:
    def metric(restored, gt, lq) -> float:
        seen.append((restored, gt, lq))
        return float(len(seen))

    return described(metric)


def test_metrics_see_8_bit_images_as_they_would_be_written(pairs):
    seen: list = []
    result = run(pairs, {"count": spy(seen)})
    assert [row["key"] for row in result.rows] == [f"photo_{number}" for number in range(6)]
    assert [row["count"] for row in result.rows] == [1, 2, 3, 4, 5, 6]
    assert result.mean == {"count": 3.5} and result.name == "set" and result.kept == []
    for number, (restored, gt, lq) in enumerate(seen):
        assert restored.dtype == gt.dtype == lq.dtype == np.uint8
        assert restored.shape == gt.shape == lq.shape == (40, 48, 3)
        assert (gt[..., 2] == 10 * number).all(), "RGB, the blue channel is the number"
        assert np.array_equal(lq, gt + 3) and np.array_equal(restored, gt + 4), "3 + 1.4, rounded"


def test_unrounded_values_are_those_of_the_network_in_0_to_1(pairs):
    seen: list = []
    run(pairs, {"count": spy(seen)}, ValOptions(use_image=False))
    restored, gt, lq = seen[5]
    assert restored.dtype == np.float64
    np.testing.assert_allclose(restored - gt, 4.4 / 255, atol=1e-6)
    np.testing.assert_allclose(lq - gt, 3 / 255, atol=1e-6)
    assert gt[3, 5].tolist() == pytest.approx([12 / 255, 20 / 255, 50 / 255])


class WithFigure(ImageRestorationModel):
    figure_names = ("added",)

    def figures(self, batch: Batch, restored: Tensor) -> dict[str, Tensor]:
        return {"added": (restored - batch["lq"]).mean((1, 2, 3))}


def test_metrics_may_ask_for_figures_of_the_model(pairs):
    def metric(added) -> float:
        return added

    result = run(pairs, {"added": described(metric)}, kind=WithFigure)
    assert result.mean["added"] == pytest.approx(1.4 / 255, rel=1e-4)
    with pytest.raises(UserError, match=r"val\.metrics\.added: needs 'added', which set does not deliver"):
        run(pairs, {"added": described(metric)})


class Counts(WithFigure):
    """Notes how many images it restores at once."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.at_once: list[int] = []

    def predict(self, batch: Batch, apply: Apply = run_whole) -> Tensor:
        assert all(len(value) == len(batch["lq"]) for value in batch.values()), "keys and sizes too"
        self.at_once.append(len(batch["lq"]))
        return super().predict(batch, apply)


@pytest.mark.parametrize("options", [PLAIN, ValOptions(tile=24, tile_overlap=8)], ids=["whole", "tiles"])
def test_images_of_equal_size_may_be_restored_at_once(paired_set, options):
    for side in ("input", "target"):  # the fourth image has its own size
        path = paired_set / side / "photo_3.png"
        write_png(path, read_rgb(path)[:32])
    pairs = PairedImageDataset(dataroot_gt=f"{paired_set}/target", dataroot_lq=f"{paired_set}/input")

    def metrics() -> dict[str, Metric]:
        def added(added, restored, lq) -> float:
            return added + float(restored[..., 2].mean()) - float(lq[..., 2].mean())

        return {"added": described(added), "psnr": Metric.of(MetricOptions(type="calculate_psnr"))}

    counting = []

    def kind(*arguments) -> Counts:
        counting.append(Counts(*arguments))
        return counting[-1]

    alone = run(pairs, metrics(), options, kind)
    together = run(pairs, metrics(), msgspec.structs.replace(options, batch_size=2), kind)
    assert together.rows == alone.rows and together.mean == alone.mean
    assert [model.at_once for model in counting] == [[1] * 6, [2, 1, 1, 2]]


def test_networks_of_bgr_are_written_and_judged_with_channels_in_reverse(pairs, tmp_path):
    seen: list = []
    run(pairs, {"count": spy(seen)}, ValOptions(rgb2bgr=False), picture=lambda key: tmp_path / f"{key}.png")
    restored, gt, _ = seen[2]
    assert (gt[..., 0] == 20).all()
    assert np.array_equal(read_rgb(tmp_path / "photo_2.png"), restored)


def test_pictures_that_cannot_be_written_end_a_validation_only_where_they_are_needed(pairs, tmp_path, caplog):
    (tmp_path / "taken").touch()  # where a folder is needed
    logger().propagate = True
    result = run(
        pairs, {"count": spy([])}, picture=lambda key: tmp_path / "taken" / f"{key}.png", needs_pictures=False
    )
    assert len(result.rows) == 6
    (told,) = caplog.messages
    assert str(tmp_path / "taken") in told and told.endswith(
        "no further pictures of this validation are written"
    )
    with pytest.raises(OSError):
        run(pairs, {"count": spy([])}, picture=lambda key: tmp_path / "taken" / f"{key}.png")


def test_pictures_are_what_metrics_saw(pairs, tmp_path):
    seen: list = []
    run(pairs, {"count": spy(seen)}, picture=lambda key: tmp_path / f"{key}.png")
    assert len(list(tmp_path.glob("*.png"))) == 6
    assert np.array_equal(read_rgb(tmp_path / "photo_4.png"), seen[4][0])


def test_normalized_images_are_judged_as_they_are_in_the_files(paired_set):
    roots = {"dataroot_gt": f"{paired_set}/target", "dataroot_lq": f"{paired_set}/input"}
    seen: list = []
    run(PairedImageDataset(**roots, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5)), {"count": spy(seen)})
    restored, gt, lq = seen[3]
    assert np.array_equal(lq, gt + 3)
    # what the network adds to normalized images counts half: 3 + 0.7
    assert np.array_equal(restored, gt + 4)


def test_what_is_kept_of_an_image(pairs, paired_set):
    kept = run(pairs, {"one": described(lambda restored: 1.0)}, keep=lambda judged: judged).kept
    assert [judged.key for judged in kept] == [f"photo_{number}" for number in range(6)]
    assert kept[2].values == {"one": 1.0} and kept[2].labels is None
    assert kept[2].places["lq"] == f"{paired_set}/input/photo_2.png"
    labeled = PairedImageGroupMaskDataset(
        dataroot_gt=f"{paired_set}/target",
        dataroot_lq=f"{paired_set}/input",
        dataroot_mask=f"{paired_set}/grouped_masks",
    )
    (first, *_) = run(labeled, {}, keep=lambda judged: judged).kept
    assert first.labels.shape == (40, 48) and set(np.unique(first.labels)) == {0, 1, 2, 3}


def test_metrics_get_the_images_that_they_ask_for():
    metrics = build_metrics({"shown": MetricOptions(type="calculate_psnr", options={"crop_border": 0})})
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    restored, gt, lq = images
    mean_square = np.mean((restored.astype(float) - gt) ** 2)
    offered = {"restored": restored, "gt": gt, "lq": lq}
    assert metrics["shown"].measure(offered) == pytest.approx(10 * np.log10(255**2 / mean_square))
    assert build_metrics({}) == {}


def test_the_mean_of_nothing_is_nothing():
    metrics = dict.fromkeys(("psnr", "ssim"), described(lambda restored: 1.0))
    assert Evaluation.of("set", [], [], metrics).mean == {}
    values = [{"psnr": 1.0, "ssim": 0.5}, {"psnr": 2.0, "ssim": 0.0}]
    assert Evaluation.of("set", ["a", "b"], values, metrics).mean == {"psnr": 1.5, "ssim": 0.25}


@given(size=st.integers(0, 30), world=st.integers(1, 6))
def test_shares_of_processes_come_back_in_order(size: int, world: int):
    shares = [list(ShareSampler(size, rank, world)) for rank in range(world)]
    assert interleave(shares) == list(itertools.chain(range(size)))


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

    evaluation_of(paired_set, stretch, {"see": described(metric)}, use_image=False)
    float_eps = 8 * np.finfo(np.float32).eps  # the images are float32 before
    for role, expected in (("restored", stretched), ("gt", gt / 255), ("lq", lq / 255)):
        assert seen[0][role].dtype == np.float64
        np.testing.assert_allclose(seen[0][role], expected, atol=float_eps)
        assert seen[0][role].min() >= 0 and seen[0][role].max() <= 1

    seen.clear()
    evaluation_of(paired_set, stretch, {"see": described(metric)})
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
    hint = "change its options, or leave the image or the metric out"
    assert str(caught.value) == f"val.metrics.mine: {what} (Set, image trip/small); {hint}"


@pytest.fixture
def perfect_one(tmp_path: Path) -> Path:
    """Three pairs: two off by 5 and 10 gray values, and one of equal images between them."""
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


class Spread(SetMetric[np.ndarray]):
    """Largest distance of mean colors in a set."""

    def __call__(self, restored) -> np.ndarray:
        return restored.mean((0, 1))

    def summarize(self, values: Sequence[np.ndarray]) -> float:
        if len(values) < 2:
            raise ValueError("a spread needs at least 2 images")
        return float(np.ptp(values, axis=0).max())


def test_a_metric_of_the_set_sums_up_for_itself_and_writes_nothing_beside_images(pairs):
    result = run(pairs, {"spread": described(Spread(), averaged=False), "mine": spy([])})
    assert result.mean == {"spread": 50.0, "mine": 3.5}, "the blue channel rises by 10 an image"
    assert result.rows[2] == {"key": "photo_2", "mine": 3.0}


def test_a_set_that_a_metric_cannot_sum_up_is_one_line(tmp_path):
    for side in ("input", "target"):
        write_png(tmp_path / side / "a.png", np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(UserError) as caught:
        evaluation_of(tmp_path, lambda image: image, {"mine": described(Spread(), averaged=False)})
    what = "val.metrics.mine: a spread needs at least 2 images (Set); change its options, or leave it out"
    assert str(caught.value) == what


def test_metrics_may_ask_for_any_field_of_the_batch(paired_set):
    labeled = PairedImageGroupMaskDataset(
        dataroot_gt=f"{paired_set}/target",
        dataroot_lq=f"{paired_set}/input",
        dataroot_mask=f"{paired_set}/grouped_masks",
    )
    regions = described(lambda labels, key: float(labels.max() + len(key)))
    assert run(labeled, {"regions": regions}).mean == {"regions": 3.0 + len("photo_0")}


def test_a_field_that_is_not_delivered_is_told_before_the_work(pairs):
    with pytest.raises(UserError) as caught:
        run(pairs, {"regions": described(lambda labels: 0.0)})
    what = "needs 'labels', which set does not deliver (it has gt, key, lq, restored)"
    assert str(caught.value).startswith(f"val.metrics.regions: {what}; ")


def test_only_the_main_process_shows_a_bar_and_it_is_gone_at_the_end(pairs, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    model = ImageRestorationModel({"g": Brighter()}, {})
    loading = DatasetOptions(type="PairedImageDataset", name="set", num_worker_per_gpu=0)
    for rank in (0, 1):
        loader = evaluation_loader(pairs, loading, Ranks())
        evaluate(model, loader, "shown", {}, PLAIN, CPU, Ranks(rank))
        output = capsys.readouterr().err
        assert ("shown: " in output and "/6 " in output) == (rank == 0)
        assert "\n" not in output, "no line is left behind"


class Clips(PairedImageDataset):
    """The target, and it 10 and 20 gray values brighter."""

    reference = "frames"

    def make_fields(self) -> list[Field]:
        gt, lq = super().make_fields()
        assert isinstance(gt, StoredField)

        def clip(data: bytes, name: str, limit: PixelLimit) -> np.ndarray:
            return gt.decode(data, name, limit) + np.uint8([0, 10, 20])[:, None, None, None]

        return [replace(gt, name="frames", decode=clip), lq]


class Fading(ImageRestorationModel):
    """A clip (B, 3, C, H, W): the restored image, and it 10 and 20 gray values brighter."""

    def predict(self, batch: Batch, apply: Apply = run_whole) -> Tensor:
        image = super().predict(batch, apply)
        return torch.stack([image + step / 255 for step in (0, 10, 20)], dim=1)


def frame_errors(restored, frames, lq) -> list[float]:
    assert restored.shape == frames.shape == (3, 40, 48, 3) and lq.shape == (40, 48, 3)
    return [float(np.abs(a.astype(int) - b).max()) for a, b in zip(restored, frames, strict=True)]


def test_clips_are_judged_written_and_kept(paired_set, tmp_path):
    roots = {"dataroot_gt": f"{paired_set}/target", "dataroot_lq": f"{paired_set}/input"}
    loading = DatasetOptions(type="PairedImageDataset", name="set", num_worker_per_gpu=0)
    seen: list = []
    metrics = {
        "each": spy(seen),
        "errors": described(frame_errors, per="clip"),
        "whole": described(lambda restored, gt: float(len(restored) + len(gt)), per="clip"),
    }
    result = evaluate(
        Fading({"g": Brighter()}, {}), evaluation_loader(Clips(**roots), loading, Ranks()), "set", metrics,
        PLAIN, CPU, Ranks(), picture=lambda key: tmp_path / f"{key}.png", keep=lambda judged: judged,
    )  # fmt: skip
    assert result.rows[1] == {"key": "photo_1", "each": [4.0, 5.0, 6.0], "errors": [4.0] * 3, "whole": 6.0}
    assert result.mean == {"each": 9.5, "errors": 4.0, "whole": 6.0}, "each frame counts once"
    for number, (restored, frame, lq) in enumerate(seen[3:6]):
        assert restored.shape == frame.shape == (40, 48, 3)
        assert (frame[..., 2] == 10 + 10 * number).all() and (lq[..., 2] == 13).all()
        assert np.array_equal(read_rgb(tmp_path / f"photo_1/{number + 1:04d}.png"), restored)
    judged = result.kept[1]
    assert judged.picture == tmp_path / "photo_1/0002.png" and judged.places["gt"].endswith(
        "target/photo_1.png"
    )
    assert np.array_equal(judged.middle(judged.restored), seen[4][0])
    assert judged.gt.shape == (3, 40, 48, 3)
