"""Training losses; importing this package registers them."""

from basicsr.losses.perceptual import PerceptualLoss
from basicsr.losses.pixel import CharbonnierLoss, L1Loss, MSELoss, PSNRLoss

__all__ = ["CharbonnierLoss", "L1Loss", "MSELoss", "PSNRLoss", "PerceptualLoss"]
