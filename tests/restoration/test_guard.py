"""The guard is quiet on what restoring does, and speaks up on what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch

from basicsr.restoration.guard import BLOCK, Findings, Guard, find_collapse, put_back
from basicsr.synthesis import blur_image, linear_motion
from basicsr.utils.image import read_rgb, to_chw, to_tensor


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(to_chw(image))).float()[None]


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """A photo, blurred by 25 pixels of motion, and sharp."""
    sharp = skimage.data.astronaut() / 255.0
    return as_tensor(blur_image(sharp, linear_motion(25, 0.3))), as_tensor(sharp)


def found(lq: torch.Tensor, restored: torch.Tensor) -> set[str]:
    return {name for name, blocks in find_collapse(lq, restored).items() if blocks.any()}


def test_a_perfect_restoration_and_none_at_all_are_fine(pair):
    lq, sharp = pair
    assert found(lq, sharp) == set()
    assert found(lq, lq) == set()


BREAKS = {
    "not finite": lambda x: x.where(torch.arange(x.shape[-1]) != 100, torch.nan),
    "drift": lambda x: x + torch.tensor([0.3, 0.0, 0.0]).reshape(1, 3, 1, 1),
    "contrast": lambda x: (
        x + 1.5 * (torch.rand(x[:, :1].shape, generator=torch.Generator().manual_seed(0)) - 0.5)
    ),
    "colour": lambda x: x + 0.8 * (torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) - 0.5),
    "range": lambda x: x * 6 - 2.5,
}


@pytest.mark.parametrize("sign", BREAKS)
def test_each_kind_of_collapse_has_its_sign(pair, sign: str):
    lq, sharp = pair
    assert sign in found(lq, BREAKS[sign](sharp))


def test_the_sign_is_where_the_damage_is(pair):
    lq, sharp = pair
    broken = sharp.clone()
    broken[..., 2 * BLOCK : 3 * BLOCK, 5 * BLOCK : 6 * BLOCK] = (
        1 - lq[..., 2 * BLOCK : 3 * BLOCK, 5 * BLOCK : 6 * BLOCK]
    )
    blocks = find_collapse(lq, broken)["drift"]
    assert blocks.nonzero().tolist() == [[2, 5]]


@pytest.mark.parametrize("size", [(1, 1), (17, 300), (65, 64)])
def test_small_and_long_images_have_blocks_too(size: tuple[int, int]):
    lq = torch.full((1, 3, *size), 0.5)
    assert find_collapse(lq, lq + 0.4)["drift"].all()
    assert not find_collapse(lq, lq)["drift"].any()


def test_put_back_fades():
    lq, restored = torch.zeros(1, 3, 192, 192), torch.ones(1, 3, 192, 192)
    bad = torch.zeros(3, 3, dtype=torch.bool)
    bad[1, 1] = True
    mixed = put_back(lq, restored, bad)
    assert (mixed[..., 64:128, 64:128] == 0).all(), "the bad block is the input"
    assert (mixed[..., 0, 0] == 1).all(), "what is far away stays"
    assert mixed[0, 0, 96].diff().abs().max() < 0.05, "no edge between them"


def test_policies(pair):
    lq, sharp = pair
    broken = sharp.clone()
    broken[..., :BLOCK, :BLOCK] = torch.nan

    def run(policy: str, again=None) -> tuple[torch.Tensor, Findings]:
        findings = Findings()
        return Guard(policy).check(lq, broken, again, findings), findings

    result, findings = run("off")
    assert result.isfinite().all() and findings.notes() == []
    result, findings = run("keep")
    assert torch.equal(result[..., :BLOCK, :BLOCK], lq[..., :BLOCK, :BLOCK]), "NaN is never kept"
    assert findings.bad == BLOCK**2 and findings.replaced == 0
    result, findings = run("input")
    assert torch.equal(result[..., :BLOCK, :BLOCK], lq[..., :BLOCK, :BLOCK]) and findings.replaced == BLOCK**2
    result, findings = run("retry", lambda: sharp)
    assert torch.allclose(result, sharp) and findings.mended == BLOCK**2 and findings.replaced == 0
    result, findings = run("retry", lambda: broken)
    assert torch.equal(result[..., :BLOCK, :BLOCK], lq[..., :BLOCK, :BLOCK])
    assert findings.mended == 0 and findings.replaced == BLOCK**2
    assert "1.56 %" in " ".join(findings.notes()).replace("1.56%", "1.56 %")


@pytest.mark.data
@pytest.mark.parametrize("name", ["gopro_raw240", "gopro_seq0372", "reds_320x180"])
def test_real_pairs_are_within_the_limits(shared, name: str):
    """Were the network perfect, the guard would keep quiet on all of these."""
    folder = shared / "data" / "pairs" / name
    photos = sorted((folder / "input").iterdir())
    assert photos
    for photo in photos:
        lq, gt = (to_tensor(to_chw(read_rgb(path)))[None] for path in (photo, folder / "target" / photo.name))
        assert found(lq, gt) == set(), photo.name
