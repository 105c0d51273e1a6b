"""A row a run, a column a frame."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from basicsr.reporting.frame_table import frame_table
from basicsr.utils.errors import UserError


def write(folder: Path, *clips: list) -> Path:
    images = [{"key": str(number), "ppsnr": clip, "hit": 1.0} for number, clip in enumerate(clips)]
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps({"REDS7": {"mean": {}, "images": images}}))
    return folder


def test_means_over_clips_stand_in_the_order_of_the_frames(tmp_path):
    one = write(tmp_path / "naive", [20.0, 30.0, 22.0], [22.0, 32.0, 24.0])
    other = write(tmp_path / "hypercut", [25.0, 30.0, 25.0], [25.0, None, 25.0])
    assert frame_table([one, other / "metrics.json"], "ppsnr").splitlines() == [
        "| ppsnr on REDS7 | 1 | 2 | 3 | mean |",
        "| --- | --- | --- | --- | --- |",
        "| naive | 21.00 | 31.00 | 23.00 | 25.00 |",
        "| hypercut | 25.00 | 30.00 | 25.00 | 26.67 |",
    ]


def test_runs_of_one_row_are_combined_over_their_seeds(tmp_path):
    runs = [
        write(tmp_path / f"naive-seed{seed}", [value, 30.0]) for seed, value in enumerate((20.0, 21.0, 22.0))
    ]
    other = write(tmp_path / "still", [19.0, 30.0])
    table = frame_table([*runs, other], "ppsnr", over_seeds=True)
    assert table.splitlines()[2:] == [
        "| naive (3 seeds) | 21.00 ± 1.00 | 30.00 ± 0.00 | 25.50 ± 0.50 |",
        "| still | 19.00 | 30.00 | 24.50 |",
    ]


def test_what_has_no_values_of_frames_is_told(tmp_path):
    one = write(tmp_path / "naive", [20.0, 30.0])
    with pytest.raises(UserError, match="no values of each frame of 'hit'; it has those of: ppsnr"):
        frame_table([one], "hit")
    with pytest.raises(UserError, match="nothing.*cannot be read"):
        frame_table([tmp_path / "nothing"], "ppsnr")
    with pytest.raises(UserError, match="the clips have 2 and 3 frames"):
        frame_table([one, write(tmp_path / "longer", [1.0, 2.0, 3.0])], "ppsnr")


def test_the_command(tmp_path, run_script):
    done = run_script("frame_table.py", write(tmp_path / "naive", [20.0, 30.0]))
    assert done.returncode == 0 and "| naive | 20.00 | 30.00 | 25.00 |" in done.stdout
