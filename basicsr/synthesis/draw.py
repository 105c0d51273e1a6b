"""The random choices for one pair: everything but the photo and the preset's rules."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from basicsr.masks import LabelMap
from basicsr.synthesis.camera import Response
from basicsr.synthesis.kernel_folder import KernelFolder
from basicsr.synthesis.kernels import Kernel
from basicsr.synthesis.motion import Path, fitting, random_walk, shake_path, straight_path
from basicsr.synthesis.presets import Preset, Range


class Motion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one region moved; ``extent`` is the larger side of the whole path in pixels.

    Args:
        kind: ``shake``, ``linear``, ``random_walk``, or ``file``.
        region: id in the label map, or number of the detected instance; null is the background.
        exposure: of ``shake``, in seconds.
        file: key of the kernel.
    """

    kind: str
    region: int | None = None
    exposure: float | None = None
    extent: float | None = None
    file: str | None = None


class Draw(msgspec.Struct, frozen=True, kw_only=True):
    """The choices for one pair, as written to ``params.jsonl``.

    Args:
        motions: of the background, then of the objects.
        behind: see `basicsr.synthesis.composition`.
        response: of the camera.
        illumination: factor on the light.
        highlight_gain: factor on saturated light.
        spikes: number of lights that leave streaks.
        brightest_spike: in units of white.
        full_well: electrons; null is no noise.
        read_noise: electrons.
        jpeg: quality; null is none.
        seed: of the positions of spikes and of the noise.
    """

    motions: tuple[Motion, ...]
    behind: bool
    response: Response
    illumination: float
    highlight_gain: float
    spikes: int
    brightest_spike: float
    full_well: float | None
    read_noise: float
    jpeg: int | None
    seed: int


def choose_regions(labels: LabelMap, preset: Preset, generator: np.random.Generator) -> list[int]:
    """Ids of a label map (H, W) that get their own motion: any that are large enough, with equal probability,
    as long as they leave enough background.
    """
    areas = np.bincount(labels.ravel())
    usable = np.flatnonzero(areas >= max(1, preset.min_object_area))
    count, left = _count(preset, generator), preset.max_object_share * labels.size
    chosen: list[int] = []
    for region in generator.permutation(usable[usable > 0]).tolist():
        if len(chosen) < count and areas[region] <= left:
            chosen.append(region)
            left -= areas[region]
    return chosen


def choose_instances(
    areas: NDArray[Any], scores: NDArray[Any], preset: Preset, generator: np.random.Generator
) -> list[int]:
    """Numbers of detected instances that get their own motion: the most confident of the large enough."""
    surest = np.argsort(-scores, kind="stable")
    usable = surest[(scores > preset.min_score)[surest] & (areas > preset.min_object_area)[surest]]
    return [int(number) for number in usable[: _count(preset, generator)]]


def draw_pair(
    preset: Preset, regions: list[int], generator: np.random.Generator, files: KernelFolder | None = None
) -> tuple[Draw, NDArray[np.float64]]:
    """The choices for a pair with these objects, and its kernels (1 + objects, K, K), background first.

    Args:
        files: to draw the kernels from, with replacement; null generates them.

    Raises:
        UserError: if motions do not fit into the kernels, or a kernel file cannot be used.
    """
    drawn = _from_files(files, regions, generator) if files else _made(preset, regions, generator)
    has_spikes = generator.random() < preset.spike_probability
    draw = Draw(
        motions=tuple(motion for motion, _ in drawn),
        behind=preset.behind,
        response=Response(preset.response, _uniform(preset.response_value, generator)),
        illumination=_uniform(preset.illumination, generator),
        highlight_gain=_uniform(preset.highlight_gain, generator),
        spikes=int(generator.integers(*preset.spikes, endpoint=True)) if has_spikes else 0,
        brightest_spike=preset.brightest_spike,
        full_well=_log_uniform(preset.full_well, generator) if preset.full_well else None,
        read_noise=_uniform(preset.read_noise, generator),
        jpeg=int(generator.integers(*preset.jpeg, endpoint=True)) if preset.jpeg else None,
        seed=int(generator.integers(2**31)),
    )
    return draw, np.stack([kernel for _, kernel in drawn])


def _from_files(
    files: KernelFolder, regions: list[int], generator: np.random.Generator
) -> list[tuple[Motion, Kernel]]:
    numbers = [int(generator.integers(len(files))) for _ in range(1 + len(regions))]
    return [
        (Motion(kind="file", region=region, file=files.keys[number]), files[number])
        for region, number in zip([None, *regions], numbers, strict=True)
    ]


def _made(preset: Preset, regions: list[int], generator: np.random.Generator) -> list[tuple[Motion, Kernel]]:
    exposure = _uniform(preset.exposure, generator)

    def path() -> Path:
        if preset.motion == "shake":
            return shake_path(generator, exposure, preset.focal_length, preset.tremor)
        extent = _uniform(preset.extent, generator)
        if preset.motion == "linear":
            return straight_path(extent, generator.uniform(0, math.pi))
        return random_walk(generator, extent)

    kernel, camera = fitting(path, preset.kernel_size)

    def object_path() -> Path:
        if preset.object_motion == "own":
            return path()
        if preset.object_motion == "none":
            return np.zeros_like(camera)
        extent = _uniform(preset.object_extent, generator)
        return camera + straight_path(extent, generator.uniform(0, 2 * math.pi))

    made = [(kernel, camera), *(fitting(object_path, preset.kernel_size) for _ in regions)]
    return [
        (
            Motion(
                kind=preset.motion,
                region=region,
                exposure=exposure if preset.motion == "shake" else None,
                extent=float(np.ptp(moved, axis=0).max()),
            ),
            kernel,
        )
        for region, (kernel, moved) in zip([None, *regions], made, strict=True)
    ]


def _count(preset: Preset, generator: np.random.Generator) -> int:
    return int(generator.integers(*preset.objects, endpoint=True))


def _uniform(limits: Range, generator: np.random.Generator) -> float:
    return float(generator.uniform(*limits))


def _log_uniform(limits: Range, generator: np.random.Generator) -> float:
    low, high = limits
    return math.exp(generator.uniform(math.log(low), math.log(high)))
