"""Names of files on console and log."""

from __future__ import annotations

import logging
import os
import pickle

import pytest

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import Lines, shown
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.log import log_to_file, logger, open_log

HOSTILE = {
    "two\nlines": r"two\nlines",
    "red\x1b[31m": r"red\x1b[31m",
    "gpj.\u202egnp": r"gpj.\u202egnp",
    "a\u2028b\u2066c\x85d": r"a\u2028b\u2066c\x85d",
    os.fsdecode(b"byte\xff"): r"byte\udcff",
}


def test_what_is_not_seen_is_escaped_and_all_else_stays():
    assert {name: shown(name) for name in HOSTILE} == HOSTILE
    assert shown("Füße 写真 👍 a\\b") == "Füße 写真 👍 a\\b"


@pytest.mark.parametrize("name", HOSTILE)
def test_errors_and_log_show_names_escaped(tmp_path, capsys, name):
    def command() -> None:
        open_log(True)
        log_to_file(tmp_path / "a.log")
        logger().info(f"{name}: read")
        logger().info(Lines(f"table\n{name.splitlines()[0]}"))
        raise UserError(f"{name}: broken", [f"{name}: too", "the second"])

    with pytest.raises(SystemExit):
        run_command(command, debug=False)
    output = capsys.readouterr()
    escaped = HOSTILE[name]
    assert output.err == f"error: {escaped}: broken\n  {escaped}: too\n  the second\n"
    for text in (output.out, (tmp_path / "a.log").read_text(encoding="utf-8")):
        first, *others = text.split("\n")
        assert first.endswith(f"INFO: {escaped}: read")
        assert len(others) == 3 and others[0].endswith("INFO: table")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_mistake_on_the_command_line_is_shown_escaped(capsys, name):
    with pytest.raises(SystemExit):
        command_parser("a", "about", "").parse_args([f"--{name}"])
    assert capsys.readouterr().err.endswith(f"a: error: unrecognized arguments: --{HOSTILE[name]}\n")


def test_a_traceback_of_a_name_that_is_no_text_is_written(tmp_path):
    open_log(True)
    log_to_file(tmp_path / "a.log")
    try:
        raise ValueError("byte\udcff")
    except ValueError:
        logger().log(logging.ERROR, "failed", exc_info=True)
    assert r"ValueError: byte\udcff" in (tmp_path / "a.log").read_text(encoding="utf-8")


def test_errors_of_several_lines_are_texts_of_them():
    error = UserError("two are broken:", ["a", "b"])
    assert str(error) == "two are broken:\n  a\n  b"
    assert pickle.loads(pickle.dumps(error)).shown == error.shown
    assert OptionError("a.yml", ["x: 1", "y: 2"]).shown == "a.yml: 2 mistakes\n  x: 1\n  y: 2"
