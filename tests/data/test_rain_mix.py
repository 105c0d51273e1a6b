"""RainMix: what it blends, how often, and what it leaves alone."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest

from basicsr.data import PairedImageDataset, RainMix, SyntheticRainDataset
from basicsr.data.paired import SampleIndex
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png
from basicsr.utils.registry import TRANSFORMS


def pair(size: tuple[int, int] = (40, 48)) -> dict[str, np.ndarray]:
    gt = np.random.default_rng(0).integers(0, 200, (3, *size), np.uint8)
    return {"gt": gt, "lq": gt + 50, "labels": np.zeros(size, np.int32)}


def test_only_lq_changes_and_it_gets_no_darker() -> None:
    before = pair()
    after = RainMix(clean_prob=0.0)(pair(), np.random.default_rng(0))
    assert after["lq"].dtype == np.uint8 and after["lq"].shape == (3, 40, 48)
    assert all(np.array_equal(after[name], before[name]) for name in ("gt", "labels"))
    assert (after["lq"] >= before["lq"]).all() and (after["lq"] > before["lq"]).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_streaks_are_screened_on_their_base(dtype, monkeypatch) -> None:
    """b + s - b s of values in [0, 1], rounded to the steps of the type."""
    tool = RainMix(clean_prob=1.0)
    streaks = np.random.default_rng(1).uniform(0, 1, (40, 48)).astype(np.float32)
    monkeypatch.setattr(tool, "mix", lambda layer, generator: streaks)
    white = np.iinfo(dtype).max
    arrays = {name: (array.astype(dtype) * (white // 255)) for name, array in pair().items()}
    result = tool(arrays, np.random.default_rng(0))["lq"]
    base = arrays["gt"].astype(np.float64) / white
    expected = white * (base + streaks - base * streaks)
    # half a step of rounding, and that of float32, which has 24 bits for at most 16
    assert np.abs(result - expected).max() <= 0.5 + 4 * white * np.finfo(np.float32).eps


def test_the_clean_image_is_the_base_in_4_of_11(monkeypatch) -> None:
    tool = RainMix()
    monkeypatch.setattr(tool, "mix", lambda layer, generator: np.zeros_like(layer))
    arrays, generator = pair((8, 8)), np.random.default_rng(0)
    clean = sum(np.array_equal(tool(arrays, generator)["lq"], arrays["gt"]) for _ in range(1100))
    assert clean == pytest.approx(400, abs=4 * (1100 * 4 / 11 * 7 / 11) ** 0.5), "four standard deviations"


def test_a_mixture_of_even_rain_is_even_rain() -> None:
    """The weights sum to 1, whatever the operations are, and rain reaches the edges."""
    even = np.full((30, 50), 0.6, np.float32)
    for seed in range(20):
        mixed = RainMix(severity=10.0, width=4).mix(even, np.random.default_rng(seed))
        np.testing.assert_allclose(mixed, 0.6, atol=16 * np.finfo(np.float32).eps)


def test_a_mixture_stays_between_dark_and_bright() -> None:
    layer = np.random.default_rng(0).uniform(0, 1, (30, 50)).astype(np.float32)
    for seed in range(20):
        mixed = RainMix().mix(layer, np.random.default_rng(seed))
        assert mixed.min() >= 0 and mixed.max() <= 1 + 8 * np.finfo(np.float32).eps
        assert not np.array_equal(mixed, layer)


def test_weak_operations_move_little() -> None:
    layer = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 1, (64, 64)).astype(np.float32), (0, 0), 3)
    changes = [
        np.mean([np.abs(RainMix(severity=severity).mix(layer, np.random.default_rng(seed)) - layer).mean()
                 for seed in range(20)])
        for severity in (1e-4, 1.0, 10.0)
    ]  # fmt: skip
    assert changes[0] < 1e-4 < changes[1] < changes[2]


def test_streaks_come_from_a_folder(tmp_path) -> None:
    """A larger layer gives a window, a smaller one is enlarged."""
    for name, size in (("small", (20, 30)), ("large", (90, 80))):
        write_png(tmp_path / name / "streak.png", np.full((*size, 3), 51, np.uint8))
        tool = RainMix(streaks=str(tmp_path / name), clean_prob=1.0)
        result = pickle.loads(pickle.dumps(tool))(pair(), np.random.default_rng(0))
        expected = np.round(pair()["gt"] + 0.2 * (255 - pair()["gt"].astype(float)))
        assert np.abs(result["lq"].astype(float) - expected).max() <= 1, "0.2 is not a float32"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no .* file in it"):
        RainMix(streaks=str(tmp_path / "empty"))


def test_the_generator_decides_all() -> None:
    first, again, other = (RainMix()(pair(), np.random.default_rng(seed))["lq"] for seed in (5, 5, 6))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_option_files_name_it(paired_set) -> None:
    roots = {"dataroot_gt": f"{paired_set}/target", "dataroot_lq": f"{paired_set}/input"}
    blocks = [{"type": "RandomCrop", "size": 24}, {"type": "RainMix", "severity": 5, "width": 2}]
    sample = PairedImageDataset(**roots, transforms=blocks, train=True)[SampleIndex(0, 0)]
    plain = PairedImageDataset(**roots, transforms=blocks[:1], train=True)[SampleIndex(0, 0)]
    assert sample["gt"].equal(plain["gt"]) and not sample["lq"].equal(plain["lq"])
    assert list(TRANSFORMS.options("RainMix")) == ["streaks", "preset", "clean_prob", "severity", "width"]


def test_samples_without_pairs_are_refused(tmp_path) -> None:
    write_png(tmp_path / "a.png", np.zeros((40, 40, 3), np.uint8))
    dataset = SyntheticRainDataset(
        dataroot_gt=str(tmp_path),
        transforms=[{"type": "RandomCrop", "size": 8}, {"type": "RainMix"}],
        train=True,
    )
    with pytest.raises(UserError, match="RainMix: needs samples with gt and lq, found gt"):
        dataset[0]
