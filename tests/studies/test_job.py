"""The command line of a study."""

from __future__ import annotations

from pathlib import Path

import pytest

from basicsr.studies.job import PAPER_ROWS, read_job


@pytest.mark.parametrize("words", [["mine.yml"], ["-s", "mine.yml"], ["--study", "mine.yml"]])
def test_the_file_is_named_alone_or_by_its_option(words):
    assert read_job([*words, "--jobs", "2"]).study == Path("mine.yml")


def test_without_a_file_it_is_the_rows_of_the_paper():
    assert read_job([]).study.name == PAPER_ROWS.name


def test_two_files_are_a_mistake(capsys):
    with pytest.raises(SystemExit):
        read_job(["mine.yml", "--study", "other.yml"])
    assert "not allowed with argument FILE" in capsys.readouterr().err
