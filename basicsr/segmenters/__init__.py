"""Segmenters: from an RGB image (H, W, 3) uint8 to a label map (H, W) int32."""

from basicsr.segmenters.graph import graph_regions

__all__ = ["graph_regions"]
