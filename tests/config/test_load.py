"""Reading, merging, overriding and checking option files."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from basicsr.config.load import dump_config, load_config
from basicsr.config.schema import Config, effective_options, semantic_mistakes
from basicsr.config.yaml_text import read_yaml
from basicsr.utils.convert import Mistakes, convert
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import ARCHS, DATASETS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES, TRANSFORMS

ROOT = Path(__file__).resolve().parents[2]


def mistakes_of(path, overrides=(), command="train"):
    with pytest.raises(OptionError) as caught:
        load_config(path, overrides, command)
    assert caught.value.exit_code == 2
    return caught.value.mistakes


# base:


def test_later_bases_win_over_earlier_ones_and_the_file_over_all(small, write):
    write({**small, "manual_seed": 1, "scale": 1, "deterministic": True}, "first.yml")
    write({"manual_seed": 2, "name": "second"}, "second.yml")
    config = load_config(write({"base": ["first.yml", "second.yml"], "name": "own"}))
    assert (config.deterministic, config.manual_seed, config.name) == (True, 2, "own")
    config = load_config(write({"base": ["second.yml", "first.yml"]}))
    assert (config.manual_seed, config.name) == (1, "small")


def test_blocks_merge_key_by_key_and_lists_and_values_replace(small, write):
    small["network_g"] |= {"enc_blk_nums": [1, 1, 1, 28], "dec_blk_nums": [1, 1, 1, 1]}
    write(small, "under.yml")
    over = {"network_g": {"enc_blk_nums": [2, 2]}, "train": {"optim_g": {"lr": 0.5}, "perceptual_opt": None}}
    config = load_config(write({"base": "under.yml", **over}))
    assert config.network_g.options == {"width": 8, "enc_blk_nums": [2, 2], "dec_blk_nums": [1, 1, 1, 1]}
    assert (config.train.optim_g.type, config.train.optim_g.options["lr"]) == ("AdamW", 0.5)
    assert config.train.pixel_opt.type == "PSNRLoss"
    assert mistakes_of(write({"base": "under.yml", "train": None})) == [
        "train: required for training, but not given"
    ]


def test_bases_are_relative_to_the_file_that_names_them(small, write):
    write(small, "shared/bottom.yml")
    write({"base": "bottom.yml", "manual_seed": 7}, "shared/middle.yml")
    config = load_config(write({"base": "../shared/middle.yml", "name": "top"}, "own/top.yml"))
    assert (config.name, config.manual_seed) == ("top", 7)


def test_two_ways_to_one_base_are_no_circle_but_a_way_back_is(small, write):
    write(small, "bottom.yml")
    write({"base": "bottom.yml", "manual_seed": 3}, "left.yml")
    write({"base": "bottom.yml", "deterministic": True}, "right.yml")
    config = load_config(write({"base": ["left.yml", "right.yml"]}))
    assert (config.manual_seed, config.deterministic) == (3, True)
    write({"base": "one.yml"}, "other.yml")
    assert "in a circle" in mistakes_of(write({"base": "other.yml"}, "one.yml"))[0]
    assert "in a circle" in mistakes_of(write({"base": "self.yml"}, "self.yml"))[0]


@pytest.mark.parametrize("base", [3, [3], {"a": "b"}, [["a.yml"]], True])
def test_base_that_is_no_path_is_a_mistake(base, small, write):
    (line,) = mistakes_of(write({**small, "base": base}))
    assert line.startswith("base: expected the path") and repr(base) in line


def test_absent_option_file_names_the_nearest_one(write, tmp_path):
    write("{}", "SegNAFNet.yml")
    (line,) = mistakes_of(tmp_path / "SegNafnet.yml")
    assert (
        line.startswith("cannot read the option file")
        and f"Did you mean '{tmp_path / 'SegNAFNet.yml'}'?" in line
    )


@pytest.mark.parametrize(
    ("over", "left"),
    [
        ({"datasets": {"val": None}}, lambda config: list(config.datasets) == ["train"]),
        ({"val": {"metrics": {"psnr": None}}}, lambda config: list(config.val.metrics) == ["ssim"]),
        ({"val": {"metrics": None}}, lambda config: list(config.val.judged_by) == ["psnr", "ssim"]),
        ({"train": {"pixel_opt": None}}, lambda config: config.train.pixel_opt is None),
        ({"manual_seed": None}, lambda config: config.manual_seed == 42),
        (
            {"network_g": {"type": "NAFNet", "seg_channel": None}},
            lambda config: config.network_g.options == {"width": 8},
        ),
        (
            {"train": {"scheduler": {"type": "LinearLR", "total_iter": 100, "T_max": None}}},
            lambda config: config.train.scheduler.options == {"total_iter": 100},
        ),
    ],
)
def test_null_takes_away_what_is_inherited(over, left, small, write):
    small |= {"network_g": {"type": "SegNAFNet", "seg_channel": 3, "width": 8}, "manual_seed": 7}
    small["val"] = {"metrics": {"psnr": {"type": "calculate_psnr"}, "ssim": {"type": "calculate_ssim"}}}
    small["train"]["perceptual_opt"] = {"type": "L1Loss"}
    write(small, "under.yml")
    assert left(load_config(write({"base": "under.yml", **over})))
    by_hand = [f"{key}={yaml.safe_dump(value).removesuffix('...').strip()}" for key, value in flat(over)]
    assert left(load_config(write({"base": "under.yml"}), by_hand))


def flat(options, where=""):
    for key, value in options.items():
        if isinstance(value, dict):
            yield from flat(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", value


@pytest.mark.parametrize(
    ("override", "mistake"),
    [
        ("datasets.vall=null", "there is nothing of this name to remove. Did you mean 'val'?"),
        ("val.metrics.pnsr=null", "there is nothing of this name to remove. Did you mean 'psnr'?"),
        ("train.losses.edge=null", "there is nothing of this name to remove. Known: none"),
        ("networks.teacher=null", "there is nothing of this name to remove. Known: none"),
        ("val.metrcis=null", "unknown key. Did you mean 'metrics'? (got None)"),
        (
            "datasets.train.gt_sise=null",
            "PairedImageDataset has no such option. Did you mean 'gt_size'? (got None)",
        ),
    ],
)
def test_null_under_a_name_that_nothing_has_given_is_a_mistake(override: str, mistake: str, small, write):
    small["val"] = {"metrics": {"psnr": {"type": "calculate_psnr"}}}
    assert mistakes_of(write(small), [override]) == [f"{override.removesuffix('=null')}: {mistake}"]


def test_usual_data_sets_may_be_taken_away_without_being_there(small, write):
    assert list(load_config(write(small), ["datasets.test=null"]).datasets) == ["train", "val"]


def test_what_is_taken_away_and_is_required_is_missing(small, write):
    write(small, "under.yml")
    over = {"name": None, "datasets": None, "train": {"scheduler": None, "optim_g": {"lr": None}}}
    assert mistakes_of(write({"base": "under.yml", **over})) == [
        "name: required, but not given",
        "datasets: required, but not given",
        "train.optim_g.lr: required by AdamW, but not given",
        "train.scheduler: required, but not given",
    ]
    assert mistakes_of(write({"base": "under.yml", "datasets": {"train": None}})) == [
        "datasets.train: required for training, but not given"
    ]


def test_a_data_set_or_a_metric_without_a_block_is_none(small, write):
    small["datasets"] |= {"val": None, "test": None}
    small["val"] = {"metrics": {"psnr": None, "ssim": {"type": "calculate_ssim"}}}
    config = load_config(write(small))
    assert (list(config.datasets), list(config.val.metrics)) == (["train"], ["ssim"])


def test_a_value_left_empty_is_a_mistake_where_nothing_is_inherited(small, write):
    small["network_g"]["width"] = None
    assert mistakes_of(write(small))[0].startswith("network_g.width: ")


def options_in(kind):
    """All keys below a struct of the schema, with their annotation and default."""
    hints = get_type_hints(kind, include_extras=True)
    for item in msgspec.structs.fields(kind):
        yield item.name, hints[item.name], item.default
        for inner in (hints[item.name], *get_args(hints[item.name])):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                yield from options_in(inner)


def test_null_and_nothing_mean_the_same_so_that_null_can_take_away():
    registries = (ARCHS, DATASETS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES, TRANSFORMS)
    components = [
        (f"{name}.{key}", option.kind, option.default)
        for registry in registries
        for name in registry.names()
        for key, option in registry.options(name).items()
    ]
    nullable = {
        name: default
        for name, kind, default in [*options_in(Config), *components]
        if type(None) in get_args(kind)
    }
    assert len(nullable) > 30 and set(nullable.values()) == {None}


# --set


@pytest.mark.parametrize(
    ("override", "read", "expected"),
    [
        ("train.grad_clip_norm=1e-3", lambda config: config.train.grad_clip_norm, 0.001),
        ("train.total_iter=5e1", lambda config: config.train.total_iter, 50),
        ("train.amp=off", lambda config: config.train.amp, "off"),
        ("train.amp=bf16", lambda config: config.train.amp, "bf16"),
        ("name=a=b", lambda config: config.name, "a=b"),
        ("network_g.enc_blk_nums=[1, 2]", lambda config: config.network_g.options["enc_blk_nums"], [1, 2]),
        ("val.metrics.p.type=calculate_psnr", lambda config: config.val.metrics["p"].type, "calculate_psnr"),
        ("logger.wandb={project: p}", lambda config: config.logger.wandb.project, "p"),
        ("dist_params.port=1234", lambda config: config.dist_params.port, 1234),
        ("num_gpu=auto", lambda config: config.num_gpu, "auto"),
    ],
)
def test_override_is_read_as_yaml_and_makes_blocks(override, read, expected, small, write):
    value = read(load_config(write(small), [override]))
    assert value == expected and type(value) is type(expected)


def test_float_option_of_a_component_reads_an_exponent_without_dot(small, write):
    config = load_config(write(small), ["train.optim_g.lr=1e-3"])
    weight = torch.nn.Parameter(torch.zeros(1))
    assert config.train.optim_g.build(params=[weight])().param_groups[0]["lr"] == 0.001


def test_later_override_wins(small, write):
    overrides = ["manual_seed=1", "manual_seed=2", "network_g={type: NAFNet}", "network_g.width=4"]
    config = load_config(write(small), overrides)
    assert (config.manual_seed, config.network_g.options) == (2, {"width": 4})


@pytest.mark.parametrize(
    "override",
    [
        "name",
        "=3",
        "name=[1",
        "name={a",
        "name=2024-13-45",
        "name.a=1",
        "scale.a.b=1",
        "name=!!bool x",
        "network_g={type: NAFNet, width: 4, width: 8}",
    ],
)
def test_override_with_bad_syntax_is_a_mistake_that_quotes_it(override, small, write):
    (line,) = mistakes_of(write({**small, "scale": 1}), [override])
    assert override.partition("=")[0] in line


def test_override_of_one_block_leaves_its_yaml_alias_alone(small, write):
    text = yaml.safe_dump({**small, "datasets": None}).replace("datasets: null", "")
    root = small["datasets"]["val"]["dataroot_gt"]
    text += f"""
