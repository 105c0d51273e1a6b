"""Named ways to make blurred pairs."""

from __future__ import annotations

from typing import Literal

import msgspec

from basicsr.synthesis.motion import TREMOR

Range = tuple[float, float]
MotionKind = Literal["shake", "linear", "random_walk"]


class Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a pair is made. Each pair draws its own value from a range (low, high), uniformly.

    Args:
        kernel_size: side of the kernels in pixels, odd; pairs are smaller than the photo by that minus 1.
        motion: of the camera: ``shake`` (see `basicsr.synthesis.motion.shake_path`), ``linear``, or
            ``random_walk``.
        exposure: of ``shake``, in seconds.
        focal_length: of ``shake``, in pixels.
        tremor: of ``shake``, rms angle in degrees.
        extent: of ``linear`` and ``random_walk``, in pixels.
        objects: smallest and largest number of independently moving objects, if there are that many.
        min_object_area: smallest area of an object, in pixels.
        max_object_share: largest share of the photo that objects cover together; the rest is background.
        min_score: smallest score of an object, if a detector provides scores.
        object_motion: ``own``: a new motion, drawn like the camera's. ``added``: the camera's plus a straight
            one of ``object_extent``. ``none``: objects stay where they are, as what a camera follows.
        object_extent: of ``added``, in pixels.
        behind: objects do not overlap, and the background behind them shows through; see
            `basicsr.synthesis.composition`.
        response: of the camera.
        response_value: gamma, or factor of the exponential.
        illumination: factor on the light of the photo.
        highlight_gain: factor on light that the photo shows as white.
        spike_probability: probability that a pair gets lights that leave streaks.
        spikes: how many in that case.
        brightest_spike: in units of white.
        full_well: electrons of white, log-uniform; null adds no noise.
        read_noise: standard deviation in electrons.
        jpeg: quality; null applies no JPEG.
    """

    kernel_size: int = 65
    motion: MotionKind = "shake"
    exposure: Range = (0.05, 0.5)
    focal_length: float = 1000.0
    tremor: float = TREMOR
    extent: Range = (5.0, 50.0)
    objects: tuple[int, int] = (5, 5)
    min_object_area: int = 4000
    max_object_share: float = 1.0
    min_score: float = 0.9
    object_motion: Literal["own", "added", "none"] = "own"
    object_extent: Range = (0.0, 0.0)
    behind: bool = False
    response: Literal["gamma", "exponential"] = "gamma"
    response_value: Range = (2.2, 2.2)
    illumination: Range = (1.0, 1.0)
    highlight_gain: Range = (1.0, 1.0)
    spike_probability: float = 0.0
    spikes: tuple[int, int] = (10, 99)
    brightest_spike: float = 2000 / 255
    full_well: Range | None = None
    read_noise: Range = (0.0, 0.0)
    jpeg: tuple[int, int] | None = None

    def adapted(
        self,
        max_objects: int | None = None,
        min_object_area: int | None = None,
        motion: MotionKind | None = None,
        exposure: Range | None = None,
    ) -> Preset:
        """The preset with these values; null keeps its own."""
        objects = None if max_objects is None else (min(self.objects[0], max_objects), max_objects)
        changes = {
            "objects": objects,
            "min_object_area": min_object_area,
            "motion": motion,
            "exposure": exposure,
        }
        wanted = {name: value for name, value in changes.items() if value is not None}
        return msgspec.structs.replace(self, **wanted)


PresetName = Literal["sbdd", "gopro", "realistic", "night"]

# Published: SBDD_NU_mob5_gamma22_ill_aug_2up, but lossless and rounded.
_SBDD = Preset(illumination=(1.0, 3.0))

# A moving action camera, 7 to 13 frames at 240 per second: short, mild, nearly straight and uniform.
_GOPRO = Preset(
    exposure=(7 / 240, 13 / 240),
    objects=(0, 2),
    max_object_share=0.5,
    object_motion="added",
    object_extent=(0.0, 10.0),
    behind=True,
)

# Trails of real photos are shorter and simpler than those of the published exposures.
_REALISTIC = Preset(
    exposure=(0.02, 0.25),
    objects=(0, 5),
    max_object_share=0.5,
    object_motion="added",
    object_extent=(0.0, 25.0),
    behind=True,
    response_value=(1.9, 2.4),
    illumination=(0.3, 1.5),
    highlight_gain=(1.0, 5.0),
    spike_probability=0.1,
    spikes=(1, 20),
    full_well=(1500.0, 20000.0),
    read_noise=(1.0, 4.0),
    jpeg=(85, 100),
)

# Hand-held in the dark: longer trails, lamps that leave streaks, and few electrons.
_NIGHT = msgspec.structs.replace(
    _REALISTIC,
    exposure=(0.05, 0.25),
    objects=(0, 0),
    object_extent=(0.0, 0.0),
    illumination=(0.05, 0.25),
    highlight_gain=(5.0, 20.0),
    spike_probability=1.0,
    spikes=(5, 40),
    full_well=(1000.0, 5000.0),
    read_noise=(2.0, 6.0),
)

PRESETS: dict[PresetName, Preset] = {"sbdd": _SBDD, "gopro": _GOPRO, "realistic": _REALISTIC, "night": _NIGHT}
