"""Where trouble begins and ends, and what it does to checkpoints."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork
from basicsr.checkpoints.weights import load_contents
from basicsr.config.paths import ExperimentPaths
from basicsr.engine.hooks import Ema, SaveCheckpoint
from basicsr.engine.resume import find_resumable, read_trouble
from basicsr.engine.trainer import Hook, StepSettings, Trainer
from basicsr.engine.trouble import Trouble
from basicsr.models.base import Batch
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import UserError
from basicsr.utils.log import logger


class Scale(RestorationNetwork):
    """The image times one weight."""

    block = {"type": "Scale"}

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Mean(nn.Module):
    """Loss and gradient are the value of the batch, while the weight stays 1."""

    def forward(self, restored: Tensor) -> Tensor:
        return restored.mean()


def batches(values: Iterable[float]) -> Iterator[Batch]:
    for number, value in enumerate(values):
        image = torch.full((2, 3, 4, 4), value)
        yield {"lq": image, "gt": image, "key": [f"{number}_0", f"{number}_1"]}


def trainer_of(values: Iterable[float], *hooks: Hook, rate: float = 0.0, loss: nn.Module | None = None):
    model = ImageRestorationModel({"g": Scale()}, {"l_pix": loss or Mean()})
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    settings, device = StepSettings(), torch.device("cpu")
    return Trainer(model, optimizer, lambda _, base: base, batches(values), settings, device, hooks)


def beginnings(tmp_path: Path, values: list[float], loss: nn.Module | None = None) -> list[int | None]:
    """Since when there is trouble, after each step."""
    trouble = Trouble(ExperimentPaths(tmp_path), Ranks())
    seen: list[int | None] = []

    class Watch(Hook):
        def after_step(self, trainer: Trainer) -> None:
            seen.append(trouble.since)
            assert read_trouble(trouble.paths) == trouble.since

    trainer_of(values, trouble, Watch(), loss=loss).run(len(values))
    return seen


USUAL = [1.0, 1.5, 0.5, 1.2] * 10


def test_usual_steps_are_no_trouble_nor_are_the_first_ones(tmp_path):
    assert set(beginnings(tmp_path, [*USUAL, 3.0, 5.0])) == {None}
    assert set(beginnings(tmp_path, [1.0, 1000.0, 1e-9, 1e9])) == {None}, "there is no range yet"


def test_a_loss_far_above_its_range_is_trouble_until_it_is_back(tmp_path):
    """The range is 0.5 to 1.5, so five times its spread above is 6.5."""
    seen = beginnings(tmp_path, [*USUAL, 6.4, *USUAL])
    assert set(seen) == {None}
    seen = beginnings(tmp_path, [*USUAL, 6.6, 900.0, 1.0, 1.1])
    assert seen == [None] * 40 + [41, 41, None, None]


def test_a_gradient_ten_times_as_large_is_trouble(tmp_path):
    class Steep(nn.Module):
        """A loss of zero with a gradient of the value."""

        def forward(self, restored: Tensor) -> Tensor:
            return (restored - restored.detach()).mean()

    assert set(beginnings(tmp_path, [*USUAL, 14.9, 1.0], Steep())) == {None}
    assert beginnings(tmp_path, [*USUAL, 15.1, 1.0], Steep()) == [None] * 40 + [41, None]


def test_a_run_that_stays_where_it_went_has_a_new_range(tmp_path, monkeypatch):
    monkeypatch.setattr("basicsr.engine.trouble._ADAPTED_AFTER", 30)
    seen = beginnings(tmp_path, [*USUAL, *[500.0] * 70])
    assert seen == [None] * 40 + [41] * 30 + [None] * 40


def test_a_note_that_cannot_be_written_ends_no_run(tmp_path, caplog):
    (tmp_path / "run").touch()  # where a folder is needed
    logger().propagate = True
    trouble = Trouble(ExperimentPaths(tmp_path / "run"), Ranks())
    trainer_of([*USUAL, 900.0, 1.0], trouble).run(42)
    assert trouble.since is None
    output = [line for line in caplog.messages if line.startswith(f"{tmp_path / 'run'}")]
    assert len(output) == 2 and "would be resumed from its newest checkpoint" in output[0]


class RootOf(nn.Module):
    def forward(self, restored: Tensor) -> Tensor:
        return restored.mean().sqrt()


def test_a_skipped_step_whose_inputs_are_finite_is_trouble_from_the_first_one_on(tmp_path, caplog):
    logger().propagate = True
    with caplog.at_level(logging.INFO, "basicsr"):
        assert beginnings(tmp_path, [1.0, -1.0, -1.0, 1.0], RootOf()) == [None, 2, 2, None]
    first, second = caplog.messages
    assert first.startswith("iteration 2: the step is skipped, as loss, l_pix is not finite; checkpoints")
    assert second == "iteration 4: the trouble since iteration 2 is over"


def test_an_input_that_is_not_finite_is_named_and_no_trouble(tmp_path, caplog):
    logger().propagate = True
    with caplog.at_level(logging.INFO, "basicsr"):
        assert set(beginnings(tmp_path, [1.0, float("nan"), 1.0, float("inf")])) == {None}
    names = "lq of 1_0, lq of 1_1, gt of 1_0, .."
    assert caplog.messages[0] == f"iteration 2 is skipped; not finite: {names}"


def test_endless_broken_inputs_are_the_data_and_not_the_rate(tmp_path):
    with pytest.raises(UserError, match=r"iteration 100: .*because of lq of 99_0\. Fix the data;"):
        beginnings(tmp_path, [float("nan")] * 100)


def test_a_run_that_blows_up_can_go_back_to_before(tmp_path):
    """A rate of 1e30 from step 31 on: what is resumed from is older than any weight it has touched."""
    paths = ExperimentPaths(tmp_path)
    trouble = Trouble(paths, Ranks())
    trainer = trainer_of([*USUAL * 3], trouble, loss=RootOf())
    ema = Ema(trainer.model, 0.5)
    trainer.hooks = [ema, trouble, SaveCheckpoint(5, paths, ema, Ranks(), trouble=trouble)]
    trainer.learning_rate = lambda step, _: 1e-3 if step < 30 else 1e30
    trainer.run(60)
    assert trainer.skipped_steps > 20 and ema.state_dict()["n_averaged"] == 60 - trainer.skipped_steps
    latest = load_contents(paths.network("latest"))
    for entry in ("params", "params_ema"):
        assert 0 < latest[entry]["weight"] < 1
    found = find_resumable(paths, ("g",))
    assert found.state == paths.state(30) and found.trouble == 32
    assert load_contents(found.state)["iteration"] == 30
    assert json.loads(paths.trouble.read_text()) == {"since": 32}


def test_a_run_that_ends_in_trouble_has_weights_all_the_same(tmp_path):
    paths = ExperimentPaths(tmp_path)
    trouble = Trouble(paths, Ranks())
    hooks = [trouble, SaveCheckpoint(2, paths, None, Ranks(), trouble=trouble)]
    trainer_of([1.0, -1.0, -1.0], *hooks, loss=RootOf()).run(3)
    assert paths.network("latest").is_file() and trouble.since == 2


def test_other_processes_keep_no_note(tmp_path):
    trainer_of([1.0, -1.0], Trouble(ExperimentPaths(tmp_path), Ranks(1)), loss=RootOf()).run(2)
    assert not list(tmp_path.iterdir())