datasets:
  train: &set {{type: PairedImageDataset, name: a, dataroot_gt: {root}, dataroot_lq: {root}, gt_size: 8}}
  val: *set
"""
    config = load_config(write(text), ["datasets.val.name=b", "datasets.val.gt_size=null"])
    assert [item.name for item in config.datasets.values()] == ["a", "b"]
    assert [item.options.get("gt_size") for item in config.datasets.values()] == [8, None]


def test_yaml_merge_keys_fill_in_what_is_not_given(small, write):
    text = yaml.safe_dump({**small, "datasets": None}).replace("datasets: null", "")
    root = small["datasets"]["val"]["dataroot_gt"]
    text += f"""
datasets:
  train: &set {{type: PairedImageDataset, name: a, dataroot_gt: {root}, dataroot_lq: {root}}}
  val: {{<<: *set, name: b}}
"""
    config = load_config(write(text))
    assert config.datasets["val"].name == "b" and config.datasets["train"].name == "a"
    assert config.datasets["val"].options == config.datasets["train"].options


# mistakes


def test_all_mistakes_are_reported_at_once_with_place_value_and_nearest_name(small, write, tmp_path):
    small["nam"] = "x"
    small["manual_seed"] = -1
    small["model_type"] = "ImageRestoration"
    small["network_g"] = {"type": "NAFNet", "widht": 8, "middle_blk_num": "many"}
    small["train"]["amp"] = "fp61"
    small["train"]["optim_g"] = {"type": "AdmW", "lr": 0.1}
    small["train"]["scheduler"] = {"type": "TrueCosineAnnealingLR"}
    small["train"]["total_iters"] = small["train"].pop("total_iter")
    small["train"]["pixel_opt"] = {"loss_weight": 1}
    small["datasets"]["train"]["dataroot_lq"] = str(tmp_path / "absent")
    small["datasets"]["train"]["batch_size_per_gpu"] = 0
    small["val"] = {
        "metrics": {"psnr": {"type": "calculate_psnr", "crop_border": 1.5}},
        "grids": "yes please",
    }
    assert mistakes_of(write(small)) == [
        "manual_seed: must be at least 0 (got -1)",
        "datasets.train.batch_size_per_gpu: must be at least 1 (got 0)",
        f"datasets.train.dataroot_lq: no such folder (got '{tmp_path / 'absent'}')",
        "network_g.widht: NAFNet has no such option. Did you mean 'width'? (got 8)",
        "network_g.middle_blk_num: Expected `int`, got `str` (got 'many')",
        "train.optim_g.type: unknown optimizer 'AdmW'. Did you mean 'AdamW'?",
        "train.scheduler.T_max: required by TrueCosineAnnealingLR, but not given",
        "train.total_iter: required, but not given",
        "train.pixel_opt.type: required, but not given",
        "train.amp: expected one of off, bf16, fp16. Did you mean 'fp16'? (got 'fp61')",
        "train.total_iters: unknown key. Did you mean 'total_iter'? (got 100)",
        "val.grids: Expected `bool`, got `str` (got 'yes please')",
        "val.metrics.psnr.crop_border: Expected `int`, got `float` (got 1.5)",
        "nam: unknown key. Did you mean 'name'? (got 'x')",
        "model_type: unknown model 'ImageRestoration'. Did you mean 'ImageRestorationModel'?",
    ]


def test_error_is_the_file_the_count_and_one_line_a_mistake(small, write):
    del small["name"]
    path = write(small)
    with pytest.raises(OptionError) as caught:
        load_config(path, ["widht=3"])
    assert str(caught.value).splitlines()[0] == f"{path}: 2 mistakes"
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == caught.value.mistakes


def test_name_far_from_all_others_lists_what_is_known(small, write):
    small["train"]["pixel_opt"]["type"] = "zzz"
    (line,) = mistakes_of(write(small))
    known = ", ".join(LOSSES.names())
    assert line.startswith(f"train.pixel_opt.type: unknown loss 'zzz'. Known: {known}")


def test_without_ground_truth_the_hint_is_infer(small, write):
    """Also under the name that such a data set has in BasicSR."""
    small["datasets"]["test"] = {"type": "SingleImageDataset", "name": "a", "dataroot_lq": "."}
    hint = "photos without ground truth are restored by basicsr/infer.py"
    assert mistakes_of(write(small), command="test") == [
        f"datasets.test.type: unknown dataset 'SingleImageDataset'; {hint}"
    ]
    small["datasets"]["test"]["type"] = "PairedImageDataset"
    for absent in ({}, {"dataroot_gt": None}):
        small["datasets"]["test"] |= absent
        (line,) = mistakes_of(write(small), command="test")
        assert line.startswith("datasets.test.dataroot_gt: ") and f"; {hint}" in line


@pytest.mark.parametrize("key", ["dataroot_lq", "dataroot_gt"])
def test_several_roots_become_one_folder_of_links(key, small, write, tmp_path):
    small["datasets"]["val"][key] = ["a", "b"]
    (line,) = mistakes_of(write(small))
    assert line.startswith(f"datasets.val.{key}: ") and "ln -s" in line and "['a', 'b']" in line


def test_mistakes_inside_a_network_of_a_network_have_their_place(small, write):
    small["network_g"] = {"type": "WithMAP", "net": {"type": "NAFNet", "widht": 8}}
    assert mistakes_of(write(small)) == [
        "network_g.net.widht: NAFNet has no such option. Did you mean 'width'? (got 8)"
    ]


@pytest.mark.parametrize(("command", "used"), [("train", ("train", "val")), ("test", ("test",))])
def test_only_the_folders_that_the_command_uses_must_exist(command, used, small, write):
    dataset = small["datasets"]["train"] | {"dataroot_gt": "absent"}
    small["datasets"] = {phase: dataset | {"name": phase} for phase in ("train", "val", "test")}
    assert mistakes_of(write(small), command=command) == [
        f"datasets.{phase}.dataroot_gt: no such folder (got 'absent')" for phase in used
    ]


def test_paths_are_expanded_as_shells_do(small, write, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    for folder in ("data/gt", "data/lq", "data/$HOME"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "w.pth").touch()
    small["datasets"]["train"] |= {"dataroot_gt": "$DATA/gt", "dataroot_lq": "~/data/lq"}
    small["path"] = {"pretrain_network_g": "${HOME}/w.pth"}
    write(small, "data/under.yml")
    write({"base": "$DATA/under.yml", "manual_seed": 5}, "data/own.yml")
    config = load_config("~/data/own.yml")
    assert config.manual_seed == 5
    assert config.path.pretrain_network_g == f"{tmp_path}/w.pth"
    assert load_config("$DATA/own.yml") == config
    fields = config.datasets["train"].registry.check(
        "PairedImageDataset", config.datasets["train"].options, "", Mistakes()
    )
    assert fields == {"dataroot_gt": f"{tmp_path}/data/gt", "dataroot_lq": f"{tmp_path}/data/lq"}
    small["datasets"]["train"] |= {"dataroot_gt": f"{tmp_path}/data/$HOME", "dataroot_lq": "$NOWHERE/lq"}
    assert mistakes_of(write(small)) == ["datasets.train.dataroot_lq: no such folder (got '$NOWHERE/lq')"], (
        "what is there is meant as it is written; what is not set is shown as it is"
    )


def test_absent_files_below_path_are_named(small, write):
    small["path"] = {"pretrain_network_g": "absent.pth", "resume_state": "1.state"}
    weights, state = mistakes_of(write(small))
    assert weights.startswith("path.pretrain_network_g: no such file, and no weights of that name. Known: ")
    assert weights.endswith("(got 'absent.pth')")
    assert state == "path.resume_state: no such file (got '1.state')"


@pytest.mark.parametrize("command", ["train", "test"])
def test_absent_files_of_other_networks_and_of_the_model_are_named(command, small, write):
    """A teacher, and the VGG of a loss inside the model."""
    small["datasets"]["test"] = small["datasets"]["train"] | {"name": "test"}
    small["model_type"] = "SemanticDistillationModel"
    small["networks"] = {"second": {"type": "NAFNet", "weights": "second.pth"}}
    small["model_opt"] = {"sgr": {"type": "SemanticRelationLoss", "vgg_weights": "vgg.pth"}}
    weights, vgg = mistakes_of(write(small), command=command)
    assert weights.startswith("networks.second.weights: no such file")
    assert vgg == "model_opt.sgr.vgg_weights: no such file (got 'vgg.pth')"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: !!python/object/apply:os.mkdir [PWNED]", "could not determine a constructor"),
        ("name: !!python/name:os.system", "could not determine a constructor"),
        ("name: a\nname: b", "key 'name' is given twice, with two values (line 2, column 1)"),
        ("name: 1\nname: 1.0", "key 'name' is given twice, with two values"),
        ("name: !!bool maybe", "'maybe' is no bool (line 1, column 7)"),
        ("name: !!timestamp x", "'x' is no timestamp"),
        ("name: !!float", "'' is no float"),
        ("name: !!int ''", "'' is no int"),
        ("name: !!binary a", "failed to decode base64"),
        ("name: '\x07'", "unacceptable character"),
        ('name: "\\ud800"', "surrogates not allowed"),
        ("name: &name [*name]", "contains itself"),
        ("network_g: &net {type: WithMAP, net: *net}", "contains itself"),
        ("name: " + "[" * 5000, "nested more than 32 deep"),
        ("scale: 0x" + "f" * 5000, "is no int"),
        ('base: "a\\0"', "base: expected the path"),
        ("train: {total_iter: 1, 'total_iter': 2}", "key 'total_iter' is given twice"),
        ("name: [1", "not valid YAML"),
        ("name: {{ template }}", "unhashable key"),
        ("? [a, b]\n: 1", "unhashable key"),
        ("name: 2024-13-45", "month must be in 1..12"),
        ("name: a\x00", "unacceptable character"),
        ("", "expected a block"),
        ("[1, 2]", "expected a block"),
    ],
)
def test_text_that_is_no_plain_yaml_block_is_one_mistake(text, message, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (line,) = mistakes_of(write(text))
    assert message in line and "\n" not in line
    assert not Path("PWNED").exists()


def test_a_key_given_twice_with_one_value_is_a_warning(small, write, caplog):
    small["datasets"]["train"]["use_shuffle"] = True
    text = yaml.safe_dump(small).replace(
        "    use_shuffle: true\n", "    use_shuffle: True\n    use_shuffle: true\n"
    )
    path = write(text)
    assert load_config(path).datasets["train"].use_shuffle is True
    (warning,) = caplog.messages
    line = text.splitlines().index("    use_shuffle: true") + 1
    message = f"key 'use_shuffle' is given twice, with the same value (line {line}, column 5)"
    assert warning == f"{path}: {message}"
    path.write_text(text.replace("    use_shuffle: true", "    use_shuffle: false"))
    assert "with two values" in mistakes_of(path)[0]


def test_a_byte_order_mark_is_no_mistake(small, write):
    path = write(small)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_config(path).name == "small"


PIECES = [
    *"\n:-?,[]{}#&*!|>'\"%@`~\\\t =.<", "\x00", "\x85", "\ufeff", "é", "!!", ": ", "- ", "? ", "<<: ", "---",
    "...", "%YAML 1.2", "&a ", "*a", "!!bool ", "!!float ", "!!int ", "!!timestamp ", "!!binary ", "!!set ",
    "!!omap ", "!!pairs ", "!!str ", "!!map ", "!!seq ", "!!null ", "!!python/name:os.system ", "0x", "1e9",
    ".nan", "2024-13-45", "12:34:56", "_", "~", "null", "\\ud800", "base: ", "type: ", "name: ",
]  # fmt: skip


def test_mangled_option_files_load_or_end_in_mistakes(small, write):
    """Two thousand files, each with a few pieces put in, doubled or cut out anywhere."""
    generator = random.Random(14)
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "options").glob("base/*.yml"))]
    texts.append(yaml.safe_dump(small))
    for _ in range(2000):
        text = generator.choice(texts)[: generator.randrange(40, 400)]
        for _ in range(generator.randrange(1, 5)):
            at, width = generator.randrange(len(text) + 1), generator.randrange(8)
            piece = generator.choice([*PIECES, text[at : at + width] * 2, ""])
            text = text[:at] + piece + text[at + generator.choice([0, width]) :]
        assert "\n" not in lines_of(text), text


def lines_of(text: str) -> str:
    """What is wrong with the text of an option file, in one string without breaks; empty if nothing is."""
    try:
        options, odd = read_yaml(text)
    except ValueError as error:
        return str(error)
    mistakes = Mistakes()
    convert(options, Config, "", mistakes)
    return "".join([*odd, *mistakes.lines])


def test_file_that_is_not_text_is_one_mistake(tmp_path):
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00name")
    (tmp_path / "binary_.yml").write_text("{}")
    assert mistakes_of(tmp_path / "binary.yml") == ["not UTF-8 text; save it as UTF-8"], "it is no typo"


@pytest.mark.parametrize("command", ["train", "test"])
@pytest.mark.parametrize("datasets", [5, None, "text", [1], {1: {}}, {"train": 3}, {None: None}, {True: {}}])
def test_datasets_of_any_wrong_kind_are_mistakes_at_datasets(datasets, command, small, write):
    lines = mistakes_of(write({**small, "datasets": datasets}), command=command)
    assert lines and all(line.startswith("datasets") for line in lines)


KEYS = st.text("abc. é", max_size=5) | st.integers() | st.none()
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["1e-3"])
)
PLAIN = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    "name", "scale", "num_gpu", "datasets", "datasets.train", "datasets.train.type", "datasets.train.gt_size",
    "datasets.train.mean", "datasets.train.io_backend", "network_g", "network_g.type", "network_g.width",
    "network_g.enc_blk_nums", "network_g.net", "train", "train.amp", "train.optim_g.betas", "train.scheduler",
    "val.metrics", "val.metrics.psnr", "path.resume_state", "logger.wandb", "unknown", "train.unknown",
]  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=PLAIN)
def test_any_value_anywhere_gives_a_config_or_mistakes(place, value, small):
    options = copy.deepcopy(small)
    *blocks, name = place.split(".")
    block = options
    for inner in blocks:
        block = block.setdefault(inner, {})
    block[name] = value
    mistakes = Mistakes()
    config = convert(options, Config, "", mistakes)
    assert isinstance(config, Config) or mistakes.lines
    if not mistakes.lines:
        semantic_mistakes(config, "train")
        plain = effective_options(config)
        again = effective_options(convert(yaml.safe_load(yaml.safe_dump(plain)), Config, "", mistakes))
        assert repr(again) == repr(plain)  # as text, because not-a-number differs from itself
    assert all("\n" not in line for line in mistakes.lines)


# the whole


FRAME = ("weights", "frozen", "strict", "param_key")  # of every network


def test_effective_options_hold_the_defaults_of_constructors_and_frame(small, write):
    plain = effective_options(load_config(write(small)))
    assert set(plain["network_g"]) == {"type", *FRAME, *ARCHS.options("NAFNet")}
    expected = {"type": "NAFNet", "width": 8, "img_channel": 3, "mask": False, "enc_blk_nums": []}
    assert {key: plain["network_g"][key] for key in expected} == expected
    assert plain["train"]["optim_g"] == {
        "type": "AdamW", "lr": 0.001, "weight_decay": 0.01, "betas": [0.9, 0.999], "eps": 1e-8,
    }  # fmt: skip
    assert plain["datasets"]["train"]["io_backend"] == {"type": "disk"}
    assert (plain["train"]["amp"], plain["logger"]["print_freq"], plain["val"]["tile_overlap"]) == (
        "off",
        100,
        32,
    )
    assert not {"seed", "params"} & {*plain["datasets"]["train"], *plain["train"]["optim_g"]}


def test_dump_loads_to_an_equal_config(small, write):
    overrides = [
        "train.optim_g.lr=1e-3",
        "val.metrics.p.type=calculate_psnr",
        "train.amp=off",
        "name=Überblick",
    ]
    first = load_config(write(small), overrides)
    second = load_config(write(dump_config(first), "second.yml"))
    third = load_config(write(dump_config(second), "third.yml"))
    assert third == second
    assert effective_options(second) == yaml.safe_load(dump_config(first))
    assert dump_config(second) == dump_config(first)


def test_loading_changes_no_file(small, write):
    base = write(small, "base.yml")
    path = write("# mine\nbase: base.yml\nname: x\n")
    before = base.read_bytes(), path.read_bytes()
    load_config(path, ["name=y"])
    assert (base.read_bytes(), path.read_bytes()) == before
