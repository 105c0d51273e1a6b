"""The same work for many files on all cores: in order, with progress, continuing after a broken file."""

from __future__ import annotations

import multiprocessing
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeVar

import cv2
from tqdm import tqdm

from basicsr.utils.cores import usable_cores
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.interruption import serve_parent
from basicsr.utils.plugins import load_plugins, loaded_plugins

Item = TypeVar("Item")
Result = TypeVar("Result")

_WAITING_PER_WORKER = 4
_SECONDS_BETWEEN_LINES = 10.0  # of a bar that is written to a file, where each state is a line
_MOST_WORKERS = 61  # Windows cannot wait for more


def in_parallel(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    title: str,
    workers: int | None = None,
    start_method: str | None = None,
    progress: bool = True,
    threads: bool = False,
) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in their order, while a progress bar counts them.

    An item for which ``work`` raises UserError is left out. When all others are done, one error names them.

    Args:
        work: a function of a module, or a `functools.partial` of one, so that it can be pickled.
        title: in front of the bar.
        workers: processes or threads; None is one per core; 1 works in this process.
        start_method: of `multiprocessing`; None is forkserver where there is one, else spawn. Not fork: the
            copy of a process in which OpenCV has threads can hang.
        progress: show the bar; of processes that share a terminal, one should.
        threads: for work that is nearly all in OpenCV, which lets other threads run: they need no start.

    Raises:
        UserError: after the last item, when some were broken; or at once, when a process was killed.
        OptionError: at once, for fewer than one worker.
    """
    if workers is not None and workers < 1:
        raise OptionError("--workers", [f"--workers: expected at least 1 (got {workers})"])
    workers = min(workers or usable_cores(), len(items), _MOST_WORKERS)
    broken: list[str] = []
    results: Iterator[Result | UserError]
    if workers <= 1:
        results = map(partial(_try, work), items)
    else:
        pool = ThreadPoolExecutor(workers) if threads else _processes(workers, start_method)
        results = _from_pool(pool, work, items, workers)
    every = 0.1 if sys.stderr.isatty() else _SECONDS_BETWEEN_LINES
    for result in tqdm(results, title, len(items), unit="file", disable=not progress, mininterval=every):
        if isinstance(result, UserError):
            broken.append(str(result))
        else:
            yield result
    if broken:
        raise UserError(f"{len(broken)} of {len(items)} could not be done:", broken)


def _try(work: Callable[[Item], Result], item: Item) -> Result | UserError:
    try:
        return work(item)
    except UserError as error:
        return error


def _processes(workers: int, start_method: str | None) -> Executor:
    if start_method is None:
        has_server = "forkserver" in multiprocessing.get_all_start_methods()
        start_method = "forkserver" if has_server else "spawn"
    context = multiprocessing.get_context(start_method)
    context.set_forkserver_preload([__name__])  # what is imported there is imported once for all workers
    return ProcessPoolExecutor(workers, context, _prepare_worker, (loaded_plugins(),))


def _from_pool(
    pool: Executor, work: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result | UserError]:
    """Only a few items wait at a time, so that finished ones do not pile up in memory."""
    waiting: deque[Future[Result | UserError]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(_try, work, item))
            if len(waiting) >= _WAITING_PER_WORKER * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        hint = "most likely memory ran out; start again with fewer --workers, what is done is kept"
        raise UserError(f"a worker process was killed; {hint}") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_worker(plugins: Sequence[str]) -> None:
    """One thread per process; the parent handles signals and exit; registries as in the parent."""
    serve_parent()
    cv2.setNumThreads(1)
    load_plugins(plugins, "plugins")
