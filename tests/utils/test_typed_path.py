"""Paths as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest

from basicsr.utils.typed_path import expand, typed_path


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DATA", "/data")
    monkeypatch.delenv("NOT_SET", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("~", "/home/me"),
        ("~/photos/", "/home/me/photos/"),
        ("$DATA/a.png", "/data/a.png"),
        ("${DATA}set/$DATA", "/dataset//data"),
        ("photos/~/a.png", "photos/~/a.png"),
        ("$NOT_SET/a.png", "$NOT_SET/a.png"),
        ("100%.png", "100%.png"),
        ("a b'c\"[d].png", "a b'c\"[d].png"),
        ("", ""),
    ],
)
def test_paths_are_expanded_as_shells_do(typed: str, meant: str):
    assert expand(typed) == meant
    assert typed_path(typed) == Path(meant)


def test_what_is_there_under_the_name_that_was_typed_is_meant(home):
    for name in ("$DATA", "~", "$DATA.png"):
        (home / name).touch()
        assert expand(name) == name
