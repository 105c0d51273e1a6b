"""How processes find each other, and what is said when they do not."""

from __future__ import annotations

import logging
import os
import re
import socket

import pytest

from basicsr.utils.dist import Ranks, read_ranks
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.log import logger
from basicsr.utils.rendezvous import join
from basicsr.utils.watch import Limits

QUICK = Limits(join=1.0, warn_after=0.3)


@pytest.fixture
def environment(monkeypatch):
    return lambda variables: monkeypatch.setattr(os, "environ", {**os.environ, **variables})


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("no-such-host[01-04].invalid", "no-such-host01.invalid"),
        ("localhost,no-such-host.invalid", "localhost"),  # there, nobody listens
        ("127.0.0.2,127.0.0.3", "127.0.0.2"),
    ],
)
def test_a_host_that_does_not_answer_is_named_and_not_waited_for_without_end(
    nodes: str, host: str, environment, free_port: int, caplog
):
    environment({
        "SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_LOCALID": "1", "SLURM_NODELIST": nodes,
    })  # fmt: skip
    ranks = read_ranks("slurm", free_port)
    logger().propagate = True
    place = f"the first process, which should be at {re.escape(host)}:{free_port}"
    with (
        caplog.at_level(logging.WARNING, "basicsr"),
        pytest.raises(
            UserError, match=f"^waited for 1 s for {place} \\(.+\\); check whether every process was started"
        ),
    ):
        join(ranks, QUICK)
    (message,) = caplog.messages
    assert re.match(f"waiting for {place} ", message)


def test_the_first_process_names_those_that_do_not_come(environment, free_port: int):
    environment({"MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port)})
    with pytest.raises(UserError, match="^waited for 1 s for rank 1, 2 of 3 processes; check"):
        join(Ranks(0, 3, 0, 3), QUICK)


def test_a_port_that_is_taken_is_named(environment):
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        environment({"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)})
        with pytest.raises(OptionError, match=f"dist_params.port: {port} cannot be listened to"):
            join(Ranks(0, 2, 0, 2), QUICK)
