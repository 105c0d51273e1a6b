"""Label maps: what a mask is, and the formats it comes in."""

from basicsr.masks.label_map import (
    MAX_REGIONS,
    LabelMap,
    Overlap,
    check_label_map,
    decode_label_map,
    encode_label_map,
    from_stack,
    read_label_map,
    relabel,
    to_stack,
    write_label_map,
)
from basicsr.masks.legacy import (
    coco_rle_to_mask,
    gray_to_labels,
    published_gray,
    read_published_npz,
    require_stack_fits,
)

__all__ = [
    "MAX_REGIONS",
    "LabelMap",
    "Overlap",
    "check_label_map",
    "coco_rle_to_mask",
    "decode_label_map",
    "encode_label_map",
    "from_stack",
    "gray_to_labels",
    "published_gray",
    "read_label_map",
    "read_published_npz",
    "relabel",
    "require_stack_fits",
    "to_stack",
    "write_label_map",
]
