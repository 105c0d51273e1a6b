"""How many pixels an image may have."""

from __future__ import annotations

from dataclasses import dataclass

from basicsr.utils.errors import UserError

MAX_PIXELS = 512_000_000
"""Of a photo, unless a user asks for another limit."""
LARGEST_MAX_PIXELS = 1 << 30
"""That of OpenCV."""


@dataclass(frozen=True)
class PixelLimit:
    """How many pixels an image may have, which is checked before memory is taken for them.

    Args:
        most: width times height.
        hint: what to do about an image that has more, for the error.
    """

    most: int
    hint: str

    @staticmethod
    def of_partner(height: int, width: int) -> PixelLimit:
        """That of an image whose size has to be that of another one."""
        return PixelLimit(height * width, f"it belongs to one of {width} x {height}, make them the same size")

    def check(self, width: int, height: int, name: str) -> None:
        """Compare the size that a file declares.

        Raises:
            UserError: it has more pixels.
            ValueError: it has none.
        """
        if width * height == 0:
            raise ValueError("no pixels")
        if width * height > self.most:
            raise UserError(f"{name}: {width} x {height} pixels are more than {self.most:,}; {self.hint}")


OF_PHOTOS = PixelLimit(MAX_PIXELS, "cut it into parts")
