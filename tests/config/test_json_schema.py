"""The JSON schema of option files agrees with the files and with the loader."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import msgspec
import pytest
import yaml

from basicsr.commands.schema import check_schema, write_schema
from basicsr.config.json_schema import options_schema
from basicsr.config.load import dump_config
from basicsr.config.schema import Config
from basicsr.utils.convert import Mistakes, convert
from basicsr.utils.errors import UserError
from basicsr.utils.registry import ARCHS, DATASETS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES, TRANSFORMS

jsonschema = pytest.importorskip("jsonschema", reason="the package jsonschema (extra `dev`) is not installed")

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.glob("options/**/*.yml")
    if "studies" not in path.parts  # files of another kind, and some with plugins
)


class Yaml12Loader(yaml.SafeLoader):
    """Plain values as YAML 1.2 reads them, and so editors: ``1e-3`` is a number, ``off`` is text."""

    yaml_implicit_resolvers = {
        first: [item for item in items if item[0].rpartition(":")[2] not in ("float", "bool", "timestamp")]
        for first, items in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Yaml12Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), list("tf"))
Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def read_as_editors(text):
    return yaml.load(text, Loader=Yaml12Loader)  # noqa: S506 - derived from SafeLoader


@pytest.fixture(scope="module")
def schema():
    return options_schema()


@pytest.fixture(scope="module")
def validator(schema):
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def nodes(schema):
    if isinstance(schema, dict):
        yield schema
    for item in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from nodes(item)


def test_there_are_option_files():
    assert len(FILES) >= 28 + 10


@pytest.mark.parametrize("name", FILES)
def test_shipped_file_is_valid_as_it_is_written(name, validator):
    options = read_as_editors((ROOT / name).read_text(encoding="utf-8"))
    assert isinstance(options, dict)
    validator.validate(options)


@pytest.mark.parametrize("name", [name for name in FILES if "/base/" not in name])
def test_shipped_file_is_valid_with_its_bases_and_defaults(name, load_shipped, validator):
    options = read_as_editors(dump_config(load_shipped(name.removeprefix("options/"))))
    assert options["path"] and options["network_g"]["type"]
    validator.validate(options)


@pytest.mark.parametrize("name", FILES)
def test_shipped_file_names_the_schema_for_editors(name):
    first = (ROOT / name).read_text(encoding="utf-8").splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert ((ROOT / name).parent / named).resolve() == ROOT / "options/schema.json"


def test_file_on_disk_is_up_to_date(schema):
    assert json.loads((ROOT / "options/schema.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(schema)
    ), "run python scripts/option_schema.py"


def test_command_writes_the_schema_and_checks_it(tmp_path):
    file = tmp_path / "schema.json"
    with pytest.raises(UserError, match="schema.json is not up to date"):
        check_schema(file)
    write_schema(file)
    check_schema(file)
    assert file.read_bytes() == (ROOT / "options/schema.json").read_bytes()
    file.write_bytes(file.read_bytes().replace(b"NAFNet", b"NAFNett"))
    with pytest.raises(UserError, match="not up to date"):
        check_schema(file)


def test_every_reference_leads_somewhere_and_every_definition_is_used(schema):
    references = {node["$ref"] for node in nodes(schema) if isinstance(node.get("$ref"), str)}
    assert references == {f"#/definitions/{name}" for name in schema["definitions"]}


def test_only_words_of_draft_7_are_used(schema):
    known = {
        "$schema", "$ref", "title", "description", "default", "type", "properties", "additionalProperties",
        "propertyNames", "definitions", "required", "anyOf", "allOf", "if", "then", "const", "enum", "items",
        "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    }  # fmt: skip
    named = [
        node[place] for node in nodes(schema) for place in ("properties", "definitions") if place in node
    ]
    containers = {id(item) for item in named if isinstance(item, dict)}
    words = {word for node in nodes(schema) if id(node) not in containers for word in node}
    assert words <= known


def test_every_key_and_every_option_has_its_place(schema):
    assert set(schema["properties"]) == {"base", *(item.name for item in msgspec.structs.fields(Config))}
    blocks = {registry: schema["definitions"][registry.role] for registry in (ARCHS, LOSSES, METRICS)}
    blocks |= {
        registry: schema["definitions"][registry.role] for registry in (OPTIMIZERS, SCHEDULES, TRANSFORMS)
    }
    blocks[DATASETS] = schema["properties"]["datasets"]["additionalProperties"]
    for registry, block in blocks.items():
        branches = {branch["if"]["properties"]["type"]["const"]: branch["then"] for branch in block["allOf"]}
        assert list(branches) == registry.names()
        for name, branch in branches.items():
            assert set(registry.options(name)) <= set(branch["properties"])
            assert branch["additionalProperties"] == {"type": "null"}, "it takes away what is inherited"


def test_paths_are_text(schema):
    branches = schema["properties"]["datasets"]["additionalProperties"]["allOf"]
    paired = branches[DATASETS.names().index("PairedImageDataset")]["then"]["properties"]
    assert paired["dataroot_gt"] == {"type": ["string", "null"]}
    weights = schema["properties"]["path"]["properties"]["pretrain_network_g"]
    assert weights == {"anyOf": [{"type": "string"}, {"type": "null"}]}


NESTED = {"type": "WithMAP", "net": {"type": "WithMAP", "net": {"type": "NAFNet", "width": 8}}}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"num_gpu": "auto"},
        {"num_gpu": 0},
        {"network_g": NESTED},
        {"train": {"amp": "off", "total_iter": 2e4, "optim_g": {"type": "SGD", "lr": 1}}},
        {"datasets": {"train": {"mean": [0, 0.5, 1], "io_backend": {"type": "lmdb"}}}},
        {"datasets": {"train": {"transforms": [{"type": "RandomCrop", "size": 8}, {"type": "RandomFlip"}]}}},
        {"datasets": {"train": {"transforms": []}}},
        {"datasets": {"train": {"transforms": None}}},
        {"val": {"metrics": {"mine": {"type": "calculate_psnr", "crop_border": 4}}}},
        {"logger": {"wandb": {"project": None}}},
    ],
)
def test_what_the_loader_takes_is_valid(change, small, validator):
    options = merged(small, change)
    assert mistakes_in(options) == []
    validator.validate(options)


@pytest.mark.parametrize(
    "change",
    [
        {"nam": "x"},
        {"name": 3},
        {"scale": 2},
        {"num_gpu": -1},
        {"num_gpu": "all"},
        {"model_type": "ImageRestoration"},
        {"network_g": {"widht": 8}},
        {"network_g": {"width": "wide"}},
        {"network_g": {"enc_blk_nums": [1, "a"]}},
        {"network_g": {"type": "NAFNett"}},
        {"network_g": {**NESTED, "net": {"type": "NAFNet", "widht": 8}}},
        {"network_g": {**NESTED, "net": {"type": "NAFNett"}}},
        {"train": {"amp": "fp61"}},
        {"train": {"ema_decay": 1}},
        {"train": {"grad_clip_norm": 0}},
        {"train": {"optim_g": {"betas": [0.9]}}},
        {"train": {"optim_g": {"betas": [0.9, 0.9, 0.9]}}},
        {"train": {"pixel_opt": {"reduction": "median"}}},
        {"train": {"pixel_opt": {"reduction": "none"}}},
        {"datasets": {"train": {"mean": [0, 1]}}},
        {"datasets": {"train": {"dataroot_mask": "masks"}}},
        {"datasets": {"train": {"dataroot_gt": 3}}},
        {"datasets": {"train": {"io_backend": {"type": "tape"}}}},
        {"datasets": {"train": {"transforms": {"type": "RandomFlip"}}}},
        {"datasets": {"train": {"transforms": ["RandomFlip"]}}},
        {"datasets": {"train": {"transforms": [{"type": "RandomFlop"}]}}},
        {"datasets": {"train": {"transforms": [{"type": "RandomCrop", "size": 0}]}}},
        {"datasets": {"train": {"transforms": [{"type": "RandomCrop", "sise": 8}]}}},
        {"val": {"metrics": {"psnr": {"type": "calculate_psnr", "border": 4}}}},
        {"val": {"metrics": {"psnr": {"type": "calculate_psnr", "crop_border": -1}}}},
    ],
)
def test_what_the_loader_refuses_is_invalid(change, small, validator):
    options = merged(small, change)
    assert mistakes_in(options)
    assert not validator.is_valid(options)


@pytest.mark.parametrize(
    "options",
    [
        {"base": None, "datasets": {"val": None}},
        {"val": {"metrics": {"psnr": None}}},
        {"val": {"metrics": None}},
        {
            "train": {
                "perceptual_opt": None,
                "scheduler": {"type": "LinearLR", "total_iter": 9, "T_max": None},
            }
        },
        {"network_g": {"type": "NAFNet", "seg_channel": None, "width": None}},
        {"train": {"total_iter": None, "amp": None}, "model_type": None},
        {"datasets": {"train": {"type": "PairedImageDataset", "dataroot_mask": None}}},
    ],
)
def test_null_may_take_away_what_is_inherited(options, validator):
    validator.validate(options)


@pytest.mark.parametrize(
    "options",
    [
        {"network_g": {"widht": 8}},
        {"network_g": {"widht": None}},
        {"datasets": {"train": {"dataroot": "x"}}},
        {"train": {"optim_g": {"learning_rate": 1}}},
        {"val": {"metrics": {"psnr": {"boarder": 1}}}},
        {"base": 3},
    ],
)
def test_misspelt_key_is_invalid_in_a_block_that_inherits_its_type_too(options, validator):
    assert not validator.is_valid(options)


def merged(options, change):
    result = copy.deepcopy(options)
    for key, value in change.items():
        inner = result.get(key)
        replace = not isinstance(value, dict) or not isinstance(inner, dict) or value.get("type") == "WithMAP"
        result[key] = value if replace else merged(inner, value)
    return result


def mistakes_in(options):
    mistakes = Mistakes(check_paths=lambda where: False)
    convert(options, Config, "", mistakes)
    unknown_model = options.get("model_type", "ImageRestorationModel") != "ImageRestorationModel"
    return mistakes.lines + ["model_type: unknown"] * unknown_model
