"""Boxes around the subject of a clip: read, widened, cut out of every frame alike.

B-AIST++ (Zhong et al., "Animation from Blur", ECCV 2022) has one per clip, as HyperCUT reads them.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.data.transforms import Arrays
from basicsr.utils.errors import UserError
from basicsr.utils.reading import LARGEST_TEXT, parse_json, read_file

Box = tuple[int, int, int, int]

_MOST_WIDENED = 0.1  # share of the distance from the box to the border of the frame
_ALLOWED = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
}


class _Numbers(pickle.Unpickler):
    """Allows plain values and NumPy's numbers; anything else in a pickle could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} could run code")


def read_box(path: Path) -> Box:
    """The box in a file: a pickle or a JSON with ``{"bbox": [x0, y0, x1, y1]}``, in pixels.

    Raises:
        UserError: if it cannot be read, or holds something else.
    """
    try:
        data = read_file(path, LARGEST_TEXT)
        content = parse_json(data) if path.suffix == ".json" else _Numbers(io.BytesIO(data)).load()
        x0, y0, x1, y1 = (round(float(value)) for value in content["bbox"])
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except Exception as error:  # damaged pickles raise almost anything
        wanted = '{"bbox": [x0, y0, x1, y1]}'
        raise UserError(f"{path}: no bounding box ({error}); expected {wanted}") from error
    if not (0 <= x0 < x1 and 0 <= y0 < y1):
        raise UserError(f"{path}: the box {x0}, {y0}, {x1}, {y1} holds no pixel; expected x0 < x1, y0 < y1")
    return x0, y0, x1, y1


def widened(box: Box, height: int, width: int, generator: np.random.Generator | None) -> Box:
    """The box with each side moved towards the border of the frame, by up to a tenth of the distance, drawn
    once per clip; not moved without a generator.
    """
    share = 0.0 if generator is None else _MOST_WIDENED * generator.random()
    x0, y0, x1, y1 = box
    x1, y1 = min(x1, width), min(y1, height)
    return (
        int(x0 - share * x0),
        int(y0 - share * y0),
        int(x1 + share * (width - x1)),
        int(y1 + share * (height - y1)),
    )


def cut_box(arrays: Arrays, box: Box, size: tuple[int, int]) -> Arrays:
    """Cut the same box out of every array (.., H, W), and resize it to ``size`` (height, width) by area."""
    x0, y0, x1, y1 = box
    return {name: _resized(array[..., y0:y1, x0:x1], size) for name, array in arrays.items()}


def _resized(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    planes = array.reshape(-1, *array.shape[-2:])
    resized = [cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA) for plane in planes]
    return np.stack(resized).reshape(*array.shape[:-2], *size)
