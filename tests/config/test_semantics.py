"""Mistakes that only show when several keys are seen together."""

from __future__ import annotations

import pytest

from basicsr.config.load import load_config
from basicsr.config.schema import effective_options
from basicsr.data.transforms import Transform
from basicsr.utils.convert import Mistakes, Name, convert
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import TRANSFORMS


def places(path, command="train"):
    with pytest.raises(OptionError) as caught:
        load_config(path, command=command)
    return [line.partition(": ")[0] for line in caught.value.mistakes]


@pytest.mark.parametrize("command", ["train", "test"])
def test_the_starting_point_of_these_tests_has_no_mistake(command, small, write):
    assert load_config(write(small), command=command).name == "small"


def test_two_data_sets_of_one_name(small, write):
    small["datasets"]["val_2"] = dict(small["datasets"]["val"])
    assert places(write(small)) == ["datasets.val.name", "datasets.val_2.name"]
    small["datasets"]["test"] = dict(small["datasets"]["val"])
    assert load_config(write(small), command="test").tested().keys() == {"test"}, "no command uses both"


def test_batches_of_several_images_need_one_size(small, write):
    small["datasets"]["train"] |= {"gt_size": None, "batch_size_per_gpu": 2}
    assert places(write(small)) == ["datasets.train.gt_size"]
    small["datasets"]["train"]["batch_size_per_gpu"] = 1
    load_config(write(small))
    small["datasets"]["train"] |= {"batch_size_per_gpu": None, "batch_size_total": 2}
    assert places(write(small)) == ["datasets.train.gt_size"]


CROP, FLIP = {"type": "RandomCrop", "size": 8}, {"type": "RandomFlip"}


def test_batches_of_several_images_need_a_transform_that_gives_one_size(small, write):
    small["datasets"]["train"] |= {"gt_size": None, "batch_size_per_gpu": 2, "transforms": [FLIP]}
    assert places(write(small)) == ["datasets.train.transforms"]
    small["datasets"]["train"]["transforms"] = []
    assert places(write(small)) == ["datasets.train.transforms"]
    small["datasets"]["train"]["transforms"] = [FLIP, CROP]
    assert load_config(write(small)).datasets["train"].options["transforms"] == [FLIP, CROP]
    small["datasets"]["train"] |= {"batch_size_per_gpu": 1, "transforms": [FLIP]}
    load_config(write(small))


def test_transforms_stand_in_place_of_the_published_options(small, write):
    small["datasets"]["train"] |= {
        "gt_size": 8,
        "use_flip": True,
        "use_rot": True,
        "transforms": [CROP, FLIP],
    }
    path = write(small)
    assert places(path) == [f"datasets.train.{key}" for key in ("gt_size", "use_flip", "use_rot")]
    assert load_config(path, command="test"), "testing does not train"
    taken_away = [f"datasets.train.{key}=null" for key in ("gt_size", "use_flip", "use_rot")]
    config = load_config(path, taken_away)
    again = write(effective_options(config), "again.yml")
    assert effective_options(load_config(again)) == effective_options(config)
    assert effective_options(config)["datasets"]["train"]["transforms"] == [CROP, FLIP]
    assert effective_options(config)["datasets"]["val"]["transforms"] is None


def test_mistakes_in_transforms_are_a_line_each_with_their_place(small, write):
    wrong = [{"type": "RandomCrop", "size": 0}, {"type": "RandomFlp"}, {"type": "RandomRotate", "by": 90}]
    small["datasets"]["train"]["transforms"] = [*wrong, {"type": "RandomCrop"}, "RandomFlip"]
    with pytest.raises(OptionError) as caught:
        load_config(write(small))
    where = "datasets.train.transforms"
    assert caught.value.mistakes == [
        f"{where}[0].size: must be at least 1 (got 0)",
        f"{where}[1].type: unknown transform 'RandomFlp'. Did you mean 'RandomFlip'?",
        f"{where}[2].by: RandomRotate has no such option. Known: none (got 90)",
        f"{where}[3].size: required by RandomCrop, but not given",
        f"{where}[4]: expected a block of `key: value` lines (got 'RandomFlip')",
    ]


