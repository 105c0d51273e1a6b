"""``infer.py`` and its sisters on real photos, as a user calls them."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote_to_bytes

import cv2
import numpy as np
import pytest
import skimage.data
import torch
import yaml
from PIL import Image

from basicsr import demo, infer
from basicsr.checkpoints.weights import save_network
from basicsr.layers.normalization import IDENTITY, Normalization
from basicsr.masks import read_label_map, write_label_map
from basicsr.reporting.page import read_page
from basicsr.restoration import Restorer
from basicsr.restoration.onnx_export import export_onnx
from basicsr.segmenters import graph_regions
from basicsr.utils.image import READABLE, encode_png, read_rgb, write_png
from basicsr.utils.registry import ARCHS

LEVELS = {"width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1], "middle_blk_num": 1}


def save(path: Path, name: str, normalization: Normalization | None = None) -> Path:
    """Weights that make a photo a little darker: a result can be told from its input."""
    torch.manual_seed(0)
    net = ARCHS.build(name, LEVELS)
    with torch.no_grad():
        net.ending.weight.zero_()
        net.ending.bias.fill_(-0.02)
    net.normalization = normalization
    save_network(path, net, None, {"type": name, **LEVELS})
    return path


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """A folder with weights, in which the commands run; masks are remembered in it, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save(tmp_path / "nafnet.pth", "NAFNet")
    save(tmp_path / "seg.pth", "SegNAFNet")
    return tmp_path


def run(*argv: object) -> None:
    infer.main([str(item) for item in argv])


def fails(capsys, *argv: object) -> tuple[int, str]:
    """Exit code and the error line."""
    with pytest.raises(SystemExit) as ended:
        run(*argv)
    return ended.value.code, capsys.readouterr().err


def seen(thumbnail: str) -> np.ndarray:
    """A picture of a report."""
    return cv2.imdecode(np.frombuffer(base64.b64decode(thumbnail), np.uint8), cv2.IMREAD_COLOR)


def is_darker(restored: np.ndarray, photo: np.ndarray, by: float = 0.02) -> bool:
    scale = np.iinfo(photo.dtype).max
    expected = np.clip(photo.astype(float) / scale - by, 0, 1)
    return restored.dtype == photo.dtype and np.abs(restored / scale - expected).max() < 0.51 / 255


def test_a_photo(work):
    photo = skimage.data.chelsea()
    write_png(work / "cat.png", photo)
    run("-i", "cat.png", "-o", "out/", "--weights", "seg.pth", "--save_masks", "masks")
    assert is_darker(read_rgb(work / "out" / "cat.png"), photo)
    assert np.array_equal(read_label_map(work / "masks" / "cat.png"), graph_regions(photo))
    assert (work / "masks" / "overlays" / "cat.png").is_file()
    assert len(list((work / "cache").rglob("*.png"))) == 1
    (image,) = read_page(work / "out" / "report.html")["sets"][0]["images"]
    assert image["key"] == "cat.png" and image["thumbnails"]["labels"]
    before, after = (seen(data) for data in (image["thumbnails"]["lq"], image["results"][0]["thumbnail"]))
    assert before.mean() == pytest.approx(photo.mean(), abs=1)
    assert after.mean() == pytest.approx(photo.mean() - 5.1, abs=1)


def test_saved_masks_replace_nothing(work):
    photo = skimage.data.coffee()[:40, :60]
    write_png(work / "a.png", photo)
    write_label_map(work / "masks" / "a.png", np.full((40, 60), 7, np.int32))
    run("-i", "a.png", "-o", "out", "--weights", "seg.pth", "--save_masks", "masks")
    assert (read_label_map(work / "masks" / "a.png") == 7).all()
    (image,) = read_page(work / "out" / "report.html")["sets"][0]["images"]
    assert any("masks not saved" in note for note in image["results"][0]["notes"])


def test_half_the_strength_is_half_the_change(work):
    photo = np.maximum(skimage.data.coffee()[100:140, 100:160], 6)  # nothing becomes darker than black
    write_png(work / "a.png", photo)
    run("-i", "a.png", "-o", "half.png", "--weights", "nafnet.pth", "--strength", 0.5)
    assert is_darker(read_rgb(work / "half.png"), photo, by=0.01)
    run("-i", "a.png", "-o", "none.png", "--weights", "nafnet.pth", "--strength", 0)
    assert np.array_equal(read_rgb(work / "none.png"), photo)


