"""Jin's four networks: published numbers, sizes, training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from basicsr.archs.jin import Jin
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import load_network, save_network
from basicsr.restoration.onnx_export import export_onnx
from tests.sister_parity import FOLDER, distance, fixture, tolerance

PUBLISHED = {"f4": "jin_center", "f35": "jin_f35", "f26": "jin_f26", "f17": "jin_f17"}
TINY = {
    "center_width": 8, "side_width": 8, "center_blocks": 1, "near_blocks": 1, "far_blocks": 1,
    "center_global": 4, "side_global": 4,
}  # fmt: skip


def published() -> dict[str, Tensor]:
    states = {net: fixture(name)[1] for net, name in PUBLISHED.items()}
    return {f"{net}.{key}": value for net, state in states.items() for key, value in state.items()}


@pytest.fixture(scope="module")
def chain(tmp_path_factory) -> Jin:
    """All four networks, from a file as HyperCUT writes it, with the ordering network of the loss in it."""
    state = {f"model.{name}": tensor for name, tensor in published().items()}
    state["model.loss.hypercut.f_func.model.1.bias"] = torch.zeros(32)
    path = tmp_path_factory.mktemp("jin") / "0100.pth"
    torch.save(state, path)
    net = rebuild_network(path).net
    assert isinstance(net, Jin)
    return net


def test_the_number_of_parameters():
    with torch.device("meta"):
        net = Jin()
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}
    assert counts == {"f4": 4_972_032, "f35": 7_868_928, "f26": 2_686_208, "f17": 2_686_208}
    assert sum(counts.values()) == 18_213_376


def test_the_chain_gives_the_published_frames(chain):
    with np.load(FOLDER / "jin_chain.npz") as arrays:
        blur, frames = (torch.from_numpy(arrays[name]) for name in ("in_blur", "out_frames"))
    with torch.no_grad():
        assert distance(chain(blur), frames) < tolerance("jin_chain")


def test_each_network_gives_its_published_frames(chain):
    def run(name: str, *calls) -> None:
        _, _, arrays = fixture(name)
        for net, inputs, base, output in calls:
            given = [arrays[f"in_{key}"] if isinstance(key, str) else key for key in inputs]
            with torch.no_grad():
                result = net(*given) + (arrays[f"in_{base}"] if base else 0)
            assert distance(result, arrays[f"out_{output}"]) < tolerance(name), (name, output)

    run("jin_center", (chain.f4, ["blur"], None, "f4"))
    f3 = fixture("jin_f35")[2]["out_f3"]
    near = chain.f35
    run("jin_f35", (near["generateFrame3"], ["blur", "f4", "f4"], "f4", "f3"),
        (near["generateFrame5"], ["blur", f3, "f4"], "f4", "f5"))  # fmt: skip
    net = chain.f26["generateFrame2_6"]
    run("jin_f26", (net, ["blur", "f4", "f3"], "f3", "f2"), (net, ["blur", "f4", "f5"], "f5", "f6"))
    net = chain.f17["generateFrame1_7"]
    run("jin_f17", (net, ["blur", "f3", "f2"], "f2", "f1"), (net, ["blur", "f5", "f6"], "f6", "f7"))


def test_the_published_files_of_the_four_load_one_after_the_other(tmp_path):
    with torch.device("meta"):
        net = Jin()
    net.to_empty(device="cpu")
    for name in PUBLISHED.values():
        _, state, _ = fixture(name)
        torch.save({"state_dict_G": state, "epoch": 3}, tmp_path / f"{name}.pth")
        text = load_network(net, tmp_path / f"{name}.pth", strict=False)
        assert f"loaded {len(state)} weights" in text
    assert all(torch.equal(net.state_dict()[key], value) for key, value in published().items())


def test_a_small_one_is_recognized_by_its_weights(tmp_path):
    torch.manual_seed(0)
    net = Jin(**TINY).eval()
    torch.save(net.state_dict(), tmp_path / "net.pth")
    rebuilt = rebuild_network(tmp_path / "net.pth").net
    assert rebuilt.block == {"type": "Jin", **TINY}
    x = torch.rand(1, 3, 21, 33)
    with torch.no_grad():
        assert torch.equal(rebuilt(x), net(x))


def test_colors_do_not_meet_before_the_last_layers():
    """A batch of three channels is what three passes in sequence are."""
    torch.manual_seed(0)
    center = Jin(**TINY).eval().f4
    x = torch.rand(2, 3, 20, 40)

    def local(image: Tensor) -> Tensor:
        seen: list[Tensor] = []
        handle = center.conv2.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        center(image)
        handle.remove()
        return seen[0]

    with torch.no_grad():
        together = local(x)
        for channel in range(3):
            alone = local(x[:, channel : channel + 1].expand(-1, 3, -1, -1))
            torch.testing.assert_close(together[:, channel], alone[:, channel], atol=1e-5, rtol=1e-5)


def test_padding_is_by_reflection_to_multiples_of_20():
    torch.manual_seed(0)
    net = Jin(**TINY).eval()
    x = torch.rand(1, 3, 37, 22)
    padded = torch.nn.functional.pad(x, (0, 18, 0, 3), mode="reflect")
    with torch.no_grad():
        torch.testing.assert_close(net(x), net(padded)[..., :37, :22])


def test_training_may_begin_at_the_photo():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 25, 40)
    with torch.no_grad():
        assert torch.equal(
            Jin(**TINY, start_at_input=True).eval()(x), x.unsqueeze(1).expand(-1, 7, -1, -1, -1)
        )
        assert not torch.allclose(Jin(**TINY).eval()(x)[:, 3], x, atol=0.1)


@pytest.mark.slow
def test_it_is_exported_for_any_size(tmp_path):
    """`export_onnx` compares it with PyTorch at two sizes that were not traced."""
    pytest.importorskip("onnxruntime", reason="ONNX needs the extra `export`")
    save_network(tmp_path / "net.pth", Jin(**TINY), None, {"type": "Jin", **TINY})
    export_onnx(tmp_path / "net.pth", tmp_path / "net.onnx")
