"""When logs, checkpoints and validations come, and what is in them."""

from __future__ import annotations

import errno
import json
import logging
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork
from basicsr.checkpoints.weights import load_contents, save_contents
from basicsr.config.paths import ExperimentPaths
from basicsr.config.schema import ValOptions
from basicsr.engine.evaluator import Evaluation
from basicsr.engine.hooks import Ema, KeepBest, Log, SaveAndLeave, SaveCheckpoint, Validate, duration
from basicsr.engine.trainer import Hook, StepSettings, Trainer
from basicsr.metrics.summary import Summary
from basicsr.models.base import Batch
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import UserError
from basicsr.utils.interruption import RESUME_ME, Interrupted, Interruption
from basicsr.utils.log import EventLog, logger


class Shift(RestorationNetwork):
    """One weight that is added to the image; the loss below pulls it by the same amount in each step."""

    block = {"type": "Shift"}

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


class Mean(nn.Module):
    def forward(self, restored: Tensor, gt: Tensor) -> Tensor:
        return (restored - gt).mean()


def batches(losses: Iterable[float]) -> Iterator[Batch]:
    """Batches of two samples on which an untrained network has these losses."""
    for loss in losses:
        yield {"lq": torch.full((2, 3, 4, 4), loss), "gt": torch.zeros(2, 3, 4, 4), "key": ["a", "b"]}


def trainer_of(losses: Iterable[float], *hooks: Hook, rate: float = 0.0) -> Trainer:
    model = ImageRestorationModel({"g": Shift()}, {"l_pix": Mean()})
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)

    def constant(step: int, base: float) -> float:
        return base

    return Trainer(model, optimizer, constant, batches(losses), StepSettings(), torch.device("cpu"), hooks)


@pytest.fixture
def events(tmp_path: Path) -> EventLog:
    log = EventLog(tmp_path / "events.jsonl")
    log.open()
    return log


def written(tmp_path: Path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]


def test_a_log_has_the_mean_losses_since_the_last_one_and_comes_at_the_end(tmp_path, events):
    trainer = trainer_of([1, 2, 3, 4, 9], Log(2, 8, events))
    trainer.run(5)
    lines = written(tmp_path)
    assert [line["iter"] for line in lines] == [2, 4, 5]
    assert [line["loss"] for line in lines] == [1.5, 3.5, 9]
    assert [line["l_pix"] for line in lines] == [1.5, 3.5, 9]
    # two samples per step, eight an epoch
    assert [line["epoch"] for line in lines] == [0, 1, 1]
    assert {line["kind"] for line in lines} == {"train"}


def test_skipped_steps_count_in_no_mean(tmp_path, events):
    trainer = trainer_of([1, torch.nan, 4, torch.inf, torch.nan, torch.nan], Log(3, 8, events))
    trainer.run(6)
    first, second = written(tmp_path)
    assert (first["loss"], first["skipped_steps"]) == (2.5, 1)
    assert "loss" not in second and second["skipped_steps"] == 4


def test_seconds_are_those_of_a_step_and_the_remaining_time_is_that_of_the_remaining_steps(tmp_path, events):
    log = Log(4, 8, events)
    trainer = trainer_of([1] * 10, log)
    trainer.iteration, trainer.total_iter = 2, 11
    trainer.step_seconds, trainer.data_seconds = 100.0, 50.0
    log.before_run(trainer)
    trainer.iteration, trainer.step_seconds, trainer.data_seconds = 8, 112.0, 53.0
    log.after_step(trainer)
    (line,) = written(tmp_path)
    assert (line["step_seconds"], line["data_seconds"], line["eta_seconds"]) == (2.0, 0.5, 6.0)
    trainer.iteration, trainer.step_seconds = 11, 113.5
    log.after_step(trainer)
    assert written(tmp_path)[1]["step_seconds"] == 0.5, "since the last log"


def test_what_is_logged_is_said(caplog, events):
    logger().propagate = True
    with caplog.at_level(logging.INFO, "basicsr"):
        trainer_of([0.25, torch.nan], Log(1, 8, events), rate=0.5).run(2)
    assert caplog.messages[0].startswith("iter 1/2 epoch 0 loss 2.5000e-01 l_pix 2.5000e-01 lr 5.000e-01 ")
    assert "skipped" not in caplog.messages[0] and caplog.messages[1].endswith(" skipped 1")


