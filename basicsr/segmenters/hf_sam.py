"""SAM, SAM 2 and related models through the mask-generation pipeline of the package transformers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from msgspec import Meta

from basicsr.masks import LabelMap, Overlap, from_stack
from basicsr.segmenters.base import Masks, Photo
from basicsr.utils.convert import AnyPath, Count, Share
from basicsr.utils.devices import choose_device
from basicsr.utils.errors import UserError
from basicsr.utils.extras import optional_import
from basicsr.utils.registry import SEGMENTERS

_INSTALL = "pip install sam-deblur[transformers]"


@SEGMENTERS.register
class Transformers:
    """Masks from a model with which transformers can generate masks.

    Args:
        model: folder with config, weights and preprocessor, or an id on the hub.
        download: allow fetching files from the hub that are not in its local cache.
        points_per_side: the grid on the photo has this many rows and columns.
        points_per_batch: points processed at once; fewer take less memory.
        pred_iou_thresh, stability_score_thresh, stability_score_offset: see
            `basicsr.segmenters.everything.Options`.
        crop_n_layers, crop_nms_thresh, crop_overlap_ratio, crop_n_points_downscale_factor: see the same.
        device: ``auto`` is the first GPU, else the CPU.

    Raises:
        UserError: if the package or the model is missing, or the model cannot generate masks.
    """

    def __init__(
        self,
        model: AnyPath,
        download: bool = False,
        points_per_side: Count = 32,
        points_per_batch: Count = 64,
        pred_iou_thresh: Share = 0.88,
        stability_score_thresh: Share = 0.95,
        stability_score_offset: Annotated[float, Meta(ge=0)] = 1.0,
        crop_n_layers: Annotated[int, Meta(ge=0)] = 0,
        crop_nms_thresh: Share = 0.7,
        crop_overlap_ratio: Share = 512 / 1500,
        crop_n_points_downscale_factor: Count = 1,
        device: str = "auto",
    ) -> None:
        package: Any = optional_import("transformers", "segmenter transformers", _INSTALL)
        self.model = model
        self._points_per_batch = points_per_batch
        # by the pipeline's own names
        self._options = {
            "points_per_crop": points_per_side,
            "pred_iou_thresh": pred_iou_thresh,
            "stability_score_thresh": stability_score_thresh,
            "stability_score_offset": stability_score_offset,
            "crops_n_layers": crop_n_layers,
            "crops_nms_thresh": crop_nms_thresh,
            "crop_overlap_ratio": crop_overlap_ratio,
            "crop_n_points_downscale_factor": crop_n_points_downscale_factor,
        }
        self._version = package.__version__
        network, processor = _load(package, model, download)
        self._pipeline = package.pipeline(
            "mask-generation", model=network, image_processor=processor, device=choose_device(device)
        )

    def masks(self, image: Photo) -> Masks:
        """uint8 (H, W, 3) RGB -> bool (M, H, W), in the order of the pipeline."""
        from PIL import Image

        with torch.inference_mode():
            found = self._pipeline(
                Image.fromarray(image), points_per_batch=self._points_per_batch, **self._options
            )
        masks = [torch.as_tensor(mask).cpu().numpy().astype(np.bool_) for mask in found["masks"]]
        return np.stack(masks) if masks else np.zeros((0, *image.shape[:2]), np.bool_)

    def labels(self, image: Photo, overlap: Overlap = "exact") -> LabelMap:
        """uint8 (H, W, 3) RGB -> label map int32 (H, W)."""
        return from_stack(self.masks(image), overlap, "transformers")

    def facts(self) -> dict[str, Any]:
        """Model, options, version of the package, and SHA-256 of all weights."""
        checksum = hashlib.sha256()
        for name, tensor in sorted(self._pipeline.model.state_dict().items()):
            checksum.update(name.encode())
            checksum.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return {
            "method": f"mask generation by transformers, {type(self._pipeline.model).__name__}",
            "model": self.model,
            **self._options,
            "transformers": self._version,
            "weights_sha256": checksum.hexdigest(),
        }


def _load(package: Any, model: str, download: bool) -> tuple[Any, Any]:
    """Network for inference, and image processor."""
    hint = "check the model"
    if not download and not Path(model).is_dir():
        hint = "give a folder with the model, or allow fetching it: download=true"
    try:
        processor = package.AutoImageProcessor.from_pretrained(model, local_files_only=not download)
        network, report = package.AutoModelForMaskGeneration.from_pretrained(
            model, local_files_only=not download, output_loading_info=True
        )
    except Exception as error:  # a damaged file can raise almost anything in there
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UserError(f"{model}: not a model for mask generation ({reason}); {hint}") from error
    if report["missing_keys"]:
        missing = f"{len(report['missing_keys'])} weights are missing, {min(report['missing_keys'])} first"
        raise UserError(f"{model}: {missing}; {hint}")  # transformers would initialize them at random
    return network.eval(), processor
