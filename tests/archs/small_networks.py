"""Options that make networks small enough to be tested in a moment."""

from __future__ import annotations

from typing import Any

SMALL_UNET = {"width": 4, "enc_blk_nums": [1, 1], "middle_blk_num": 1, "dec_blk_nums": [1, 1]}
SMALL_OPTIONS: dict[str, dict[str, Any]] = {
    "Baseline": SMALL_UNET,
    "MAXIM": {
        "width": 4,
        "num_stages": 2,
        "num_blocks": 1,
        "num_bottlenecks": 1,
        "block_size": 2,
        "low_block_size": 2,
    },
    "NAFNet": SMALL_UNET,
    "BaselineLocal": {**SMALL_UNET, "train_size": [1, 3, 16, 16]},
    "NAFNetLocal": {**SMALL_UNET, "train_size": [1, 3, 16, 16]},
    "Jin": {
        "center_width": 8, "side_width": 8, "center_blocks": 1, "near_blocks": 1, "far_blocks": 1,
        "center_global": 4, "side_global": 4,
    },
    "Purohit": {"frames": 3, "width": 4, "flow_widths": [3, 4, 5]},
    "SegNAFNet": {**SMALL_UNET, "mask_dropout": 0.5},
    "SegNAFNetLocal": {**SMALL_UNET, "train_size": [1, 3, 16, 16]},
    "MSResNet": {"width": 4, "blocks": 1},
    "SRN": {"width": 4, "blocks": 1},
    "EfficientDerain": {"width": 4},
    "MIMOUNet": {"width": 4, "num_res": 1},
    "MIMOUNetPlus": {"width": 4, "num_res": 1},
    "RCDNet": {"num_stages": 2, "num_maps": 4, "num_duals": 4, "num_blocks": 1},
    "Uformer": {"embed_dim": 4, "depths": [1, 2, 1, 1, 2, 1, 1, 2, 1], "win_size": 2},
    "WithMAP": {"net": {"type": "Baseline", **SMALL_UNET}, "mask_dropout": 0.5},
    "WithSPF": {"net": {"type": "Baseline", **SMALL_UNET}, "regions": 3, "prior_channels": 4},
}  # fmt: skip