def test_other_processes_say_and_write_nothing(caplog):
    logger().propagate = True
    with caplog.at_level(logging.INFO, "basicsr"):
        trainer_of([1, 2], Log(1, 8, None)).run(2)
    assert not caplog.messages


def saver(root: Path, every: int, ema: Ema | None = None, rank: int = 0) -> SaveCheckpoint:
    return SaveCheckpoint(every, ExperimentPaths(root), ema, Ranks(rank))


def saved(root: Path) -> list[int]:
    return sorted(int(path.stem) for path in (root / "training_states").glob("*.state"))


def test_checkpoints_come_as_often_as_asked_and_at_the_end_but_not_twice(tmp_path):
    for total, expected in ((5, [2, 4, 5]), (4, [2, 4]), (1, [1])):
        root = tmp_path / str(total)
        trainer_of([1] * total, saver(root, 2)).run(total)
        assert saved(root) == expected
        names = {path.name for path in (root / "models").iterdir()}
        assert names == {f"net_g_{name}.pth" for name in (*expected, "latest")}


def test_old_checkpoints_go_where_only_some_are_to_be_kept(tmp_path):
    hook = SaveCheckpoint(1, ExperimentPaths(tmp_path), None, Ranks(), keep_last=2)
    trainer_of([1] * 5, hook).run(5)
    assert saved(tmp_path) == [4, 5]
    names = {path.name for path in (tmp_path / "models").iterdir()}
    assert names == {f"net_g_{name}.pth" for name in (4, 5, "latest")}


def full_disk(monkeypatch, at: set[int]) -> None:
    """Training states of these iterations cannot be written."""

    def save(path: Path, contents: object) -> None:
        if int(path.stem) in at:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save_contents(path, contents)

    monkeypatch.setattr("basicsr.engine.hooks.save_contents", save)


def test_a_checkpoint_that_cannot_be_written_is_told_and_training_goes_on(tmp_path, monkeypatch, caplog):
    full_disk(monkeypatch, {2, 3, 5, 6})
    logger().propagate = True
    with caplog.at_level(logging.WARNING, "basicsr"):
        trainer_of([1] * 7, saver(tmp_path, 1)).run(7)
    assert saved(tmp_path) == [1, 4, 7]
    state = tmp_path / "training_states" / "2.state"
    told = f"{state}: No space left on device; the checkpoint of 2 is not written, the earlier ones stay"
    assert caplog.messages[0] == told and len(caplog.messages) == 4


def test_after_the_third_time_in_a_row_it_ends(tmp_path, monkeypatch):
    full_disk(monkeypatch, {2, 3, 4})
    with pytest.raises(UserError, match=r"4\.state: No space left .* 3 times in a row; .*--auto_resume"):
        trainer_of([1] * 7, saver(tmp_path, 1)).run(7)
    assert saved(tmp_path) == [1]


def test_after_the_last_iteration_there_is_nothing_to_go_on_with(tmp_path, monkeypatch):
    full_disk(monkeypatch, {4})
    with pytest.raises(UserError, match=r"4\.state: No space left .* the last one; .*--auto_resume"):
        trainer_of([1] * 4, saver(tmp_path, 2)).run(4)
    assert saved(tmp_path) == [2]


def test_of_a_checkpoint_that_cannot_be_written_nothing_stays(tmp_path, monkeypatch):
    full_disk(monkeypatch, {2})
    trainer_of([1] * 3, saver(tmp_path, 1)).run(3)
    names = {path.name for path in (tmp_path / "models").iterdir()}
    assert names == {f"net_g_{name}.pth" for name in (1, 3, "latest")}


def test_older_checkpoints_that_cannot_be_removed_stay(tmp_path, monkeypatch, caplog):
    def remove(*_: object) -> list[Path]:
        raise OSError(errno.EROFS, "Read-only file system", "1.state")

    monkeypatch.setattr("basicsr.engine.hooks.remove_old", remove)
    logger().propagate = True
    trainer_of([1] * 3, SaveCheckpoint(1, ExperimentPaths(tmp_path), None, Ranks(), keep_last=1)).run(3)
    assert saved(tmp_path) == [1, 2, 3]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["1.state: Read-only file system; older checkpoints stay"] * 3


