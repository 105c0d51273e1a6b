"""ONNX files say what PyTorch says, at any size, and everything else is one clear line."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("onnxruntime", reason="ONNX needs the extra `export`")
pytest.importorskip("onnxscript", reason="ONNX needs the extra `export`")

from onnx import TensorProto, helper, save

from basicsr import __version__
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import save_network
from basicsr.layers.normalization import Normalization
from basicsr.restoration import onnx_export
from basicsr.restoration.onnx_export import TOLERANCE, export_onnx, largest_difference
from basicsr.restoration.onnx_network import OnnxNetwork
from basicsr.utils.errors import UserError
from basicsr.utils.registry import ARCHS

pytestmark = pytest.mark.xdist_group("onnx")  # each worker would export again

TINY = {"width": 4, "enc_blk_nums": [1], "middle_blk_num": 0, "dec_blk_nums": [0]}
NETWORKS = {
    "NAFNet": TINY | {"mask": True},
    "SegNAFNet": TINY | {"mask_value": 0.5},
    "NAFNetLocal": TINY | {"train_size": [1, 3, 16, 16]},
}


# Files of the others are of the slow tier: each takes a worker 10 s.
KINDS = [name if name == "SegNAFNet" else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]


@pytest.fixture(scope="module", params=KINDS)
def files(request, tmp_path_factory):
    """Weights of a network and its ONNX file; exporting takes seconds, so once for all tests."""
    folder = tmp_path_factory.mktemp(request.param)
    net = ARCHS.build(request.param, NETWORKS[request.param])
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    description = {"type": request.param, **NETWORKS[request.param]}
    save_network(folder / "net.pth", net, None, description)
    printed = export_onnx(folder / "net.pth", folder / "net.onnx")
    assert str(folder / "net.onnx") in printed and "differs from PyTorch by at most" in printed
    return folder / "net.pth", folder / "net.onnx"


def inputs_of(net: torch.nn.Module, height: int, width: int, least_label: int = 0) -> list[torch.Tensor]:
    return [
        torch.rand(x.shape)
        if x.is_floating_point()
        else torch.randint(least_label, 9, x.shape, dtype=x.dtype)
        for x in net.example_inputs(height, width)
    ]


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1), (3, 70), (90, 5)])
@pytest.mark.parametrize("least_label", [0, 1])
def test_any_size_gives_the_numbers_of_pytorch(files, size: tuple[int, int], least_label: int):
    """With label 1 and up nothing is uncovered, where a careless graph divides zero by zero."""
    weights, exported = files
    net, onnx = rebuild_network(weights).net, OnnxNetwork(exported)
    inputs = inputs_of(net, *size, least_label)
    with torch.no_grad():
        expected = net(*inputs)
    result = onnx(*inputs)
    assert result.shape == (1, 3, *size) and result.dtype == torch.float32
    assert (result - expected).abs().max() < TOLERANCE / 10


def test_an_exported_network_says_what_it_eats_as_ours_do(files):
    weights, exported = files
    net, onnx = rebuild_network(weights).net, OnnxNetwork(exported)
    assert (onnx.image_inputs, onnx.takes_labels) == (net.image_inputs, net.takes_labels)
    assert onnx.size_rule.multiple_of == 1
    assert [list(item.shape) for item in onnx.session.get_outputs()] == [[1, 3, "height", "width"]]


def test_labels_of_64_bits_are_taken_as_well(files):
    net, onnx = rebuild_network(files[0]).net, OnnxNetwork(files[1])
    inputs = inputs_of(net, 16, 16)
    wide = [x if x.is_floating_point() else x.long() for x in inputs]
    assert torch.equal(onnx(*wide), onnx(*inputs))


def test_the_file_says_where_it_comes_from(files):
    weights, exported = files
    printed = OnnxNetwork(exported).metadata()
    network = json.loads(printed["basicsr.network"])
    options = json.loads(json.dumps(NETWORKS[network["type"]]))
    assert {key: network[key] for key in options} == options
    assert printed["basicsr.weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert printed["basicsr.version"] == __version__
    masks = {"mask_value": 0.5} if network["type"] == "SegNAFNet" else {}
    assert json.loads(printed["basicsr.facts"]) == {"padding": "edge", **masks}


@pytest.mark.slow
def test_graphs_of_normalized_images_take_and_give_photos(tmp_path):
    torch.manual_seed(0)
    net = ARCHS.build("SegNAFNet", TINY | {"padding": "zeros"}).eval()
    net.normalization = Normalization((0.5, 0.4, 0.3), (0.5, 0.25, 0.4))
    save_network(tmp_path / "net.pth", net, None, {"type": "SegNAFNet", **TINY})
    export_onnx(tmp_path / "net.pth", tmp_path / "net.onnx")
    onnx = OnnxNetwork(tmp_path / "net.onnx")
    image, labels = inputs_of(net, 33, 47)
    with torch.no_grad():
        expected = net.normalization.undo(net(net.normalization.apply(image), labels))
        assert (net(image, labels) - expected).abs().max() > 0.1
    assert (onnx(image, labels) - expected).abs().max() < TOLERANCE / 10
    facts = json.loads(onnx.metadata()["basicsr.facts"])
    assert facts["normalization"] == {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.25, 0.4]}


def message_of(call, *arguments) -> str:
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_graph_without_outputs_is_one_line(tmp_path):
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, None, None])
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["restored"])], "none", [image], [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(model, tmp_path / "none.onnx")
    assert "none.onnx: " in message_of(OnnxNetwork, tmp_path / "none.onnx")


class TestExportErrors:
    @pytest.fixture
    def weights(self, tmp_path):
        save_network(tmp_path / "net.pth", ARCHS.build("NAFNet", TINY), None, {"type": "NAFNet", **TINY})
        return tmp_path / "net.pth"

    def test_a_graph_with_other_numbers_is_not_left_behind(self, weights, tmp_path, monkeypatch):
        monkeypatch.setattr(onnx_export, "TOLERANCE", -1.0)
        message = message_of(export_onnx, weights, tmp_path / "net.onnx")
        assert "differs from PyTorch by" in message and "net.onnx" in message
        assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]

    def test_names_and_opsets_that_are_not_possible(self, weights, tmp_path):
        assert "ends in .onnx" in message_of(export_onnx, weights, tmp_path / "net.pb")
        assert "--opset 9" in message_of(export_onnx, weights, tmp_path / "net.onnx", None, 9)
        assert "--opset 999" in message_of(export_onnx, weights, tmp_path / "net.onnx", None, 999)
        assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


def test_the_command_replaces_a_file_only_when_asked(tmp_path):
    (tmp_path / "net.onnx").write_text("mine")
    script = Path(__file__).parents[2] / "scripts" / "export_onnx.py"
    command = [sys.executable, script, "net.pth", tmp_path / "net.onnx"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "net.onnx: exists" in done.stderr and "--overwrite" in done.stderr
    assert (tmp_path / "net.onnx").read_text() == "mine"


def test_without_onnxruntime_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "sam-deblur[export]" in message_of(OnnxNetwork, tmp_path / "net.onnx")


class Shifted(torch.nn.Module):
    """A network that is wrong by ``by`` where ``wrong(x, labels)``."""

    def __init__(self, net: torch.nn.Module, wrong, by: float) -> None:
        super().__init__()
        self.net, self.wrong, self.by = net, wrong, by

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.net(x, labels) + (self.by if self.wrong(x, labels) else 0.0)


def test_the_check_looks_beyond_the_windows_and_at_images_that_are_all_covered():
    net = ARCHS.build("SegNAFNetLocal", TINY | {"train_size": [1, 3, 64, 64]}).eval()
    assert largest_difference(net, net) == 0
    for wrong in (lambda x, labels: bool((labels > 0).all()), lambda x, labels: min(x.shape[2:]) > 96):
        assert largest_difference(net, Shifted(net, wrong, 0.25)) == pytest.approx(0.25, abs=1e-6)
        assert not largest_difference(net, Shifted(net, wrong, float("nan"))) <= TOLERANCE


def foreign(path, nodes, inputs, initializers=()):
    """An ONNX file that was not written here: inputs are (name, type, shape); the output is `y`."""
    values = [helper.make_tensor_value_info(*item) for item in inputs]
    kind = next(kind for name, kind, _ in inputs if name == "x")
    output = helper.make_tensor_value_info("y", kind, None)
    graph = helper.make_graph(nodes, "graph", values, [output], initializers)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


ANY = (1, 3, "h", "w")


class TestForeignFiles:
    def test_an_image_in_half_precision(self, tmp_path):
        nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
        net = OnnxNetwork(foreign(tmp_path / "a.onnx", nodes, [("x", TensorProto.FLOAT16, ANY)]))
        x = torch.rand(1, 3, 5, 6)
        assert net(x).dtype == torch.float32
        torch.testing.assert_close(net(x), 2 * x, atol=2e-3, rtol=0)

    def test_inputs_in_the_other_order(self, tmp_path):
        nodes = [
            helper.make_node("Cast", ["labels"], ["z"], to=1),
            helper.make_node("Add", ["x", "z"], ["y"]),
        ]
        inputs = [("labels", TensorProto.INT64, (1, "h", "w")), ("x", TensorProto.FLOAT, (1, 4, "h", "w"))]
        net = OnnxNetwork(foreign(tmp_path / "a.onnx", nodes, inputs))
        assert net.takes_labels and net.image_inputs == ("lq", "mask")
        x, labels = torch.rand(1, 4, 5, 6), torch.ones(1, 5, 6, dtype=torch.int32)
        torch.testing.assert_close(net(x, labels), x + 1)

    def test_fixed_sizes_are_named_when_others_are_given(self, tmp_path):
        nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
        net = OnnxNetwork(foreign(tmp_path / "a.onnx", nodes, [("x", TensorProto.FLOAT, (1, 3, 8, 8))]))
        assert net(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)
        message = message_of(net, torch.rand(1, 3, 8, 9))
        assert "a.onnx: takes x [1, 3, 8, 8]" in message and "(1, 3, 8, 9)" in message

    def test_too_little_memory_is_said_as_python_says_it(self, tmp_path):
        huge = helper.make_tensor("huge", TensorProto.INT64, [4], [1, 3, 1 << 24, 1 << 24])
        nodes = [helper.make_node("Expand", ["x", "huge"], ["y"])]
        path = foreign(tmp_path / "a.onnx", nodes, [("x", TensorProto.FLOAT, ANY)], [huge])
        with pytest.raises(MemoryError):
            OnnxNetwork(path)(torch.rand(1, 3, 1, 1))

    @pytest.mark.parametrize(
        "inputs",
        [
            [("x", TensorProto.FLOAT, (1, 7, "h", "w"))],
            [("x", TensorProto.FLOAT, ("n",))],
            [("x", TensorProto.FLOAT, ANY), ("a", TensorProto.FLOAT, ANY)],
            [
                ("x", TensorProto.FLOAT, ANY),
                ("a", TensorProto.INT32, (1, "h", "w")),
                ("b", TensorProto.FLOAT, ()),
            ],
            [("x", TensorProto.DOUBLE, ANY)],
        ],
    )
    def test_other_inputs_are_refused(self, tmp_path, inputs):
        path = foreign(tmp_path / "a.onnx", [helper.make_node("Identity", ["x"], ["y"])], inputs)
        message = message_of(OnnxNetwork, path)
        assert "a.onnx: takes x" in message and "expected an image" in message

    def test_names_that_are_no_text(self, tmp_path):
        inputs = [("x", TensorProto.FLOAT, (1, 3, "height", "w"))]
        path = foreign(tmp_path / "a.onnx", [helper.make_node("Identity", ["x"], ["y"])], inputs)
        path.write_bytes(path.read_bytes().replace(b"height", b"h\xffight"))
        assert "cannot run it" in message_of(OnnxNetwork, path)

    def test_what_is_no_onnx_file(self, tmp_path):
        (tmp_path / "a.onnx").write_text("hello")
        assert "a.onnx: onnxruntime cannot run it" in message_of(OnnxNetwork, tmp_path / "a.onnx")
        assert "no such ONNX file" in message_of(OnnxNetwork, tmp_path / "none.onnx")
