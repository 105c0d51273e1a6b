"""Training losses; importing this package registers them."""

from basicsr.losses.clip import ClipCharbonnierLoss, FlowMagnitudeLoss, OrderInvariantLoss
from basicsr.losses.frequency import FrequencyLoss, MultiScaleFrequencyLoss
from basicsr.losses.multi_scale import MultiScaleL1Loss, MultiScaleMSELoss
from basicsr.losses.multi_stage import MultiStageCharbonnierLoss, MultiStageFrequencyLoss
from basicsr.losses.ordering import HyperCUTLoss, OrderingLoss
from basicsr.losses.perceptual import PerceptualLoss
from basicsr.losses.pixel import CharbonnierLoss, L1Loss, MSELoss, PSNRLoss, SmoothL1Loss
from basicsr.losses.rcdnet import RCDNetLoss
from basicsr.losses.semantic_relation import SemanticRelationLoss
from basicsr.losses.ssim import SSIMLoss

__all__ = [
    "CharbonnierLoss",
    "ClipCharbonnierLoss",
    "FlowMagnitudeLoss",
    "FrequencyLoss",
    "HyperCUTLoss",
    "L1Loss",
    "MSELoss",
    "MultiScaleFrequencyLoss",
    "MultiScaleL1Loss",
    "MultiScaleMSELoss",
    "MultiStageCharbonnierLoss",
    "MultiStageFrequencyLoss",
    "OrderInvariantLoss",
    "OrderingLoss",
    "PSNRLoss",
    "PerceptualLoss",
    "RCDNetLoss",
    "SSIMLoss",
    "SemanticRelationLoss",
    "SmoothL1Loss",
]
