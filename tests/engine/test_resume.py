"""A run goes on from the newest checkpoint that is whole and older than any trouble."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from basicsr.checkpoints.weights import save_contents
from basicsr.config.paths import ExperimentPaths
from basicsr.engine.resume import (
    Resumable,
    find_resumable,
    is_before,
    read_trouble,
    remove_old,
    write_trouble,
)
from basicsr.utils.errors import UserError
from basicsr.utils.log import logger


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.fixture
def paths(tmp_path) -> ExperimentPaths:
    """Checkpoints of iterations 10, 20 and 30."""
    found = ExperimentPaths(tmp_path / "run")
    for iteration in (10, 20, 30):
        for path in (found.state(iteration), found.network(iteration), found.network(iteration, "second")):
            save_contents(path, {"x": torch.full((300,), iteration)})
    return found


@pytest.mark.parametrize("harm", [flip, cut, empty, zeros])
@pytest.mark.parametrize("harmed", ["state", "g", "second"])
def test_the_newest_whole_pair_is_taken_and_the_bad_file_is_named_and_kept(paths, caplog, harm, harmed: str):
    bad = paths.state(30) if harmed == "state" else paths.network(30, harmed)
    harm(bad)
    content = bad.read_bytes()
    found = find_resumable(paths, ("g", "second"))
    assert found.state == paths.state(20) and [path for path, _ in found.damaged] == [bad]
    assert bad.read_bytes() == content, "looking changes nothing"
    logger().propagate = True
    with caplog.at_level(logging.WARNING, "basicsr"):
        found.warn()
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith(f"{bad}: ")
    found.put_aside()
    assert not bad.exists() and bad.with_name(f"{bad.name}.damaged").read_bytes() == content
    again = find_resumable(paths, ("g", "second"))
    assert again == Resumable(paths.state(20))


def test_a_network_that_is_not_trained_is_not_asked_for(paths):
    empty(paths.network(30, "second"))
    assert find_resumable(paths, ("g",)) == Resumable(paths.state(30))


def test_without_any_whole_pair_nothing_is_begun_over_it(paths):
    for iteration in (10, 20, 30):
        flip(paths.state(iteration))
    with pytest.raises(UserError, match=r"run: no checkpoint is left that can be read: .*30\.state: damaged"):
        find_resumable(paths, ("g",))


def test_the_second_bad_file_of_a_name_does_not_replace_the_first(paths):
    for number in (1, 2):
        paths.state(30).write_bytes(bytes([number]))
        find_resumable(paths, ("g",)).put_aside()
        save_contents(paths.state(30), {})
    folder = paths.state(30).parent
    assert [(folder / f"30.state.damaged{end}").read_bytes() for end in ("", "_2")] == [b"\x01", b"\x02"]


@pytest.mark.parametrize(("since", "iteration"), [(11, None), (12, 10), (21, 10), (22, 20), (40, 30)])
def test_a_run_goes_back_to_before_its_trouble(paths, since: int, iteration: int | None):
    """Weights of step ``since - 1`` are the ones that step ``since`` found to be bad."""
    write_trouble(paths, since)
    found = find_resumable(paths, ("g",))
    assert found.state == (iteration and paths.state(iteration)) and found.trouble == since
    found.put_aside()
    left = [number for number in (10, 20, 30) if is_before(number, since)]
    assert paths.states() == [paths.state(number) for number in reversed(left)]
    assert len(list(paths.root.glob("*/*.diverged"))) == 2 * (3 - len(left)), "kept beside"


def test_trouble_is_noted_and_forgotten(paths):
    assert read_trouble(paths) is None
    write_trouble(paths, 7)
    assert read_trouble(paths) == 7
    paths.trouble.write_bytes(b"{")
    assert read_trouble(paths) is None
    write_trouble(paths, None)
    write_trouble(paths, None)
    assert not paths.trouble.exists()


def left(paths: ExperimentPaths) -> list[int]:
    """Iterations whose every file is there; no checkpoint is there in part."""
    found = sorted(int(path.stem) for path in paths.state(0).parent.glob("*.state"))
    for name in ("g", "second"):
        weights = sorted(
            int(path.stem.rpartition("_")[2]) for path in paths.root.glob(f"models/net_{name}_*")
        )
        assert weights == found
    return found


@pytest.mark.parametrize(("keep", "trouble", "expected"), [
    (1, None, [30]),
    (2, None, [20, 30]),
    (3, None, [10, 20, 30]),
    (9, None, [10, 20, 30]),
    (1, 32, [30]),
    (1, 31, [20, 30]),
    (1, 12, [10, 30]),
    (2, 12, [10, 20, 30]),
])  # fmt: skip
def test_the_newest_stay_and_with_them_the_last_good_one(paths, keep: int, trouble, expected: list[int]):
    gone = remove_old(paths, ("g", "second"), keep, trouble)
    assert left(paths) == expected
    assert len(gone) == 3 - len(expected)


def test_nothing_is_removed_for_the_sake_of_one_that_cannot_be_read(paths):
    flip(paths.network(30, "second"))
    assert remove_old(paths, ("g", "second"), 1, None) == [] and left(paths) == [10, 20, 30]


def test_nothing_is_removed_while_all_are_in_trouble(paths):
    assert remove_old(paths, ("g", "second"), 1, 5) == [] and left(paths) == [10, 20, 30]
