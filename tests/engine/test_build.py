"""What options say is what is built."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest
import torch
import yaml

from basicsr.checkpoints.weights import load_contents, save_contents
from basicsr.config.load import load_config
from basicsr.config.paths import ExperimentPaths
from basicsr.config.schema import Config
from basicsr.engine.build import build_model, build_trainer
from basicsr.engine.hooks import Ema, Log, SaveAndLeave, SaveCheckpoint, Validate
from basicsr.engine.record import Record
from basicsr.engine.remarks import Remarks
from basicsr.engine.run import TrainingRun
from basicsr.engine.trainer import StepSettings, Trainer
from basicsr.engine.trouble import Trouble
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.log import logger
from basicsr.utils.watch import Limits, Watch


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
    alone, paths = Watch(Ranks(), Limits()), ExperimentPaths(folder / "run")
    return TrainingRun(Ranks(), torch.device("cpu"), alone, None, paths, False, None, None)


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
    (0.0, [Record, Trouble, Log, Remarks, SaveCheckpoint, Validate, SaveAndLeave]),
    (0.9, [Record, Ema, Trouble, Log, Remarks, SaveCheckpoint, Validate, SaveAndLeave]),
])  # fmt: skip
def test_an_average_is_kept_where_it_has_a_decay(tmp_path, options, decay: float, kinds: list[type]):
    trainer = trainer_of(tmp_path, load(tmp_path, options, ema_decay=decay))
    assert [type(hook) for hook in trainer.hooks] == kinds


@pytest.mark.parametrize("amp", ["off", "bf16"])
def test_steps_in_float32_on_a_cpu_are_not_compiled(tmp_path, options, amp: str, caplog, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    config = load(tmp_path, options, compile=True, amp=amp)
    run = run_in(tmp_path)
    model = build_model(config, run)
    with caplog.at_level(logging.INFO, logger().name):
        build_trainer(config, run, model)
    assert (model._compiled_call_impl is None) == (amp == "off")
    assert any("train.compile: left off" in line for line in caplog.messages) == (amp == "off")


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


def test_frozen_weights_are_not_optimized(tmp_path, options):
    config, run = load(tmp_path, options), run_in(tmp_path)
    model = build_model(config, run)
    frozen = model.networks["g"].intro.requires_grad_(False)
    trainer = build_trainer(config, run, model)
    trained = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert not trained & {id(p) for p in frozen.parameters()}
    assert len(trained) == sum(p.requires_grad for p in model.parameters())


@pytest.fixture
def saved(tmp_path, options) -> tuple[Config, TrainingRun, torch.Tensor]:
    """Options, the run that goes on behind its first step, and the random numbers that came next."""
    options["datasets"]["train"] |= {"gt_size": 8, "batch_size_per_gpu": 2}
    config = load(tmp_path, options)
    trainer_of(tmp_path, config).run(1)
    came_next = torch.rand(5)
    run = run_in(tmp_path)
    return config, dataclasses.replace(run, resume_state=run.paths.state(1)), came_next


def test_a_resumed_run_goes_on_with_step_weights_and_random_numbers(saved):
    config, run, came_next = saved
    torch.manual_seed(5)
    model = build_model(config, run)
    trainer = build_trainer(config, run, model)
    assert torch.equal(torch.rand(5), came_next)
    assert (trainer.iteration, trainer.samples_done) == (1, 2)
    weights = load_contents(run.paths.network(1))["params"]
    assert all(torch.equal(weights[name], value) for name, value in model.networks["g"].state_dict().items())


def test_random_numbers_start_anew_with_another_number_of_processes(saved, caplog):
    config, run, came_next = saved
    state = load_contents(run.resume_state)
    save_contents(run.resume_state, state | {"random": state["random"] * 3})
    model = build_model(config, run)
    torch.manual_seed(5)
    expected = torch.rand(5)
    torch.manual_seed(5)
    logger().propagate = True
    with caplog.at_level(logging.WARNING, "basicsr"):
        build_trainer(config, run, model)
    assert "resumed with 1 processes, saved with 3: random numbers restart" in caplog.messages
    assert torch.equal(torch.rand(5), expected) and not torch.equal(expected, came_next)


def test_a_file_that_is_no_state_is_told_by_its_first_entries(saved):
    config, run, _ = saved
    model = build_model(config, run)
    save_contents(run.resume_state, {f"part{number}": number for number in range(12)})
    with pytest.raises(UserError, match=r"it has part0, .*, part7\).*resume_state=null"):
        build_trainer(config, run, model)