def test_before_a_validation_the_weights_are_saved_as_the_latest(tmp_path):
    """So that they are there should it fail; training states come as often as asked."""
    hook = SaveCheckpoint(4, ExperimentPaths(tmp_path), None, Ranks(), validated_every=2)
    latest = []

    class Watch(Hook):
        def after_step(self, trainer: Trainer) -> None:
            path = tmp_path / "models" / "net_g_latest.pth"
            latest.append(float(load_contents(path)["params"]["weight"]) if path.is_file() else None)

    trainer_of([0] * 5, hook, Watch(), rate=1.0).run(5)
    assert latest == [None, -2, -2, -4, -5]
    assert saved(tmp_path) == [4, 5]


def test_a_run_that_is_done_already_saves_nothing(tmp_path):
    trainer = trainer_of([], saver(tmp_path, 2))
    trainer.iteration = 3
    trainer.run(3)
    assert not list(tmp_path.iterdir())


def test_only_the_main_process_writes(tmp_path):
    trainer_of([1, 1], saver(tmp_path, 1, rank=1)).run(2)
    hook = SaveCheckpoint(9, ExperimentPaths(tmp_path), None, Ranks(1), validated_every=1)
    trainer = trainer_of([1], hook)
    trainer.iteration, trainer.total_iter = 1, 9
    hook.after_step(trainer)
    assert not list(tmp_path.iterdir())


def test_a_resumed_average_goes_on_and_a_new_one_begins_with_the_first_step():
    """Each step takes 1 from the weight, which is 0 at first."""
    for state, expected in (({"n_averaged": 1}, (0 - 1) / 2), ({"n_averaged": 0}, -1)):
        trainer = trainer_of([0], rate=1.0)
        ema = Ema(trainer.model, 0.5)
        ema.load_state_dict(state)
        trainer.hooks = [ema]
        trainer.run(1)
        assert ema.model.networks["g"].weight.item() == expected
        assert ema.state_dict() == {"n_averaged": state["n_averaged"] + 1}


@pytest.mark.parametrize("averaged", [False, True])
def test_a_checkpoint_has_weights_averages_and_all_that_a_resumed_run_needs(tmp_path, averaged: bool):
    model_hooks: list[Hook] = []
    trainer = trainer_of([0] * 3, rate=1.0)
    ema = Ema(trainer.model, 0.5) if averaged else None
    model_hooks += [ema] if ema else []
    trainer.hooks = [*model_hooks, saver(tmp_path, 3, ema)]
    trainer.run(3)
    latest = load_contents(tmp_path / "models" / "net_g_latest.pth")
    # Each step takes 1 from the weight: -1, -2, -3; of that the average begins with the first.
    assert latest["params"]["weight"] == -3
    assert latest["basicsr"]["network"] == {"type": "Shift"}
    if averaged:
        assert latest["params_ema"]["weight"] == ((-1 - 2) / 2 - 3) / 2
    assert ("params_ema" in latest) == averaged
    state = load_contents(tmp_path / "training_states" / "3.state")
    assert (state["iteration"], state["samples_done"], state["skipped_steps"]) == (3, 6, 0)
    assert state["ema"] == ({"n_averaged": 3} if averaged else None)
    assert len(state["random"]) == 1


def test_validations_come_as_often_as_asked_and_at_the_end_but_not_twice(monkeypatch, tmp_path, events):
    judged: list[tuple] = []

    def look(model, loader, name, metrics, options, device, ranks, picture, **_):
        judged.append((trainer.iteration, name, model, picture and picture("k")))
        return result

    result = Evaluation("set", [], {"psnr": Summary.of([30.0])})

    monkeypatch.setattr("basicsr.engine.hooks.evaluate", look)

    def validate(every: int | None, ema: Ema | None = None, **options: bool) -> Validate:
        loaders = {"one": None, "two": None}
        return Validate(every, loaders, {}, ValOptions(**options), ema, tmp_path / "p", events, Ranks())

    for every, total, expected in ((2, 5, [2, 4, 5]), (2, 4, [2, 4]), (None, 3, [])):
        judged.clear()
        trainer = trainer_of([1] * total, validate(every))
        trainer.run(total)
        assert [item[0] for item in judged] == [step for step in expected for _ in range(2)]
        assert {item[2:] for item in judged} <= {(trainer.model, None)}
    lines = written(tmp_path)
    assert len(lines) == 10
    assert {key: lines[1][key] for key in ("kind", "iter", "dataset", "psnr")} == {
        "kind": "val",
        "iter": 2,
        "dataset": "two",
        "psnr": 30.0,
    }
    judged.clear()
    trainer = trainer_of([1])
    ema = Ema(trainer.model, 0.9)
    trainer.hooks = [validate(1, ema, save_img=True)]
    trainer.run(1)
    assert [item[1:] for item in judged] == [
        (name, ema.model, tmp_path / "p" / name / "k_1.png") for name in ("one", "two")
    ]
    judged.clear()
    trainer.run(1)
    assert not judged, "a run that is done already"


