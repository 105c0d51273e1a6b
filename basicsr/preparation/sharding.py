"""The share of the files for this process, by ``--shard i/n`` or by torchrun."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch

from basicsr.utils.dist import Ranks, read_ranks
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.rendezvous import join
from basicsr.utils.watch import Limits

# Shards may take very different times, so only signs of life count.
_LIMITS = Limits(behind=float("inf"))


def read_shard(typed: str | None) -> tuple[tuple[int, int], Ranks]:
    """This process's (index from 0, count), and its ranks.

    Args:
        typed: ``i/n`` with i from 1 to n; null uses torchrun's environment, or a single shard.

    Raises:
        OptionError: if it does not have that form, or is given under torchrun.
    """
    ranks = read_ranks("none", port=0)
    if typed is None:
        return (ranks.rank, ranks.world_size), ranks
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", typed)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise OptionError("--shard", [f"--shard: expected i/n with 1 <= i <= n, such as 1/4 (got {typed!r})"])
    if ranks.world_size > 1:
        raise OptionError("--shard", [f"--shard: torchrun decides the shards; leave it out (got {typed!r})"])
    return (int(match[1]) - 1, int(match[2])), ranks


def use_own_gpu(ranks: Ranks) -> None:
    """Make ``cuda`` a different GPU for each process on this machine."""
    if ranks.world_size > 1 and torch.cuda.is_available():
        torch.cuda.set_device(ranks.local_rank % torch.cuda.device_count())


def finish_together(work: Callable[[], object], ranks: Ranks) -> None:
    """Run ``work``; if a process of torchrun fails, the others finish theirs before it is reported.

    torchrun would otherwise stop them as soon as one exits with an error.

    Raises:
        UserError: on the first process, with the errors of all.
    """
    if ranks.world_size == 1:
        work()
        return
    watch, _ = join(ranks, _LIMITS)
    with watch.explaining():
        try:
            work()
            error = None
        except UserError as mistake:
            error = str(mistake)
        errors = [found for found in watch.gather(error) if found is not None]
    watch.leave()
    if errors and ranks.is_main:
        first, *others = dict.fromkeys(errors)
        raise UserError(first, others)
