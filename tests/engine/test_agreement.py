"""Processes that differ are refused before they compute anything together."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from basicsr.config.load import load_config
from basicsr.data.fingerprint import fingerprint
from basicsr.data.paired import PairedImageDataset
from basicsr.engine.agreement import agree, code_and_options
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import OptionError
from basicsr.utils.processes import Process
from basicsr.utils.watch import Connection, Limits, Peer, Watch


@pytest.fixture
def output_of_all():
    """A function: what each of two processes knows -> what each of them says of it."""

    def compare(*facts: dict) -> list[str | None]:
        this = Process.this()
        peers = [Peer(Connection(sock), this) for sock in socket.socketpair()]
        watches = [Watch(Ranks(rank, 2), Limits(), {1 - rank: peer}) for rank, peer in enumerate(peers)]
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(agree, *both) for both in zip(watches, facts, strict=True)]
            errors = [future.exception() for future in futures]
        for watch in watches:
            watch.leave()
        assert all(error is None or isinstance(error, OptionError) for error in errors)
        return [None if error is None else str(error) for error in errors]

    return compare


@pytest.fixture
def options(paired_set, tmp_path) -> Path:
    block = {
        "type": "PairedImageDataset", "name": "set", "gt_size": 16,
        "dataroot_gt": f"{paired_set}/target", "dataroot_lq": f"{paired_set}/input",
    }  # fmt: skip
    content = {
        "name": "run",
        "num_gpu": 0,
        "datasets": {"train": block},
        "network_g": {"type": "NAFNet", "width": 4},
        "train": {
            "optim_g": {"type": "AdamW", "lr": 0.001},
            "scheduler": {"type": "LinearLR", "total_iter": 100},
            "total_iter": 100,
            "pixel_opt": {"type": "PSNRLoss"},
        },
    }
    file = tmp_path / "run.yml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.optim_g.lr=0.002", "train.optim_g.lr: 0.001 (rank 0), 0.002 (rank 1)"),
        ("train.pixel_opt.type=L1Loss", "train.pixel_opt.type: PSNRLoss (rank 0), L1Loss (rank 1)"),
        ("manual_seed=7", "manual_seed: 42 (rank 0), 7 (rank 1)"),
        ("datasets.train.dataroot_lq=DATA", "datasets.train.dataroot_lq: "),
        ("train.accumulate=2", "train.accumulate: 1 (rank 0), 2 (rank 1)"),
        ("train.total_iter=50", "train.total_iter: 100 (rank 0), 50 (rank 1)"),
        ("logger.save_checkpoint_freq=9", "logger.save_checkpoint_freq: 5000 (rank 0), 9 (rank 1)"),
        ("network_g.width=8", "network_g.width: 4 (rank 0), 8 (rank 1)"),
    ],
)
def test_the_first_option_that_differs_is_named_with_both_values(
    options, paired_set, output_of_all, override: str, message: str
):
    other = override.replace("DATA", f"{paired_set}/target")
    facts = [code_and_options(load_config(options, overrides)) for overrides in ([], [other])]
    first, second = output_of_all(*facts)
    assert first == second and first is not None and "\n" not in first
    assert first.startswith(message)


def test_equal_processes_agree_and_other_code_does_not(options, output_of_all):
    facts = code_and_options(load_config(options))
    assert output_of_all(facts, code_and_options(load_config(options))) == [None, None]
    other = facts | {"code": {**facts["code"], "source": "other"}}
    first, second = output_of_all(facts, other)
    assert first == second and first is not None
    assert first.startswith(f"code.source: {facts['code']['source']} (rank 0), other (rank 1); all processes")


def test_other_data_of_the_same_name_is_found(paired_set, output_of_all):
    facts = []
    for missing in ("none", "photo_3.png"):
        for folder in ("target", "input"):
            (paired_set / folder / missing).unlink(missing_ok=True)
        data = PairedImageDataset(
            dataroot_gt=f"{paired_set}/target", dataroot_lq=f"{paired_set}/input", gt_size=8, train=True
        )
        facts.append({"datasets.train": fingerprint(data)})
    first, second = output_of_all(*facts)
    assert first == second and first is not None
    assert first.startswith("datasets.train.images: 6 (rank 0), 5 (rank 1); all processes of a run need")
