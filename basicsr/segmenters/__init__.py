"""Segmenters: from an RGB image (H, W, 3) uint8 to a label map (H, W) int32."""

from basicsr.segmenters.empty import Empty
from basicsr.segmenters.graph import Graph, graph_regions
from basicsr.segmenters.hf_sam import Transformers
from basicsr.segmenters.precomputed import Precomputed
from basicsr.segmenters.sam import Sam

__all__ = ["Empty", "Graph", "Precomputed", "Sam", "Transformers", "graph_regions"]
