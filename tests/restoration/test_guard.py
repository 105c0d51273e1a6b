"""The guard is quiet on what restoring does, and speaks up on what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch

from basicsr.restoration.guard import (
    BLOCK,
    CHROMA,
    CONTRAST,
    DRIFT,
    OUTSIDE,
    Findings,
    Guard,
    find_collapse,
    put_back,
)
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
    "color": lambda x: x + 0.8 * (torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) - 0.5),
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
    assert torch.allclose(result, sharp) and findings.recovered == BLOCK**2 and findings.replaced == 0
    result, findings = run("retry", lambda: broken)
    assert torch.equal(result[..., :BLOCK, :BLOCK], lq[..., :BLOCK, :BLOCK])
    assert findings.recovered == 0 and findings.replaced == BLOCK**2
    assert "1.56 %" in " ".join(findings.notes()).replace("1.56%", "1.56 %")


def checkers(amplitude: float) -> torch.Tensor:
    """(1, 1, 64, 64): as often up as down, so the mean is 0 and the standard deviation the amplitude."""
    y, x = torch.meshgrid(torch.arange(BLOCK), torch.arange(BLOCK), indexing="ij")
    return (amplitude * (1 - 2.0 * ((x + y) % 2)))[None, None]


@pytest.mark.parametrize("sign", ["drift", "contrast", "color"])
@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_limits_are_those_of_the_mean_and_the_deviation_of_a_block(sign: str, factor: float):
    limit = {"drift": DRIFT, "contrast": CONTRAST, "color": CHROMA}[sign] * factor
    change = {
        "drift": torch.full((1, 1, BLOCK, BLOCK), limit),
        "contrast": checkers(limit),
        # red against green: their mean, the gray, stays
        "color": torch.cat([checkers(limit), checkers(-limit), checkers(0)], 1),
    }[sign]
    lq = torch.full((1, 3, BLOCK, BLOCK), 0.5)
    assert found(lq, lq + change) == ({sign} if factor > 1 else set())
    assert found(lq, lq - change) == ({sign} if factor > 1 else set())
    if sign != "drift":
        assert found(lq + change, lq) == set(), "less of it is no sign"


def test_contrast_is_seen_on_plain_walls_of_any_gray():
    """Rounding can make the variance of a plain block less than 0."""
    for gray in np.linspace(0.3, 0.7, 101):
        lq = torch.full((1, 3, BLOCK, BLOCK), float(gray))
        assert found(lq, lq + checkers(0.28)) == {"contrast"}, gray


@pytest.mark.parametrize(("beyond", "share", "signs"), [
    (0.11, OUTSIDE + 1 / BLOCK, {"range"}),
    (0.11, OUTSIDE, set()),
    (0.09, 1.0, set()),
])  # fmt: skip
@pytest.mark.parametrize("white", [True, False])
def test_values_well_beyond_the_range_are_a_sign_from_a_share_on(beyond, share, signs, white: bool):
    lq = torch.full((1, 3, BLOCK, BLOCK), 1.0 if white else 0.0)
    restored = lq.clone()
    restored[..., : round(share * BLOCK), :] += beyond if white else -beyond
    assert found(lq, restored) == signs


def test_a_replaced_block_fades_in_a_straight_line_over_32_pixels():
    lq, restored = torch.zeros(1, 3, 192, 192), torch.ones(1, 3, 192, 192)
    bad = torch.zeros(3, 3, dtype=torch.bool)
    bad[1, 1] = True
    mixed = put_back(lq, restored, bad)
    away = torch.arange(64.0)
    fade = ((away + 1) / 33).clamp(max=1)
    row = torch.cat([fade.flip(0), torch.zeros(64), fade])
    # a mean of 33 numbers of 24 bits, twice
    for line in (mixed[0, 0, 96], mixed[0, 2, :, 96]):
        torch.testing.assert_close(line, row, rtol=0, atol=2 * 33 * 2**-24)
    corner = 1 - (1 - fade[:, None]) * (1 - fade)
    torch.testing.assert_close(mixed[0, 1, 128:, 128:], corner, rtol=0, atol=4 * 33 * 2**-24)


def test_at_the_border_a_bad_block_is_the_input_to_the_last_pixel():
    lq, restored = torch.zeros(1, 3, 70, 200), torch.ones(1, 3, 70, 200)
    bad = torch.zeros(2, 4, dtype=torch.bool)
    bad[:, 3] = True
    mixed = put_back(lq, restored, bad)
    assert (mixed[..., 192:] == 0).all() and (mixed[..., :160] == 1).all()


def test_only_retry_restores_once_more_and_only_where_there_is_another_way(pair):
    lq, sharp = pair
    broken = sharp.clone()
    broken[..., :BLOCK, :BLOCK] = 1 - lq[..., :BLOCK, :BLOCK]
    calls = []

    def again() -> torch.Tensor:
        calls.append(1)
        return sharp

    for policy in ("off", "keep", "input"):
        Guard(policy).check(lq, broken, again, Findings())
    Guard("retry").check(lq, sharp, again, Findings())
    assert not calls, "nor where nothing is bad"
    findings = Findings()
    result = Guard("retry").check(lq, broken, None, findings)
    assert torch.equal(result[..., :BLOCK, :BLOCK], lq[..., :BLOCK, :BLOCK])
    assert (findings.recovered, findings.replaced) == (0, BLOCK**2)
    Guard("retry").check(lq, broken, again, Findings())
    assert calls == [1]


def test_a_second_try_counts_where_it_is_good_and_the_input_where_both_are_bad(pair):
    """Two bad blocks far apart; the second try mends one of them and spoils a third, which was good."""
    lq, sharp = pair
    left, right, third = (
        np.s_[..., :BLOCK, :BLOCK],
        np.s_[..., -BLOCK:, -BLOCK:],
        np.s_[..., -BLOCK:, :BLOCK],
    )
    first, second = sharp.clone(), sharp.clone()
    first[left], first[right], second[right], second[third] = torch.nan, 5.0, torch.nan, torch.inf
    findings = Findings()
    result = Guard("retry").check(lq, first, lambda: second, findings)
    assert result.isfinite().all()
    for place, expected in ((left, sharp), (right, lq), (third, sharp)):
        torch.testing.assert_close(result[place], expected[place])
    assert (findings.bad, findings.recovered, findings.replaced) == (2 * BLOCK**2, BLOCK**2, BLOCK**2)


def test_findings_count_pixels_also_of_smaller_blocks_and_add_up():
    """Of 100 x 130 pixels the lower right block has 36 x 2, the upper right one 64 x 2."""
    lq = torch.full((1, 3, 100, 130), 0.5)
    restored = lq.clone()
    restored[..., 64:, 128:] = torch.nan
    restored[..., :64, 128:] = 1
    findings = Findings()
    Guard("input").check(lq, restored, None, findings)
    assert (findings.pixels, findings.bad, findings.replaced) == (13000, 200, 200)
    assert dict(findings.signs) == {"not finite": 72, "drift": 128}
    total = Findings()
    total.add(findings)
    total.add(Findings(pixels=7000, recovered=100, bad=100))
    assert (total.pixels, total.bad, total.replaced, total.recovered) == (20000, 300, 200, 100)
    assert total.notes() == [
        "guard: 1.50% of the area collapsed (drift 0.64%, not finite 0.36%)",
        "guard: 0.50% was good on the second try",
        "guard: 1.00% was replaced by the input",
    ]


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
