"""Readers refuse damage with the one error that is for users; the harness sees what does not."""

from __future__ import annotations

import importlib
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from basicsr.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def fuzz():
    """`scripts/fuzz.py`; what it imports from its folder is forgotten afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(ROOT / "scripts"))
    yield importlib.import_module("fuzz")
    sys.path.remove(str(ROOT / "scripts"))
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("fuzz", "fuzzing"):
            del sys.modules[name]


def findings(fuzz, folder: Path, formats, number: int, **limits) -> list:
    """What became of so many inputs."""
    corpus = fuzz.Corpus.made(formats, folder / "corpus")
    (folder / "children").mkdir()
    by_name = {chosen.name: chosen for chosen in formats}
    pool = fuzz.Pool(by_name, corpus, folder / "children", limits=fuzz.Limits(**limits))
    return list(pool.run(fuzz.cases_of(formats, number)))


def test_some_damage_to_each_format_is_read_or_refused(fuzz, tmp_path):
    """The short form of ``make fuzz``; videos and training states take the longest."""
    formats = [chosen for chosen in fuzz.FORMATS if chosen.name not in ("video", "state")]
    outcomes = findings(fuzz, tmp_path, formats, 300)
    assert abs(len(outcomes) - 300) <= len(formats) / 2  # shares are rounded
    assert [outcome for outcome in outcomes if outcome.kind not in ("read", "refused")] == []
    assert min(sum(outcome.kind == kind for outcome in outcomes) for kind in ("read", "refused")) > 50


def own_format(fuzz, read):
    """A format of one file of 100 bytes, with a reader of the test."""

    def make(folder: Path) -> None:
        (folder / "whole.bin").write_bytes(bytes(range(100)))

    return fuzz.Format("own", make, read)


def is_whole(path: Path) -> bool:
    return path.read_bytes() == bytes(range(100))


def raise_foreign(path: Path, out: Path) -> int:
    return 0 if is_whole(path) else {}["damaged"]


def die(path: Path, out: Path) -> int:
    return 0 if is_whole(path) else os.abort()


def hang(path: Path, out: Path) -> int:
    while not is_whole(path):
        pass
    return 0


def take_memory(path: Path, out: Path) -> int:
    return 0 if is_whole(path) else len(np.ones(64 << 20, np.uint8)) // (64 << 20)


def write_elsewhere(path: Path, out: Path) -> int:
    (out / "fine.txt").write_text("")
    if not is_whole(path):
        (out.parents[2] / "elsewhere.txt").write_text("")
    return 0


def run_a_program(path: Path, out: Path) -> int:
    return 0 if is_whole(path) else subprocess.run(["true"], check=True).returncode


def refuse_all(path: Path, out: Path) -> int:
    raise UserError(f"{path}: refused")


@pytest.mark.parametrize(
    ("read", "first", "others"),
    [
        (raise_foreign, "read", "foreign"),
        (die, "read", "aborted"),
        (hang, "read", "slow"),
        (take_memory, "read", "memory"),
        (write_elsewhere, "read", "outside"),
        (run_a_program, "read", "outside"),
        (refuse_all, "foreign", "refused"),
    ],
)
def test_what_a_reader_must_not_do_is_found(fuzz, tmp_path, read, first: str, others: str):
    """Whole inputs have to be read; each finding leaves the harness working."""
    outcomes = findings(fuzz, tmp_path, [own_format(fuzz, read)], 4, seconds=0.3, megabytes=32)
    kinds = {outcome.case.number: outcome.kind for outcome in outcomes}
    assert kinds == {0: first, 1: others, 2: others, 3: others}


def test_memory_that_a_child_inherits_as_free_counts_as_taken(fuzz, tmp_path):
    """The allocator keeps it resident, so that arrays in it make the process no larger."""
    blocks = [np.ones(20 << 20, np.uint8) for _ in range(12)]
    # Blocks this large move to the heap once one of them was freed; the last keeps the others below the top.
    del blocks[:1]
    blocks = [np.ones(20 << 20, np.uint8) for _ in range(12)]
    del blocks[:-1]
    outcomes = findings(fuzz, tmp_path, [own_format(fuzz, take_memory)], 2, megabytes=32)
    assert [outcome.kind for outcome in outcomes] == ["read", "memory"]


def test_a_case_is_the_same_again_and_another_seed_another(fuzz, tmp_path):
    own = own_format(fuzz, refuse_all)
    corpus = fuzz.Corpus.made([own], tmp_path / "corpus")
    harmed = [[corpus.content(own, number, seed) for number in range(50)] for seed in (0, 0, 1)]
    assert harmed[0] == harmed[1]
    assert harmed[0][0] == harmed[2][0] == {"whole.bin": bytes(range(100))}
    different = sum(one != other for one, other in zip(harmed[0], harmed[2], strict=True))
    assert different > 45
    assert len({tuple(files.values()) for files in harmed[0]}) > 45


@pytest.mark.parametrize("name", ["ZIP", "PNG", "SAFETENSORS"])
def test_containers_are_put_together_as_they_were(fuzz, tmp_path, name: str):
    """So that damage to a part is the only one."""
    mutations = importlib.import_module("fuzzing.mutations")
    container = getattr(mutations, name)
    chosen = [item for item in fuzz.FORMATS if item.container is container and item.name != "state"]
    corpus = fuzz.Corpus.made(chosen, tmp_path / "corpus")
    for item in chosen:
        for files in corpus.inputs[item.name]:
            (data,) = files.values()
            parts = container.split(data)
            assert parts and container.split(container.join(parts)) == parts


def test_damage_is_of_all_kinds(fuzz):
    mutations = importlib.import_module("fuzzing.mutations")
    data = bytes(range(256)) * 4
    generator = random.Random(0)
    lengths = [len(mutations.harmed(data, [data[::-1]], None, generator)) for _ in range(300)]
    assert min(lengths) < 200 and max(lengths) > 1100 and lengths.count(len(data)) > 60


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--formats", "nothing"), "no format 'nothing'"), (("--case", "png"), "expected FORMAT:NUMBER")],
)
def test_the_command_names_a_mistake(run_script, monkeypatch, words, message: str):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    done = run_script("fuzz.py", *words)
    assert done.returncode == 2 and message in done.stderr
