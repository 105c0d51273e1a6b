"""How blur comes about."""

from basicsr.synthesis.blur import blur_image
from basicsr.synthesis.clip import ClipRules, filmed_pair
from basicsr.synthesis.draw import Draw, choose_instances, choose_regions, draw_pair
from basicsr.synthesis.kernel_folder import KernelFolder
from basicsr.synthesis.kernels import linear_motion
from basicsr.synthesis.motion import camera_shake
from basicsr.synthesis.pair import make_pair
from basicsr.synthesis.presets import PRESETS, Preset, PresetName

__all__ = [
    "PRESETS",
    "ClipRules",
    "Draw",
    "KernelFolder",
    "Preset",
    "PresetName",
    "blur_image",
    "camera_shake",
    "choose_instances",
    "choose_regions",
    "draw_pair",
    "filmed_pair",
    "linear_motion",
    "make_pair",
]