@pytest.mark.parametrize(
    ("summaries", "shown"), [({"psnr": Summary.of([30.0])}, "psnr 30.0000"), ({}, "no metrics")]
)
def test_a_validation_says_its_means(monkeypatch, tmp_path, caplog, events, summaries: dict, shown: str):
    result = Evaluation("set", [{"key": "k"}], summaries)
    monkeypatch.setattr("basicsr.engine.hooks.evaluate", lambda *_, **__: result)
    hook = Validate(1, {"set": None}, {}, ValOptions(), None, tmp_path, events, Ranks())
    logger().propagate = True
    with caplog.at_level(logging.INFO, "basicsr"):
        trainer_of([1], hook).run(1)
    assert caplog.messages == [f"validation set iter 1: {shown}"]


def judged_by(monkeypatch, tmp_path, iteration: int, **how) -> list[str]:
    """Names of the sets that a run judges that goes on from ``iteration`` and is done with iteration 5."""
    judged: list[str] = []

    def look(model, loader, name, *_, **__) -> Evaluation:
        judged.append(f"{name} {trainer.iteration}")
        return Evaluation(name, [], {"psnr": Summary.of([30.0])})

    monkeypatch.setattr("basicsr.engine.hooks.evaluate", look)
    events = EventLog(tmp_path / "events.jsonl")
    events.open()
    loaders = {"one": None, "two": None}
    hook = Validate(2, loaders, {}, ValOptions(), None, tmp_path, events, Ranks(), **how)
    trainer = trainer_of([1] * 5, hook)
    trainer.iteration = iteration
    trainer.run(5)
    return judged


def test_a_validation_that_was_cut_off_is_made_up(monkeypatch, tmp_path):
    """Of the sets that are not among the events, before the next step."""
    first = judged_by(monkeypatch, tmp_path, 3)
    assert first == ["one 4", "two 4", "one 5", "two 5"]
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "events.jsonl").write_bytes(b"".join(lines[:1]))
    again = judged_by(monkeypatch, tmp_path, 4, is_made_up=True)
    assert again == ["two 4", "one 5", "two 5"]
    whole = written(tmp_path)
    assert [(line["iter"], line["dataset"]) for line in whole] == [
        (4, "one"), (4, "two"), (5, "one"), (5, "two")
    ]  # fmt: skip
    assert judged_by(monkeypatch, tmp_path, 5, is_made_up=True) == []
    (tmp_path / "events.jsonl").unlink()
    assert judged_by(monkeypatch, tmp_path, 4) == ["one 5", "two 5"], "another experiment's"
    assert judged_by(monkeypatch, tmp_path, 3, is_made_up=True)[:1] == ["one 4"], "none was due"


def test_the_window_of_the_log_goes_on_in_a_resumed_run(tmp_path, events):
    """So that its next line has the mean, without skipped steps, that it would have had."""
    first, states = Log(4, 8, events), []

    class Save(Hook):
        def after_step(self, trainer: Trainer) -> None:
            trainer.step_seconds, trainer.data_seconds = 10.0 * trainer.iteration, 1.0
            states.append(first.state_dict(trainer))

    trainer_of([1, torch.nan, 4, 7], first, Save()).run(4)
    second = Log(4, 8, events)
    resumed = trainer_of([4, 7], second)
    resumed.iteration, resumed.skipped_steps = 2, 1
    second.load_state_dict(states[1], torch.device("cpu"))
    resumed.run(4)
    whole, again = written(tmp_path)
    for name in ("iter", "loss", "l_pix", "skipped_steps"):
        assert whole[name] == again[name]
    assert whole["loss"] == 4
    assert again["step_seconds"] == pytest.approx(5, abs=1), "20 seconds of four steps are from before"


