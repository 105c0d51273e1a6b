"""What a run says."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basicsr.utils.log import EventLog, close_log, json_safe, log_to_file, logger, open_log

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.fixture(autouse=True)
def closed_log():
    log = logger()
    before = log.level, log.propagate
    yield
    close_log()
    log.setLevel(before[0])
    log.propagate = before[1]


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_events_are_one_json_object_a_line_in_order(tmp_path):
    path = tmp_path / "new" / "events.jsonl"
    events = EventLog(path)
    events.open()
    events.write("train", 100, {"loss": 0.5, "lr": 1e-3})
    events.write("val", 200, {"dataset": "GoPro", "psnr": 32.25})
    events.close()
    again = EventLog(path)
    again.open()
    again.write("train", 300, {"loss": 0.25})
    found = lines(path)
    assert all(isinstance(line.pop("time"), float) for line in found)
    assert found == [
        {"kind": "train", "iter": 100, "loss": 0.5, "lr": 0.001},
        {"kind": "val", "iter": 200, "dataset": "GoPro", "psnr": 32.25},
        {"kind": "train", "iter": 300, "loss": 0.25},
    ]


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan")])
def test_number_that_json_cannot_say_is_null(value, tmp_path):
    events = EventLog(tmp_path / "events.jsonl")
    events.open()
    events.write("train", 1, {"loss": value, "lr": 0.5})
    text = (tmp_path / "events.jsonl").read_text()
    assert '"loss": null' in text and json.loads(text)["lr"] == 0.5


def test_every_event_is_on_disk_at_once(tmp_path):
    events = EventLog(tmp_path / "events.jsonl")
    events.open()
    for iteration in range(1, 4):
        events.write("train", iteration, {"loss": 0.0})
        assert len(lines(tmp_path / "events.jsonl")) == iteration


@given(VALUES)
def test_json_safe_gives_strict_json_and_changes_nothing_else(value):
    text = json.dumps(json_safe(value), allow_nan=False)

    def same(left, right):
        if isinstance(left, float) and (left != left or left in (float("inf"), -float("inf"))):
            return right is None
        if isinstance(left, dict):
            return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
        if isinstance(left, list):
            return len(left) == len(right) and all(map(same, left, right))
        return left == right

    assert same(value, json.loads(text))


def test_tensorboard_gets_the_same_numbers(tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventLog(tmp_path / "events.jsonl", tensorboard=tmp_path / "tb")
    events.open()
    events.write("train", 10, {"loss": 0.5})
    events.write("val", 10, {"dataset": "GoPro", "psnr": 30.0})
    events.close()
    reader = EventAccumulator(str(tmp_path / "tb"))
    reader.Reload()
    assert set(reader.Tags()["scalars"]) == {"train/loss", "val/GoPro/psnr"}
    assert [(item.step, item.value) for item in reader.Scalars("train/loss")] == [(10, 0.5)]


def test_main_process_writes_console_and_file_the_others_only_warn(tmp_path, capsys):
    open_log(is_main=True)
    logger().info("für alle")
    log_to_file(tmp_path / "logs" / "train.log")
    logger().info("later")
    assert "INFO: für alle" in capsys.readouterr().out
    text = (tmp_path / "logs" / "train.log").read_text(encoding="utf-8")
    assert text.index("INFO: für alle") < text.index("INFO: later"), (
        "the file begins with what was said before"
    )
    assert text.count("für alle") == text.count("later") == 1
    open_log(is_main=False)
    logger().info("quiet")
    logger().warning("loud")
    output = capsys.readouterr().out
    assert "quiet" not in output and "WARNING: loud" in output
    assert "loud" not in (tmp_path / "logs" / "train.log").read_text(encoding="utf-8")


def test_opening_again_says_nothing_twice_and_closing_frees_the_file(tmp_path, capsys):
    open_log(is_main=True)
    log_to_file(tmp_path / "a.log")
    open_log(is_main=True)
    logger().info("once")
    assert capsys.readouterr().out.count("once") == 1
    assert (tmp_path / "a.log").read_text() == ""
    close_log()
    assert logger().handlers == []
    assert logger() is logging.getLogger("basicsr")


def test_events_make_nothing_until_they_are_opened(tmp_path):
    EventLog(tmp_path / "new" / "events.jsonl", tensorboard=tmp_path / "tb").close()
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_the_disk_does_not_take_is_told_and_no_more(tmp_path, caplog):
    log = EventLog(tmp_path / "gone" / "events.jsonl")
    logger().propagate = True
    log.write("train", 5, {"loss": 0.5})
    assert caplog.messages == [
        f"{tmp_path / 'gone' / 'events.jsonl'}: No such file or directory; iteration 5 is missing there"
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_console_that_is_a_file_on_a_full_disk_is_no_error(tmp_path, monkeypatch, capsys):
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(full, write_through=True))
        open_log(is_main=True)
        log_to_file(tmp_path / "train.log")
        logger().info("said")
        close_log()
        monkeypatch.undo()
    assert capsys.readouterr().err == "" and "said" in (tmp_path / "train.log").read_text()


@pytest.mark.skipif(os.name != "posix", reason="limits of a process are a matter of POSIX")
def test_a_disk_that_is_full_for_tensorboard_is_told_once_and_no_error(tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    code = (
        "import resource; from contextlib import suppress; from pathlib import Path\n"
        "from basicsr.utils.log import EventLog, open_log\n"
        "open_log(True); log = EventLog(Path('events.jsonl'), Path('tb')); log.open()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "board = log._tensorboard\n"
        "for number in range(60):\n"
        "    log.write('train', number, {'loss': 0.5})\n"
        "    with suppress(OSError): board.flush()\n"
        "log.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (told,) = [line for line in done.stdout.splitlines() if "WARNING: tb: " in line]
    assert "TensorBoard gets nothing" in told


def lines_in(path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_going_back_leaves_whole_lines_of_earlier_iterations(tmp_path):
    """Behind the iteration that is resumed from are lines that come again, and perhaps one that was cut."""
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.open()
    for iteration in (1, 2, 2, 3):
        log.write("train", iteration, {"loss": 0.5})
    whole = lines_in(path)
    for torn in (b"", b'{"kind": "train", "it', b"\xff\n", b"[1]\n", b'{"iter": 1e999}\n', b"[" * 10**5):
        path.write_bytes(b"".join(whole) + torn)
        log.go_back(2)
        assert lines_in(path) == whole[:3]
    path.write_bytes(b"".join(whole[:3])[:-1])
    log.go_back(2)
    assert lines_in(path) == whole[:3], "only the end of the line was cut"
    log.go_back(0)
    assert lines_in(path) == []
    EventLog(tmp_path / "none.jsonl").go_back(5)
    assert not (tmp_path / "none.jsonl").exists()
