"""A trained network as a function from photo to photo: the library's front door for restoring."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from basicsr.archs.base import RestorationNetwork
from basicsr.engine.tiling import Tiling, Window
from basicsr.engine.trainer import AMP_TYPES
from basicsr.layers.normalization import IDENTITY
from basicsr.layers.padding import Padding
from basicsr.masks import LabelMap, check_label_map, published_gray
from basicsr.models.base import gather_inputs, inputs_of
from basicsr.restoration.agreements import RememberedAgreement
from basicsr.restoration.guard import Findings, Guard, Policy
from basicsr.restoration.photo_fields import ALL_EIGHT, AS_IT_IS, DELIVERS, PhotoFields
from basicsr.restoration.precision import (
    LEAST_AGREEMENT,
    Precision,
    agreement,
    drawn_photo,
    has_bfloat16,
)
from basicsr.segmenters import graph_regions
from basicsr.utils.devices import choose_device
from basicsr.utils.errors import UserError
from basicsr.utils.image import Array, to_8_bit, to_pixels
from basicsr.utils.log import logger
from basicsr.utils.memory import free_memory, is_out_of_memory

Attempt = Callable[[tuple[Tensor, ...]], Tensor]
OnTile = Callable[[int, int], None]

_LARGEST_SHARE = 0.5  # of the free memory that a whole photo may take
_TILE = 768
_SMALLEST_TILE = 64
# The window of local pooling where a network states none: crops of the published recipe.
_TRAIN_SIZE = (1, 3, 256, 256)


@dataclass(frozen=True)
class RestoreOptions:
    """How a photo is run through a network.

    Args:
        tile: side of the tiles in pixels; 0 is the whole photo, ``auto`` the whole photo where it fits into
            half of the free memory, else tiles of 768 pixels. Tiles are halved if memory still runs out.
        overlap: least number of pixels that neighboring tiles share.
        ensemble: average over the eight mirrored and turned copies; eight times slower.
        guard: what to do where the result collapsed; see `basicsr.restoration.guard.Guard`.
        amp: ``bf16`` or ``fp16`` runs the network in that precision, the image itself in float32. ``auto``
            is bf16 where the device has it and a blurred picture comes out within 0.02 dB of float32, see
            `basicsr.restoration.precision`. Off by default, so that results do not depend on the device.
        device: ``auto`` is the first GPU, else the CPU.
        progress: show a bar on the terminal where a photo has many tiles.
        strength: share of the result in its blend with the photo, 0 to 1.
        cache: folder that remembers for the next run what ``auto`` of ``amp`` measured; None remembers
            nothing.
    """

    tile: int | Literal["auto"] = "auto"
    overlap: int = 64
    ensemble: bool = False
    guard: Policy = "retry"
    amp: Precision | Literal["auto"] = "off"
    device: str = "auto"
    progress: bool = False
    strength: float = 1.0
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.tile != "auto" and self.tile != 0 and self.tile < _SMALLEST_TILE:
            raise UserError(f"tile: {self.tile} pixels; take at least {_SMALLEST_TILE}, 0 (whole) or auto")
        if self.overlap < 0:
            raise UserError(f"overlap: {self.overlap} pixels; take 0 or more")
        if not 0 <= self.strength <= 1:
            raise UserError(f"strength: {self.strength:g}; take 0 (the unchanged photo) to 1 (restored)")


@dataclass(frozen=True)
class Restored:
    """A restored photo and what happened to it.

    Args:
        frames: (T, H, W, 3) RGB in the type of the photo; one frame, or those of the clip.
        findings: of the guard.
        tile: side of the tiles in pixels; None is the whole photo.
        labels: label map (H, W) that the network saw; None where it takes none.
    """

    frames: Array
    findings: Findings = field(default_factory=Findings)
    tile: int | None = None
    labels: LabelMap | None = None

    @property
    def image(self) -> Array:
        """(H, W, 3): the frame in the middle."""
        middle: Array = self.frames[len(self.frames) // 2]
        return middle


class Restorer:
    """Restores photos with a trained network.

    >>> restorer = Restorer.from_checkpoint("net_g_latest.pth")
    >>> sharp = restorer.restore(photo)  # RGB (H, W, 3), uint8 or uint16

    Args:
        net: image in, image or clip out. Photos are normalized by its ``normalization``.
        options: how photos are run through it.
        on_tile: called with the numbers of finished and of all tiles, before the first and after
            each. What it raises ends the run.

    Raises:
        UserError: the network takes what a photo does not have.
    """

    def __init__(
        self,
        net: RestorationNetwork,
        options: RestoreOptions = RestoreOptions(),
        on_tile: OnTile | None = None,
    ) -> None:
        missing = [name for name in inputs_of(net) if name not in DELIVERS]
        if missing:
            what = f"{type(net).__name__} takes '{missing[0]}', which a photo does not have"
            raise UserError(f"restore: {what}; take a network of {', '.join(DELIVERS)}")
        self.options = options
        self._on_tile = on_tile
        self.device = choose_device(options.device)
        self.net = net.to(self.device).eval().requires_grad_(False)
        self._guard = Guard(options.guard)
        self._turns = ALL_EIGHT if options.ensemble else AS_IT_IS
        self._second: RestorationNetwork | None = None
        self._rounded: RestorationNetwork | None = None
        self._most: int | None = None  # tiles of this size ran out of memory once

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        options: RestoreOptions = RestoreOptions(),
        local: bool | None = None,
        padding: Padding | None = None,
        param_key: str | None = None,
    ) -> Restorer:
        """The network of a weight file, which is rebuilt from the file alone, or of an ``.onnx`` file.

        Args:
            path: own checkpoint (``.pth``, ``.safetensors``), published weights of NAFNet or SegNAFNet, or
                ``.onnx``.
            local: run with local pooling (TLC), or without; None follows the file.
            padding: of photos whose sides do not fit the network; None follows the weights.
            param_key: entry of the file; None takes what is unambiguous.

        Raises:
            UserError: missing, damaged, or not the weights of a known network.
        """
        from basicsr.restoration.weights import load_any

        if Path(path).suffix.lower() == ".onnx" and options.amp not in ("off", "auto"):
            raise UserError(f"amp: the precision of {path} is fixed; leave amp off for .onnx files")
        return cls(load_any(Path(path), local, padding, param_key), options)

    @property
    def wants_labels(self) -> bool:
        """Whether the network takes label maps."""
        return self.net.takes_labels

    @property
    def wants_mask(self) -> bool:
        """Whether the network takes a gray mask channel."""
        return "mask" in self.net.image_inputs

    @property
    def gives_clip(self) -> bool:
        """Whether the network makes several frames of a photo."""
        return self.net.gives == "clip"

    @cached_property
    def amp(self) -> Precision:
        """The precision of the network; ``auto`` is decided when this is first asked for."""
        if self.options.amp != "auto":
            return self.options.amp
        if next(self.net.parameters(), None) is None or not has_bfloat16(self.device):
            return "off"
        remembered = RememberedAgreement(self.options.cache, self.net, self.device)
        found = remembered.find()
        if found is None:
            found = self._agreement("bf16")
            remembered.keep(found)
        chosen: Precision = "bf16" if found >= LEAST_AGREEMENT else "off"
        if chosen == "off":
            self._rounded = None
        what = f"{found:.1f} dB from float32 on a drawn photo, of {LEAST_AGREEMENT:.1f} dB needed"
        why = "which does not suit this network" if math.isnan(found) else what
        logger().info(f"amp: {chosen}; bfloat16, {why}")
        return chosen

    def restore(self, image: Array, labels: LabelMap | None = None, mask: Array | None = None) -> Array:
        """Blurred photo -> restored photo of the same shape and type; a clip (T, H, W, 3) where `gives_clip`.

        Args:
            image: (H, W, 3) RGB, uint8 or uint16, of any size from 1x1.
            labels: label map (H, W), 0 = uncovered. A network that takes one and is given none gets the
                regions of `basicsr.segmenters.graph_regions`. Ignored by networks that take none.
            mask: gray mask image uint8 (H, W), likewise; without one it is made from the label map.

        Raises:
            UserError: wrong shape or type, masks of another size, or too little memory for the smallest
                tile.
        """
        restored = self.run(image, labels, mask)
        return restored.frames if self.gives_clip else restored.image

    def run(self, image: Array, labels: LabelMap | None = None, mask: Array | None = None) -> Restored:
        """`restore`, with its findings."""
        photo = self._prepare(image, labels, mask)
        tile = self._first_tile(photo)
        while True:
            try:
                return self._run(photo, tile)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the except block: the error's traceback holds what was computed so far.
            tile = self._smaller(tile, photo)

    def _prepare(self, image: Array, labels: LabelMap | None, mask: Array | None) -> PhotoFields:
        if (
            image.ndim != 3
            or image.shape[2] != 3
            or image.size == 0
            or image.dtype not in (np.uint8, np.uint16)
        ):
            found = f"{image.dtype} {image.shape}"
            raise UserError(f"restore: expected RGB uint8 or uint16 (H, W, 3), found {found}; convert it")
        for name, given in (("label map", labels), ("mask", mask)):
            if given is not None and given.shape != image.shape[:2]:
                sizes = f"{given.shape} for a photo of {image.shape[:2]}"
                raise UserError(f"restore: {name} of {sizes} rows and columns; make them the same size")
        if (self.wants_labels and labels is None) or (self.wants_mask and mask is None and labels is None):
            labels = graph_regions(to_8_bit(image))
        if self.wants_mask and mask is None:
            assert labels is not None
            mask = _gray_of(labels)
        if labels is not None:
            labels = check_label_map(labels, "label map")
        return PhotoFields(image, labels if self.wants_labels else None, mask if self.wants_mask else None)

    def _first_tile(self, photo: PhotoFields) -> int | None:
        if self.options.tile == "auto":
            rows, columns = photo.size
            fits = rows * columns * self.net.bytes_per_pixel <= free_memory(self.device) * _LARGEST_SHARE
            tile = 0 if fits else _TILE
        else:
            tile = self.options.tile
        if self._most is not None:
            tile = min(tile or self._most, self._most)
        return tile or None

    def _smaller(self, tile: int | None, photo: PhotoFields) -> int:
        used = min(tile or max(photo.size), max(photo.size))
        if used <= _SMALLEST_TILE:
            raise UserError(
                f"tile: out of memory with tiles of {used} pixels; free some, or take another device"
            )
        self._most = max(_SMALLEST_TILE, used // 2)
        logger().warning(f"out of memory with {f'tiles of {used} pixels' if tile else 'the whole photo'}; "
                         f"continuing with tiles of {self._most}")  # fmt: skip
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return self._most

    def _run(self, photo: PhotoFields, tile: int | None) -> Restored:
        findings = Findings()
        if tile is not None and photo.labels is not None and self.net.region_pool is None:
            logger().warning("the network takes no region means from outside: each tile pools its own part")
        side = tile or max(photo.size)
        tiling = Tiling(photo.size, (side, side), min(self.options.overlap, side // 2))
        number = len(tiling.windows)
        done = 0
        if self._on_tile is not None:
            self._on_tile(done, number)
        shown = None if self.options.progress and number > 1 else True
        with torch.inference_mode(), tqdm(total=number, unit="tile", leave=False, disable=shown) as bar:
            first = self._attempt(self.net, photo, self.amp)
            second = cache(lambda: self._attempt(self._local_net(), photo, "off"))

            def restore(windows: Sequence[Window]) -> list[Tensor]:
                nonlocal done
                (window,) = windows
                inputs = gather_inputs(self.net, photo.batch(window, self.device))
                restored = self._checked(inputs, first, second, findings)
                bar.update()
                done += 1
                if self._on_tile is not None:
                    self._on_tile(done, number)
                return [restored]

            frames = _to_frames(tiling.blend(restore), photo)
        return Restored(frames, findings, tile, photo.labels)

    def _checked(
        self,
        inputs: tuple[Tensor, ...],
        first: Attempt,
        second: Callable[[], Attempt],
        findings: Findings,
    ) -> Tensor:
        """What ``first`` makes of the inputs (T, 3, h, w) in [0, 1], looked at by the guard, then blended."""
        again = cache(lambda: self._as_frames(second()(inputs)))
        lq = inputs[0][:, :3]
        frames = []
        for index, frame in enumerate(self._as_frames(first(inputs)).split(1)):
            retry = (lambda index=index: again()[index : index + 1]) if self._has_second_way else None
            checked = self._guard.check(lq, frame, retry, findings).clamp(0, 1)
            whole = self.options.strength == 1
            frames.append(checked if whole else torch.lerp(lq, checked, self.options.strength))
        return torch.cat(frames)

    def _as_frames(self, restored: Tensor) -> Tensor:
        """An image (1, 3, H, W) or a clip (1, T, 3, H, W) -> (T, 3, H, W)."""
        return restored[0] if self.gives_clip else restored

    def _attempt(self, net: RestorationNetwork, photo: PhotoFields, amp: Precision) -> Attempt:
        """Inputs for a part of the photo -> what ``net`` makes of it, averaged over the turned copies."""
        normalization = net.normalization or IDENTITY
        pools = photo.labels is not None and net.region_pool is not None
        means = {
            turn: (photo.means(net, turn, self.device, normalization),) if pools else ()
            for turn in self._turns
        }

        def restore(inputs: tuple[Tensor, ...]) -> Tensor:
            inputs = (normalization.apply(inputs[0]), *inputs[1:])
            total: Tensor | float = 0.0
            for turn in self._turns:
                part = self._pass(net, amp, *(turn.there(x) for x in inputs), *means[turn])
                total = total + turn.back(part.float())
            return normalization.undo(cast(Tensor, total) / len(self._turns))

        return restore

    def _pass(self, net: RestorationNetwork, amp: Precision, *inputs: Tensor) -> Tensor:
        """What ``net`` gives for normalized inputs, in the type that it gives."""
        if amp == "off":
            return cast(Tensor, net(*inputs))
        dtype = AMP_TYPES[amp]
        if self._rounded is None:
            self._rounded = copy.deepcopy(net).to(dtype)
        # Besides weights in that type: it leaves the image itself, to which a network adds, in float32.
        with torch.autocast(self.device.type, dtype):
            return cast(Tensor, self._rounded(*inputs))

    def _agreement(self, amp: Precision) -> float:
        """PSNR in dB between what the network makes of a drawn photo in ``amp`` and in float32.

        NaN if it cannot run in ``amp``, or gives an image in that type, in which smooth areas become steps.
        """
        photo = self._prepare(drawn_photo(), None, None)
        inputs = gather_inputs(self.net, photo.batch(Window(0, 0, *photo.size), self.device))
        normalization = self.net.normalization or IDENTITY
        inputs = (normalization.apply(inputs[0]), *inputs[1:])
        with torch.inference_mode():
            exact = self._pass(self.net, "off", *inputs)
            try:
                other = self._pass(self.net, amp, *inputs)
            except RuntimeError as error:  # of an operation that PyTorch does not have in that type
                if is_out_of_memory(error):
                    raise
                return math.nan
        if other.dtype != exact.dtype:
            return math.nan
        return agreement(*(normalization.undo(image).clamp(0, 1) for image in (exact, other)))

    @property
    def _has_second_way(self) -> bool:
        return self.net.pools_globally or self.amp != "off"

    def _local_net(self) -> RestorationNetwork:
        """The network with local pooling, for the second try, which is also in float32."""
        if self._second is None:
            self._second = copy.deepcopy(self.net)
            self._second.localize(self._second.local_train_size or _TRAIN_SIZE)
        return self._second


def _to_frames(bands: Iterable[Tensor], photo: PhotoFields) -> Array:
    """Bands of rows (T, 3, h, W) in [0, 1] -> (T, H, W, 3) in the type of the photo."""
    frames: Array | None = None
    top = 0
    for band in bands:
        if frames is None:
            frames = np.empty((len(band), *photo.image.shape), photo.image.dtype)
        bottom = top + band.shape[-2]
        for frame, rows in zip(frames, band, strict=True):
            frame[top:bottom] = to_pixels(rows, photo.image.dtype)
        top = bottom
    assert frames is not None
    return frames


def _gray_of(labels: LabelMap) -> Array:
    """`published_gray` of the regions of a label map; not from their stack, which may be far larger."""
    ids, places = np.unique(labels, return_inverse=True)
    regions = np.eye(int(np.count_nonzero(ids)), dtype=np.bool_)
    values = published_gray(regions[:, None])[0] if len(regions) else np.zeros(0, np.uint8)
    gray: Array = np.concatenate([np.zeros(len(ids) - len(values), np.uint8), values])[places]
    return gray.reshape(labels.shape)
