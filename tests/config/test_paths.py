"""Where runs keep their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from basicsr.config.paths import ExperimentPaths, ResultPaths, iteration_of, put_aside
from basicsr.utils.errors import OptionError


@pytest.fixture
def paths(tmp_path, monkeypatch) -> ExperimentPaths:
    monkeypatch.chdir(tmp_path)
    return ExperimentPaths.of("run")


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_layout_is_the_one_of_basicsr(paths):
    assert paths.network(100) == Path("experiments/run/models/net_g_100.pth")
    assert paths.network("latest") == Path("experiments/run/models/net_g_latest.pth")
    assert paths.state(100) == Path("experiments/run/training_states/100.state")
    assert paths.config(0) == Path("experiments/run/config.yml") != paths.config(100)
    assert paths.log(0.0).parent == paths.root
    results = ResultPaths.of("run")
    assert (results.metrics_json, results.root) == (Path("results/run/metrics.json"), Path("results/run"))


def test_new_experiment_may_be_absent_or_empty_but_not_used(paths):
    paths.require_new()
    paths.root.mkdir(parents=True)
    paths.require_new()
    touch(paths.root / ".hidden")
    with pytest.raises(OptionError, match="experiments/run exists already. Add --auto_resume"):
        paths.require_new()


def test_newest_state_is_the_highest_number_with_weights(paths):
    assert paths.newest_state() is None
    for iteration in (5, 20, 100, 300):
        touch(paths.state(iteration))
    assert paths.newest_state() is None
    for iteration in (5, 100, 900):
        touch(paths.network(iteration))
    assert paths.newest_state() == paths.state(100)
    touch(paths.network(300))
    assert paths.newest_state() == paths.state(300)


def test_newest_state_passes_over_what_a_killed_run_left_half_written(paths):
    touch(paths.state(100))
    touch(paths.network(100))
    for leftover in (".200.state.4711.part.state", "backup of 300.state", "²00.state"):
        touch(paths.root / "training_states" / leftover)
    assert paths.newest_state() == paths.state(100)


def test_iteration_is_read_back_from_the_name(paths):
    assert [iteration_of(paths.state(number)) for number in (0, 7, 123456)] == [0, 7, 123456]
    for name in ("latest.state", "7.pth", "7.state.bak", "-7.state"):
        with pytest.raises(OptionError, match="path.resume_state: expected <iteration>.state"):
            iteration_of(Path(name))


def test_a_run_of_the_longest_name_is_put_aside_too(tmp_path):
    folder = tmp_path / ("x" * 200)
    for _ in range(3):
        touch(folder / "metrics.json")
        assert put_aside(folder).is_dir()


def test_put_aside_keeps_every_earlier_run(tmp_path):
    folder = tmp_path / "results" / "run"
    assert put_aside(folder) is None and not folder.exists()
    places = []
    for number in range(4):
        touch(folder / "metrics.json").write_text(str(number))
        places.append(put_aside(folder))
        assert not folder.exists()
    assert len(set(places)) == 4
    assert [(place / "metrics.json").read_text() for place in places] == ["0", "1", "2", "3"]
    assert all(place.name.startswith("run_archived_") for place in places)