@pytest.mark.parametrize("weights", ["seg.pth", "nafnet.pth"])
def test_only_the_region_at_a_place_changes(work, weights: str):
    photo = np.full((40, 60, 3), 100, np.uint8)
    labels = np.ones((40, 60), np.int32)
    labels[:, 30:] = 2
    write_png(work / "a.png", photo)
    write_label_map(work / "masks" / "a.png", labels)
    run("-i", "a.png", "-o", "b.png", "--weights", weights, "--labels", "masks", "--only", "50,20")
    restored = read_rgb(work / "b.png")
    assert (restored[:, :30] == 100).all() and (restored[:, 40:] == 95).all()
    assert (np.diff(restored[20, 29:41, 0].astype(int)) <= 0).all()


def test_a_network_that_wants_masks_is_given_none(work):
    write_png(work / "a.png", skimage.data.coffee()[100:140, 100:160])
    run("-i", "a.png", "-o", "b.png", "--weights", "seg.pth", "--no_masks", "--save_masks", "masks")
    assert (read_label_map(work / "masks" / "a.png") == 0).all()


def test_a_folder_with_a_broken_file(work, capsys):
    photo = skimage.data.coffee()[:90, :120]
    write_png(work / "in" / "a.png", photo)
    write_png(work / "in" / "trip" / "b.png", photo)
    (work / "in" / "broken.jpg").write_bytes(b"\xff\xd8 not a photo")
    (work / "in" / "notes.txt").write_text("no photo")
    code, printed = fails(capsys, "-i", "in", "-o", "out", "--weights", "nafnet.pth")
    assert code == 1 and "broken.jpg" in printed and "1 of 3" in printed
    assert is_darker(read_rgb(work / "out" / "a.png"), photo)
    assert is_darker(read_rgb(work / "out" / "trip" / "b.png"), photo)
    page = read_page(work / "out" / "report.html")
    assert [image["key"] for image in page["sets"][0]["images"]] == ["a.png", "trip/b.png"]


def test_of_a_single_file_only_its_own_error_is_said(work, capsys):
    (work / "broken.jpg").write_bytes(b"\xff\xd8 not a photo")
    code, printed = fails(capsys, "-i", "broken.jpg", "-o", "out", "--weights", "nafnet.pth")
    assert code == 1 and printed.count("\n") == 1
    assert "broken.jpg" in printed and "could not be restored:" not in printed


def test_a_jpeg_that_is_damaged_in_the_middle_is_a_broken_file(work, capfd, harmed_jpeg):
    (work / "in").mkdir()
    (work / "in" / "harmed.jpg").write_bytes(harmed_jpeg)
    write_png(work / "in" / "a.png", skimage.data.coffee()[:40, :48])
    code, printed = fails(capfd, "-i", "in", "-o", "out", "--weights", "nafnet.pth")
    assert code == 1 and "in/harmed.jpg: the JPEG is damaged" in printed and "1 of 2" in printed
    assert "Corrupt JPEG" not in printed.replace("(Corrupt JPEG", ""), "no line of the decoder's own"
    assert (work / "out" / "a.png").is_file() and not (work / "out" / "harmed.jpg").exists()


def test_a_second_run_keeps_what_is_there(work):
    photo = skimage.data.coffee()[:40, :60]
    for name in ("a.png", "b.png"):
        write_png(work / "in" / name, photo)
    run("-i", "in", "-o", "out", "--weights", "nafnet.pth")
    write_png(work / "out" / "a.png", photo)
    (work / "out" / "b.png").unlink()
    run("-i", "in", "-o", "out", "--weights", "nafnet.pth")
    assert np.array_equal(read_rgb(work / "out" / "a.png"), photo), "kept"
    assert is_darker(read_rgb(work / "out" / "b.png"), photo), "made"
    page = read_page(work / "out" / "report.html")
    assert [image["key"] for image in page["sets"][0]["images"]] == ["a.png", "b.png"], "both runs are shown"
    run("-i", "in", "-o", "out", "--weights", "nafnet.pth", "--overwrite")
    assert is_darker(read_rgb(work / "out" / "a.png"), photo)


