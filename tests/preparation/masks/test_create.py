"""Runs that make masks: what they read and write, how they share, stop, go on, and refuse."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageOps

import basicsr
from basicsr.config.segmenter_choice import check_options, find_segmenter, read_options
from basicsr.masks import from_stack, published_gray, read_label_map, write_label_map
from basicsr.preparation.manifest import lock_of, read_records
from basicsr.preparation.masks.create import create_masks
from basicsr.preparation.masks.files import MaskJob
from basicsr.preparation.photos import read_photo
from basicsr.preparation.sharding import read_shard
from basicsr.segmenters import Graph, Precomputed, graph_regions
from basicsr.utils.checksum import without_checksum
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.files import temporary_beside
from basicsr.utils.image import read_rgb, write_png
from basicsr.utils.processes import Process

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "data_preparation" / "create_masks.py"
PHOTOS = {
    "astronaut.png": "faces/woman.jpg",
    "chelsea.png": "animals/cats/chelsea.webp",
    "coffee.png": "coffee.png",
    "rocket.jpg": "rocket.bmp",
    "motorcycle_left.png": "motorcycle.TIFF",
    "brick.png": "animals/brick.jpeg",
}
KEYS = ["animals/brick", "animals/cats/chelsea", "coffee", "faces/woman", "motorcycle", "rocket"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six real photos of about 100 pixels, in nested folders and all formats."""
    for name, place in PHOTOS.items():
        path = tmp_path / "photos" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        photo = Image.open(Path(skimage.data.__file__).parent / name).convert("RGB")
        photo.thumbnail((110, 110))
        photo.save(path)
    return tmp_path / "photos"


class Overlapping:
    """Two overlapping masks, by brightness and by redness; the second sees which channel is first."""

    def masks(self, image: np.ndarray) -> np.ndarray:
        bright = image.mean(2) > 100
        return np.stack([bright, image[..., 0] > 120])

    def labels(self, image: np.ndarray, overlap: Any) -> np.ndarray:
        return from_stack(self.masks(image), overlap)

    def facts(self) -> dict[str, Any]:
        return {"threshold": 100}


class StopsAfter(Graph):
    """Calls ``stop`` instead of segmenting photo number ``count``."""

    def __init__(self, count: int, stop: Callable[[], None]) -> None:
        super().__init__()
        self.left = count
        self.stop = stop

    def labels(self, image: np.ndarray, overlap: Any = "exact") -> np.ndarray:
        if self.left == 0:
            self.stop()
        self.left -= 1
        return super().labels(image, overlap)


def interrupt() -> None:
    raise KeyboardInterrupt


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def masks_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("regions_")
    }


def records_in(folder: Path) -> set:
    return {str(record) for records in read_records(folder).values() for record in records}


def run(photos: Path, output: Path, **settings: Any) -> Any:
    return create_masks(MaskJob(photos, output, **settings), Graph, "graph")


