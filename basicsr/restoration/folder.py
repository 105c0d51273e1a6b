"""Restore what a user names: photos, videos, and folders of both with their subfolders."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from basicsr.archs.ordering import OrderingNetwork
from basicsr.masks import LabelMap, write_label_map
from basicsr.masks.pictures import overlay
from basicsr.reporting import Report, ReportImage, ReportSet, link, make_thumbnails
from basicsr.reporting.facts import circumstances
from basicsr.reporting.model import to_document
from basicsr.reporting.page import read_page, write_page
from basicsr.restoration.blend import Place, blend, share_of_regions
from basicsr.restoration.clip_files import chosen_frames, write_clip
from basicsr.restoration.continuity import Continuity
from basicsr.restoration.guard import Findings
from basicsr.restoration.items import Item, as_clips, frame_path, holds_clip
from basicsr.restoration.regions import RegionFinder
from basicsr.restoration.restorer import Restored, Restorer
from basicsr.restoration.video import restore_video, video_pictures
from basicsr.utils.ahead import one_ahead
from basicsr.utils.errors import UserError
from basicsr.utils.image import Array, to_8_bit, write_png
from basicsr.utils.log import logger
from basicsr.utils.photo_file import PhotoFile, read_photo_file, require_size, write_photo_file
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit

REPORT = "report.html"
# What keeps one result from being written keeps all of them: a full disk, a folder that is read only,
# a limit on the size of files.
_ENDS_ALL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG}


@dataclass(frozen=True)
class RestoreJob:
    """Where results go, and how they are written.

    Args:
        output: file, or folder for results and report.
        is_folder: whether ``output`` is a folder.
        overwrite: replace files that are there; else those of a folder are kept and left out.
        save_masks: folder for label maps and overlays; None writes none.
        quality: of JPEG and WebP, 0 to 100.
        crf: of video, 0 to 51; smaller is better and larger.
        frames: of a clip that a network makes of a photo or a video frame; None is all of them.
        fps: of such a clip of a photo, if it is one file.
        facts: (what, value) lines for the report.
        debug: stop at the first file that fails, with a traceback.
        limit: on the pixels of a photo or video frame.
        only: (x, y) of pixels; where there are any, only the regions that they lie in are restored.
    """

    output: Path
    is_folder: bool
    overwrite: bool = False
    save_masks: Path | None = None
    quality: int = 95
    crf: int = 16
    frames: int | None = None
    fps: float = 10.0
    facts: tuple[tuple[str, str], ...] = ()
    debug: bool = False
    limit: PixelLimit = OF_PHOTOS
    only: tuple[Place, ...] = ()


def restore_all(
    items: Sequence[Item],
    job: RestoreJob,
    restorer: Restorer,
    finder: RegionFinder | None,
    ordering: OrderingNetwork | None = None,
) -> list[ReportImage]:
    """Restore every file, continue after a broken one, and write the report of a folder.

    If the network makes a clip of a photo, a single output may be a video or an animated picture; else each
    photo gets a folder with the frames as PNG files. A video becomes one with more frames.

    Args:
        items: from `basicsr.restoration.items.find_items`.
        finder: of masks, if the network takes them or ``job.only`` selects some.
        ordering: determines the direction of time of the clip of a video frame; see `Continuity`.

    Returns:
        What a report shows of each file, with notes.

    Raises:
        UserError: at the end, naming the files that could not be restored.
    """
    name = type(restorer.net).__name__
    if restorer.gives_clip:
        items = as_clips(items, job.is_folder)
        where = f"they are written as {items[0].target}" + (", .." if job.is_folder else "")
        logger().info(f"{name} makes several frames of a photo: {where}")
    else:
        _require_no_clips(items, job, name)
    missing = [item for item in items if job.overwrite or not item.target.exists()]
    if len(missing) < len(items):
        kept = len(items) - len(missing)
        logger().warning(f"{job.output}: {kept} files exist already and are kept; --overwrite replaces them")
    images: list[ReportImage] = []
    broken: list[str] = []
    photos = [item for item in missing if not item.is_video]
    ready = one_ahead(partial(_read_photo, job=job, restorer=restorer, finder=finder), photos)
    try:
        bar = tqdm(missing, "restoring", unit="file", disable=None if len(missing) > 1 else True)
        for item in bar:
            photo = None if item.is_video else next(ready)
            try:
                images.append(_restore_item(item, photo, job, restorer, finder, ordering))
            except UserError as error:
                broken.append(str(error))
            except Exception as error:
                if job.debug or (isinstance(error, OSError) and error.errno in _ENDS_ALL):
                    raise
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                broken.append(f"{item.source}: could not be restored ({reason}); --debug shows where")
        logger().info(f"{job.output}: {len(images)} of {len(missing)} files restored")
    finally:
        ready.close()
        if job.is_folder:  # an interrupted run gets a report as well
            images += _not_yet_shown(sorted({*items} - {*missing}), job)
            order = {item.key: number for number, item in enumerate(items)}
            images.sort(key=lambda image: order[image.key])
        if job.is_folder and images:
            facts = [*job.facts, *circumstances(restorer.device)]
            report = Report("Restored photos", facts, [ReportSet("photos", images)])
            with suppress(OSError):  # the cause was reported with the photos
                _write_report(job.output / REPORT, report)
    if broken:
        if len(items) == 1:
            raise UserError(broken[0])
        raise UserError(f"{len(broken)} of {len(missing)} could not be restored:", broken)
    return images


def _require_no_clips(items: Sequence[Item], job: RestoreJob, name: str) -> None:
    """Check that no clips are requested of a network that gives images."""
    if job.frames is not None:
        raise UserError(f"--frames {job.frames}: {name} makes one frame of a photo; leave it out")
    for item in items:
        if not item.is_video and holds_clip(item.target) and item.target.suffix.lower() != ".webp":
            what = f"{name} makes one frame of a photo, no clip"
            raise UserError(f"{item.target}: {what}; name a picture, or take another network")


def _restore_item(
    item: Item,
    photo: Callable[[], _Photo] | None,
    job: RestoreJob,
    restorer: Restorer,
    finder: RegionFinder | None,
    ordering: OrderingNetwork | None,
) -> ReportImage:
    if photo is None:
        shown = _restore_video(item, job, restorer, finder, ordering)
    else:
        shown = _restore_photo(item, photo(), job, restorer)
    if job.is_folder and not restorer.gives_clip and item.target.suffix != item.source.suffix:
        what = f"written as {item.target.suffix}: {item.source.suffix} files are read, not written"
        shown.notes.append(what)
    for note in shown.notes:
        logger().info(f"{item.source}: {note}")
    thumbnails = make_thumbnails(to_8_bit(shown.lq), to_8_bit(shown.restored), labels=shown.labels)
    full = (
        {"lq": link(item.source, job.output), "restored": link(shown.place, job.output)}
        if job.is_folder
        else {}
    )
    return ReportImage(item.key, thumbnails, notes=shown.notes, full=full)


def _not_yet_shown(kept: Sequence[Item], job: RestoreJob) -> list[ReportImage]:
    """The photos of an earlier run that was cut off before it could write its report."""
    shown = _shown_keys(job.output / REPORT)
    if shown is None:
        return []
    images = []
    for item in kept:
        if item.is_video or item.key in shown:
            continue
        try:
            lq, restored = (read_photo_file(place, job.limit).image for place in (item.source, item.target))
        except UserError as error:
            logger().warning(f"{error}; not in the report")
            continue
        if lq.shape[:2] == restored.shape[:2]:
            full = {"lq": link(item.source, job.output), "restored": link(item.target, job.output)}
            thumbnails = make_thumbnails(to_8_bit(lq), to_8_bit(restored))
            images.append(ReportImage(item.key, thumbnails, notes=["restored by an earlier run"], full=full))
    return images


def _shown_keys(place: Path) -> set[str] | None:
    """Keys of the images of a report; None where it is not one of our reports."""
    if not place.exists():
        return set()
    try:
        return {image["key"] for item in read_page(place)["sets"] for image in item["images"]}
    except UserError:
        return None


def _write_report(place: Path, report: Report) -> None:
    """Write the page; images that an earlier run has shown there stay."""
    document = to_document(report)
    if place.exists():
        try:
            earlier = read_page(place)
        except UserError as error:
            logger().warning(f"{error}; left unchanged, no report is written")
            return
        shown = {
            image["key"]: image for item in (*earlier["sets"], *document["sets"]) for image in item["images"]
        }
        document["sets"][0]["images"] = [shown[key] for key in sorted(shown)]
    write_page(place, document)
    logger().info(f"report: {place}")


class _Shown(NamedTuple):
    """What the report shows of a file; ``place`` is that of the result, an image or a clip (T, H, W, 3)."""

    place: Path
    lq: Array
    restored: Array
    labels: LabelMap | None
    notes: list[str]


class _Photo(NamedTuple):
    """A photo that is ready to be restored."""

    file: PhotoFile
    regions: _Regions
    seconds: float  # that finding them took


def _read_photo(item: Item, job: RestoreJob, restorer: Restorer, finder: RegionFinder | None) -> _Photo:
    file = read_photo_file(item.source, job.limit)
    if not _is_one_clip(item, job, restorer):
        require_size(item.target, *file.image.shape[:2])
    started = time.perf_counter()
    regions = _find_regions(file.image, item.mask_key, job, restorer, finder)
    return _Photo(file, regions, time.perf_counter() - started)


def _is_one_clip(item: Item, job: RestoreJob, restorer: Restorer) -> bool:
    return restorer.gives_clip and not job.is_folder and holds_clip(item.target)


def _restore_photo(item: Item, photo: _Photo, job: RestoreJob, restorer: Restorer) -> _Shown:
    file = photo.file
    height, width = file.image.shape[:2]
    started = time.perf_counter()
    restored = _restore_with_masks(file.image, photo.regions, job, restorer)
    if restorer.gives_clip:
        restored = replace(restored, frames=chosen_frames(restored.frames, job.frames))
    seconds = photo.seconds + time.perf_counter() - started
    dropped: list[str]
    if _is_one_clip(item, job, restorer):
        place = item.target
        dropped = write_clip(place, to_8_bit(restored.frames), job.fps, job.crf, job.quality)
    elif restorer.gives_clip:
        place, dropped = _write_frames(item.target.parent, file, restored)
    else:
        place, dropped = item.target, write_photo_file(item.target, file, restored.image, job.quality)
    if restored.labels is not None:
        dropped += _save_masks(job, item.mask_key, to_8_bit(file.image), restored.labels)
    how = f"in tiles of {restored.tile} pixels" if restored.tile else "whole"
    notes = [f"{width} x {height} pixels, {how}, {seconds:.1f} s", *file.notes, *dropped]
    if restorer.gives_clip:
        notes.append(f"{len(restored.frames)} frames; shown is the one in the middle")
    result = restored.frames if restorer.gives_clip else restored.image
    return _Shown(place, file.image, result, restored.labels, notes + restored.findings.notes())


def _write_frames(folder: Path, file: PhotoFile, restored: Restored) -> tuple[Path, list[str]]:
    """Write a clip; returns the place of the frame in the middle and what of the photo was not kept."""
    dropped: list[str] = []
    # The first frame comes last: where it is, the clip is complete.
    for index in reversed(range(len(restored.frames))):
        dropped = write_photo_file(frame_path(folder, index), file, restored.frames[index])
    if (beyond := frame_path(folder, len(restored.frames))).exists():
        dropped = [*dropped, f"{beyond} and the following files are older and not part of this clip"]
    return frame_path(folder, len(restored.frames) // 2), dropped


def _save_masks(job: RestoreJob, key: str, photo: Array, labels: LabelMap) -> list[str]:
    """Write label map and overlay, where wanted; returns what was not done."""
    if job.save_masks is None:
        return []
    places = [job.save_masks / f"{key}.png", job.save_masks / "overlays" / f"{key}.png"]
    taken = next((place for place in places if place.exists() and not job.overwrite), None)
    if taken is not None:
        return [f"masks not saved: {taken} exists already"]
    write_label_map(places[0], labels)
    write_png(places[1], overlay(photo, labels))
    return []


def _restore_video(
    item: Item,
    job: RestoreJob,
    restorer: Restorer,
    finder: RegionFinder | None,
    ordering: OrderingNetwork | None,
) -> _Shown:
    findings = Findings()
    times = 1
    continuity = Continuity(ordering)

    def clip_of(frame: Array) -> Restored:
        regions = _find_regions(frame, item.mask_key, job, restorer, finder)
        restored = _restore_with_masks(frame, regions, job, restorer)
        if not restorer.gives_clip:
            return restored
        return replace(restored, frames=chosen_frames(restored.frames, job.frames))

    if restorer.gives_clip:
        beginning = [clip_of(frame).frames for frame in islice(video_pictures(item.source, job.limit), 2)]
        continuity.begin(beginning)
        times = len(beginning[0])
    frames = 0
    first: list[tuple[Array, Restored]] = []
    started = time.perf_counter()

    def restore(frame: Array) -> Array:
        nonlocal frames
        restored = clip_of(frame)
        findings.add(restored.findings)
        frames += 1
        if not first:
            first.append((frame, restored))
        return continuity.turned(restored.frames) if restorer.gives_clip else restored.image

    lines = restore_video(
        item.source, item.target, restore, crf=job.crf, overwrite=job.overwrite, times=times, limit=job.limit
    )
    lq, restored = first[0]
    height, width = lq.shape[:2]
    seconds = time.perf_counter() - started
    if restorer.gives_clip:
        lines = [f"{times} frames of each, {times * frames} in all; {continuity.summary}", *lines]
    notes = [
        f"{frames} frames of {width} x {height} pixels, {seconds / frames:.2f} s each; shown is the first"
    ]
    return _Shown(item.target, lq, restored.image, restored.labels, [*notes, *lines, *findings.notes()])


class _Regions(NamedTuple):
    """Masks of a photo, those that the network takes or ``job.only`` needs."""

    labels: LabelMap | None = None
    mask: Array | None = None


def _find_regions(
    image: Array, key: str, job: RestoreJob, restorer: Restorer, finder: RegionFinder | None
) -> _Regions:
    if finder is None:
        return _Regions()
    photo = to_8_bit(image)
    return _Regions(
        finder.labels(photo, key) if restorer.wants_labels or job.only else None,
        finder.gray(photo, key) if restorer.wants_mask else None,
    )


def _restore_with_masks(image: Array, regions: _Regions, job: RestoreJob, restorer: Restorer) -> Restored:
    restored = restorer.run(image, *regions)
    if regions.labels is None or not job.only:
        return restored
    share = share_of_regions(regions.labels, job.only)
    return replace(restored, frames=blend(image, restored.frames, share))
