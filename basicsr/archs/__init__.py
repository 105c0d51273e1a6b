"""Networks. To add one: a file here and a line below."""

from basicsr.archs.baseline import Baseline, BaselineLocal
from basicsr.archs.efficient_derain import EfficientDerain
from basicsr.archs.hypercut import HyperCUTNet
from basicsr.archs.jin import Jin
from basicsr.archs.maxim import MAXIM
from basicsr.archs.mimo_unet import MIMOUNet, MIMOUNetPlus
from basicsr.archs.msresnet import MSResNet
from basicsr.archs.nafnet import NAFNet, NAFNetLocal
from basicsr.archs.purohit import Purohit
from basicsr.archs.rcdnet import RCDNet
from basicsr.archs.richardson_lucy import RichardsonLucy
from basicsr.archs.seg_nafnet import SegNAFNet, SegNAFNetLocal
from basicsr.archs.spandrel_network import Spandrel
from basicsr.archs.srn import SRN
from basicsr.archs.uformer import Uformer
from basicsr.archs.unsharp_mask import UnsharpMask
from basicsr.archs.with_map import WithMAP
from basicsr.archs.with_spf import WithSPF

__all__ = [
    "MAXIM",
    "SRN",
    "Baseline",
    "BaselineLocal",
    "EfficientDerain",
    "HyperCUTNet",
    "Jin",
    "MIMOUNet",
    "MIMOUNetPlus",
    "MSResNet",
    "NAFNet",
    "NAFNetLocal",
    "Purohit",
    "RCDNet",
    "RichardsonLucy",
    "SegNAFNet",
    "SegNAFNetLocal",
    "Spandrel",
    "Uformer",
    "UnsharpMask",
    "WithMAP",
    "WithSPF",
]
