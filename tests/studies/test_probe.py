"""Seconds per step, measured without training anything that stays."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from basicsr.config.load import load_config
from basicsr.models import ImageRestorationModel
from basicsr.studies import probe
from basicsr.studies.probe import Probe, read_probe
from basicsr.studies.runs import decisive_options
from basicsr.utils.errors import UserError

OPTIONS = """
name: mine
num_gpu: 0
network_g: {{type: NAFNet, width: 2, enc_blk_nums: [1], middle_blk_num: 0, dec_blk_nums: [1]}}
datasets:
  train:
    name: any
    type: PairedImageDataset
    dataroot_gt: {folder}/target
    dataroot_lq: {folder}/input
    gt_size: 8
    batch_size_per_gpu: 1
    num_worker_per_gpu: 0
train:
  optim_g: {{type: AdamW, lr: 1e-3}}
  scheduler: {{type: TrueCosineAnnealingLR, T_max: 2}}
  total_iter: 2
  ema_decay: 0.9
  pixel_opt: {{type: L1Loss}}
val: {{val_freq: 1}}
logger: {{save_checkpoint_freq: 1}}
"""


@pytest.fixture
def options(paired_set, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "train.yml"
    path.write_text(OPTIONS.format(folder=paired_set))
    return path


def test_it_measures_more_steps_than_the_recipe_has_and_leaves_nothing_else(options, tmp_path):
    before = set(tmp_path.iterdir())
    started = time.perf_counter()
    probe.main(str(options), "result.json", ["manual_seed=3"])
    took = time.perf_counter() - started
    assert set(tmp_path.iterdir()) - before == {tmp_path / "result.json"}
    found = read_probe(Path("result.json"))
    assert found.device == "cpu" and 0 < found.seconds_per_step < took / probe.TIMED
    assert found.is_of(load_config(options, ["manual_seed=4", "name=other"]))
    assert not found.is_of(load_config(options, ["train.optim_g.lr=2e-3"]))
    assert not found.is_of(load_config(options, ["train.total_iter=1"]))


@pytest.mark.parametrize("change", ["model_opt.weight=2", "networks.teacher.width=4"])
def test_what_the_model_is_made_of_decides_as_well(options, change):
    teacher = "networks.teacher={type: NAFNet, width: 2, frozen: true}"
    words = [teacher, "model_type=TeacherDistillationModel", "model_opt.imitation={type: L1Loss}"]
    before = decisive_options(load_config(options, words))
    assert before == decisive_options(load_config(options, [*words, "name=other"]))
    assert before != decisive_options(load_config(options, [*words, change]))


def test_slow_steps_at_the_start_are_not_timed(options, monkeypatch):
    step, begun = ImageRestorationModel.training_step, []

    def noted(model, batch):
        begun.append(time.perf_counter())
        return step(model, batch)

    monkeypatch.setattr(ImageRestorationModel, "training_step", noted)
    monkeypatch.setattr(ImageRestorationModel, "slow_steps", 5)
    probe.main(str(options), "result.json", [])
    assert len(begun) == 5 + probe.TIMED
    timed = probe.TIMED * read_probe(Path("result.json")).seconds_per_step
    assert begun[-1] - begun[5] < timed < time.perf_counter() - begun[4]


def test_minutes_make_iterations():
    measured = Probe(0.25, "cpu", 1, {})
    assert [measured.iterations(minutes) for minutes in (5, 0.01, 1e-6)] == [1200, 2, 1]


def test_another_file_in_its_place_is_named(tmp_path):
    assert read_probe(tmp_path / "none.json") is None
    path = tmp_path / "other.json"
    for text in ("", "{}", '{"seconds_per_step": 1, "more": 2}', "[1]"):
        path.write_text(text)
        with pytest.raises(UserError, match=r"other.json: not a file of a study"):
            read_probe(path)
