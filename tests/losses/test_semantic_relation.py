"""Relations of regions, against planes of masks and loops over them."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from basicsr.losses import SemanticRelationLoss
from basicsr.losses.semantic_relation import region_relations

EPS = 1e-6


@pytest.fixture(scope="module")
def vgg11(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights of the first two convolutions, under torchvision's names."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vgg11.pth"
    first, second = nn.Conv2d(3, 64, 3), nn.Conv2d(64, 128, 3)
    state = {f"features.0.{name}": value for name, value in first.state_dict().items()}
    torch.save(state | {f"features.3.{name}": value for name, value in second.state_dict().items()}, path)
    return str(path)


def loss_of(vgg: str, **options) -> SemanticRelationLoss:
    return SemanticRelationLoss(vgg, vgg_type="vgg11", layer="relu2_1", **options)


def example(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two images, and label maps of blocks of 8 x 8 pixels."""
    generator = torch.Generator().manual_seed(seed)
    pred, target = torch.rand(2, 2, 3, 32, 40, generator=generator)
    blocks = torch.randint(0, 5, (2, 4, 5), generator=generator, dtype=torch.int32)
    return pred, target, blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)


def dense(
    features: torch.Tensor, labels: torch.Tensor, pool: str, relation: str
) -> dict[tuple, torch.Tensor]:
    """The distances of all pairs of regions of one image by its definition, in float64."""
    features, vectors = features.double(), {}
    for region in labels.unique().tolist():
        mask = (labels == region).double()
        if region and mask.sum() >= 4:
            total = (features * mask).sum((1, 2))
            vectors[region] = total / mask.sum() if pool == "mean" else total
    pairs = itertools.permutations(vectors, 2)
    if relation == "l2":
        return {(a, b): ((vectors[a] - vectors[b]).square().sum() + EPS).sqrt() for a, b in pairs}
    return {(a, b): 1 - functional.cosine_similarity(vectors[a], vectors[b], dim=0) for a, b in pairs}


@pytest.mark.parametrize("pool", ["mean", "sum"])
@pytest.mark.parametrize("relation", ["l2", "cosine"])
def test_equals_the_definition_with_a_mask_a_region(vgg11: str, pool: str, relation: str):
    pred, target, labels = example()
    loss = loss_of(vgg11, pool=pool, relation=relation, loss_weight=3.0)
    features, goals = (loss.vgg(loss.normalize(image))["relu2_1"] for image in (pred, target))
    small = functional.interpolate(labels[:, None].float(), scale_factor=0.5, mode="nearest-exact")[:, 0]
    means, largest = [], 0.0
    for image in range(2):
        own, wanted = (dense(x[image], small[image], pool, relation) for x in (features, goals))
        means.append(torch.stack([(own[pair] - wanted[pair]).square() for pair in own]).mean())
        largest = max(largest, *(float(value) for value in own.values()), 1.0)
    expected = 3 * torch.stack(means).mean()
    # A relation is a float32 sum over 128 channels; the error of its square d^2 is twice d times that.
    error = 128 * torch.finfo(torch.float32).eps * largest
    bound = 2 * 3 * float(expected / 3) ** 0.5 * error
    torch.testing.assert_close(loss(pred, target, labels).double(), expected, rtol=0, atol=bound)


def test_equal_images_have_equal_relations(vgg11: str):
    pred, _, labels = example()
    assert loss_of(vgg11)(pred, pred.clone(), labels).item() == 0


def test_the_order_of_regions_does_not_matter(vgg11: str):
    pred, target, labels = example()
    renamed = torch.tensor([0, 4, 1, 3, 2], dtype=torch.int32)[labels.long()]
    loss = loss_of(vgg11)
    torch.testing.assert_close(loss(pred, target, labels), loss(pred, target, renamed), rtol=1e-5, atol=0)


def test_images_with_fewer_than_two_regions_do_not_count(vgg11: str):
    pred, target, labels = example()
    alone = labels.clone()
    alone[1] = 0
    first = loss_of(vgg11)(pred[:1], target[:1], labels[:1])
    torch.testing.assert_close(loss_of(vgg11)(pred, target, alone), first)
    assert loss_of(vgg11)(pred, target, torch.zeros_like(labels)).item() == 0


def test_regions_of_less_than_four_pixels_are_no_regions():
    features = torch.randn(1, 3, 4, 4)
    ranks = torch.full((1, 4, 4), 2)
    ranks[0, 0], ranks[0, 1, :3] = 0, 1
    assert region_relations(features, ranks, 2)[1].sum() == 0
    ranks[0, 1] = 1
    assert region_relations(features, ranks, 2)[1].sum() == 2


def test_only_the_prediction_gets_a_gradient(vgg11: str):
    pred, target, labels = example()
    pred.requires_grad_()
    target.requires_grad_()
    loss_of(vgg11)(pred, target, labels).backward()
    assert target.grad is None and pred.grad.isfinite().all() and pred.grad.abs().sum() > 0
