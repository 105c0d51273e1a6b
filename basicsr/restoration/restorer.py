"""A trained network as a function from photo to photo: the library's front door for restoring."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.layers.normalization import IDENTITY
from basicsr.layers.padding import Padding
from basicsr.masks import LabelMap, check_label_map, published_grey
from basicsr.restoration.guard import Findings, Guard, Policy
from basicsr.restoration.tiles import ALL_EIGHT, AS_IT_IS, Array, Photo, Turn, Window, in_tiles
from basicsr.segmenters import graph_regions
from basicsr.utils.devices import choose_device
from basicsr.utils.errors import UserError
from basicsr.utils.image import to_8_bit
from basicsr.utils.log import logger
from basicsr.utils.memory import free_memory, is_out_of_memory

Precision = Literal["off", "bf16", "fp16"]
Attempt = Callable[[tuple[Tensor, ...]], Tensor]

_LARGEST_SHARE = 0.5  # of the free memory that a whole photo may take
_TILE = 768
_SMALLEST_TILE = 64
# The window of local pooling where a network says none: crops of the published recipe.
_TRAIN_SIZE = (1, 3, 256, 256)


@dataclass(frozen=True)
class RestoreOptions:
    """How a photo is run through a network.

    Args:
        tile: side of the tiles in pixels; 0 is the whole photo, ``auto`` the whole photo where it fits into
            half of the free memory, else tiles of 768 pixels. Tiles halve when memory runs out all the same.
        overlap: pixels that neighbouring tiles share at least.
        ensemble: average over the eight mirrored and turned copies; eight times slower.
        guard: what to do where the result left the photo; see `basicsr.restoration.guard.Guard`.
        amp: ``bf16`` or ``fp16`` runs the network under autocast.
        device: ``auto`` is the first GPU, else the CPU.
        progress: show a bar on the terminal where a photo has many tiles.
    """

    tile: int | Literal["auto"] = "auto"
    overlap: int = 64
    ensemble: bool = False
    guard: Policy = "retry"
    amp: Precision = "off"
    device: str = "auto"
    progress: bool = False

    def __post_init__(self) -> None:
        if self.tile != "auto" and self.tile != 0 and self.tile < _SMALLEST_TILE:
            raise UserError(f"tile: {self.tile} pixels; take at least {_SMALLEST_TILE}, 0 (whole) or auto")
        if self.overlap < 0:
            raise UserError(f"overlap: {self.overlap} pixels; take 0 or more")


@dataclass(frozen=True)
class Restored:
    """A restored photo and what happened to it.

    Args:
        image: (H, W, 3) RGB in the type of the photo.
        findings: of the guard.
        tile: side of the tiles in pixels; None is the whole photo.
        labels: label map (H, W) that the network saw; None where it takes none.
    """

    image: Array
    findings: Findings = field(default_factory=Findings)
    tile: int | None = None
    labels: LabelMap | None = None


class Restorer:
    """Restores photos with a trained network.

    >>> restorer = Restorer.from_checkpoint("net_g_latest.pth")
    >>> sharp = restorer.restore(photo)  # RGB (H, W, 3), uint8 or uint16

    Args:
        net: image in, image out. Photos are normalized as its ``normalization`` says where it has one.
        options: how photos are run through it.
    """

    def __init__(self, net: RestorationNetwork, options: RestoreOptions = RestoreOptions()) -> None:
        self.options = options
        self.device = choose_device(options.device)
        self.net = net.to(self.device).eval().requires_grad_(False)
        self._guard = Guard(options.guard)
        self._turns = ALL_EIGHT if options.ensemble else AS_IT_IS
        self._second: RestorationNetwork | None = None
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
            local: run with local pooling (TLC), or without; None is what the file says.
            padding: of photos whose sides do not fit the network; None is what the weights say.
            param_key: entry of the file; None takes what is unambiguous.

        Raises:
            UserError: missing, damaged, or not the weights of a known network.
        """
        from basicsr.restoration.weights import load_any

        if Path(path).suffix.lower() == ".onnx" and options.amp != "off":
            raise UserError(f"amp: the precision of {path} is fixed; leave amp off for .onnx files")
        return cls(load_any(Path(path), local, padding, param_key), options)

    @property
    def wants_labels(self) -> bool:
        """Whether the network takes label maps."""
        return self.net.takes_labels

    @property
    def wants_mask(self) -> bool:
        """Whether the network takes a grey mask channel."""
        return "mask" in self.net.image_inputs

    def restore(self, image: Array, labels: LabelMap | None = None, mask: Array | None = None) -> Array:
        """Blurred photo -> restored photo of the same shape and type.

        Args:
            image: (H, W, 3) RGB, uint8 or uint16, of any size from 1x1.
            labels: label map (H, W), 0 = uncovered. A network that wants one and is given none gets the
                regions of `basicsr.segmenters.graph_regions`. Ignored by networks that take none.
            mask: grey mask image uint8 (H, W), likewise; without one it is made from the label map.

        Raises:
            UserError: another shape or type, masks of another size, or too little memory for the smallest
                tile.
        """
        return self.run(image, labels, mask).image

    def run(self, image: Array, labels: LabelMap | None = None, mask: Array | None = None) -> Restored:
        """`restore`, with what happened on the way."""
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

    def _prepare(self, image: Array, labels: LabelMap | None, mask: Array | None) -> Photo:
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
            mask = _grey_of(labels)
        if labels is not None:
            labels = check_label_map(labels, "label map")
        return Photo(image, labels if self.wants_labels else None, mask if self.wants_mask else None)

    def _first_tile(self, photo: Photo) -> int | None:
        if self.options.tile == "auto":
            rows, columns = photo.size
            fits = rows * columns * self.net.bytes_per_pixel <= free_memory(self.device) * _LARGEST_SHARE
            tile = 0 if fits else _TILE
        else:
            tile = self.options.tile
        if self._most is not None:
            tile = min(tile or self._most, self._most)
        return tile or None

    def _smaller(self, tile: int | None, photo: Photo) -> int:
        used = min(tile or max(photo.size), max(photo.size))
        if used <= _SMALLEST_TILE:
            raise UserError(
                f"tile: out of memory with tiles of {used} pixels; free some, or take another device"
            )
        self._most = max(_SMALLEST_TILE, used // 2)
        logger().warning(f"out of memory with {f'tiles of {used} pixels' if tile else 'the whole photo'}; "
                         f"going on with tiles of {self._most}")  # fmt: skip
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return self._most

    def _run(self, photo: Photo, tile: int | None) -> Restored:
        findings = Findings()
        if tile is not None and photo.labels is not None and self.net.region_pool is None:
            logger().warning("the network takes no region means from outside: each tile pools its own part")
        overlap = min(self.options.overlap, (tile or max(photo.size)) // 2)
        with torch.inference_mode():
            first = self._attempt(self.net, photo, self.options.amp)
            second: Attempt | None = None

            def restore(window: Window) -> Tensor:
                inputs = photo.inputs(Turn(), window, self.device)

                def again() -> Tensor:
                    nonlocal second
                    if second is None:
                        second = self._attempt(self._local_net(), photo, "off")
                    return second(inputs)

                retry = again if self._has_second_way else None
                lq = inputs[0][:, :3]
                return self._guard.check(lq, first(inputs), retry, findings).clamp(0, 1)

            image = in_tiles(restore, photo, tile, overlap, self.options.progress)
        return Restored(image, findings, tile, photo.labels)

    def _attempt(self, net: RestorationNetwork, photo: Photo, amp: Precision) -> Attempt:
        """Inputs for a part of the photo -> what ``net`` makes of it, averaged over the turned copies."""
        dtype = torch.float16 if amp == "fp16" else torch.bfloat16
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
                with torch.autocast(self.device.type, dtype, enabled=amp != "off"):
                    part = net(*(turn.there(x) for x in inputs), *means[turn])
                total = total + turn.back(part.float())
            return normalization.undo(cast(Tensor, total) / len(self._turns))

        return restore

    @property
    def _has_second_way(self) -> bool:
        return self.net.pools_globally or self.options.amp != "off"

    def _local_net(self) -> RestorationNetwork:
        """The network with local pooling, for the second try, which is also in float32."""
        if self._second is None:
            self._second = copy.deepcopy(self.net)
            self._second.localise(self._second.local_train_size or _TRAIN_SIZE)
        return self._second


def _grey_of(labels: LabelMap) -> Array:
    """`published_grey` of the regions of a label map; not from their stack, which may be far larger."""
    ids, places = np.unique(labels, return_inverse=True)
    regions = np.eye(int(np.count_nonzero(ids)), dtype=np.bool_)
    values = published_grey(regions[:, None])[0] if len(regions) else np.zeros(0, np.uint8)
    grey: Array = np.concatenate([np.zeros(len(ids) - len(values), np.uint8), values])[places]
    return grey.reshape(labels.shape)
