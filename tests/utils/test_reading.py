from __future__ import annotations

import os

import pytest

from basicsr.data.boxes import read_box
from basicsr.data.clip_metadata import read_clip_metadata
from basicsr.reporting.page import read_page
from basicsr.storage import read_meta_info
from basicsr.utils.errors import UserError
from basicsr.utils.reading import LARGEST_TEXT, parse_json, read_file


def test_a_file_is_read_up_to_its_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_file(tmp_path / "a", 5) == b"12345"
    with pytest.raises(UserError, match="a: more than the 4 bytes that such a file may have"):
        read_file(tmp_path / "a", 4)


def test_what_never_ends_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("pipe", "link"):
        with pytest.raises(UserError, match=f"{name}: not a regular file"):
            read_file(tmp_path / name, 10)
    for missing in (tmp_path, tmp_path / "none"):
        with pytest.raises(OSError):
            read_file(missing, 10)


@pytest.mark.parametrize("reader", [read_meta_info, read_box])
def test_lists_have_a_limit(tmp_path, reader):
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(LARGEST_TEXT + 1)
    with pytest.raises(UserError, match="a.txt: more than the 67,108,864 bytes"):
        reader(tmp_path / "a.txt")


def test_json_that_is_nested_too_deeply_is_one_line(tmp_path):
    deep = "[" * 200_000
    with pytest.raises(ValueError, match="^nested too deeply$"):
        parse_json(deep)
    (tmp_path / "a.json").write_text(deep)
    (tmp_path / "a.html").write_text(f'<script id="report" type="application/json">{deep}</script>')
    with pytest.raises(UserError, match="a.json: no bounding box"):
        read_box(tmp_path / "a.json")
    with pytest.raises(UserError, match="a.json: not JSON, or cut short"):
        read_clip_metadata(tmp_path / "a.json")
    with pytest.raises(UserError, match="a.html: not a report of this toolkit"):
        read_page(tmp_path / "a.html")
