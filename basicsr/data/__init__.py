"""Data sets and transforms. To add one: a file here and a line below."""

from basicsr.data.augmentations import ColorJitter, GaussNoise, RandomAffine
from basicsr.data.clips import AveragedClipDataset, ClipDataset
from basicsr.data.paired import PairedImageDataset, PairedImageGroupMaskDataset, PairedImageMaskDataset
from basicsr.data.rain_mix import RainMix
from basicsr.data.refreshed import PairedImageRefreshedMaskDataset
from basicsr.data.synthetic import SyntheticBlurDataset
from basicsr.data.synthetic_rain import SyntheticRainDataset

__all__ = [
    "AveragedClipDataset",
    "ClipDataset",
    "ColorJitter",
    "GaussNoise",
    "PairedImageDataset",
    "PairedImageGroupMaskDataset",
    "PairedImageMaskDataset",
    "PairedImageRefreshedMaskDataset",
    "RainMix",
    "RandomAffine",
    "SyntheticBlurDataset",
    "SyntheticRainDataset",
]
