"""Image quality metrics; importing this package registers them."""

from basicsr.metrics.mode_collapse import calculate_mcr
from basicsr.metrics.psnr_ssim import calculate_input_psnr, calculate_psnr, calculate_ssim, calculate_ssim_2d

__all__ = ["calculate_input_psnr", "calculate_mcr", "calculate_psnr", "calculate_ssim", "calculate_ssim_2d"]
