"""Detect, without ground truth, where a network collapsed ("mode collapse"), and handle it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

Policy = Literal["off", "keep", "input", "retry"]

# Signs are looked for in blocks of this many pixels: larger than the blur, which moves light within them.
BLOCK = 64
# Limits on what removing blur does to a block. In real blurry and sharp pairs (GoPro, REDS) no block crosses
# them; docs/restoring.md has the figures. All in units of the image's range [0, 1].
DRIFT = 0.2
CONTRAST = 0.25
CHROMA = 0.12
OUTSIDE = 0.25
# How far beyond [0, 1] a value is before clamping to count as outside.
_MARGIN = 0.1
# Pixels over which a replaced block fades into its neighbors.
_FADE = 32


@dataclass
class Findings:
    """What the guard found in one photo, in pixels.

    Args:
        pixels: checked; where tiles overlap, several times.
        signs: pixels of blocks by sign: ``not finite``, ``drift``, ``contrast``, ``color``, ``range``.
        bad: pixels of blocks with any sign.
        replaced: of those, pixels of blocks where the input was put back.
        recovered: of those, pixels of blocks that were good on the second try.
    """

    pixels: int = 0
    signs: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    replaced: int = 0
    recovered: int = 0

    def add(self, more: Findings) -> None:
        """Add those of another image."""
        self.pixels += more.pixels
        self.signs.update(more.signs)
        self.bad += more.bad
        self.replaced += more.replaced
        self.recovered += more.recovered

    def notes(self) -> list[str]:
        """What a user should know, in words; nothing when all was well."""
        if not self.bad:
            return []
        signs = ", ".join(f"{name} {count / self.pixels:.2%}" for name, count in self.signs.most_common())
        lines = [f"guard: {self.bad / self.pixels:.2%} of the area collapsed ({signs})"]
        if self.recovered:
            lines.append(f"guard: {self.recovered / self.pixels:.2%} was good on the second try")
        if self.replaced:
            lines.append(f"guard: {self.replaced / self.pixels:.2%} was replaced by the input")
        return lines


def find_collapse(lq: Tensor, restored: Tensor) -> dict[str, Tensor]:
    """Blocks in which a restored image cannot come from its input, by sign.

    ``not finite``: a value is NaN or infinite. ``drift``: the mean of a channel moved by more than `DRIFT`;
    removing blur moves light by pixels, not by blocks. ``contrast``: the standard deviation of a channel rose
    by more than `CONTRAST`; ``color``: that of the difference to gray, by more than `CHROMA`. ``range``:
    more than the share `OUTSIDE` of the values lies well outside [0, 1].

    Args:
        lq: (1, 3, H, W) in [0, 1].
        restored: (1, 3, H, W), as the network gave it, not clamped.

    Returns:
        bool (ceil(H / 64), ceil(W / 64)) each; blocks at the right and bottom may be smaller.
    """
    finite = restored.isfinite()
    safe = restored.where(finite, lq)
    clamped = safe.clamp(0, 1)
    outside = ((safe < -_MARGIN) | (safe > 1 + _MARGIN)).float()
    signs = {
        "not finite": _blocks((~finite).float()) > 0,
        "drift": (_blocks(clamped) - _blocks(lq)).abs() > DRIFT,
        "contrast": _deviation(clamped) - _deviation(lq) > CONTRAST,
        "color": _deviation(_chroma(clamped)) - _deviation(_chroma(lq)) > CHROMA,
        "range": _blocks(outside) > OUTSIDE,
    }
    return {name: found.any(1)[0] for name, found in signs.items()}


def put_back(lq: Tensor, restored: Tensor, bad: Tensor) -> Tensor:
    """The restored image with the input in bad blocks, fading over 32 pixels around them.

    Args:
        lq: (1, 3, H, W).
        restored: (1, 3, H, W), finite.
        bad: bool (ceil(H / 64), ceil(W / 64)).
    """
    height, width = lq.shape[-2:]
    pixels = bad.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)[:height, :width]
    share = pixels.float()[None, None]
    side = _FADE + 1
    for kernel in ((side, 1), (1, side)):
        share = nn.functional.max_pool2d(share, kernel, 1, (kernel[0] // 2, kernel[1] // 2))
    for kernel in ((side, 1), (1, side)):
        around = (kernel[1] // 2, kernel[1] // 2, kernel[0] // 2, kernel[0] // 2)
        share = nn.functional.avg_pool2d(nn.functional.pad(share, around, mode="replicate"), kernel, 1)
    return torch.lerp(restored, lq, share)


class Guard:
    """Checks each restored tile and acts by ``policy``.

    Args:
        policy: ``off`` does not check. ``keep`` only reports. ``input`` puts the input back in bad blocks.
            ``retry`` restores the tile once more in another way, then puts the input back where that is bad,
            too. Values that are not finite are never kept: the input replaces them.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def check(
        self, lq: Tensor, restored: Tensor, again: Callable[[], Tensor] | None, findings: Findings
    ) -> Tensor:
        """Restored tile (1, 3, H, W) -> the one to use; ``findings`` are added up.

        Args:
            lq: (1, 3, H, W) in [0, 1].
            again: restores the tile in another way; None where there is none.
        """
        if self.policy == "off":
            return torch.where(restored.isfinite(), restored, lq)
        bad = self._look(lq, restored, findings)
        safe = torch.where(restored.isfinite(), restored, lq)
        if self.policy == "keep" or not bad.any():
            return safe
        if self.policy == "retry" and again is not None:
            second = again()
            still_bad = torch.stack(list(find_collapse(lq, second).values())).any(0)
            recovered = bad & ~still_bad
            findings.recovered += _area(recovered, lq)
            # the second try where the first was bad, faded like the input
            safe = put_back(torch.where(second.isfinite(), second, lq), safe, recovered)
            bad = bad & still_bad
        findings.replaced += _area(bad, lq)
        return put_back(lq, safe, bad)

    def _look(self, lq: Tensor, restored: Tensor, findings: Findings) -> Tensor:
        signs = find_collapse(lq, restored)
        bad = torch.stack(list(signs.values())).any(0)
        findings.pixels += lq.shape[-2] * lq.shape[-1]
        if bad.any():
            findings.bad += _area(bad, lq)
            findings.signs.update({name: _area(found, lq) for name, found in signs.items() if found.any()})
        return bad


def _blocks(x: Tensor) -> Tensor:
    """Means over blocks, (1, C, H, W) -> (1, C, rows, columns)."""
    return nn.functional.avg_pool2d(x, BLOCK, ceil_mode=True, count_include_pad=False)


def _deviation(x: Tensor) -> Tensor:
    return (_blocks(x * x) - _blocks(x) ** 2).clamp(min=0).sqrt()


def _chroma(x: Tensor) -> Tensor:
    return x - x.mean(1, keepdim=True)


def _area(blocks: Tensor, image: Tensor) -> int:
    """Pixels of the chosen blocks; those at the border may be smaller."""
    height, width = image.shape[-2:]
    rows, columns = (
        torch.tensor([min(BLOCK, size - start) for start in range(0, size, BLOCK)])
        for size in (height, width)
    )
    return int((blocks.cpu() * rows[:, None] * columns).sum())
