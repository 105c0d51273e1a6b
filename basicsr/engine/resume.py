"""Which checkpoint a run continues from: the newest that is whole and older than any trouble."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from basicsr.checkpoints.weights import load_contents
from basicsr.config.paths import ExperimentPaths, iteration_of, set_file_aside
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.log import logger
from basicsr.utils.reading import parse_json


@dataclass(frozen=True)
class Resumable:
    """What was found in the folder of an experiment.

    Args:
        state: to continue from; None where there is none.
        damaged: files of newer checkpoints that cannot be read, and why.
        diverged: files of checkpoints that are younger than the trouble.
        trouble: first iteration of the trouble that the run ended in; None without.
    """

    state: Path | None = None
    damaged: tuple[tuple[Path, str], ...] = ()
    diverged: tuple[Path, ...] = ()
    trouble: int | None = None

    def warn(self) -> None:
        """Warn of what is passed over."""
        for _, why in self.damaged:
            logger().warning(f"{why}; put aside, resuming from an earlier checkpoint")
        if self.trouble is not None:
            way = (
                f"going back to {self.state}, from before it" if self.state else "no state is from before it"
            )
            logger().warning(f"training was out of its usual range from iteration {self.trouble} on: {way}")

    def put_aside(self) -> None:
        """Rename what is not resumed from, so that no later start uses it."""
        for path, _ in self.damaged:
            logger().info(f"{path} is now {set_file_aside(path, 'damaged')}")
        for path in self.diverged:
            logger().info(f"{path} is now {set_file_aside(path, 'diverged')}")


def find_resumable(paths: ExperimentPaths, networks: Sequence[str]) -> Resumable:
    """Look for the newest good checkpoint; nothing is changed.

    Args:
        networks: names of those that are trained.

    Raises:
        UserError: there are checkpoints, and none of those from before trouble can be read.
    """
    trouble = read_trouble(paths)
    damaged: list[tuple[Path, str]] = []
    diverged: list[Path] = []
    for state in paths.states(networks):
        files = paths.checkpoint(iteration_of(state), networks)
        if trouble is not None and not is_before(iteration_of(state), trouble):
            diverged += files
            continue
        found = [(path, why) for path in files if (why := damage(path)) is not None]
        if not found:
            return Resumable(state, tuple(damaged), tuple(diverged), trouble)
        damaged += found
    if damaged:
        what = f"no checkpoint is left that can be read: {damaged[0][1]}"
        raise UserError(f"{paths.root}: {what}; or start again under another name: --set name=...")
    return Resumable(None, (), tuple(diverged), trouble)


def is_before(iteration: int, trouble: int) -> bool:
    """Whether a checkpoint is from before trouble.

    The step in which trouble shows finds it with the weights of the step before, so those are not.
    """
    return iteration < trouble - 1


def read_trouble(paths: ExperimentPaths) -> int | None:
    """The first iteration of the trouble that a run ended in."""
    try:
        content = parse_json(paths.trouble.read_bytes())
        return int(content["since"])
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def write_trouble(paths: ExperimentPaths, since: int | None) -> None:
    """Note since when there is trouble; None is that there is none."""
    if since is None:
        paths.trouble.unlink(missing_ok=True)
    else:
        write_bytes(paths.trouble, json.dumps({"since": since}).encode(), durable=True)


def remove_old(paths: ExperimentPaths, networks: Sequence[str], keep: int, trouble: int | None) -> list[Path]:
    """Delete the checkpoints before the newest ``keep``, but never the last good one.

    That is the newest from before trouble. As long as it cannot be read, nothing is deleted.

    Args:
        networks: names of those that are trained.
        trouble: its first iteration; None without.

    Returns:
        The states that are gone.
    """
    states = paths.states(networks)
    good = [state for state in states if trouble is None or is_before(iteration_of(state), trouble)]
    old = [state for state in states[keep:] if state not in good[:1]]
    if not old or not good or any(damage(path) for path in paths.checkpoint(iteration_of(good[0]), networks)):
        return []
    for state in old:
        for path in paths.checkpoint(iteration_of(state), networks):
            path.unlink(missing_ok=True)
    return old


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint file, in a line; None where it is whole."""
    try:
        load_contents(path)
    except UserError as error:
        return str(error)
    return None
