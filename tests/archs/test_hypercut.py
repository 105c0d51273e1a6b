"""The ordering network: published numbers, sizes, the plane, what scores say of clips."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from basicsr.archs.hypercut import HyperCUTNet
from basicsr.archs.ordering import both_scores, directions, mirror_scores
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import load_network, save_network
from basicsr.layers.normalization import IMAGENET
from basicsr.losses import OrderingLoss
from basicsr.utils.registry import ARCHS
from tests.sister_parity import distance, fixture, tolerance

TINY = {"out_dim": 8, "width": 4, "num_blocks": 1}


def small(seed: int = 0, **options) -> HyperCUTNet:
    torch.manual_seed(seed)
    return HyperCUTNet(**TINY, **options)


class TestPublished:
    NAME = "hypercut_ordering"

    def load(self, tmp_path) -> tuple[HyperCUTNet, dict[str, Tensor]]:
        """From a file as HyperCUT writes it, without a word of what it is."""
        _, state, arrays = fixture(self.NAME)
        torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "0100.pth")
        rebuilt = rebuild_network(tmp_path / "0100.pth")
        sizes = {"out_dim": 128, "width": 32, "num_blocks": 6, "compat": "published"}
        assert rebuilt.net.block == {"type": "HyperCUTNet", **sizes}
        assert rebuilt.net.normalization == IMAGENET
        return rebuilt.net, arrays

    def test_vectors_and_scores(self, tmp_path):
        net, arrays = self.load(tmp_path)
        clip = arrays["in_x"]
        with torch.no_grad():
            scores = torch.stack(both_scores(net, clip), dim=-1)
            for pair, (first, last) in enumerate(((0, 6), (1, 5), (2, 4))):
                for turn, (one, other) in enumerate(((first, last), (last, first))):
                    vectors = net.features(torch.cat([clip[:, one], clip[:, other]], dim=1))
                    assert distance(vectors, arrays[f"out_d_{pair}{turn}"]) < tolerance(self.NAME)
                    wanted = arrays[f"out_h_{pair}{turn}"][:, 0]
                    assert distance(scores[:, pair, turn], wanted) < tolerance(self.NAME)

    def test_loss_and_order(self, tmp_path):
        net, arrays = self.load(tmp_path)
        with torch.no_grad():
            loss = OrderingLoss()(*both_scores(net, arrays["in_x"]))
            scores = torch.stack(both_scores(net, arrays["in_clips"]), dim=-1)
        assert distance(loss, arrays["out_loss_total"]) < tolerance(self.NAME)
        assert distance(scores[..., 0], arrays["out_u"]) < tolerance(self.NAME)
        assert distance(scores[..., 1], arrays["out_v"]) < tolerance(self.NAME)
        assert ((directions(scores[..., 0]) < 0) == (arrays["out_order"] == 1)).all()

    def test_the_number_of_parameters(self):
        with torch.device("meta"):
            assert sum(parameter.numel() for parameter in HyperCUTNet().parameters()) == 2_315_552


def test_the_plane_is_as_meant_or_as_published():
    mended, published = small(compat="mended"), small(compat="published")
    x = torch.rand(3, 6, 40, 40)
    plane = mended.hyperplane.hyperplane
    with torch.no_grad():
        d = mended.features(x)
        torch.testing.assert_close(mended(x), (d * plane[:-1]).sum(1) + plane[-1])
        d = published.features(x)
        torch.testing.assert_close(published(x), (d * (plane[:-1] + plane[-1])).sum(1))


def test_the_plane_is_saved_and_never_trained(tmp_path):
    net = small(0)
    assert "hyperplane.hyperplane" in net.state_dict()
    assert "hyperplane.hyperplane" not in dict(net.named_parameters())
    assert (net.hyperplane.hyperplane.abs() <= 1).all()
    save_network(tmp_path / "net.pth", net, None, {"type": "HyperCUTNet", **TINY})
    other = small(1)
    assert not torch.equal(other.hyperplane.hyperplane, net.hyperplane.hyperplane)
    load_network(other, tmp_path / "net.pth")
    assert torch.equal(other.hyperplane.hyperplane, net.hyperplane.hyperplane)
    assert rebuild_network(tmp_path / "net.pth").net.compat == "mended"


@pytest.mark.parametrize("size", [(1, 1), (13, 40), (33, 33), (64, 50)])
def test_frames_of_any_size_get_a_score(size: tuple[int, int]):
    assert small()(torch.rand(2, 6, *size)).shape == (2,)


def test_mirror_pairs_are_the_outermost_first_and_the_middle_is_in_none():
    class First(HyperCUTNet):
        def forward(self, x: Tensor) -> Tensor:
            return 10 * x[:, 0].mean((-2, -1)) + x[:, 3].mean((-2, -1))

    clip = torch.arange(7.0).view(1, 7, 1, 1, 1).expand(2, 7, 3, 8, 8)
    net = First(**TINY)
    assert mirror_scores(net, clip).tolist() == [[6.0, 15.0, 24.0]] * 2
    scores, swapped = both_scores(net, clip)
    assert scores[0].tolist() == [6.0, 15.0, 24.0] and swapped[0].tolist() == [60.0, 51.0, 42.0]
    assert mirror_scores(net, clip[:, :6]).tolist() == [[5.0, 14.0, 23.0]] * 2


def test_a_clip_has_a_direction_where_all_pairs_agree():
    scores = torch.tensor([[0.0, 1, 2], [-1, -2, -3], [1, -1, 1], [-1, 0, -1]])
    assert directions(scores).tolist() == [1, -1, 0, 0]


def test_training_teaches_a_pair_its_order():
    """Frames that become brighter: soon all pairs lie on one side, and reversed ones on the other."""
    net = small(compat="mended")
    optimizer = torch.optim.Adamax(net.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    light = torch.linspace(0, 1, 7).view(1, 7, 1, 1, 1)

    def clips() -> Tensor:
        return torch.rand(4, 1, 3, 40, 40, generator=generator) * 0.2 + light

    loss = OrderingLoss()
    first = loss(*both_scores(net, clips())).item()
    for _ in range(30):
        optimizer.zero_grad()
        loss(*both_scores(net, clips())).backward()
        optimizer.step()
    with torch.no_grad():
        scores, swapped = both_scores(net, clips())
    assert loss(scores, swapped).item() < first
    assert (scores * swapped < 0).all() and (directions(scores) != 0).all()


def test_export_gives_the_same_numbers():
    net = ARCHS.build("HyperCUTNet", TINY).eval()
    example = (torch.rand(1, 6, 40, 48),)
    program = torch.export.export(net, example)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(*example), net(*example), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("compat", ["mended", "published"])
def test_features_of_a_new_network_are_as_large_as_frames(compat: str):
    """Through the stem; each residual block then adds to them. Zero padding takes some at the borders."""
    torch.manual_seed(0)
    encoder = HyperCUTNet(out_dim=128, width=32, num_blocks=0, compat=compat).f_func
    features = encoder.model(torch.randn(4, 6, 128, 128))
    assert 0.5 < features.square().mean().sqrt() < 1.5
