"""Data sets. To add one: a file here and a line below."""

from basicsr.data.paired import PairedImageDataset, PairedImageGroupMaskDataset, PairedImageMaskDataset

__all__ = ["PairedImageDataset", "PairedImageGroupMaskDataset", "PairedImageMaskDataset"]
