"""Purohit's encoder and decoder: published numbers, flow, where the middle frame comes from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from basicsr.archs.purohit import Purohit, backward_warp
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import load_network, save_network
from basicsr.layers.normalization import Normalization
from basicsr.models.base import inputs_of
from basicsr.restoration.onnx_export import export_onnx
from basicsr.utils.registry import ARCHS
from tests.sister_parity import distance, fixture, tolerance

NAME = "purohit"
TINY = {"frames": 3, "width": 4, "flow_widths": (3, 4, 5)}
NAFNET = {"type": "NAFNet", "width": 4, "enc_blk_nums": [1], "middle_blk_num": 1, "dec_blk_nums": [1]}


def small(**options) -> Purohit:
    torch.manual_seed(0)
    return Purohit(**TINY, **options).eval()


def test_published_frames_and_flows(tmp_path):
    _, state, arrays = fixture(NAME)
    file = {f"model.{name}": tensor for name, tensor in state.items()}
    torch.save(file | {"model.loss.hypercut.hyperplane.hyperplane": torch.zeros(129)}, tmp_path / "p.pth")
    net = rebuild_network(tmp_path / "p.pth").net
    assert isinstance(net, Purohit) and net.rvd.compat == "published"
    x = torch.cat([arrays["in_blur"], arrays["in_mid"]], dim=1)
    with torch.no_grad():
        stages = net.stages(x)
        assert distance(net.bie(x), arrays["out_h0"]) < tolerance(NAME)
    for scale in range(4):
        assert distance(stages["scales"][scale], arrays[f"out_frames_s{scale}"]) < tolerance(NAME)
        assert distance(stages["flows"][scale], arrays[f"out_flows_{3 - scale}"]) < tolerance(NAME)
    assert torch.equal(stages["restored"], stages["scales"][0])


def test_the_number_of_parameters():
    with torch.device("meta"):
        net = Purohit()
    counts = [sum(p.numel() for p in part.parameters()) for part in (net.bie, net.rvd)]
    assert counts == [1_648_704, 2_905_004] and sum(counts) == 4_553_708


def test_two_networks_in_one_process_have_the_same_shapes():
    first, second = Purohit(**TINY), Purohit(**TINY)
    assert [p.shape for p in first.parameters()] == [p.shape for p in second.parameters()]


def test_zero_flow_changes_nothing_and_flow_is_in_pixels():
    image = torch.rand(1, 3, 9, 12)
    torch.testing.assert_close(backward_warp(image, torch.zeros(1, 2, 9, 12)), image, atol=1e-5, rtol=0)
    flow = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 9, 12)
    moved = backward_warp(image, flow)
    torch.testing.assert_close(moved[..., 1:, :-2], image[..., :-1, 2:], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        moved[..., 1:, -2:], image[..., :-1, -1:].expand(-1, -1, -1, 2), atol=1e-5, rtol=0
    )


def test_published_warping_blanks_the_border_and_the_mended_one_does_not():
    for compat, border in (("published", 0.0), ("mended", 1.0)):
        net = small(compat=compat)
        for parameter in net.rvd.flow_decoder.parameters():
            torch.nn.init.zeros_(parameter)
        with torch.no_grad():
            frames = net(torch.ones(1, 6, 16, 16))
        assert frames[..., 0, :].unique().tolist() == [border]
        assert frames[..., 8, 8].unique().tolist() == pytest.approx([1.0])


def test_steps_start_from_the_flow_of_the_last_one_unless_as_published():
    seen: list[Tensor] = []
    for compat, count in (("published", 1), ("mended", 3)):
        net = small(compat=compat)
        seen.clear()
        net.rvd.flow_encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        with torch.no_grad():
            flows = net.stages(torch.rand(1, 6, 16, 16))["flows"][0]
        assert len(seen) == count and not seen[0].any()
        assert all(torch.equal(flow, flows[:, number]) for number, flow in enumerate(seen[1:]))


class TestMiddle:
    def test_without_a_network_it_is_a_second_input(self):
        assert inputs_of(small()) == ("lq", "middle")
        assert small()(torch.rand(1, 6, 13, 10)).shape == (1, 3, 3, 13, 10)

    def test_a_network_makes_it_of_the_photo(self):
        net = small(middle=NAFNET)
        assert inputs_of(net) == ("lq",)
        x = torch.rand(1, 3, 16, 16)
        with torch.no_grad():
            expected = small()(torch.cat([x, net.middle(x)], dim=1))
            net.load_state_dict(small().state_dict(), strict=False)
            torch.testing.assert_close(net(x), expected)

    def test_that_network_sees_images_in_0_to_1(self):
        net = small(middle=NAFNET)
        net.normalization = Normalization((0.5, 0.4, 0.3), (0.2, 0.25, 0.5))
        x = torch.rand(1, 3, 16, 16)
        seen: list[Tensor] = []
        net.middle.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        with torch.no_grad():
            net(net.normalization.apply(x))
        torch.testing.assert_close(seen[0], x)

    @pytest.mark.parametrize("trained", [False, True])
    def test_it_is_trained_where_that_is_asked_for(self, trained: bool):
        net = small(middle=NAFNET, train_middle=trained).train()
        assert net.middle.training == trained
        net(torch.rand(1, 3, 16, 16)).sum().backward()
        grads = [parameter.grad is not None for parameter in net.middle.parameters()]
        assert all(grads) if trained else not any(grads)

    def test_its_own_weights_load_alone(self, tmp_path):
        middle = ARCHS.build("NAFNet", {key: value for key, value in NAFNET.items() if key != "type"})
        save_network(tmp_path / "middle.pth", middle, None, NAFNET)
        net = small(middle=NAFNET)
        load_network(net, tmp_path / "middle.pth", strict=False)
        for name, value in middle.state_dict().items():
            assert torch.equal(net.state_dict()[f"middle.{name}"], value)

    def test_the_checkpoint_alone_rebuilds_both(self, tmp_path):
        net = small(middle=NAFNET)
        save_network(tmp_path / "net.pth", net, None, {"type": "Purohit", **TINY, "middle": NAFNET})
        x = torch.rand(1, 3, 10, 18)
        with torch.no_grad():
            assert torch.equal(rebuild_network(tmp_path / "net.pth").net(x), net(x))

    def test_a_network_that_makes_no_frame_is_refused(self):
        with pytest.raises(ValueError, match="middle: Jin returns a clip"):
            small(middle={"type": "Jin"})
        with pytest.raises(ValueError, match="middle: HyperCUTNet does not restore"):
            small(middle={"type": "HyperCUTNet"})


@pytest.mark.slow
def test_one_that_makes_its_middle_frame_is_exported_for_any_size(tmp_path):
    """`export_onnx` compares it with PyTorch at two sizes that were not traced."""
    pytest.importorskip("onnxruntime", reason="ONNX needs the extra `export`")
    block = {"type": "Purohit", **TINY, "middle": NAFNET}
    save_network(tmp_path / "net.pth", small(middle=NAFNET), None, block)
    export_onnx(tmp_path / "net.pth", tmp_path / "net.onnx")
