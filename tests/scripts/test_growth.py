"""`scripts/benchmark/growth.py` counts what all processes of a run hold, and tells when it grows."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
from pathlib import Path

import pytest

from basicsr.utils.errors import UserError

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "benchmark" / "growth.py"


@pytest.fixture
def growth():
    """What the script defines."""
    return runpy.run_path(str(SCRIPT))


def test_memory_and_files_are_those_of_the_process_and_its_children(growth, tmp_path):
    events = tmp_path / "events.jsonl"
    assert growth["look_at"](os.getpid(), events) is None, "before the first step"
    events.write_text("".join(json.dumps({"kind": "train", "iter": step}) + "\n" for step in (1, 2)))
    before = growth["look_at"](os.getpid(), events)
    assert before.iteration == 2 and before.megabytes > 10
    held = [events.open() for _ in range(5)]
    memory = bytearray(os.urandom(1)) * (64 << 20)
    try:
        after = growth["look_at"](os.getpid(), events)
        assert after.files == before.files + 5
        assert after.megabytes == pytest.approx(before.megabytes + len(memory) / 1e6, rel=0.1)
        ours, its = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=its.recv)
        child.start()
        assert growth["look_at"](os.getpid(), events).processes == before.processes + 1
        ours.send("end")
        child.join()
    finally:
        for file in held:
            file.close()


@pytest.mark.parametrize(
    ("megabytes", "files", "message"),
    [(0, 0, None), (0, 1, "0.0 MB and 1 open files in 1000 steps"), (20, 0, "20.0 MB and 0 open files")],
)
def test_growth_from_the_second_tenth_of_the_steps_to_the_last_is_told(
    growth, megabytes: float, files: int, message: str | None, capsys
):
    """By so much in the second half of a run of 1000 steps."""
    steps = range(0, 1000, 10)
    looks = [growth["Look"](at, 700 + megabytes * (at > 500), 20 + files * (at > 500), 2) for at in steps]
    growth["measure"].__globals__["watched"] = lambda folder, steps: looks
    if message is None:
        growth["measure"](1000, 16)
        assert "growth: +0.0 MB, +0 open files" in capsys.readouterr().out
    else:
        with pytest.raises(UserError, match=message):
            growth["measure"](1000, 16)
