"""Segment Anything (Kirillov et al., ICCV 2023) through the package segment-anything, in everything mode."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor

from basicsr.masks import LabelMap, Overlap
from basicsr.segmenters.base import Masks, Photo
from basicsr.segmenters.everything import Everything, Options
from basicsr.segmenters.painting import paint
from basicsr.segmenters.upsampling import Frame
from basicsr.utils.compiled_code import keep_compiled_code
from basicsr.utils.convert import AnyPath, Count, Share
from basicsr.utils.devices import choose_device
from basicsr.utils.errors import UserError
from basicsr.utils.extras import optional_import
from basicsr.utils.registry import SEGMENTERS

Model = Literal["vit_h", "vit_l", "vit_b"]
Precision = Literal["off", "bf16"]

OFFICIAL_FILES: dict[Model, str] = {
    "vit_h": "sam_vit_h_4b8939.pth",
    "vit_l": "sam_vit_l_0b3195.pth",
    "vit_b": "sam_vit_b_01ec64.pth",
}
_WIDTHS: dict[int, Model] = {1280: "vit_h", 1024: "vit_l", 768: "vit_b"}
_SOURCE = "the README of the project facebookresearch/segment-anything links the official files"
_INSTALL = "pip install sam-deblur[sam]"


@SEGMENTERS.register
class Sam:
    """SAM's masks of a photo; options and defaults are those of `SamAutomaticMaskGenerator`.

    Args:
        checkpoint: official weight file of ``model``, e.g. sam_vit_h_4b8939.pth; required.
        model: size of the image encoder.
        points_per_batch: points processed at once; halved if the GPU runs out of memory.
        device: ``auto`` is the first GPU, else the CPU.
        amp: ``bf16`` runs the encoder and the decoder under autocast.
        compile: compile the encoder; pays off for tens of photos and more.

    For the other options see `basicsr.segmenters.everything.Options`.

    Raises:
        UserError: if the package or the file is missing, or the file holds something other than ``model``.
    """

    def __init__(
        self,
        checkpoint: AnyPath | None = None,
        model: Model = "vit_h",
        points_per_side: Count = 32,
        points_per_batch: Count = 64,
        pred_iou_thresh: Share = 0.88,
        stability_score_thresh: Share = 0.95,
        stability_score_offset: Annotated[float, Meta(ge=0)] = 1.0,
        box_nms_thresh: Share = 0.7,
        crop_n_layers: Annotated[int, Meta(ge=0)] = 0,
        crop_nms_thresh: Share = 0.7,
        crop_overlap_ratio: Share = 512 / 1500,
        crop_n_points_downscale_factor: Count = 1,
        min_mask_region_area: Annotated[int, Meta(ge=0)] = 0,
        device: str = "auto",
        amp: Precision = "off",
        compile: bool = False,
    ) -> None:
        self.model = model
        self.amp = amp
        self.options = Options(
            points_per_side=points_per_side,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            stability_score_offset=stability_score_offset,
            box_nms_thresh=box_nms_thresh,
            crop_n_layers=crop_n_layers,
            crop_nms_thresh=crop_nms_thresh,
            crop_overlap_ratio=crop_overlap_ratio,
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            min_mask_region_area=min_mask_region_area,
        )
        if checkpoint is None:
            raise UserError(f"checkpoint: not given. {_wanted(model)}")
        self._checkpoint = Path(checkpoint)
        network = load_sam(model, self._checkpoint).to(choose_device(device))
        self._finder = Everything(SamDecoder(network, amp, compile), self.options, points_per_batch)

    def masks(self, image: Photo) -> Masks:
        """uint8 (H, W, 3) RGB -> bool (M, H, W), in the order of `SamAutomaticMaskGenerator`."""
        return self._find(image).cpu().numpy()

    def labels(self, image: Photo, overlap: Overlap = "exact") -> LabelMap:
        """uint8 (H, W, 3) RGB -> label map int32 (H, W), painted on the device of the network."""
        return paint(self._find(image), overlap, "sam")

    def _find(self, image: Photo) -> Tensor:
        try:
            return self._finder.masks(image)
        except torch.cuda.OutOfMemoryError as error:
            size = f"{image.shape[1]}x{image.shape[0]}"
            hint = "use a smaller model or photo, or device=cpu"
            raise UserError(f"{self.model}: out of GPU memory for a photo of {size}; {hint}") from error

    def facts(self) -> dict[str, Any]:
        """Options, version of the package, and SHA-256 of the weights."""
        return {
            "method": "Segment Anything",
            "model": self.model,
            **asdict(self.options),
            "amp": self.amp,
            "segment-anything": version("segment-anything"),
            "weights_sha256": self._checksum,
        }

    @cached_property
    def _checksum(self) -> str:
        with self._checkpoint.open("rb") as file:
            checksum = hashlib.sha256()
            while piece := file.read(1 << 22):
                checksum.update(piece)
        return checksum.hexdigest()


class SamDecoder:
    """A network of segment-anything as a `basicsr.segmenters.everything.Decoder`.

    Args:
        network: ``segment_anything.modeling.Sam``, on its device.
    """

    def __init__(self, network: Any, amp: Precision = "off", compile: bool = False) -> None:
        package = optional_import("segment_anything", "segmenter sam", _INSTALL)
        self.network = network
        self.threshold: float = network.mask_threshold
        self.device: torch.device = network.device
        self.amp = amp
        self._predictor = package.SamPredictor(network)
        if compile:
            keep_compiled_code()
            network.image_encoder.compile()
        with torch.inference_mode():
            self._positions = network.prompt_encoder.get_dense_pe()

    def look(self, photo: Photo) -> Frame:
        """Encode uint8 (H, W, 3)."""
        with torch.inference_mode(), self._autocast():
            self._predictor.set_image(photo)
        height, width = photo.shape[:2]
        side = self.network.prompt_encoder.mask_input_size[0]
        padded = self.network.image_encoder.img_size
        return Frame(side, padded, self._predictor.input_size, (height, width))

    def answer(self, points: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Points (P, 2), x and y in pixels -> logits (P, 3, side, side), predicted IoU (P, 3)."""
        scaled = self._predictor.transform.apply_coords(points, self._predictor.original_size)
        prompts = torch.as_tensor(scaled, device=self.device)[:, None]
        inside = torch.ones(len(points), 1, dtype=torch.int, device=self.device)
        with torch.inference_mode():
            # In float32 regardless of amp: eight bits cannot distinguish neighboring points.
            sparse, dense = self.network.prompt_encoder(points=(prompts, inside), boxes=None, masks=None)
            with self._autocast():
                logits, quality = self.network.mask_decoder(
                    image_embeddings=self._predictor.features,
                    image_pe=self._positions,
                    sparse_prompt_embeddings=sparse,
                    dense_prompt_embeddings=dense,
                    multimask_output=True,
                )
        return logits.float(), quality.float()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp == "bf16")


