"""How blur comes about."""

from basicsr.synthesis.blur import blur_image
from basicsr.synthesis.kernels import linear_motion

__all__ = ["blur_image", "linear_motion"]
