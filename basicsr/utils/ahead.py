"""Work for the next item while the caller is busy with this one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from queue import Queue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def one_ahead(
    work: Callable[[Item], Result], items: Sequence[Item]
) -> Generator[Callable[[], Result], None, None]:
    """For each item, in order, a function that returns ``work(item)``, or raises its error.

    ``work`` runs in a thread, for one item at a time and never for more than one beyond that of the caller.
    Closing the generator waits for the item in work: a thread that is still inside OpenCV or PyTorch when
    Python ends would abort the process.
    """
    finished: Queue[Future[Result]] = Queue()
    permits = threading.Semaphore(1)
    is_closed = threading.Event()

    def run() -> None:
        for item in items:
            permits.acquire()
            if is_closed.is_set():
                return
            future: Future[Result] = Future()
            try:
                future.set_result(work(item))
            except BaseException as error:
                future.set_exception(error)
            finished.put(future)

    thread = threading.Thread(target=run, name="ahead", daemon=True)
    thread.start()
    try:
        for _ in items:
            future = finished.get()
            permits.release()
            yield future.result
    finally:
        is_closed.set()
        permits.release()
        thread.join()