def test_a_page_of_the_user_is_not_replaced(work):
    write_png(work / "a.png", skimage.data.coffee()[:40, :60])
    (work / "out").mkdir()
    (work / "out" / "report.html").write_text("mine")
    run("-i", "a.png", "-o", "out", "--weights", "nafnet.pth")
    assert (work / "out" / "a.png").is_file()
    assert (work / "out" / "report.html").read_text() == "mine"


def test_16_bits_alpha_and_size_stay(work):
    generator = np.random.default_rng(0)
    deep = generator.integers(3000, 65536, (30, 40, 4)).astype(np.uint16)
    cv2.imwrite(str(work / "deep.png"), deep)
    run("-i", "deep.png", "-o", "deep_out.png", "--weights", "nafnet.pth")
    stored = cv2.imread(str(work / "deep_out.png"), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16 and np.array_equal(stored[..., 3], deep[..., 3])
    assert is_darker(stored[..., :3], deep[..., :3])


@pytest.mark.parametrize("size", [(1, 1), (17, 5000), (5000, 17)])
@pytest.mark.parametrize("weights", ["nafnet.pth", "seg.pth"])
def test_odd_sizes(work, size: tuple[int, int], weights: str):
    photo = np.random.default_rng(0).integers(30, 226, (*size, 3)).astype(np.uint8)
    write_png(work / "odd.png", photo)
    run("-i", "odd.png", "-o", "out.png", "--weights", weights, "--tile", "256")
    assert is_darker(read_rgb(work / "out.png"), photo)


def test_an_exif_rotated_jpeg_keeps_its_exif_and_its_look(work):
    photo = skimage.data.astronaut()[:200, :120]
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned; viewers turn the picture clockwise
    exif[0x010F] = "A camera"
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=98, exif=exif.tobytes())
    (work / "turned.jpg").write_bytes(buffer.getvalue())
    run("-i", "turned.jpg", "-o", "out/", "--weights", "seg.pth", "--save_masks", "masks")
    with Image.open(work / "out" / "turned.jpg") as stored:
        assert dict(stored.getexif()) == dict(exif)
        assert stored.size == (120, 200)
        assert abs(float(np.asarray(stored, float).mean() - np.clip(photo - 5.1, 0, 255).mean())) < 1
    assert read_label_map(work / "masks" / "turned.png").shape == (120, 200), "masks are of the upright photo"


def test_labels_and_tiles_and_everything(work):
    photo = skimage.data.coffee()[:150, :200]
    write_png(work / "in" / "a.png", photo)
    write_label_map(work / "labels" / "a.png", np.ones((150, 200), np.int32))
    run("-i", "in", "-o", "out", "--weights", "seg.pth", "--labels", "labels", "--save_masks", "seen",
        "--tile", "64", "--overlap", "16", "--ensemble", "--local", "--guard", "input")  # fmt: skip
    assert is_darker(read_rgb(work / "out" / "a.png"), photo)
    assert (read_label_map(work / "seen" / "a.png") == 1).all()


