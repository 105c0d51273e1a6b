"""One rule for reading folders: sorted, visible, links followed, loops cut, the rest counted."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from basicsr.utils.errors import UserError
from basicsr.utils.folders import find_files, require_outside, visible_files, visible_folders, walk


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in walk(folder)]


def test_files_come_sorted_by_the_parts_of_their_paths(tmp_path):
    touch(tmp_path, "b.png", "a/2.png", "a/10.png", "a.png", "a/c/x.txt", "B.png")
    assert found(tmp_path) == ["B.png", "a/10.png", "a/2.png", "a/c/x.txt", "a.png", "b.png"]
    assert [Path(name) for name in found(tmp_path)] == sorted(Path(name) for name in found(tmp_path))


def test_hidden_files_and_folders_are_skipped(tmp_path):
    touch(tmp_path, "a.png", ".a.png", ".thumbnails/b.png", "c/.hidden/d.png", "c/._e.png", "c/f.png")
    assert found(tmp_path) == ["a.png", "c/f.png"]


def test_links_to_files_and_folders_are_followed_each_time(tmp_path):
    touch(tmp_path / "elsewhere", "x.png")
    folder = tmp_path / "in"
    touch(folder, "a.png")
    for name in ("one", "two"):
        (folder / name).symlink_to(tmp_path / "elsewhere")
    (folder / "b.png").symlink_to(tmp_path / "elsewhere" / "x.png")
    assert found(folder) == ["a.png", "b.png", "one/x.png", "two/x.png"]


def test_a_folder_that_is_itself_a_link_is_read(tmp_path):
    touch(tmp_path / "in", "a.png", "b/c.png")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert found(tmp_path / "link") == ["a.png", "b/c.png"]


def test_loops_are_cut_and_nothing_else(tmp_path):
    touch(tmp_path, "a/x.png", "b/y.png")
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "other").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "back").symlink_to(tmp_path / "a")
    assert found(tmp_path) == ["a/other/y.png", "a/x.png", "b/back/x.png", "b/y.png"]


def test_a_link_to_nowhere_is_a_file_that_will_be_named_when_it_is_read(tmp_path):
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    assert found(tmp_path) == ["gone.png", "round.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are a matter of POSIX")
def test_pipes_are_left_out_as_reading_them_would_wait_for_ever(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    touch(tmp_path, "a.png")
    assert found(tmp_path) == ["a.png"]


def test_a_folder_that_cannot_be_read_is_named_and_the_others_are_read(tmp_path, monkeypatch, caplog):
    touch(tmp_path, "closed/x.png", "open/y.png")
    scandir = os.scandir

    def guarded(place):
        if Path(place).name == "closed":
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", guarded)  # root may read everything
    with caplog.at_level(logging.WARNING, "basicsr"):
        assert found(tmp_path) == ["open/y.png"]
    assert f"{tmp_path / 'closed'}: the folder cannot be read (Permission denied), left out" in caplog.text
    with pytest.raises(UserError, match=r"closed: cannot be read \(Permission denied\); check its perm"):
        list(walk(tmp_path / "closed"))


def test_what_is_no_folder_is_named(tmp_path):
    touch(tmp_path, "a.png")
    for name in ("a.png", "none"):
        with pytest.raises(UserError, match=f"{name}: no such folder; check the path$"):
            list(walk(tmp_path / name))


def test_what_is_left_out_is_counted_by_suffix(tmp_path, caplog):
    touch(tmp_path, "a.PNG", "b.xcf", "c/d.XCF", "e.psd", "README", ".hidden.psd")
    touch(tmp_path, "notes.txt", "manifest.json", "regions_1of1.jsonl", "Thumbs.db", "a.xmp")
    with caplog.at_level(logging.WARNING, "basicsr"):
        assert [path.name for path in find_files(tmp_path, (".png",))] == ["a.PNG"]
    (record,) = caplog.records
    assert record.message == f"{tmp_path}: 4 files left out: .xcf (2), .psd (1), without suffix (1)"


def test_nothing_is_said_where_nothing_is_left_out(tmp_path, caplog):
    touch(tmp_path, "a.png", "b.jpg", "notes.txt", ".trash/c.xcf")
    with caplog.at_level(logging.DEBUG, "basicsr"):
        assert len(find_files(tmp_path, (".png", ".jpg"))) == 2
    assert not caplog.records


def test_a_single_level(tmp_path):
    touch(tmp_path, "b.png", "a.JPG", "c.txt", ".d.png", "e/f.png", "g.png/x", ".h/x")
    (tmp_path / "link").symlink_to(tmp_path / "e")
    assert [path.name for path in visible_files(tmp_path, (".png", ".jpg"))] == ["a.JPG", "b.png"]
    assert [path.name for path in visible_folders(tmp_path)] == ["e", "g.png", "link"]


def test_an_output_inside_the_input_is_refused_also_behind_a_link(tmp_path):
    folder, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    touch(folder, "a.png")
    touch(elsewhere, "deep/x.png")
    (folder / "link").symlink_to(elsewhere)
    require_outside(tmp_path / "out", folder)
    require_outside(tmp_path, folder)
    for inside in (folder, folder / "out", folder / "link" / "out", elsewhere / "out"):
        with pytest.raises(UserError, match=f"^{inside}: lies in the input folder {folder}; choose"):
            require_outside(inside, folder)