def test_a_transform_whose_options_contradict_each_other(small, write, monkeypatch):
    monkeypatch.setattr(TRANSFORMS, "_entries", {name: TRANSFORMS[name] for name in TRANSFORMS.names()})

    @TRANSFORMS.register
    class Between(Transform):
        def __init__(self, low: float, high: float) -> None:
            if low > high:
                raise ValueError(f"low {low} is above high {high}")

        def __call__(self, arrays, generator):
            return arrays

    small["datasets"]["train"]["transforms"] = [CROP, {"type": "Between", "low": 2, "high": 1}]
    with pytest.raises(OptionError, match=r"datasets.train.transforms\[1\]: low 2.0 is above high 1.0"):
        load_config(write(small))


def test_a_batch_is_that_of_a_process_or_of_all_together(small, write):
    small["datasets"]["train"] |= {"gt_size": 8, "batch_size_per_gpu": 1, "batch_size_total": 32}
    assert places(write(small)) == ["datasets.train.batch_size_total"]
    for key, other in (
        ("batch_size_total", "batch_size_per_gpu"),
        ("batch_size_per_gpu", "batch_size_total"),
    ):
        one = small | {"datasets": small["datasets"] | {"train": small["datasets"]["train"] | {key: None}}}
        train = load_config(write(one)).datasets["train"]
        assert getattr(train, key) is None and getattr(train, other) is not None


@pytest.mark.parametrize("phase", ["gopro", "train_2", "training", "Test"])
def test_data_set_that_no_command_would_use(phase, small, write):
    small["datasets"][phase] = small["datasets"]["val"] | {"name": "other"}
    assert places(write(small)) == [f"datasets.{phase}"]


def test_phases_are_in_the_order_of_the_file(small, write):
    for phase in ("test_b", "val_2", "test", "test_a"):
        small["datasets"][phase] = small["datasets"]["val"] | {"name": phase}
    config = load_config(write(small))
    assert [list(config.phases(kind)) for kind in ("train", "val", "test")] == [
        ["train"],
        ["val", "val_2"],
        ["test_b", "test", "test_a"],
    ]


def test_training_needs_a_train_block_and_a_train_set_which_testing_does_not(small, write):
    del small["train"], small["datasets"]["train"]
    path = write(small)
    assert places(path) == ["train", "datasets.train"]
    assert load_config(path, command="test").train is None


def test_training_needs_a_loss(small, write):
    loss = small["train"].pop("pixel_opt")
    path = write(small)
    assert places(path) == ["train.pixel_opt"]
    assert load_config(path, command="test").train.pixel_opt is None
    small["train"]["perceptual_opt"] = loss
    assert load_config(write(small)).train.perceptual_opt.type == "PSNRLoss"


def test_testing_needs_a_test_set_or_else_a_val_set(small, write):
    del small["datasets"]["val"]
    assert places(write(small), "test") == ["datasets.test"]
    small["datasets"]["test"] = small["datasets"]["train"] | {"name": "Small"}
    assert list(load_config(write(small), command="test").phases("test")) == ["test"]


@pytest.mark.parametrize("given", [{}, {"crop_size_h": 8}, {"crop_size_w": 8}])
def test_grids_need_both_sizes(given, small, write):
    small["val"] = {"grids": True, **given}
    assert places(write(small)) == ["val.grids"]
    small["val"] |= {"crop_size_h": 8, "crop_size_w": 8}
    assert load_config(write(small)).val.grids


def test_grids_and_tiles_exclude_each_other(small, write):
    small["val"] = {"grids": True, "crop_size_h": 8, "crop_size_w": 8, "tile": 64}
    assert places(write(small)) == ["val.tile"]


