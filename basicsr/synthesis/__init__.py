"""Synthesis of blur and rain."""

from basicsr.synthesis.blur import blur_image
from basicsr.synthesis.clip import ClipRules, filmed_frames, filmed_pair, without_margin
from basicsr.synthesis.draw import Draw, choose_instances, choose_regions, draw_pair
from basicsr.synthesis.kernel_folder import KernelFolder
from basicsr.synthesis.kernels import linear_motion
from basicsr.synthesis.motion import camera_shake
from basicsr.synthesis.pair import make_pair
from basicsr.synthesis.presets import PRESETS, Preset, PresetName
from basicsr.synthesis.rain import RAIN, RainName, RainRules, rain_layer

__all__ = [
    "PRESETS",
    "RAIN",
    "ClipRules",
    "Draw",
    "KernelFolder",
    "Preset",
    "PresetName",
    "RainName",
    "RainRules",
    "blur_image",
    "camera_shake",
    "choose_instances",
    "choose_regions",
    "draw_pair",
    "filmed_frames",
    "filmed_pair",
    "linear_motion",
    "make_pair",
    "rain_layer",
    "without_margin",
]