def test_labels_with_a_palette(work, palette_png):
    ids = np.arange(40 * 48).reshape(40, 48) // 700 * 100
    write_png(work / "in" / "a.png", skimage.data.coffee()[:40, :48])
    (work / "labels").mkdir()
    (work / "labels" / "a.png").write_bytes(palette_png(ids))
    run("-i", "in", "-o", "out", "--weights", "seg.pth", "--labels", "labels", "--save_masks", "seen")
    np.testing.assert_array_equal(read_label_map(work / "seen" / "a.png"), ids // 100)


def test_a_video_with_sound(work):
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install av")
    frames, rate = 36, 12
    with av.open(str(work / "clip.mkv"), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "1"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for number in range(frames):
            picture = np.full((48, 64, 3), 60 + 3 * number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(video.encode())
        tone = (np.sin(np.arange(8000 * 3) * 0.3) * 9000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(tone, "s16", "mono")
        frame.sample_rate = 8000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    run("-i", "clip.mkv", "-o", "sharp.mkv", "--weights", "seg.pth", "--crf", "1")
    with av.open(str(work / "sharp.mkv")) as container:
        assert container.streams.video[0].average_rate == rate
        means = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
    with av.open(str(work / "sharp.mkv")) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples == 8000 * 3
    assert np.allclose(means, [55 + 3 * number for number in range(frames)], atol=2)


@pytest.mark.slow
def test_an_onnx_file(work):
    """What the exported graph makes of a photo is what the network makes of it, masks included."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install onnxruntime")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install onnxscript")
    export_onnx(work / "seg.pth", work / "seg.onnx")
    photo = skimage.data.coffee()[:75, :130]
    write_png(work / "a.png", photo)
    run("-i", "a.png", "-o", "out/", "--weights", "seg.onnx", "--save_masks", "masks", "--ensemble")
    assert is_darker(read_rgb(work / "out" / "a.png"), photo)
    assert read_label_map(work / "masks" / "a.png").shape == (75, 130)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sam_images", "real_blur"])
def test_photos_of_people(work, shared, kind: str):
    """Real photos, as they come: each has its result of the same size and type, and a place in the report."""
    folder = shared / "data" / "photos" / kind
    run("-i", folder, "-o", "out", "--weights", "seg.pth")
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in READABLE)
    assert names
    for name in names:
        restored, photo = read_rgb(work / "out" / name), read_rgb(folder / name)
        assert restored.shape == photo.shape
        assert abs(float(restored.mean()) - np.clip(photo - 5.1, 0, 255).mean()) < 1.5
    assert [image["key"] for image in read_page(work / "out" / "report.html")["sets"][0]["images"]] == names


@pytest.mark.parametrize(
    ("argv", "network", "weights"),
    [
        ((), "MAXIM", "MAXIM-1S"),
        (("--segmenter", "graph"), "SegNAFNet", "SegNAFNet"),
        (("--save_masks", "masks"), "SegNAFNet", "SegNAFNet"),
        (("--weights", "auto", "--only", "3,4"), "SegNAFNet", "SegNAFNet"),
    ],
)
def test_default_weights_come_with_the_package(work, argv: tuple[str, ...], network: str, weights: str):
    """Those that use masks, where masks are asked for."""
    write_png(work / "a.png", skimage.data.coffee()[:40, :40])
    run("-i", "a.png", "-o", "out/", *argv)
    assert (work / "out" / "a.png").is_file()
    facts = dict(read_page(work / "out" / "report.html")["runs"][0]["facts"])
    assert facts["Network"] == network and facts["Weights"].endswith(f"/{weights}.safetensors")


ODD_NAMES = (
    "q'uo\"te.png", "100%.png", "%s {}.png", "a[b]*.png", "字.png", "-dash.png", "$HOME.png", "~.png",
    "frame.0000.png", "#hash ?x&y=1;.png", "cafe\u0301.png", "new\nline.png", "\udcff.png",
    "y" * 251 + ".png",
)  # fmt: skip


def test_every_name_and_every_size_that_a_photo_can_have(work, capsys):
    """In one run; results and masks have the names of the photos, and the page shows and links each."""
    photo = skimage.data.coffee()[:30, :40]
    for name in ODD_NAMES:
        write_png(work / "in" / name, photo)
    write_png(work / "in" / "one.png", photo[:1, :1])
    write_png(work / "in" / "wide.png", np.broadcast_to(photo[:1, :1], (1, 300, 3)).copy())
    write_png(work / "in" / "flat.png", np.full((70, 60, 3), 128, np.uint8))
    names = {path.name for path in (work / "in").iterdir()}
    run("-i", "in", "-o", "out", "--weights", "seg.pth", "--save_masks", "masks")
    assert {path.name for path in (work / "out").iterdir()} == names | {"report.html"}
    assert {path.name for path in (work / "masks").iterdir()} == names | {"overlays"}
    for name in names:
        assert is_darker(read_rgb(work / "out" / name), read_rgb(work / "in" / name)), name
    page = read_page(work / "out" / "report.html")
    images = page["sets"][0]["images"]
    assert {image["key"] for image in images} == names
    for image in images:
        linked = os.fsdecode(unquote_to_bytes(image["results"][0]["full"]))
        assert (work / "out" / linked).samefile(work / "out" / image["key"])
    assert "Traceback" not in capsys.readouterr().err

    # those masks are found again by the same names, also where the network finds nothing of its own
    write_label_map(work / "masks" / "flat.png", np.zeros((70, 60), np.int32))
    run("-i", "in", "-o", "again", "--weights", "seg.pth", "--labels", "masks")
    assert len(list((work / "again").glob("*.png"))) == len(names)


def test_several_inputs(work):
    photo = skimage.data.coffee()[:40, :60]
    for place in ("a.png", "deep/b.png", "trip/a.png"):
        write_png(work / place, photo)
    run("-i", "a.png", "deep/b.png", "-i", "trip", "-o", "out", "--weights", "nafnet.pth")
    for place in ("a.png", "b.png", "trip/a.png"):
        assert is_darker(read_rgb(work / "out" / place), photo)
    images = read_page(work / "out" / "report.html")["sets"][0]["images"]
    assert [image["key"] for image in images] == ["a.png", "b.png", "trip/a.png"]
    write_png(work / "out" / "a.png", photo)
    run("-i", "a.png", "deep/b.png", "-o", "out", "--weights", "nafnet.pth")
    assert np.array_equal(read_rgb(work / "out" / "a.png"), photo), "kept, as in a folder"


def test_paths_are_expanded(work, monkeypatch):
    monkeypatch.setenv("HOME", str(work))
    monkeypatch.setenv("HERE", str(work / "in"))
    write_png(work / "in" / "a.png", skimage.data.coffee()[:40, :60])
    run("-i", "$HERE/a.png", "-o", "~/out/", "--weights", "~/nafnet.pth")
    assert (work / "out" / "a.png").is_file()


@pytest.mark.parametrize("folder", ["a: b", "[x]", "photos #1", "2024", "null"])
def test_the_name_of_a_folder_of_labels_is_no_yaml(work, folder: str):
    write_png(work / "a.png", skimage.data.coffee()[:40, :60])
    write_label_map(work / folder / "a.png", np.ones((40, 60), np.int32))
    run("-i", "a.png", "-o", "out", "--weights", "seg.pth", "--labels", folder, "--save_masks", "seen")
    assert (read_label_map(work / "seen" / "a.png") == 1).all()


def test_what_changes_its_type_says_so_in_log_and_report(work, capsys):
    with Image.open(io.BytesIO(encode_png(skimage.data.coffee()[:40, :60]))) as picture:
        (work / "in").mkdir()
        picture.save(work / "in" / "a.mpo", "JPEG")
    run("-i", "in", "-o", "out", "--weights", "nafnet.pth")
    printed = "written as .jpg: .mpo files are read, not written"
    assert f"in/a.mpo: {printed}" in capsys.readouterr().out
    (image,) = read_page(work / "out" / "report.html")["sets"][0]["images"]
    assert printed in image["results"][0]["notes"]
    assert (work / "out" / "a.jpg").is_file()


@pytest.mark.parametrize(
    ("target", "length", "message"),
    [
        ("b.jpg", 70_000, "JPEG holds 65500 pixels per side, not 70000 x 2; write PNG or TIFF"),
        ("b.webp", 16_384, "WebP holds 16383 pixels per side, not 16384 x 2; write PNG or TIFF"),
    ],
)
def test_what_the_type_cannot_hold_is_told_before_the_work(
    work, capsys, monkeypatch, target: str, length: int, message: str
):
    def fail(*_: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr(Restorer, "run", fail)
    write_png(work / "a.png", np.zeros((2, length, 3), np.uint8))
    code, printed = fails(capsys, "-i", "a.png", "-o", target, "--weights", "nafnet.pth")
    assert code == 1 and f"error: {target}: {message}" in printed


BAD = {
    "no such file": (["-i", "nowhere.png", "-o", "out"], "nowhere.png: no such file"),
    "nothing to restore": (["-i", "empty", "-o", "out"], "no photo or video in it"),
    "not a photo": (["-i", "text.txt", "-o", "out"], "not a photo or video"),
    "into itself": (["-i", "a.png", "-o", "a.png"], "is the input itself"),
    "into its own folder": (["-i", "in", "-o", "in/out"], "lies in the input folder"),
    "folder into a file": (["-i", "in", "-o", "there.png"], "there.png: is a file; give -o a folder"),
    "would overwrite": (["-i", "a.png", "-o", "there.png"], "exists already"),
    "unknown type": (["-i", "a.png", "-o", "a.heic"], "heic"),
    "two results of one name": (["-i", "a.png", "in/a.png", "-o", "out"], "a.png and in/a.png: both would"),
    "unknown segmenter": (["-i", "a.png", "-o", "out", "--segmenter", "sum"], "Did you mean 'sam'"),
    "no weights of a network": (["-i", "a.png", "-o", "out", "--weights", "text.txt"], "text.txt"),
    "too strong": (["-i", "a.png", "-o", "out", "--strength", "2"], "strength: 2; take 0 "),
    "no place": (["-i", "a.png", "-o", "out", "--only", "5"], "expected X,Y in pixels"),
    "place outside": (
        ["-i", "a.png", "-o", "out", "--only", "30,5"],
        "30,5 is outside of the photo of 30 x 30",
    ),
    "region without masks": (
        ["-i", "a.png", "-o", "out", "--only", "1,1", "--no_masks"],
        "--only: needs reg",
    ),
    "tile too small": (["-i", "a.png", "-o", "out", "--tile", "8"], "tile: 8 pixels"),
    "no such device": (["-i", "a.png", "-o", "out", "--device", "tpu"], "device"),
}


@pytest.mark.parametrize("case", BAD)
def test_each_mistake_is_one_line(work, capsys, case: str):
    write_png(work / "a.png", skimage.data.coffee()[:30, :30])
    write_png(work / "there.png", skimage.data.coffee()[:30, :30])
    write_png(work / "in" / "a.png", skimage.data.coffee()[:30, :30])
    (work / "empty").mkdir()
    (work / "text.txt").write_text("text")
    argv, expected = BAD[case]
    code, printed = fails(capsys, *argv, *([] if "--weights" in argv else ["--weights", "nafnet.pth"]))
    error = printed.strip().splitlines()
    assert code in (1, 2) and expected in printed
    assert len([line for line in error if "error: " in line]) == 1 and "Traceback" not in printed


OPTIONS = """
name: x
model_type: ImageRestorationModel
num_gpu: 0
network_g: {type: NAFNet, width: 4, enc_blk_nums: [1], dec_blk_nums: [1]}
datasets: {test: {name: x, type: PairedImageDataset, dataroot_gt: not/there, dataroot_lq: not/there}}
"""


def test_weights_for_gray_images_are_refused_before_the_work(work, monkeypatch, capsys):
    gray = LEVELS | {"img_channel": 1}
    save_network(work / "gray.pth", ARCHS.build("NAFNet", gray), None, {"type": "NAFNet", **gray})
    write_png(work / "a.png", skimage.data.cat()[:32, :40])
    code, printed = fails(capsys, "-i", "a.png", "-o", "out", "--weights", "gray.pth")
    what = "NAFNet takes 1 channel(s), but its inputs (lq) have 3; images are read as RGB, gray ones too"
    assert (code, what in printed, printed.count("\n")) == (1, True, 1) and not Path("out").exists()
    options = {"network_g": {"type": "NAFNet", "img_channel": 1}, "path": {"pretrain_network_g": "gray.pth"}}
    (work / "gray.yml").write_text(yaml.safe_dump({"name": "a", "datasets": {}, **options}))
    words = ["demo.py", "-opt", "gray.yml", "--input_path", "a.png", "--output_path", "b.png"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == 2 and f"network_g: {what}" in capsys.readouterr().err


def test_the_published_single_image_command(work, monkeypatch, capsys):
    photo = skimage.data.coffee()[:50, :70]
    write_png(work / "a.png", photo)
    (work / "x.yml").write_text(OPTIONS)
    argv = ["demo.py", "-opt", "x.yml", "--input_path", "a.png", "--output_path", "b.png"]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit):
        demo.main()
    assert "path.pretrain_network_g" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*argv, "--set", "path.pretrain_network_g=nafnet.pth"])
    demo.main()
    assert is_darker(read_rgb(work / "b.png"), photo)


def test_the_published_command_normalizes_as_its_option_file_says(work, monkeypatch):
    """Of weights that do not say how their training images were; where both do, the weights decide."""
    photo = skimage.data.coffee()[:40, :60]
    write_png(work / "a.png", photo)
    sets = {"test": {"name": "t", "type": "PairedImageDataset", "dataroot_gt": "x", "dataroot_lq": "x",
                     "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}  # fmt: skip
    options = {"name": "demo", "network_g": {"type": "NAFNet", **LEVELS}, "datasets": sets, "num_gpu": 0}
    (work / "x.yml").write_text(yaml.safe_dump(options))
    argv = ["demo.py", "-opt", "x.yml", "--input_path", "a.png", "--overwrite", "--output_path", "b.png"]
    monkeypatch.setattr(sys, "argv", [*argv, "--set", "path.pretrain_network_g=nafnet.pth"])
    demo.main()
    assert is_darker(read_rgb(work / "b.png"), photo, 0.5 * 0.02)
    save(work / "nafnet.pth", "NAFNet", IDENTITY)
    demo.main()
    assert is_darker(read_rgb(work / "b.png"), photo, 0.02)


def test_what_a_weight_file_leaves_open_is_typed(work, capsys):
    photo = skimage.data.coffee()[:41, :61]
    write_png(work / "a.png", photo)
    darker = torch.load(work / "nafnet.pth", weights_only=True)["params"]
    lighter = darker | {"ending.bias": -darker["ending.bias"]}
    torch.save({"model": darker, "model_ema": lighter}, work / "both.pth")
    code, printed = fails(capsys, "-i", "a.png", "-o", "out", "--weights", "both.pth")
    assert code == 1 and "model (" in printed and "model_ema (" in printed and "--param_key" in printed
    run("-i", "a.png", "-o", "out", "--weights", "both.pth", "--param_key", "model", "--padding", "edge")
    assert is_darker(read_rgb(work / "out" / "a.png"), photo)
    assert "padding edge (forced by the option padding)" in capsys.readouterr().out
    run("-i", "a.png", "-o", "out", "--weights", "both.pth", "--param-key", "model_ema", "--overwrite")
    assert is_darker(read_rgb(work / "out" / "a.png"), photo, -0.02)
    assert "padding zeros (published weights, trained with zeros)" in capsys.readouterr().out


@pytest.mark.slow
def test_the_installed_command(work):
    """``sam-deblur``, and infer.py as a file of the checkout."""
    write_png(work / "a.png", skimage.data.coffee()[:50, :70])
    script = Path(infer.__file__)
    module = [sys.executable, "-m", "basicsr.console"]
    usage = subprocess.run([*module, "--help"], capture_output=True, text=True, check=True)
    assert all(command in usage.stdout for command in ("restore", "masks", "train", "test"))
    assert subprocess.run([*module, "mask"], capture_output=True, check=False).returncode == 2
    argv = ["-i", "a.png", "--weights", "nafnet.pth", "-o"]
    for command, output in (([*module, "restore"], "by_command"), ([sys.executable, str(script)], "by_file")):
        subprocess.run([*command, *argv, output], cwd=work, check=True, capture_output=True)
        assert (work / output / "a.png").is_file()
    subprocess.run([*module, "masks", ".", "../masks"], cwd=work / "by_file", check=True, capture_output=True)
    assert (work / "masks" / "a.png").is_file()


def test_a_photo_of_more_pixels_than_asked_for_is_refused(work, capsys):
    write_png(work / "a.png", np.zeros((20, 30, 3), np.uint8))
    words = ("-i", "a.png", "-o", "b.png", "--weights", "nafnet.pth", "--max_pixels")
    code, printed = fails(capsys, *words, 599)
    limit = "a.png: 30 x 20 pixels are more than 599; cut it into parts, or raise --max_pixels"
    assert (code, printed.strip()) == (1, f"error: {limit}")
    run(*words, 600)
    assert read_rgb(work / "b.png").shape == (20, 30, 3)
    assert fails(capsys, *words, 2**30 + 1)[0] == 2