@pytest.mark.parametrize(
    ("tile", "overlap", "wrong"), [(32, 32, True), (16, 31, True), (33, 32, False), (1, 0, False)]
)
def test_overlap_is_smaller_than_the_tile(tile, overlap, wrong, small, write):
    small["val"] = {"tile": tile, "tile_overlap": overlap}
    path = write(small)
    if wrong:
        assert places(path) == ["val.tile_overlap"]
    else:
        assert load_config(path).val.tile_overlap == overlap


@pytest.mark.parametrize(
    "scheduler",
    [
        {"type": "TrueCosineAnnealingLR", "T_max": 99},
        {"type": "CosineAnnealingRestartLR", "periods": [50, 49], "restart_weights": [1, 1]},
        {"type": "LinearLR", "total_iter": 99},
    ],
)
def test_a_schedule_lasts_as_long_as_the_run(scheduler, small, write):
    small["train"]["scheduler"] = scheduler
    path = write(small)
    assert places(path) == ["train.scheduler"], "the run has 100 steps"
    assert load_config(path, ["train.total_iter=99"]).train.total_iter == 99
    assert load_config(path, command="test").train is not None, "testing has no schedule"


@pytest.mark.parametrize(
    "scheduler",
    [
        {"type": "TrueCosineAnnealingLR", "T_max": 100, "eta_min": 0.01},
        {"type": "CosineAnnealingRestartLR", "periods": [50, 50]},
        {"type": "MultiStepRestartLR", "milestones": [1], "restarts": [0, 9]},
        {"type": "MultiStepLR", "milestones": [1, 2], "gamma": 1e300},
    ],
)
def test_a_schedule_that_says_no_sound_rate_is_a_mistake(scheduler, small, write):
    small["train"]["scheduler"] = scheduler
    assert places(write(small)) == ["train.scheduler"]


def test_a_short_schedule_is_told_with_both_numbers(small, write):
    with pytest.raises(OptionError, match=r"train.scheduler: T_max is 100, but .* 101 steps.*total_iter"):
        load_config(write(small), ["train.total_iter=101"])


def test_without_metrics_images_are_judged_by_psnr_and_ssim(small, write):
    for val in ({}, {"val": {"metrics": None}}):
        judged = load_config(write(small | val)).val.judged_by
        types = {name: item.type for name, item in judged.items()}
        assert types == {"psnr": "calculate_psnr", "ssim": "calculate_ssim"}
    assert load_config(write(small | {"val": {"metrics": {}}})).val.judged_by == {}, "asked for"


def test_contradicting_options_of_a_component_are_an_option_error(small, write):
    small["network_g"] |= {"enc_blk_nums": [1, 1], "dec_blk_nums": [1]}
    config = load_config(write(small))
    with pytest.raises(OptionError, match="network NAFNet"):
        config.network_g.build()


@pytest.mark.parametrize("name", ["", ".", "../elsewhere", "a/b", ".hidden"])
def test_names_that_become_folders_stay_inside_theirs(name: str):
    mistakes = Mistakes()
    convert(name, Name, "name", mistakes)
    assert mistakes.lines == [
        f"name: becomes a folder's name: not empty, no slash, no dot in front (got {name!r})"
    ]


@pytest.mark.parametrize(("name", "length"), [("x" * 201, 201), ("字" * 67, 201), ("x" * 300, 300)])
def test_names_that_become_folders_leave_room_for_what_is_appended(name: str, length: int):
    mistakes = Mistakes()
    convert(name, Name, "name", mistakes)
    what = f"becomes a folder's name: at most 200 bytes, found {length}"
    assert mistakes.lines == [f"name: {what} (got {name!r})"]
    mistakes = Mistakes()
    assert convert("x" * 200, Name, "name", mistakes) == "x" * 200 and not mistakes.lines


def test_the_best_is_chosen_by_a_metric_that_is_measured(small, write):
    small["logger"] = {"keep_best": "lpips"}
    assert places(write(small)) == ["logger.keep_best"]
    small["logger"]["keep_best"] = "ssim"
    assert load_config(write(small)).logger.keep_best == "ssim"