@pytest.mark.parametrize(("better", "best"), [("higher", 4), ("lower", 3)])
def test_the_best_weights_are_those_of_the_best_validation(monkeypatch, tmp_path, events, better, best: int):
    """By the mean of all sets; of equal ones the first. Each step takes 1 from the weight."""
    figures = {1: (5.0, 3.0), 2: (3.0, 5.0), 3: (torch.nan, 1.0), 4: (2.0, 9.0), 5: (9.0, 2.0), 6: (3.0, 3.0)}
    loaders = {"one": None, "two": None}

    def look(model, loader, name, *_, **__) -> Evaluation:
        value = figures[trainer.iteration][list(loaders).index(name)]
        return Evaluation(name, [], {"psnr": Summary.of([value])})

    monkeypatch.setattr("basicsr.engine.hooks.evaluate", look)
    keep = KeepBest("psnr", better, saver(tmp_path, 9))
    hook = Validate(1, loaders, {}, ValOptions(), None, tmp_path, events, Ranks(), best=keep)
    trainer = trainer_of([0] * 6, hook, rate=1.0)
    trainer.run(6)
    assert load_contents(tmp_path / "models/net_g_best.pth")["params"]["weight"] == -best


def test_best_weights_that_cannot_be_written_end_no_run(tmp_path, monkeypatch, events, caplog):
    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    logger().propagate = True
    keep = KeepBest("psnr", "higher", saver(tmp_path, 9))
    trainer = trainer_of([])
    best = tmp_path / "models/net_g_best.pth"
    validations = [{"kind": "val", "iter": 0, "psnr": 30.0}]
    with monkeypatch.context() as patched:
        patched.setattr("basicsr.engine.hooks.save_network", full)
        keep.compare(trainer, validations)
    assert caplog.messages == [f"{best}: No space left on device; these would be the best weights so far"]
    trainer.iteration = 1
    keep.compare(trainer, [*validations, {"kind": "val", "iter": 1, "psnr": 29.0}])
    assert best.is_file(), "the better ones were lost"


def test_a_run_that_is_asked_saves_after_its_step_and_leaves(tmp_path):
    interruption = Interruption()

    class Ask(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.iteration == 2:
                interruption.number = signal.SIGUSR1

    checkpoints = saver(tmp_path, 2)
    hooks = [Ask(), checkpoints, SaveAndLeave(interruption, checkpoints)]
    with pytest.raises(Interrupted) as caught:
        trainer_of([1] * 9, *hooks).run(9)
    assert caught.value.exit_code == RESUME_ME and saved(tmp_path) == [2], "once"
    hooks[1] = SaveCheckpoint(5, ExperimentPaths(tmp_path / "b"), None, Ranks())
    interruption.number = None
    with pytest.raises(Interrupted):
        trainer_of([1] * 9, *hooks[:2], SaveAndLeave(interruption, hooks[1])).run(9)
    assert saved(tmp_path / "b") == [2]


def test_a_run_that_is_asked_says_whether_it_could_save(tmp_path, monkeypatch, caplog):
    full_disk(monkeypatch, {1})
    interruption = Interruption()
    interruption.number = signal.SIGTERM
    checkpoints = saver(tmp_path, 5)
    leave = SaveAndLeave(interruption, checkpoints)
    logger().propagate = True
    trainer = trainer_of([1] * 9, checkpoints)
    trainer.total_iter = 9
    for iteration, output in ((1, "an earlier checkpoint"), (2, "saved, --auto_resume continues from here")):
        trainer.iteration = iteration
        with caplog.at_level(logging.INFO, "basicsr"), pytest.raises(Interrupted):
            leave.after_step(trainer)
        assert caplog.messages[-1].startswith("interrupted by SIGTERM: ") and output in caplog.messages[-1]
    assert saved(tmp_path) == [2]


def test_a_run_that_is_asked_before_its_first_step_has_nothing_to_save(tmp_path):
    interruption = Interruption()
    interruption.number = signal.SIGTERM
    with pytest.raises(Interrupted):
        trainer_of([], SaveAndLeave(interruption, saver(tmp_path, 1))).run(9)
    assert not list(tmp_path.iterdir())


def test_durations_are_read_by_people():
    assert duration(0.5) == "0:00:00" and duration(59.6) == "0:01:00" and duration(86399) == "23:59:59"
    assert duration(3725) == "1:02:05"
    assert duration(2 * 86400 + 59) == "2d 0:00:59"
