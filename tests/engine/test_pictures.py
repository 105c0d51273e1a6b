"""Pictures of a validation and where TensorBoard shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from basicsr.config.schema import ValOptions
from basicsr.engine.evaluator import Judged
from basicsr.engine.hooks import Validate
from basicsr.engine.pictures import side_by_side
from basicsr.engine.trainer import Trainer
from basicsr.masks.pictures import overlay
from basicsr.utils.dist import Ranks
from basicsr.utils.log import EventLog
from tests.engine.test_evaluator import CPU, PSNR, Changed, loader_of


def judged(lq, restored, gt, labels=None) -> Judged:
    return Judged("a", {}, lq, restored, gt, labels, {}, None)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).integers(0, 256, shape, np.uint8)


def test_small_pictures_stand_unchanged_in_a_row():
    lq, restored, gt = (noise(20, 30, 3) + number for number in range(3))
    labels = np.repeat([[1, 2]], 20, 0).repeat(15, 1).astype(np.int32)
    row = side_by_side(judged(lq, restored, gt, labels))
    np.testing.assert_array_equal(row, np.hstack([lq, restored, gt, overlay(lq, labels)]))
    np.testing.assert_array_equal(side_by_side(judged(lq, restored, gt)), row[:, :90])


def test_the_middle_frame_stands_for_a_clip():
    lq, clip = noise(20, 30, 3), noise(7, 20, 30, 3)
    row = side_by_side(judged(lq, clip, clip))
    np.testing.assert_array_equal(row, np.hstack([lq, clip[3], clip[3]]))


def test_a_large_picture_keeps_its_shape_and_mean():
    flat = np.full((600, 960, 3), 77, np.uint8)
    row = side_by_side(judged(flat, flat, flat))
    assert row.shape == (300, 3 * 480, 3) and (row == 77).all()


@pytest.mark.parametrize("is_pictured", [True, False])
def test_tensorboard_gets_the_first_pictures_of_a_validation(
    paired_set: Path, tmp_path: Path, is_pictured: bool
):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventLog(tmp_path / "events.jsonl", tensorboard=tmp_path / "tb")
    events.open()
    loader = loader_of(paired_set)
    hook = Validate(
        1, {"Set": loader}, PSNR, ValOptions(), None, tmp_path, events, Ranks(), is_pictured=is_pictured
    )
    trainer = Trainer.__new__(Trainer)
    trainer.model, trainer.device, trainer.iteration = Changed(lambda image: image), CPU, 7
    hook.after_step(trainer)
    events.close()
    reader = EventAccumulator(str(tmp_path / "tb"))
    reader.Reload()
    keys = loader.dataset.keys[:4]
    assert len(loader.dataset.keys) > 4
    assert reader.Tags()["images"] == ([f"val/Set/{key}" for key in keys] if is_pictured else [])
    for key in keys if is_pictured else ():
        (picture,) = reader.Images(f"val/Set/{key}")
        sample = loader.dataset[keys.index(key)]["lq"]
        assert picture.step == 7
        assert (picture.height, picture.width) == (sample.shape[-2], 3 * sample.shape[-1])