def test_each_photo_gets_the_label_map_of_the_segmenter_at_its_place(photos: Path, tmp_path: Path):
    counts = run(photos, tmp_path / "out")
    assert (counts.made, counts.kept) == (6, 0)
    assert sorted(read_records(tmp_path / "out")) == KEYS
    for place in PHOTOS.values():
        labels = read_label_map(tmp_path / "out" / Path(place).with_suffix(".png"))
        photo = read_rgb(photos / place)
        assert np.array_equal(labels, graph_regions(photo))
        ((record),) = read_records(tmp_path / "out")[Path(place).with_suffix("").as_posix()]
        assert (record.height, record.width, record.regions) == (*photo.shape[:2], labels.max())
    stored = cv2.imread(str(tmp_path / "out" / "coffee.png"), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16


def test_manifest_and_log_say_that_graph_is_not_sam(photos: Path, tmp_path: Path, caplog):
    caplog.set_level("INFO", "basicsr")
    run(photos, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["segmenter"] == "graph"
    assert manifest["rule"] == "exact"
    assert {"scale": 400.0, "method": "classical segmentation, not SAM"}.items() <= manifest["facts"].items()
    assert "graph: classical segmentation, not SAM" in caplog.text


def test_a_second_run_makes_only_what_is_missing_or_wrong(photos: Path, tmp_path: Path, caplog):
    out = tmp_path / "out"
    run(photos, out)
    before = masks_in(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert run(photos, out).kept == 6
    (out / "coffee.png").unlink()
    (out / "rocket.png").write_bytes(before["rocket.png"][:100])
    write_label_map(out / "motorcycle.png", np.ones((7, 9), np.int32))
    labels = read_label_map(out / "animals" / "brick.png")
    write_label_map(out / "animals" / "brick.png", np.where(labels == 1, 0, labels))
    counts = run(photos, out, workers=2)
    assert (counts.made, counts.kept) == (4, 2)
    assert masks_in(out) == before
    assert f"{out / 'motorcycle.png'}: differs from its record" in caplog.text
    kept = {path for path in times if path.stat().st_mtime_ns == times[path]}
    assert kept == {out / "faces" / "woman.png", out / "animals" / "cats" / "chelsea.png"}


def test_a_photo_that_was_replaced_gets_a_new_mask(photos: Path, tmp_path: Path):
    run(photos, tmp_path / "out")
    write_png(photos / "coffee.png", read_rgb(photos / "coffee.png")[::-1, :50])
    assert run(photos, tmp_path / "out").made == 1
    assert read_label_map(tmp_path / "out" / "coffee.png").shape[1] == 50


def run_until_killed(photos: Path, output: Path) -> None:
    create_masks(MaskJob(photos, output), lambda: StopsAfter(3, kill), "graph")


@pytest.mark.parametrize("stop", ["interrupt", "kill"])
def test_a_run_stopped_half_way_and_started_again_equals_an_uninterrupted_one(
    photos: Path, tmp_path: Path, stop: str
):
    out = tmp_path / "out"
    if stop == "interrupt":
        with pytest.raises(KeyboardInterrupt):
            create_masks(MaskJob(photos, out), lambda: StopsAfter(3, interrupt), "graph")
    else:
        child = multiprocessing.get_context("spawn").Process(target=run_until_killed, args=(photos, out))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    assert len(list(out.rglob("*.png"))) == 3
    # what a kill in the middle of writing leaves: a temporary file, and a line without its end
    left = temporary_beside(out / "rocket.png").name.replace(f"-{os.getpid()}-", "-4194305-")
    (out / left).write_bytes(b"half")
    with (out / "regions_1of1.jsonl").open("a") as file:
        file.write('{"key":"rock')
    counts = run(photos, out)
    assert (counts.made, counts.kept) == (3, 3)
    run(photos, tmp_path / "whole")
    assert masks_in(out) == masks_in(tmp_path / "whole")
    assert records_in(out) == records_in(tmp_path / "whole")
    assert run(photos, out).made == 0


@pytest.mark.parametrize("count", [2, 4, 7])
def test_shards_together_equal_one_run_and_share_without_overlap(photos: Path, tmp_path: Path, count: int):
    made = [run(photos, tmp_path / "shards", shard=(index, count)).made for index in range(count)]
    assert sum(made) == 6
    assert max(made) - min(made) <= 1
    run(photos, tmp_path / "one")
    assert masks_in(tmp_path / "shards") == masks_in(tmp_path / "one")
    assert records_in(tmp_path / "shards") == records_in(tmp_path / "one")
    assert run(photos, tmp_path / "shards").made == 0  # another number of shards finds what is there


def test_workers_do_not_change_the_files(photos: Path, tmp_path: Path):
    run(photos, tmp_path / "one")
    run(photos, tmp_path / "two", workers=2)
    assert masks_in(tmp_path / "one") == masks_in(tmp_path / "two")


def test_a_broken_photo_is_named_at_the_end_and_the_rest_is_done(photos: Path, tmp_path: Path):
    data = (photos / "faces" / "woman.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(data[: len(data) // 2])
    (photos / "empty.png").touch()
    with pytest.raises(UserError) as told:
        run(photos, tmp_path / "out")
    assert told.value.exit_code == 1
    head, *broken = str(told.value).splitlines()
    assert head == "2 of 8 could not be done:"
    assert [line.split(":")[0].strip() for line in broken] == [
        str(photos / "cut.jpg"),
        str(photos / "empty.png"),
    ]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 6
    (photos / "cut.jpg").write_bytes(data)
    (photos / "empty.png").unlink()
    assert run(photos, tmp_path / "out").made == 1


def test_a_segmenter_that_fails_on_a_photo_does_not_stop_the_rest(photos: Path, tmp_path: Path):
    class FailsOnWide(Graph):
        def labels(self, image: np.ndarray, overlap: Any = "exact") -> np.ndarray:
            assert image.shape[0] >= image.shape[1], "too\nwide"
            return super().labels(image, overlap)

    with pytest.raises(UserError, match=r"coffee\.png: the segmenter failed \(AssertionError: too wide"):
        create_masks(MaskJob(photos, tmp_path / "out"), FailsOnWide, "graph")
    assert 1 <= len(list((tmp_path / "out").rglob("*.png"))) < 6
    with pytest.raises(AssertionError, match="too"):
        create_masks(MaskJob(photos, tmp_path / "other", debug=True), FailsOnWide, "graph")


def test_changed_parameters_are_refused_naming_them_unless_overwrite(photos: Path, tmp_path: Path):
    out = tmp_path / "out"
    run(photos, out)
    before = masks_in(out)

    def finer() -> Graph:
        return Graph(scale=50, min_size=20)

    changes = r"facts.scale: 400\.0 -> 50; facts.min_size: None -> 20; rule: exact -> published"
    with pytest.raises(UserError, match=rf"manifest\.json: made with other parameters \({changes}\); "):
        create_masks(MaskJob(photos, out, rule="published"), finer, "graph")
    with pytest.raises(UserError, match=r"segmenter: graph -> other; .*threshold: None -> 100"):
        create_masks(MaskJob(photos, out), Overlapping, "other")
    assert masks_in(out) == before
    # overwriting in two shards, the second stopped: what is left of the old masks is made again
    create_masks(MaskJob(photos, out, overwrite=True, shard=(0, 2)), finer, "graph")
    assert create_masks(MaskJob(photos, out), finer, "graph").made == 3
    create_masks(MaskJob(photos, tmp_path / "new"), finer, "graph")
    assert masks_in(out) == masks_in(tmp_path / "new")
    assert masks_in(out) != before
    assert create_masks(MaskJob(photos, out, overwrite=True), finer, "graph").made == 6


def test_another_version_of_the_package_is_told_and_goes_on(photos: Path, tmp_path: Path, caplog):
    run(photos, tmp_path / "out")
    manifest = tmp_path / "out" / "manifest.json"
    assert json.loads(manifest.read_text())["version"] == basicsr.__version__
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    content = without_checksum(json.loads(manifest.read_text()))
    manifest.write_text(json.dumps(content | {"version": f"9{basicsr.__version__}"}))
    (tmp_path / "out" / "coffee.png").unlink()
    counts = run(photos, tmp_path / "out")
    assert (counts.made, counts.kept) == (1, 5)
    assert f"started with version 9{basicsr.__version__}, this is {basicsr.__version__}" in caplog.text


def test_a_damaged_manifest_is_named(photos: Path, tmp_path: Path):
    run(photos, tmp_path / "out")
    manifest = tmp_path / "out" / "manifest.json"
    flipped = manifest.read_text().replace("400.0", "401.0")
    for content in ("{", flipped):
        manifest.write_text(content)
        with pytest.raises(UserError, match=r"manifest\.json: damaged"):
            run(photos, tmp_path / "out")


def test_a_mask_whose_record_is_damaged_is_made_again(photos: Path, tmp_path: Path):
    run(photos, tmp_path / "out")
    records = tmp_path / "out" / "regions_1of1.jsonl"
    records.write_text(records.read_text().replace('"height":', '"height":1', 1))
    counts = run(photos, tmp_path / "out")
    assert (counts.made, counts.kept) == (1, 5)


def test_files_of_others_are_not_replaced(photos: Path, tmp_path: Path):
    own = tmp_path / "out" / "faces" / "woman.png"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    with pytest.raises(UserError, match=r"woman\.png: exists already, but .*manifest\.json does not"):
        run(photos, tmp_path / "out")
    assert masks_in(tmp_path / "out") == {"faces/woman.png": b"mine"}
    assert run(photos, tmp_path / "out", overwrite=True).made == 6


@pytest.mark.parametrize("output", ["photos", "photos/masks", "photos/../photos/faces"])
def test_an_output_in_the_input_is_refused(photos: Path, tmp_path: Path, output: str):
    with pytest.raises(UserError, match="lies in the input folder"):
        run(photos, tmp_path / output)
    with pytest.raises(UserError, match="lies in the input folder"):
        run(photos, tmp_path / "out", gray=tmp_path / output)
    assert not (tmp_path / "out").exists()


def test_two_photos_of_one_stem_no_photos_and_no_folder_are_refused(photos: Path, tmp_path: Path):
    (photos / "coffee.jpg").write_bytes((photos / "faces" / "woman.jpg").read_bytes())
    with pytest.raises(UserError, match=r"coffee\.jpg and .*coffee\.png share the key 'coffee'"):
        run(photos, tmp_path / "out")
    with pytest.raises(UserError, match="no such folder"):
        run(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no .*\.jpg.* file in it"):
        run(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(UserError, match="use two folders"):
        (photos / "coffee.jpg").unlink()
        run(photos, tmp_path / "out", gray=tmp_path / "out")


@pytest.mark.parametrize("rule", ["exact", "smallest_on_top", "published"])
def test_rule_and_gray_image_follow_the_masks(photos: Path, tmp_path: Path, rule: Any):
    job = MaskJob(photos, tmp_path / "out", rule, gray=tmp_path / "gray")
    create_masks(job, Overlapping, "overlapping")
    create_masks(MaskJob(photos, tmp_path / "alone", rule), Overlapping, "overlapping")
    photo = read_rgb(photos / "coffee.png")
    seen = photo[..., ::-1] if rule == "published" else photo
    masks = Overlapping().masks(seen)
    assert masks.any((1, 2)).all() and (masks[0] & masks[1]).any()
    assert np.array_equal(read_label_map(tmp_path / "out" / "coffee.png"), from_stack(masks, rule))
    gray = cv2.imread(str(tmp_path / "gray" / "coffee.png"), cv2.IMREAD_UNCHANGED)
    assert gray.dtype == np.uint8
    assert np.array_equal(gray, published_gray(masks))
    assert masks_in(tmp_path / "out") == masks_in(tmp_path / "alone")


def test_gray_images_can_be_added_later_and_are_checked_too(photos: Path, tmp_path: Path):
    job = MaskJob(photos, tmp_path / "out", gray=tmp_path / "gray")
    create_masks(MaskJob(photos, tmp_path / "out"), Overlapping, "overlapping")
    assert create_masks(job, Overlapping, "overlapping").made == 6
    (tmp_path / "gray" / "coffee.png").unlink()
    write_png(tmp_path / "gray" / "rocket.png", np.zeros((3, 3), np.uint8))
    assert create_masks(job, Overlapping, "overlapping").made == 2


def test_precomputed_masks_are_found_by_name(photos: Path, tmp_path: Path):
    run(photos, tmp_path / "made")
    create_masks(MaskJob(photos, tmp_path / "out"), lambda: Precomputed(str(tmp_path / "made")), "x")
    before, after = masks_in(tmp_path / "made"), masks_in(tmp_path / "out")
    del before["manifest.json"], after["manifest.json"]
    assert before == after
    (tmp_path / "made" / "coffee.png").unlink()
    with pytest.raises(UserError, match=r"coffee\.png: .*no file for 'coffee'"):
        create_masks(MaskJob(photos, tmp_path / "rest"), lambda: Precomputed(str(tmp_path / "made")), "x")
    assert len(list((tmp_path / "rest").rglob("*.png"))) == 5


@pytest.mark.parametrize("orientation", [2, 3, 5, 6, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_exif_orientation_is_honoured(photos: Path, tmp_path: Path, suffix: str, orientation: int):
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"turned{suffix}"
    Image.open(photos / "coffee.png").save(path, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    found = read_photo(path.read_bytes(), str(path)).image
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 2  # JPEG decoders differ by a little


@pytest.mark.parametrize(
    ("make", "notes"),
    [
        (lambda rgb: rgb, []),
        (lambda rgb: rgb[..., 1], ["gray, taken as three equal channels"]),
        (lambda rgb: np.dstack([rgb, rgb[..., 0]]), ["alpha dropped"]),
        (lambda rgb: rgb.astype(np.uint16) * 257, ["16 bits rounded to 8"]),
        (
            lambda rgb: np.clip(rgb[..., 1] * 257.0 + 128, 0, 65535).astype(np.uint16),
            ["gray, taken as three equal channels", "16 bits rounded to 8"],
        ),
        (lambda rgb: np.dstack([rgb, 255 - rgb[..., 0]]).astype(np.uint16) * 257,
         ["alpha dropped", "16 bits rounded to 8"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_depth_gray_and_alpha_become_8_bit_rgb_and_are_told(photos: Path, make: Any, notes: Any, suffix: str):
    rgb = read_rgb(photos / "coffee.png")
    stored = make(rgb)
    ordered = stored[..., [2, 1, 0, *range(3, stored.shape[2])]] if stored.ndim == 3 else stored
    data = cv2.imencode(suffix, ordered)[1].tobytes()
    photo = read_photo(data, "x")
    assert photo.image.dtype == np.uint8
    assert photo.notes == notes
    assert np.array_equal(photo.image, np.dstack([rgb[..., 1]] * 3) if stored.ndim == 2 else rgb)


def test_what_was_changed_in_photos_is_in_log_and_record(photos: Path, tmp_path: Path, caplog):
    caplog.set_level("INFO", "basicsr")
    write_png(photos / "rocket_gray.png", read_rgb(photos / "rocket.bmp")[..., 0].astype(np.uint16) * 257)
    counts = run(photos, tmp_path / "out")
    told = ["gray, taken as three equal channels", "16 bits rounded to 8"]
    assert counts.notes == dict.fromkeys(told, 1)
    assert read_records(tmp_path / "out")["rocket_gray"][0].notes == told
    assert "1 of these photos: 16 bits rounded to 8" in caplog.text


def test_segmenters_are_found_in_any_case_and_mistakes_name_the_nearest():
    assert find_segmenter("GRAPH") == find_segmenter("graph") == "Graph"
    with pytest.raises(OptionError, match=r"Did you mean 'precomputed'\?"):
        find_segmenter("precomputd")
    options = read_options(["scale=1e2", "min_size=null"], {"model": None})
    assert options == {"scale": "1e2", "min_size": None}
    check_options("Graph", options)
    for typed, message in [
        (["scal=3"], r"scal: Graph has no such option. Did you mean 'scale'\?"),
        (["scale=-1"], "scale: must be at least 0"),
        (["sigma=wide"], "sigma: Expected `float`"),
        (["scale"], "expected key=value"),
        (["scale=1", "scale=2"], "scale: given twice"),
        (["scale=[1"], "not valid YAML"),
    ]:
        with pytest.raises(OptionError, match=message) as told:
            check_options("Graph", read_options(typed, {}))
        assert told.value.exit_code == 2
    with pytest.raises(OptionError, match="model: Graph has no such option"):
        check_options("Graph", read_options([], {"model": "vit_h"}))
    with pytest.raises(OptionError, match="folder: no such folder"):
        check_options("Precomputed", {"folder": "/nowhere/at/all"})


@pytest.fixture
def other() -> Iterator[int]:
    """The number of another living process."""
    code = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        yield process.pid


@pytest.mark.parametrize(
    ("held", "wanted", "is_refused"),
    [((0, 1), (0, 1), True), ((1, 2), (1, 2), True), ((0, 2), (0, 1), True), ((0, 2), (1, 2), False)],
)
def test_a_folder_that_another_run_writes_to_is_refused_but_to_the_other_shards(
    photos: Path, tmp_path: Path, other: int, held, wanted, is_refused: bool
):
    out = tmp_path / "out"
    file = lock_of(out, *held)
    out.mkdir()
    file.write_text(json.dumps(asdict(Process.here(other))))
    if is_refused:
        with pytest.raises(UserError, match=f"{out}: process {other} on .* writes there; wait for its end"):
            run(photos, out, shard=wanted)
        assert list(out.iterdir()) == [file]
    else:
        assert run(photos, out, shard=wanted).made == 3
        assert list(out.glob(".*")) == [file]


def test_shards_are_typed_from_one_or_come_from_torchrun(monkeypatch):
    assert read_shard(None)[0] == (0, 1)
    assert read_shard("2/3")[0] == (1, 3)
    for typed in ("0/3", "4/3", "1", "a/b", "-1/2", "1/0"):
        with pytest.raises(OptionError, match="--shard: expected i/n"):
            read_shard(typed)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0",
                        "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert read_shard(None)[0] == (2, 4)
    with pytest.raises(OptionError, match="torchrun decides"):
        read_shard("1/2")


def command(*arguments: object, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    line = [sys.executable, *launcher, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, env=environment)


def test_the_command_works_and_says_what_is_wrong(photos: Path, tmp_path: Path):
    done = command(photos, tmp_path / "out", "--option", "scale=100", "min_size=9", "--workers", "1")
    assert done.returncode == 0, done.stderr
    create_masks(MaskJob(photos, tmp_path / "same"), lambda: Graph(scale=100.0, min_size=9), "graph")
    assert masks_in(tmp_path / "out") == masks_in(tmp_path / "same")
    wrong = command(photos, tmp_path / "new", "--option", "scal=100")
    assert wrong.returncode == 2
    assert wrong.stderr == (
        "error: segmenter graph: scal: Graph has no such option. Did you mean 'scale'? (got 100)\n"
    )
    assert not (tmp_path / "new").exists()


@pytest.mark.dist
def test_torchrun_shares_the_photos_and_a_broken_one_stops_no_process(photos: Path, tmp_path: Path):
    (photos / "aaa.png").write_bytes(b"broken")  # the first photo of the first process
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    done = command(photos, tmp_path / "out", launcher=launcher)
    assert done.returncode == 1
    assert "aaa.png: not an image" in done.stderr
    assert "shard 1/2: 100%" in done.stderr
    assert "shard 2/2" not in done.stderr
    (photos / "aaa.png").unlink()
    run(photos, tmp_path / "one")
    assert masks_in(tmp_path / "out") == masks_in(tmp_path / "one")
    assert len(list((tmp_path / "out").glob("regions_*of2.jsonl"))) == 2
