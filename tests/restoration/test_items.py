"""What is restored, and where each result goes."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pytest

from basicsr.restoration.items import KNOWN, as_clips, find_items, require_own_masks
from basicsr.restoration.video import VIDEO_SUFFIXES
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png
from basicsr.utils.photo_file import written_suffix

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def targets(*sources: str, output: str = "out") -> dict[str, str]:
    """Result by input, both as they would be typed."""
    items = find_items([Path(source) for source in sources], Path(output), is_folder=True)
    return {str(item.source): str(item.target) for item in items}


def test_a_folder_keeps_its_structure(work):
    touch("in/b.png", "in/trip/a.JPG", "in/.thumbnails/b.png", "elsewhere/c.mp4", "in/notes.txt")
    (work / "in" / "linked").symlink_to(work / "elsewhere")
    assert targets("in") == {
        "in/b.png": "out/b.png",
        "in/linked/c.mp4": "out/linked/c.mp4",
        "in/trip/a.JPG": "out/trip/a.JPG",
    }


def test_files_go_into_the_output_and_folders_keep_their_names_in_it(work):
    touch("a.png", "deep/b.jpg", "one/x.png", "two/x.png", "two/trip/y.png")
    assert targets("deep/b.jpg", "a.png", "one", "two/") == {
        "deep/b.jpg": "out/b.jpg",
        "a.png": "out/a.png",
        "one/x.png": "out/one/x.png",
        "two/trip/y.png": "out/two/trip/y.png",
        "two/x.png": "out/two/x.png",
    }
    everything = [str(path) for path in sorted(Path("two").iterdir())]
    assert set(targets(*everything).values()) == set(targets("two").values()), "two/* is as good as two"


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("a.png", "a.png"),
        ("a.JPEG", "a.JPEG"),
        ("a.b.avi", "a.b.mp4"),
        ("a.AVI", "a.mp4"),
        ("a.wmv", "a.mp4"),
        ("a.mkv", "a.mkv"),
        ("a.gif", "a.png"),
        ("a.heic", "a.png"),
        ("a.ppm", "a.png"),
        ("a.jp2", "a.png"),
        ("frame.0000.gif", "frame.0000.png"),
    ],
)
@pytest.mark.parametrize("source", ["in", "in/{}"])
def test_what_is_only_read_becomes_what_is_written(work, name: str, becomes: str, source: str):
    touch(f"in/{name}")
    assert targets(source.format(name)) == {f"in/{name}": f"out/{becomes}"}


def test_the_table_for_users_says_what_becomes_of_each_suffix(work):
    rows = (ROOT / "docs" / "restoring.md").read_text(encoding="utf-8").splitlines()
    text = {
        suffix: result if result[0] == "." else suffix
        for row in rows
        if row.startswith(("| `.", "| all other photos")) and row.count("|") == 3
        for result in [row.split("|")[2].strip().strip("`")]
        for suffix in re.findall(r"`(\.\w+)`", row.split("|")[1])
    }
    for suffix, result in text.items():
        touch(f"in/{suffix[1:]}/a{suffix}")
        assert targets(f"in/{suffix[1:]}") == {f"in/{suffix[1:]}/a{suffix}": f"out/a{result}"}
    unsaid = set(KNOWN) - set(text)  # "all other photos"
    assert {written_suffix(suffix) for suffix in unsaid} == {".png"} and not unsaid & set(VIDEO_SUFFIXES)


def test_a_result_has_a_suffix_that_is_written(work):
    for suffix in KNOWN:
        touch(f"in/{suffix[1:]}/a{suffix}")
    again = {Path(target).suffix for target in targets("in").values()}
    for suffix in again:
        touch(f"again/{suffix[1:]}/a{suffix}")
    assert {Path(target).suffix for target in targets("again").values()} == again


def test_an_input_that_is_named_twice_is_restored_once(work):
    touch("in/a.png")
    assert targets("in/a.png", "in/a.png") == {"in/a.png": "out/a.png"}


CLASHES = {
    "one name in two folders": (["one/x.png", "two/x.png"], ["one/x.png", "two/x.png"]),
    "two folders of one name": (["one/trip/x.png", "two/trip/x.png"], ["one/trip", "two/trip"]),
    "a film that becomes another": (["in/a.avi", "in/a.mp4"], ["in"]),
    "a photo that becomes another": (["in/a.heic", "in/a.png"], ["in"]),
    "two that change": (["in/a.gif", "in/a.ppm"], ["in"]),
}


@pytest.mark.parametrize("case", CLASHES)
def test_two_results_of_one_name_are_a_mistake_before_the_work(work, case: str):
    files, sources = CLASHES[case]
    touch(*files)
    with pytest.raises(UserError) as told:
        targets(*sources)
    first, second = sorted(files)
    assert str(told.value).startswith(f"{first} and {second}: both would become out/")
    assert "rename one, or restore them apart" in str(told.value) and "\n" not in str(told.value)


def test_masks_of_two_photos_need_two_names(work):
    touch("in/a.png", "in/a.mp4", "in/b.png", "other/a.jpg")
    sources = [Path("in")]
    items = find_items(sources, Path("out"), is_folder=True)
    require_own_masks(items, Path("masks"), sources)
    with pytest.raises(UserError, match=r"^out/a.png: would be a result and a mask; keep the masks in"):
        require_own_masks(items, Path("out"), sources)
    with pytest.raises(UserError, match=r"^in/masks: lies in the input folder in"):
        require_own_masks(items, Path("in/masks"), sources)
    touch("in/b.jpg")
    items = find_items(sources, Path("out"), is_folder=True)
    with pytest.raises(UserError, match=r"^in/b.jpg and in/b.png: both would have the mask masks/b.png; ren"):
        require_own_masks(items, Path("masks"), sources)


def test_what_is_left_out_of_a_folder_is_counted(work, caplog):
    touch("in/a.png", "in/b.xcf", "in/c/d.xcf", "in/e.psd", "in/f.mxf", "in/notes.txt", "in/.g.psd")
    with caplog.at_level(logging.WARNING, "basicsr"):
        targets("in")
    (record,) = caplog.records
    assert record.message == "in: 4 files left out: .xcf (2), .mxf (1), .psd (1)"


@pytest.mark.parametrize("linked", [False, True])
def test_an_output_in_any_of_the_inputs_is_refused(work, linked: bool):
    touch("a.png", "in/b.png", "elsewhere/c.png")
    (work / "in" / "link").symlink_to(work / "elsewhere")
    output = "elsewhere/out" if linked else "in/out"
    with pytest.raises(UserError, match=f"^{output}: lies in the input folder in; choose a place outside"):
        targets("a.png", "in", output=output)


@pytest.mark.parametrize("sources", [["a.png"], ["b.png", "a.png"]])
def test_a_result_in_the_place_of_an_input_is_refused(work, sources: list[str]):
    touch("a.png", "b.png")
    with pytest.raises(UserError, match=r"\.png: is the input itself; choose another place"):
        targets(*sources, output=".")


def test_several_results_do_not_fit_into_a_file(work):
    touch("in/a.png", "b.png")
    for sources in (["in"], ["b.png", "in/a.png"]):
        with pytest.raises(UserError, match=r"^c.png: is one file for several results; name a folder"):
            find_items([Path(source) for source in sources], Path("c.png"), is_folder=False)


def test_a_clip_of_a_photo_may_be_one_file(work):
    """Which network it takes, `restore_all` knows."""
    touch("a.png")
    for target in ("b.gif", "b.mp4", "b.webp"):
        (item,) = find_items([Path("a.png")], Path(target), False)
        assert as_clips([item], is_folder=False) == [item]
        (frames,) = as_clips([item], is_folder=True)
        assert frames.target == Path("b/0001.png")


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("a.avi", "b.avi", "cannot write a video as '.avi'; use one of .mp4"),
        ("a.avi", "b.png", "cannot write a video as '.png'"),
        ("a.gif", "b.avi", "cannot write photos as '.avi'; use one of .png"),
    ],
)
def test_a_single_result_has_a_suffix_that_is_written(work, source: str, target: str, message: str):
    touch(source)
    with pytest.raises(UserError, match=f"^{target}: {message}"):
        find_items([Path(source)], Path(target), is_folder=False)


@pytest.mark.parametrize(("target", "fits"), [("b.jpg", False), ("b.webp", False), ("b.png", True)])
def test_a_photo_that_the_type_of_its_result_cannot_hold_is_told_by_its_header(work, target: str, fits: bool):
    write_png(Path("whole.png"), np.zeros((1, 70_000, 3), np.uint8))
    Path("a.png").write_bytes(Path("whole.png").read_bytes()[:60])  # no pixels are looked at
    if fits:
        find_items([Path("a.png")], Path(target), is_folder=False)
        return
    with pytest.raises(
        UserError, match=rf"^{target}: \w+ holds \d+ pixels per side, not 70000 x 1; write PNG"
    ):
        find_items([Path("a.png")], Path(target), is_folder=False)


def test_a_broken_link_is_named_when_it_is_read_and_not_left_out(work):
    touch("in/a.png")
    (work / "in" / "gone.png").symlink_to("nowhere.png")
    assert list(targets("in")) == ["in/a.png", "in/gone.png"]
