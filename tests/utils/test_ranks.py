"""Ranks from the environment of a launcher, and collectives without a process group."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from basicsr.utils.dist import (
    Ranks,
    first_host,
    gather_objects,
    mean_over_processes,
    read_ranks,
    slurm_environment,
    start_process_group,
    stop_process_group,
)
from basicsr.utils.errors import OptionError

TORCHRUN = {
    "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "n1", "MASTER_PORT": "29500",
}  # fmt: skip
SRUN = {
    "SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_NODELIST": "gpu[03-05,9],login",
}  # fmt: skip


@pytest.fixture
def environment(monkeypatch):
    """``environment({..})`` replaces the variables of this process for the test."""
    return lambda variables: monkeypatch.setattr(os, "environ", dict(variables))


def test_one_process_without_a_launcher(environment):
    environment({"RANK": "3", "WORLD_SIZE": "4"})
    assert read_ranks("none", 29500) == Ranks(0, 1, 0, 1)
    assert Ranks().is_main and not Ranks(1, 2, 1, 2).is_main


def test_torchrun_is_read_and_recognized(environment):
    environment(TORCHRUN)
    assert read_ranks("pytorch", 1) == Ranks(5, 8, 1, 4)
    environment({**TORCHRUN, "TORCHELASTIC_RUN_ID": "x"})
    assert read_ranks("none", 1) == Ranks(5, 8, 1, 4)
    environment({key: value for key, value in TORCHRUN.items() if key != "LOCAL_WORLD_SIZE"})
    assert read_ranks("pytorch", 1) == Ranks(5, 8, 1, 8)


def test_missing_variables_are_named_together(environment):
    environment({"RANK": "0", "MASTER_ADDR": "n1"})
    with pytest.raises(OptionError) as caught:
        read_ranks("pytorch", 1)
    (line,) = caught.value.mistakes
    assert line.startswith(
        "--launcher pytorch: WORLD_SIZE, LOCAL_RANK, MASTER_PORT not set; start with torchrun"
    )


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("RANK", "two", "from 0 to 7"),
        ("RANK", "8", "from 0 to 7"),
        ("WORLD_SIZE", "0", "of at least 1"),
        ("LOCAL_RANK", "-1", "of at least 0"),
        ("LOCAL_WORLD_SIZE", "", "of at least 1"),
        ("MASTER_PORT", "70000", "from 1 to 65535"),
    ],
)
def test_number_of_torchrun_that_is_none_is_named(name, value, wanted, environment):
    environment({**TORCHRUN, name: value})
    with pytest.raises(OptionError) as caught:
        read_ranks("pytorch", 1)
    assert caught.value.mistakes == [f"{name}: expected a number {wanted} (got {value!r})"]


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("SLURM_PROCID", "8", "from 0 to 7"),
        ("SLURM_NTASKS", "x", "of at least 1"),
        ("SLURM_NTASKS", "1e9", "of at least 1"),
        ("SLURM_NNODES", "0", "of at least 1"),
        ("SLURM_LOCALID", "²", "of at least 0"),
        ("SLURM_NTASKS_PER_NODE", "4(x2)", "of at least 1"),
        ("MASTER_PORT", "http", "from 1 to 65535"),
    ],
)
def test_number_of_slurm_that_is_none_is_named(name, value, wanted, environment):
    environment({**SRUN, name: value})
    with pytest.raises(OptionError) as caught:
        read_ranks("slurm", 1)
    assert caught.value.mistakes == [f"{name}: expected a number {wanted} (got {value!r})"]


def test_slurm_becomes_the_variables_of_torchrun(environment):
    environment(SRUN)
    assert read_ranks("slurm", 1234) == Ranks(5, 8, 1, 4)
    assert {key: os.environ[key] for key in TORCHRUN} == {
        **TORCHRUN,
        "MASTER_ADDR": "gpu03",
        "MASTER_PORT": "1234",
    }


def test_what_slurm_leaves_out_and_what_the_user_sets():
    alone = {key: value for key, value in SRUN.items() if key != "SLURM_NTASKS_PER_NODE"}
    assert slurm_environment(alone, 1)["LOCAL_WORLD_SIZE"] == "8"
    assert slurm_environment({**alone, "SLURM_NNODES": "2"}, 1)["LOCAL_WORLD_SIZE"] == "4"
    chosen = slurm_environment({**SRUN, "MASTER_ADDR": "me", "MASTER_PORT": "7"}, 1)
    assert (chosen["MASTER_ADDR"], chosen["MASTER_PORT"]) == ("me", "7")


@pytest.mark.parametrize("name", ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NODELIST"])
def test_slurm_without_srun_is_a_mistake(name):
    variables = {key: value for key, value in SRUN.items() if key != name}
    with pytest.raises(OptionError, match=f"--launcher slurm: {name} not set; start with srun"):
        slurm_environment(variables, 1)


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("gpu[03-05,9],login", "gpu03"),
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("a[1,2]", "a1"),
        ("a[007]", "a007"),
        ("rack-2.node[10-12].cluster.org", "rack-2.node10.cluster.org"),
        ("node_1.example.org,node_2.example.org", "node_1.example.org"),
    ],
)
def test_first_host_of_a_node_list(nodes, host):
    assert first_host(nodes) == host


@pytest.mark.parametrize(
    "nodes",
    [
        "x; touch PWNED",
        "$(touch PWNED)",
        "`touch PWNED`",
        "a|touch PWNED",
        "a[1;touch PWNED]",
        "",
        "a[",
        "[1]",
        ",a",
    ],
)
def test_hostile_node_list_is_refused_and_nothing_runs(nodes, environment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment({**SRUN, "SLURM_NODELIST": nodes})
    with pytest.raises(OptionError) as caught:
        read_ranks("slurm", 1)
    assert caught.value.mistakes == [f"SLURM_NODELIST: not a list of hosts (got {nodes!r})"]
    assert list(Path().iterdir()) == [] and "MASTER_ADDR" not in os.environ


def test_collectives_of_one_process_give_back_what_they_get():
    start_process_group(Ranks(), torch.device("cpu"), None)
    assert not torch.distributed.is_initialized()
    item = {"a": [1]}
    assert gather_objects(item) == [item]
    values = torch.tensor([1.0, 2.0])
    assert torch.equal(mean_over_processes(values), values)
    stop_process_group()
