"""The output of a run: lines for people, and numbers for programs as JSON lines and in TensorBoard."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from basicsr.utils.display import Lines, shown
from basicsr.utils.extras import optional_import
from basicsr.utils.files import append_line, write_bytes
from basicsr.utils.reading import parse_json

_NAME = "basicsr"


def logger() -> logging.Logger:
    """The package's logger."""
    return logging.getLogger(_NAME)


def open_log(is_main: bool) -> None:
    """Send the package's log to the console; other processes log warnings and errors only."""
    log = logger()
    close_log()
    log.setLevel(logging.INFO if is_main else logging.WARNING)
    log.propagate = False
    _add_handler(_ConsoleHandler(sys.stdout))
    # Keeps records until there is a file for them.
    _add_handler(logging.handlers.MemoryHandler(capacity=10_000, flushLevel=sys.maxsize, flushOnClose=False))


def log_to_file(file: Path) -> None:
    """From now on also log to ``file``, beginning with all that was logged since `open_log`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = _FileHandler(file, encoding="utf-8")
    _add_handler(handler)
    for waiting in logger().handlers:
        if isinstance(waiting, logging.handlers.MemoryHandler):
            waiting.setTarget(handler)
            waiting.flush()
            logger().removeHandler(waiting)


class _Silent:
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        """What writes results reports a full disk; the log itself stays silent."""


class _ConsoleHandler(_Silent, logging.StreamHandler):  # type: ignore[type-arg]  # no generic in Python 3.10
    """The console may be a file."""


class _FileHandler(_Silent, logging.FileHandler):
    """The log of a run."""


def _add_handler(handler: logging.Handler) -> None:
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s: %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger().addHandler(handler)


class _Formatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        """One line, unless the message is `Lines`."""
        record.message = record.msg.shown if isinstance(record.msg, Lines) else shown(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """Tracebacks may name files, too."""
        return super().format(record).encode(errors="backslashreplace").decode()


@contextmanager
def unwritten_is_told(consequence: str) -> Iterator[None]:
    """Inside, a file that cannot be written (the disk is full, or read-only) is a warning and no error.

    Args:
        consequence: the end of the warning.
    """
    try:
        yield
    except OSError as error:
        logger().warning(f"{error.filename}: {error.strerror}; {consequence}")


def close_log() -> None:
    """Close the files of `open_log`."""
    log = logger()
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()


class EventLog:
    """Scalars of a run, one JSON object a line: ``{"kind": "train", "iter": 100, "time": ..., "loss": ...}``.

    Args:
        path: ``events.jsonl``; lines are appended.
        tensorboard: folder for TensorBoard, or None.
        wandb: arguments of ``wandb.init``, or None.
    """

    def __init__(
        self, path: Path, tensorboard: Path | None = None, wandb: Mapping[str, Any] | None = None
    ) -> None:
        self._path = path
        self._folder = tensorboard
        self._project = wandb
        self._tensorboard: Any = None
        self._wandb: Any = None
        self._purge_from: int | None = None

    def go_back(self, iteration: int) -> None:
        """Before `open`: drop lines of later iterations, which a resumed run writes again."""
        self._purge_from = iteration + 1
        if not self._path.is_file():
            return
        before = self._path.read_bytes()
        lines = before.splitlines()
        kept = [line for line in lines if (at := _iteration_of(line)) is not None and at <= iteration]
        after = b"".join(line + b"\n" for line in kept)
        if after != before:
            what = f"{len(lines) - len(kept)} lines beyond iteration {iteration} are left out"
            logger().info(f"{self._path}: {what}, to be written again")
            write_bytes(self._path, after, durable=True)

    def open(self) -> None:
        """Make the folder and start TensorBoard and Weights & Biases, where they are wanted."""
        install = "pip install tensorboard"
        board = (
            optional_import("torch.utils.tensorboard", "logger.use_tb_logger", install)
            if self._folder
            else None
        )
        wandb = optional_import("wandb", "logger.wandb", "pip install wandb") if self._project else None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if board is not None:
            self._tensorboard = board.SummaryWriter(str(self._folder), purge_step=self._purge_from)
        if wandb is not None and self._project is not None:
            self._wandb = wandb.init(**self._project)

    def read(self) -> list[dict[str, Any]]:
        """What is written, in the order of iterations."""
        return read_events(self._path) if self._path.is_file() else []

    def write(self, kind: Literal["train", "val"], iteration: int, values: Mapping[str, float | str]) -> None:
        """Append one line, if the disk takes it.

        Numbers also go to TensorBoard and Weights & Biases as ``<kind>/<name>``.
        """
        line = {"kind": kind, "iter": iteration, "time": round(time.time(), 3), **values}
        with unwritten_is_told(f"iteration {iteration} is missing there"):
            append_line(self._path, json.dumps(json_safe(line), allow_nan=False))
        prefix = f"{kind}/{values['dataset']}" if "dataset" in values else kind
        numbers = {f"{prefix}/{name}": value for name, value in values.items() if not isinstance(value, str)}
        with self._without_board(iteration):
            for name, value in numbers.items() if self._tensorboard is not None else ():
                self._tensorboard.add_scalar(name, value, iteration)
        if self._wandb is not None:
            self._wandb.log(numbers, step=iteration)

    def write_pictures(self, dataset: str, iteration: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Add RGB pictures (H, W, 3), by key, to TensorBoard as ``val/<dataset>/<key>``."""
        with self._without_board(iteration):
            for key, picture in pictures.items() if self._tensorboard is not None else ():
                self._tensorboard.add_image(f"val/{dataset}/{key}", picture, iteration, dataformats="HWC")

    @contextmanager
    def _without_board(self, iteration: int) -> Iterator[None]:
        """Inside, TensorBoard is given up, with a warning, if it cannot write."""
        try:
            yield
        except OSError as error:  # of its thread that writes, which has ended
            self._tensorboard = None
            what = f"{error.strerror}; from iteration {iteration} on TensorBoard gets nothing"
            logger().warning(f"{self._folder}: {what}")

    def close(self) -> None:
        """Flush what is buffered."""
        if self._tensorboard is not None:
            try:
                self._tensorboard.close()
            except OSError as error:
                logger().warning(f"{self._folder}: {error.strerror}; the last numbers are missing there")
        if self._wandb is not None:
            self._wandb.finish()


def read_events(path: Path) -> list[dict[str, Any]]:
    """Events in the order of iterations, without those of an earlier run that a resumed one repeats.

    A line that was cut off when its run was killed is left out.
    """
    events: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines():
        if (at := _iteration_of(line)) is None:
            continue
        while events and events[-1]["iter"] > at:
            events.pop()
        events.append(json.loads(line))
    return events


def _iteration_of(line: bytes) -> int | None:
    """The event of a line of the log; None where the line is not whole."""
    try:
        return int(parse_json(line)["iter"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def json_safe(value: Any) -> Any:
    """Numbers that JSON cannot express (infinite, not a number) as null, at any depth."""
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    if isinstance(value, Mapping):
        return {key: json_safe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_safe(item) for item in value]
    return value
