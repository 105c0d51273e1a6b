"""What options say is what is built."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from basicsr.config.load import load_config
from basicsr.config.paths import ExperimentPaths
from basicsr.config.schema import Config
from basicsr.engine.build import build_model, build_trainer
from basicsr.engine.hooks import Ema, Log, SaveCheckpoint, Validate
from basicsr.engine.run import TrainingRun
from basicsr.engine.trainer import StepSettings, Trainer
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import OptionError


@pytest.fixture
def options(paired_set) -> dict:
    roots = {"dataroot_gt": f"{paired_set}/target", "dataroot_lq": f"{paired_set}/input"}
    return {
        "name": "small",
        "num_gpu": 0,
        "datasets": {
            "train": {"type": "PairedImageDataset", "name": "set", "num_worker_per_gpu": 0, **roots}
        },
        "network_g": {"type": "NAFNet", "width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1]},
        "train": {
            "optim_g": {"type": "AdamW", "lr": 0.001},
            "scheduler": {"type": "TrueCosineAnnealingLR", "T_max": 100},
            "total_iter": 100,
            "pixel_opt": {"type": "PSNRLoss"},
        },
    }


def load(folder: Path, options: dict, **train: object) -> Config:
    options["train"] |= train
    (folder / "options.yml").write_text(yaml.safe_dump(options))
    return load_config(folder / "options.yml")


def run_in(folder: Path) -> TrainingRun:
    return TrainingRun(Ranks(), torch.device("cpu"), ExperimentPaths(folder / "run"), False, None, None)


def trainer_of(folder: Path, config: Config) -> Trainer:
    run = run_in(folder)
    return build_trainer(config, run, build_model(config, run))


@pytest.mark.parametrize("mixup", [False, True, None])
def test_mixup_is_switched_by_its_option_and_off_without(tmp_path, options, mixup: bool | None):
    config = load(tmp_path, options, **({} if mixup is None else {"mixup": mixup}))
    assert build_model(config, run_in(tmp_path)).mixup is bool(mixup)


def test_label_maps_cannot_be_mixed(tmp_path, options, paired_set):
    options["network_g"]["type"] = "SegNAFNet"
    options["datasets"]["train"] |= {
        "type": "PairedImageGroupMaskDataset",
        "dataroot_mask": f"{paired_set}/grouped_masks",
    }
    build_model(load(tmp_path, options), run_in(tmp_path))
    with pytest.raises(
        OptionError, match="train.mixup: two images cannot share the label map that SegNAFNet"
    ):
        build_model(load(tmp_path, options, mixup=True), run_in(tmp_path))


def test_losses_are_those_that_are_asked_for(tmp_path, options):
    model = build_model(load(tmp_path, options), run_in(tmp_path))
    assert list(model.losses) == ["l_pix"]


@pytest.mark.parametrize(
    ("given", "norm"), [({}, 0.01), ({"grad_clip_norm": 0.5}, 0.5), ({"use_grad_clip": False}, None)]
)
def test_steps_are_made_as_the_options_say(tmp_path, options, given: dict, norm: float | None):
    trainer = trainer_of(
        tmp_path, load(tmp_path, options, accumulate=3, amp="bf16", channels_last=False, **given)
    )
    assert trainer.settings == StepSettings(3, "bf16", norm, channels_last=False)
    weight = next(p for p in trainer.model.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1)
    assert not weight.is_contiguous(memory_format=torch.channels_last)
    trainer = trainer_of(tmp_path, load(tmp_path, options, channels_last=True))
    weight = next(p for p in trainer.model.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1)
    assert trainer.settings.channels_last and weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("decay", "kinds"), [
    (0.0, [Log, SaveCheckpoint, Validate]),
    (0.9, [Ema, Log, SaveCheckpoint, Validate]),
])  # fmt: skip
def test_an_average_is_kept_where_it_has_a_decay(tmp_path, options, decay: float, kinds: list[type]):
    trainer = trainer_of(tmp_path, load(tmp_path, options, ema_decay=decay))
    assert [type(hook) for hook in trainer.hooks] == kinds


def test_the_rate_warms_up_and_then_follows_the_schedule(tmp_path, options):
    trainer = trainer_of(tmp_path, load(tmp_path, options, warmup_iter=10))
    assert trainer.learning_rate(0, 1.0) == pytest.approx(0.1)
    assert trainer.learning_rate(50, 1.0) == pytest.approx(0.5)
    trainer = trainer_of(tmp_path, load(tmp_path, options, warmup_iter=-1))
    assert trainer.learning_rate(0, 1.0) == pytest.approx(1)


def test_an_epoch_is_all_images_as_often_as_they_are_enlarged(tmp_path, options):
    options["datasets"]["train"]["dataset_enlarge_ratio"] = 5
    trainer = trainer_of(tmp_path, load(tmp_path, options))
    (log,) = (hook for hook in trainer.hooks if isinstance(hook, Log))
    assert (log.epoch_size, log.every) == (30, 100)


def test_frozen_weights_are_not_optimised(tmp_path, options):
    config, run = load(tmp_path, options), run_in(tmp_path)
    model = build_model(config, run)
    frozen = model.networks["g"].intro.requires_grad_(False)
    trainer = build_trainer(config, run, model)
    trained = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert not trained & {id(p) for p in frozen.parameters()}
    assert len(trained) == sum(p.requires_grad for p in model.parameters())