def load_sam(model: Model, checkpoint: Path) -> Any:
    """The network of segment-anything with weights, on the CPU, for inference.

    Raises:
        UserError: if the package is missing, or the file is not one for ``model``.
    """
    package = optional_import("segment_anything", "segmenter sam", _INSTALL)
    state = _read_weights(model, checkpoint)
    network = package.sam_model_registry[model]()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{checkpoint}: damaged or changed weights of {model}; {_SOURCE}") from error
    return network.requires_grad_(False).eval()


def _wanted(model: Model) -> str:
    return f"{model} needs {OFFICIAL_FILES[model]}; {_SOURCE}"


def _read_weights(model: Model, checkpoint: Path) -> dict[str, Any]:
    wanted = _wanted(model)
    if not checkpoint.is_file():
        raise UserError(f"{checkpoint}: no such checkpoint. {wanted}")
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged file can raise almost anything in there
        why = type(error).__name__
        raise UserError(f"{checkpoint}: cannot be read as weights ({why}). {wanted}") from error
    places = state.get("image_encoder.pos_embed") if isinstance(state, Mapping) else None
    found = _WIDTHS.get(places.shape[-1]) if isinstance(places, Tensor) and places.ndim else None
    if found is None:
        raise UserError(f"{checkpoint}: holds no weights of SAM. {wanted}")
    if found != model:
        raise UserError(
            f"{checkpoint}: holds weights of {found}, not {model}; use model={found}, or {wanted}"
        )
    return dict(state)
