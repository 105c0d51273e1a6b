"""How large the pixels of a photo are meant to be."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

METER, CENTIMETER, INCH = Fraction(1), Fraction(1, 100), Fraction(254, 10000)
_TIFF_UNITS = {1: None, 2: INCH, 3: CENTIMETER}
_LARGEST_TIFF_NUMBER = 2**32 - 1


@dataclass(frozen=True)
class Resolution:
    """Pixels per meter, or only the shape of a pixel.

    Attributes:
        across: pixels per meter from left to right.
        down: the same from top to bottom.
        is_ratio: only the ratio of the two means something.
    """

    across: Fraction
    down: Fraction
    is_ratio: bool = False

    @staticmethod
    def of(across: Fraction | int, down: Fraction | int, unit: Fraction | None) -> Resolution | None:
        """Pixels per ``unit`` in meters, or a ratio without; None where that is meaningless."""
        if across <= 0 or down <= 0 or (unit is None and across == down):
            return None
        return Resolution(Fraction(across) / (unit or 1), Fraction(down) / (unit or 1), unit is None)

    @staticmethod
    def of_tiff(across: Fraction, down: Fraction, code: int) -> Resolution | None:
        """From XResolution, YResolution and ResolutionUnit of TIFF 6.0 and Exif."""
        return Resolution.of(across, down, _TIFF_UNITS[code]) if code in _TIFF_UNITS else None

    def to_tiff(self) -> tuple[Fraction, Fraction, int] | None:
        """XResolution, YResolution and ResolutionUnit; None where the numbers are too large."""
        codes = (1,) if self.is_ratio else (2, 3)
        ways = [(*self._per(_TIFF_UNITS[code] or METER), code) for code in codes]
        across, down, code = min(ways, key=lambda way: way[0].denominator + way[1].denominator)
        across, down = across.limit_denominator(10**4), down.limit_denominator(10**4)
        if min(across, down) <= 0 or max(across.numerator, down.numerator) > _LARGEST_TIFF_NUMBER:
            return None
        return across, down, code

    def whole(self, unit: Fraction, largest: int) -> tuple[int, int] | None:
        """Rounded pixels per ``unit``; None where they are not in 1 .. ``largest``."""
        across, down = (round(value) for value in self._per(unit))
        return (across, down) if min(across, down) >= 1 and max(across, down) <= largest else None

    def whole_ratio(self, largest: int) -> tuple[int, int]:
        """The ratio in whole numbers in 1 .. ``largest``."""
        ratio = self.across / self.down
        near = min(ratio, 1 / ratio).limit_denominator(largest) or Fraction(1, largest)
        return (near.numerator, near.denominator) if ratio < 1 else (near.denominator, near.numerator)

    def rounding(self, unit: Fraction) -> Fraction:
        """Largest relative change by whole numbers of pixels per ``unit``."""
        return max(abs(round(value) - value) / value for value in self._per(unit))

    def _per(self, unit: Fraction) -> tuple[Fraction, Fraction]:
        return self.across * unit, self.down * unit
