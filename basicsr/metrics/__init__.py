"""Image quality metrics; importing this package registers them."""

from basicsr.metrics.alignment import (
    calculate_input_psnr_aligned,
    calculate_input_ssim_aligned,
    calculate_psnr_aligned,
    calculate_ssim_aligned,
)
from basicsr.metrics.base import SetMetric, metric
from basicsr.metrics.clip import (
    PLPIPS,
    calculate_flow_error,
    calculate_input_ppsnr,
    calculate_ppsnr,
    calculate_pssim,
    calculate_still_ppsnr,
)
from basicsr.metrics.fid import FID
from basicsr.metrics.lpips import LPIPS
from basicsr.metrics.luma import (
    calculate_input_psnr_y,
    calculate_input_ssim_y,
    calculate_psnr_y,
    calculate_ssim_y,
)
from basicsr.metrics.mode_collapse import calculate_mcr
from basicsr.metrics.niqe import NIQE
from basicsr.metrics.ordering import (
    calculate_con,
    calculate_hit,
    calculate_trivial_con,
    calculate_trivial_hit,
)
from basicsr.metrics.psnr_ssim import (
    calculate_input_psnr,
    calculate_input_ssim,
    calculate_psnr,
    calculate_ssim,
    calculate_ssim_2d,
)
from basicsr.metrics.worst_gain import WorstGain

__all__ = [
    "FID",
    "LPIPS",
    "NIQE",
    "PLPIPS",
    "SetMetric",
    "WorstGain",
    "calculate_con",
    "calculate_flow_error",
    "calculate_hit",
    "calculate_input_ppsnr",
    "calculate_input_psnr",
    "calculate_input_psnr_aligned",
    "calculate_input_psnr_y",
    "calculate_input_ssim",
    "calculate_input_ssim_aligned",
    "calculate_input_ssim_y",
    "calculate_mcr",
    "calculate_ppsnr",
    "calculate_psnr",
    "calculate_psnr_aligned",
    "calculate_psnr_y",
    "calculate_pssim",
    "calculate_ssim",
    "calculate_ssim_2d",
    "calculate_ssim_aligned",
    "calculate_ssim_y",
    "calculate_still_ppsnr",
    "calculate_trivial_con",
    "calculate_trivial_hit",
    "metric",
]
