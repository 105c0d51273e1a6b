"""How image values are prepared for a network: linear light, mean, standard deviation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import torch
from torch import Tensor


class Normalization(msgspec.Struct, frozen=True, omit_defaults=True):
    """(image^gamma - mean) / std, channel by channel, for images in [0, 1].

    Args:
        mean: of each channel.
        std: of each channel, positive.
        gamma: 2.2 gives a network approximately linear light, 1 leaves values unchanged.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean {self.mean} and std {self.std} need one number per channel each")
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)):
            raise ValueError(f"mean {self.mean} and std {self.std} must be finite")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std {self.std} must be positive")
        if not (math.isfinite(self.gamma) and self.gamma > 0):
            raise ValueError(f"gamma {self.gamma} must be positive")

    @classmethod
    def of(
        cls, mean: Sequence[float] | None, std: Sequence[float] | None, gamma: float | None = None
    ) -> Normalization | None:
        """From options that may each be omitted; None if all are. ``gamma`` alone implies RGB."""
        if mean is None and std is None and gamma is None:
            return None
        channels = len(mean or std or (0, 0, 0))
        given = (mean or (0.0,) * channels, std or (1.0,) * channels)
        shift, scale = (tuple(float(value) for value in values) for values in given)
        return cls(shift, scale, 1.0 if gamma is None else float(gamma))

    @property
    def changes_nothing(self) -> bool:
        """Whether it leaves images unchanged."""
        return not any(self.mean) and all(value == 1 for value in (*self.std, self.gamma))

    def apply(self, image: Tensor) -> Tensor:
        """(.., C, H, W); channels after those of the image, such as a mask, are left unchanged."""
        if self.changes_nothing:
            return image
        color, others = self._split(image)
        if self.gamma != 1:
            color = color.clamp(min=0) ** self.gamma
        return torch.cat([(color - _column(self.mean, image)) / _column(self.std, image), others], dim=-3)

    def undo(self, image: Tensor) -> Tensor:
        """Result of `apply` -> the image."""
        if self.changes_nothing:
            return image
        color, others = self._split(image)
        color = color * _column(self.std, image) + _column(self.mean, image)
        if self.gamma != 1:
            # A network may return values below 0, where the power is not a number.
            color = color.clamp(min=0) ** (1 / self.gamma)
        return torch.cat([color, others], dim=-3)

    def _split(self, image: Tensor) -> tuple[Tensor, Tensor]:
        channels = len(self.mean)
        return image[..., :channels, :, :], image[..., channels:, :, :]

    def __str__(self) -> str:
        mean, std = (" ".join(f"{value:.6g}" for value in values) for values in (self.mean, self.std))
        return f"mean {mean}, std {std}" + (f", gamma {self.gamma:.6g}" if self.gamma != 1 else "")


IDENTITY = Normalization((0.0,) * 3, (1.0,) * 3)
IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _column(values: tuple[float, ...], image: Tensor) -> Tensor:
    return torch.tensor(values, dtype=image.dtype, device=image.device).reshape(-1, 1, 1)
