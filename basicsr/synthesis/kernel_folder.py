"""Kernels that others made: a folder of ``.mat``, ``.npy`` and ``.png`` files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basicsr.storage import DiskStorage
from basicsr.synthesis.kernels import Kernel, centered
from basicsr.utils.errors import UserError
from basicsr.utils.image import decode_single
from basicsr.utils.mat import read_mat
from basicsr.utils.npz import read_npy

SUFFIXES = (".mat", ".npy", ".png")
_MAT_KEY = "K"
_LARGEST_MAT = 1 << 26  # bytes


class KernelFolder:
    """The kernels of a folder and its subfolders, by number in the order of their names; read when asked for.

    Args:
        folder: of files with one kernel each. ``.mat``: the variable ``K``, or the only matrix.
        size: of the kernels that are delivered, odd. Smaller ones get zeros around; one of even size has its
            centre right of and below the middle, where a Fourier transform has it.
        center: shift each so that its centroid is the middle; by parts of a pixel, which smooths it a little.

    Raises:
        UserError: no such folder, or no kernel in it.
    """

    def __init__(self, folder: str | Path, size: int = 65, center: bool = False) -> None:
        self._storage = DiskStorage(folder, SUFFIXES)
        self.keys = self._storage.keys()
        self.size = size
        self.center = center

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: int) -> Kernel:
        key = self.keys[number]
        name = self._storage.describe(key)
        return read_kernel(self._storage.read(key), name, self.size, self.center)

    def fingerprint(self) -> str:
        """A short digest of names and file sizes."""
        sizes = [f"{key} {Path(self._storage.describe(key)).stat().st_size}" for key in self.keys]
        return hashlib.sha256(os.fsencode("\n".join(sizes))).hexdigest()[:16]


def read_kernel(data: bytes, name: str, size: int, center: bool = False) -> Kernel:
    """Bytes of a kernel file -> (size, size), sum 1; see `KernelFolder`.

    Args:
        name: file, for the error.

    Raises:
        UserError: damaged, not a matrix, too large, negative or not finite somewhere, or all zero.
    """
    values = _decode(data, name)
    if values.ndim != 2 or values.size == 0 or values.dtype.kind not in "biuf":
        found = f"{values.dtype} {values.shape}"
        raise UserError(f"{name}: a kernel is a matrix of real numbers, found {found}; save one plane")
    if not np.isfinite(values).all() or values.min() < 0 or values.max() <= 0:
        found = f"{values.min():g} to {values.max():g}"
        raise UserError(f"{name}: a kernel is not negative and has some light, found {found}; make it again")
    values = _trimmed(values.astype(np.float64))
    if max(values.shape) > size:
        found = f"{values.shape[0]} x {values.shape[1]}"
        raise UserError(f"{name}: has {found} pixels, the kernels here {size} x {size}; reduce it")
    if center:
        y, x = np.nonzero(values)
        shifted = centered(x.astype(float), y.astype(float), size, values[y, x])
        if shifted is None:
            raise UserError(f"{name}: does not fit into {size} x {size} pixels when centred; reduce it")
        return shifted
    top, left = (size // 2 - length // 2 for length in values.shape)
    placed = np.zeros((size, size))
    placed[top : top + values.shape[0], left : left + values.shape[1]] = values
    return placed / placed.sum()


def _trimmed(values: Kernel) -> Kernel:
    """Zeros added to make the sides odd, then zeros cut off evenly: the centre stays the centre."""
    values = np.pad(values, [(0, 1 - length % 2) for length in values.shape])
    for axis in (0, 1):
        used, length = np.flatnonzero(values.any(1 - axis)), values.shape[axis]
        margin = min(used[0], length - 1 - used[-1])
        values = np.take(values, range(margin, length - margin), axis)
    return values


def _decode(data: bytes, name: str) -> NDArray[Any]:
    suffix = Path(name).suffix.lower()
    if suffix == ".png":
        return decode_single(data, name)
    try:
        if suffix == ".npy":
            return read_npy(data)
        return _decode_mat(data, name)
    except UserError:
        raise
    except Exception as error:  # the reader of NumPy lets errors of any kind through
        reason = " ".join(str(error).split())
        raise UserError(f"{name}: damaged {suffix} file ({reason}); make it again") from error


def _decode_mat(data: bytes, name: str) -> NDArray[Any]:
    found = read_mat(data, _LARGEST_MAT)
    if _MAT_KEY not in found and len(found) != 1:
        names = ", ".join(found) or "none"
        raise UserError(f"{name}: expected the variable '{_MAT_KEY}', found {names}; save the kernel as that")
    return found.get(_MAT_KEY, next(iter(found.values())))
