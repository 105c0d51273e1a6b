"""Option files are found by name, wherever the current folder is."""

from __future__ import annotations

from pathlib import Path

import pytest

from basicsr.config.load import load_config
from basicsr.config.option_files import find_option_file, shipped_option_files
from basicsr.utils.errors import OptionError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("command", "folder"), [("train", "train"), ("test", "test"), ("demo", "test")])
def test_every_file_of_the_checkout_has_a_name(command, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = sorted((ROOT / "options" / folder).glob("*/*.yml"))
    assert [path.resolve() for path in shipped_option_files(command).values()] == files
    for name, path in shipped_option_files(command).items():
        assert find_option_file(name, command) == path
        assert find_option_file(f"{name}.yml", command) == path
        assert find_option_file(f"options/{folder}/{name}.yml", command) == path


def test_bases_of_a_shipped_file_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        for field in ("target", "input"):
            (tmp_path / "datasets/Demo" / split / field).mkdir(parents=True)
    config = load_config("Demo/NAFNet", [], "train")
    assert config.name == "Demo-NAFNet" and config.train.total_iter == 120


def test_own_file_inherits_from_a_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "own.yml").write_text("base: options/train/GoPro/NAFNet.yml\nname: own")
    with pytest.raises(OptionError) as caught:
        load_config("own.yml", [], "train")
    assert all("no such folder" in mistake for mistake in caught.value.mistakes)
    (tmp_path / "own.yml").write_text("base: options/train/GoPro/NAFNett.yml")
    with pytest.raises(OptionError, match="NAFNett.yml: cannot read the option file"):
        load_config("own.yml", [], "train")


def test_a_file_that_is_there_is_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "Demo" / "NAFNet"
    own.parent.mkdir()
    own.write_text("name: own")
    assert find_option_file("Demo/NAFNet", "train").resolve() == own


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("Demo/NAFNett", "Demo/NAFNett: no such option file. Did you mean 'Demo/NAFNet'?"),
        ("12345", "12345: no such option file. Known: "),
        ("Demo/NAFNett.yml", "Demo/NAFNett.yml: cannot read the option file: No such file or directory."),
    ],
)
def test_a_name_of_nothing_is_one_line(named, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError) as caught:
        load_config(named, [], "train")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
