"""Data sets. To add one: a file here and a line below."""

from basicsr.data.paired import PairedImageDataset, PairedImageGroupMaskDataset, PairedImageMaskDataset
from basicsr.data.synthetic import SyntheticBlurDataset

__all__ = [
    "PairedImageDataset",
    "PairedImageGroupMaskDataset",
    "PairedImageMaskDataset",
    "SyntheticBlurDataset",
]
