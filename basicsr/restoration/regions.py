"""Masks of a photo for networks that take them: found by a segmenter, and cached."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from basicsr.masks import (
    LabelMap,
    Overlap,
    check_label_map,
    decode_label_map,
    encode_label_map,
    published_gray,
)
from basicsr.segmenters.base import ByKey, Photo, Segmenter, as_seen, for_photo
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.image import decode_single, encode_png
from basicsr.utils.log import logger
from basicsr.utils.user_cache import user_cache

Gray = NDArray[np.uint8]
Found = TypeVar("Found", bound=NDArray[Any])


def default_cache() -> Path:
    """The user's folder for cached masks."""
    return user_cache("masks")


class RegionFinder:
    """Finds masks and remembers them by the content of the photo and the facts of the segmenter.

    Several threads may share one; the segmenter works for one of them at a time.

    Args:
        segmenter: finds the masks.
        rule: what a pixel under several masks belongs to; see `basicsr.masks.from_stack`.
        cache: folder of the masks that were found before; None caches none. Masks that were made elsewhere
            are read each time.
    """

    def __init__(self, segmenter: Segmenter, rule: Overlap = "exact", cache: Path | None = None) -> None:
        self.segmenter = segmenter
        self.rule: Overlap = rule
        self._cache = None if isinstance(segmenter, ByKey) else cache
        self._is_busy = threading.Lock()
        self._facts = json.dumps(segmenter.facts(), sort_keys=True, default=str)

    def labels(self, photo: Photo, key: str) -> LabelMap:
        """Label map (H, W) of an RGB photo uint8 (H, W, 3).

        Args:
            key: path of the photo below its folder without suffix, for masks that were made elsewhere.
        """

        def find() -> LabelMap:
            return check_label_map(
                for_photo(self.segmenter, key).labels(as_seen(photo, self.rule), self.rule), key
            )

        with self._is_busy:
            return self._remembered(photo, self.rule, find, encode_label_map, decode_label_map)

    def gray(self, photo: Photo, key: str) -> Gray:
        """SAM-Deblur's gray mask image uint8 (H, W), for networks with a mask channel."""

        def find() -> Gray:
            return published_gray(for_photo(self.segmenter, key).masks(as_seen(photo, "published")))

        with self._is_busy:
            return self._remembered(photo, "gray", find, encode_png, decode_single)

    def _remembered(
        self,
        photo: Photo,
        kind: str,
        find: Callable[[], Found],
        encode: Callable[[Found], bytes],
        decode: Callable[[bytes, str], Found],
    ) -> Found:
        if self._cache is None:
            return find()
        digest = hashlib.sha256(f"{kind} {photo.shape} {self._facts}".encode())
        digest.update(np.ascontiguousarray(photo).data)
        place = self._cache / f"{digest.hexdigest()}.png"
        try:
            return decode(place.read_bytes(), str(place))
        except (OSError, UserError):  # not there, or damaged
            found = find()
        try:
            write_bytes(place, encode(found))
        except OSError as error:
            logger().warning(f"{place}: the masks are not cached ({error.strerror})")
        return found
