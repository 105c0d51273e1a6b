"""One network learns from others, which stay as they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from basicsr.config.schema import Config, NetworkOptions, semantic_mistakes
from basicsr.losses import L1Loss
from basicsr.models.base import gather_inputs
from basicsr.models.teacher_distillation import TeacherDistillationModel
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import ARCHS

SMALL = {"width": 4, "enc_blk_nums": [1], "middle_blk_num": 0, "dec_blk_nums": [1]}
TYPES = {"g": "NAFNet", "teacher": "SegNAFNet", "teacher_2": "Baseline"}


def build(*names: str, frozen: bool = True, **options) -> TeacherDistillationModel:
    nets = {}
    for number, name in enumerate(("g", *names)):
        torch.manual_seed(number)
        nets[name] = ARCHS.build(TYPES[name], SMALL)
        for parameter in nets[name].parameters():
            nn.init.normal_(parameter, std=0.2)
            parameter.requires_grad_(name == "g" or not frozen)
    given = {"imitation": {"type": "MSELoss"}, **options}
    return TeacherDistillationModel(nets, {"l_pix": L1Loss()}, **given).train()


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    lq, gt = torch.rand(2, 2, 3, 12, 14, generator=generator)
    labels = torch.randint(0, 4, (2, 12, 14), generator=generator, dtype=torch.int32)
    return {"lq": lq, "gt": gt, "labels": labels}


@pytest.mark.parametrize("names", [("teacher",), ("teacher", "teacher_2")])
def test_the_loss_is_that_of_the_target_and_the_mean_over_the_teachers(names):
    model, data = build(*names, weight=3.0), batch()
    losses = model.training_step(data)
    with torch.no_grad():
        image = model.network("g")(data["lq"])
        goals = [model.network(name)(*gather_inputs(model.network(name), data)) for name in names]
    expected = L1Loss()(image, data["gt"]) + 3 * sum((image - goal).square().mean() for goal in goals) / len(
        names
    )
    torch.testing.assert_close(losses["loss"], expected)
    assert {f"l_{name}" for name in names} <= losses.keys()
    assert torch.equal(model.predict(data), image)


def test_teachers_stay_as_they_are_and_are_not_saved():
    model = build("teacher")
    assert list(model.trained) == ["g"]
    model.training_step(batch())["loss"].backward()
    assert all(parameter.grad is None for parameter in model.network("teacher").parameters())
    assert not model.network("teacher").training and model.network("g").training


def test_what_teachers_take_is_asked_of_the_data_in_training_alone():
    model = build("teacher")
    assert set(model.needs_in_training()) == {"lq", "gt", "labels"}
    assert model.needs() == ("lq",)


def test_a_teacher_that_is_not_frozen_is_refused():
    with pytest.raises(OptionError, match=r"networks.teacher.frozen: .* does not train"):
        build("teacher", frozen=False).check()


def test_any_number_of_teachers_may_be_named():
    def mistakes(*names: str) -> list[str]:
        block = NetworkOptions(type="NAFNet", frozen=True)
        config = Config(
            name="x",
            model_type="TeacherDistillationModel",
            datasets={},
            network_g=block,
            networks=dict.fromkeys(names, block),
        )
        return [line for line in semantic_mistakes(config, "test") if line.startswith("networks")]

    assert mistakes("teacher", "teacher_2", "teacher_seg") == []
    (line,) = mistakes("teacher", "judge")
    assert line.startswith(
        "networks.judge: TeacherDistillationModel has no network of this name, but g, teacher"
    )
