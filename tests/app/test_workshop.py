"""Behind the page: choices become files, and the command line that makes the same files."""

from __future__ import annotations

import shlex
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from basicsr import infer
from basicsr.app.workshop import Choices, Setup, View, Workshop, command_line, remaining, safe_name
from basicsr.checkpoints.weights import save_network
from basicsr.commands import app
from basicsr.commands.restore import parse
from basicsr.restoration.video import video_facts, write_video
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png
from basicsr.utils.registry import ARCHS

LEVELS = {"width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1], "middle_blk_num": 1}


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """A folder with a photo and with weights of a network that wants masks and changes photos a little."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)
    net = ARCHS.build("SegNAFNet", LEVELS)
    with torch.no_grad():
        net.ending.weight.mul_(0.3)
    save_network(tmp_path / "seg.pth", net, None, {"type": "SegNAFNet", **LEVELS})
    write_png(tmp_path / "cup.png", skimage.data.coffee()[100:164, 200:280])
    return tmp_path


def setup(work: Path, **more) -> Setup:
    return Setup(work / "own", weights=("seg.pth",), device="cpu", **more)


def restore(workshop: Workshop, choices: Choices, *names: str, cancelled=lambda: False, tell=lambda *_: None):
    sources = [Path(name).resolve() for name in names or ("cup.png",)]
    return workshop.restore(sources, choices, workshop.setup.folder / "results", tell, cancelled)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        pytest.param({"masks": "none", "ensemble": True}, marks=pytest.mark.slow),
        {"strength": 0.35, "only": ((60, 50), (3, 3))},
    ],
)
def test_the_command_line_makes_the_same_bytes(work, choices):
    outcome = restore(Workshop(setup(work, tile=64)), Choices("seg.pth", **choices))
    (result,) = outcome.results
    assert outcome.problems == [] and not outcome.is_cancelled
    program, verb, *words = shlex.split(result.command)
    assert (program, verb) == ("sam-deblur", "restore") and "--device" in words
    infer.main(words)
    assert (work / "out" / "cup.png").read_bytes() == result.place.read_bytes()
    assert not np.array_equal(read_rgb(result.place), read_rgb(work / "cup.png"))


def test_outside_of_chosen_regions_the_photo_stays(work):
    workshop = Workshop(setup(work))
    view = workshop.look(work / "cup.png", "graph")
    places = view.toggled((), view.place_at(60, 50))
    (result,) = restore(workshop, Choices("seg.pth", only=places)).results
    before, after = read_rgb(work / "cup.png"), read_rgb(result.place)
    chosen = view.labels == view.labels[50, 60]
    assert 100 < np.count_nonzero(chosen) < chosen.size - 100
    assert np.array_equal(before[~chosen], after[~chosen])
    assert not np.array_equal(before[chosen], after[chosen])


def test_previews_have_the_full_size_and_8_bits(work):
    write_png(work / "deep.png", np.full((70, 90, 3), 30000, np.uint16))
    (result,) = restore(Workshop(setup(work)), Choices("seg.pth"), "deep.png").results
    assert read_rgb(result.place).dtype == np.uint16 and result.size == (90, 70)
    for preview in (result.before, result.after):
        assert read_rgb(preview).shape == (70, 90, 3) and read_rgb(preview).dtype == np.uint8


@pytest.mark.slow
def test_a_video_counts_its_frames(work):
    pytest.importorskip("av", reason="PyAV (extra video) is not installed")
    write_video(work / "film.mp4", np.stack([skimage.data.coffee()[100:132, 200:248]] * 3), Fraction(10))
    told: list[str] = []
    outcome = restore(
        Workshop(setup(work)), Choices("seg.pth"), "film.mp4", tell=lambda share, words: told.append(words)
    )
    (result,) = outcome.results
    assert result.is_clip and result.size == (48, 32) and video_facts(result.place).frames == 3
    assert told[0] == "film.mp4, frame 1 of 3" and told[-1].startswith("film.mp4, frame 3 of 3")
    assert result.notes[-1] == "the slider shows the first frame"
    infer.main(shlex.split(result.command)[2:])
    assert (work / "out" / "film.mp4").read_bytes() == result.place.read_bytes()


def test_a_broken_file_is_named_and_the_others_are_restored(work):
    (work / "broken.png").write_text("no picture")
    outcome = restore(Workshop(setup(work)), Choices("seg.pth"), "broken.png", "cup.png")
    assert [result.place.name for result in outcome.results] == ["cup.png"]
    (problem,) = outcome.problems
    assert problem.startswith("broken.png: ") and str(work) not in problem


def test_weights_of_no_network_are_named_without_their_folder(work):
    (work / "bad.pth").write_text("no weights")
    with pytest.raises(UserError, match=r"^bad\.pth: "):
        restore(Workshop(setup(work)), Choices(str(work / "bad.pth")))


def test_a_photo_of_more_pixels_than_allowed_is_refused(work):
    outcome = restore(Workshop(setup(work, max_pixels=5000)), Choices("seg.pth"))
    assert outcome.results == [] and "80 x 64 pixels are more than 5,000" in outcome.problems[0]


def test_what_is_done_before_cancelling_is_kept(work):
    told: list[str] = []
    outcome = restore(
        Workshop(setup(work)),
        Choices("seg.pth"),
        "cup.png",
        "cup.png",
        tell=lambda share, words: told.append(words),
        cancelled=lambda: len(told) == 2,
    )
    assert outcome.is_cancelled and outcome.problems == [] and len(outcome.results) == 1
    assert told[0] == "cup.png (1 of 2)" and told[1].startswith("cup.png (1 of 2), about ")


def test_progress_counts_tiles_and_files(work):
    told: list[tuple[float, str]] = []
    restore(
        Workshop(setup(work, tile=64)),
        Choices("seg.pth"),
        "cup.png",
        "cup.png",
        tell=lambda share, words: told.append((share, words)),
    )
    shares = [share for share, _ in told]
    tiles = len(told) // 2 - 1
    assert tiles > 1 and shares == sorted(shares) and shares[-1] == 1
    assert told[0][1] == f"cup.png (1 of 2), tile 1 of {tiles}"


@pytest.mark.parametrize(
    ("choices", "names", "message"),
    [
        ({}, (), "Choose a photo"),
        ({"only": ((1, 1),)}, ("cup.png", "cup.png"), "for one photo"),
    ],
)
def test_mistakes_come_before_the_work(work, choices, names, message):
    workshop = Workshop(setup(work))
    with pytest.raises(UserError, match=message):
        workshop.restore(
            [work / name for name in names], Choices("seg.pth", **choices), work, print, lambda: False
        )


def test_regions_alone_need_regions():
    with pytest.raises(UserError, match="needs regions"):
        Choices("SegNAFNet", masks="none", only=((1, 1),))


@pytest.mark.parametrize("size", [(40, 30), (1500, 300), (1001, 333)])
def test_a_click_means_the_region_that_is_seen(work, size):
    width, height = size
    labels = np.ones((height, width), np.int32)
    labels[:, width // 2 :] = 2
    photo = np.full((height, width, 3), 90, np.uint8)
    photo[:, width // 2 :] = 200
    write_png(work / "halves.png", photo)
    view = Workshop(setup(work)).look(work / "halves.png", "graph")
    rows, columns = view.labels.shape
    assert view.size == size and max(rows, columns) <= 1000
    for x in (0, columns // 2 - 1, columns // 2 + 1, columns - 1):
        place = view.place_at(x, rows - 1)
        (chosen,) = view.toggled((), place)
        assert chosen == place and view.toggled((place,), place) == ()
        drawn = view.drawn((place,))
        assert np.array_equal(drawn[-1, x], view.photo[-1, x])


def test_what_is_not_chosen_is_dark():
    labels = np.array([[1, 2]], np.int32)
    view = View(np.full((1, 2, 3), 90, np.uint8), labels, (2, 1))
    assert view.drawn([(1, 0)]).tolist() == [[[30] * 3, [90] * 3]]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("IMG_0001.JPG", "IMG_0001.JPG"),
        ("../../etc/passwd.png", "passwd.png"),
        (r"C:\photos\a b.jpg", "a_b.jpg"),
        ("-rf $(ls) `x`;.png", "rf_ls_x_.png"),
        ("<img src=x onerror=1>.png", "img_src_x_onerror_1_.png"),
        ("Ärger, früh.jpeg", "Ärger_früh.jpeg"),
        (".hidden.png", "hidden.png"),
        ("", "photo"),
        ("x" * 300 + ".png", "x" * 80 + ".png"),
        ("é" * 300 + ".png", "é" * 40 + ".png"),
    ],
)
def test_names_of_uploads(name, safe):
    assert safe_name(name) == safe


def test_the_command_line_names_all_that_differs_from_the_default(tmp_path):
    plain = Setup(tmp_path)
    assert (
        command_line("a.heic", "a.png", Choices("NAFNet"), plain)
        == "sam-deblur restore -i a.heic -o out/a.png --weights NAFNet"
    )
    words = ("--segmenter", "sam", "--model", "vit_b")
    fixed = Setup(
        tmp_path,
        segmenter_words=words,
        rule="smallest_on_top",
        tile=512,
        device="cuda:1",
        max_pixels=10**6,
    )
    choices = Choices("/tmp/up load/net g.pth", "own", 0.5, True, ((1, 2), (30, 40)))
    typed = parse(shlex.split(command_line("a.jpg", "a.jpg", choices, fixed))[2:])
    assert (typed.weights, typed.segmenter, typed.model) == ("net_g.pth", "sam", "vit_b")
    assert (typed.rule, typed.tile, typed.device, typed.max_pixels) == (
        "smallest_on_top",
        512,
        "cuda:1",
        10**6,
    )
    assert (typed.strength, typed.ensemble, typed.only) == (0.5, True, [(1, 2), (30, 40)])


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "about 1 s left"), (59.4, "about 59 s left"), (200, "about 3 min left")]
)
def test_remaining_time(seconds, words):
    assert remaining(seconds) == words


def test_without_gradio_one_line_names_the_extra(monkeypatch, capsys):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "")
    monkeypatch.setitem(__import__("sys").modules, "gradio", None)
    with pytest.raises(SystemExit) as ended:
        app.main([])
    output = capsys.readouterr().err
    assert ended.value.code == 1 and output.count("\n") == 1
    assert "pip install 'sam-deblur[app]'" in output
