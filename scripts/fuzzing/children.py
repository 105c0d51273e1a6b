"""Reading damaged inputs in child processes, so a crash ends only one of them."""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import torch

from basicsr.utils.allocator import return_freed_memory
from basicsr.utils.errors import UserError
from basicsr.utils.log import logger
from fuzzing.formats import Format
from fuzzing.mutations import harmed

Kind = Literal["read", "refused", "foreign", "aborted", "slow", "memory", "outside"]
GOOD: Sequence[Kind] = ("read", "refused")
BAD: Sequence[Kind] = ("foreign", "aborted", "slow", "memory", "outside")

_MB = 1 << 20
_ROOM = 4096 * _MB  # of addresses, beyond those of a child that has read nothing
_BY_THE_CLOCK = 12  # times the processor time
_LOOK_EVERY = 0.2  # seconds
_CASES_OF_A_CHILD = 400  # then a new one, as readers may keep what they have opened
_OUTPUT = "output.txt"
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Events of Python's audit hooks (PEP 578): how many of their arguments are paths that are changed.
_CHANGING = {
    "os.chmod": 1, "os.chown": 1, "os.link": 2, "os.mkdir": 1, "os.remove": 1, "os.rename": 2, "os.rmdir": 1,
    "os.symlink": 2, "os.truncate": 1, "os.utime": 1, "shutil.rmtree": 1,
}  # fmt: skip
_REACHING_OUT = ("os.exec", "os.fork", "os.posix_spawn", "os.system", "socket.connect", "subprocess.Popen")
_ASKED = (("git",), ("uname",))  # a training run queries the commit of its code and its machine


class Case(NamedTuple):
    """One input: the ``number``-th of a format, always the same for a seed. The first ones are whole."""

    format: str
    number: int

    def __str__(self) -> str:
        return f"{self.format}:{self.number}"


@dataclass(frozen=True)
class Limits:
    """What reading an input may take.

    Attributes:
        seconds: of processor time, so that a busy machine makes no findings; a child that waits is given
            twelve times as many by the clock.
        megabytes: by which the resident memory may grow, beside twice the arrays that the input gives.
    """

    seconds: float = 5
    megabytes: int = 256


@dataclass(frozen=True)
class Outcome:
    """The outcome of an input.

    Attributes:
        message: the error, or the last lines of a child that died.
        seconds: of processor time.
        growth: of the resident memory at its peak, in bytes.
        where: the line that raised a foreign exception.
    """

    case: Case
    kind: Kind
    message: str = ""
    seconds: float = 0
    growth: int = 0
    where: str = ""


@dataclass(frozen=True)
class Corpus:
    """The whole inputs of each format, as files on disk.

    Attributes:
        inputs: by format: for each input the content of its files, by their path below ``<format>/``.
    """

    inputs: Mapping[str, Sequence[Mapping[str, bytes]]]

    @classmethod
    def made(cls, formats: Iterable[Format], folder: Path) -> Corpus:
        """Made in a child, as threads that writers start do not survive a fork."""
        for chosen in formats:
            (folder / chosen.name).mkdir(parents=True)
            maker = multiprocessing.get_context("fork").Process(
                target=_make, args=(chosen, folder / chosen.name)
            )
            maker.start()
            maker.join()
            if maker.exitcode != 0:
                raise RuntimeError(f"{chosen.name}: its whole inputs cannot be made")
        return cls({chosen.name: _contents(folder / chosen.name) for chosen in formats})

    def content(self, chosen: Format, number: int, seed: int) -> dict[str, bytes]:
        """The files of a case."""
        whole = self.inputs[chosen.name]
        if number < len(whole):
            return dict(whole[number])
        generator = random.Random(zlib.crc32(f"{seed}:{chosen.name}:{number}".encode()))
        files = dict(generator.choice(whole))
        place = generator.choice([name for name in files if Path(name).match(chosen.harms)])
        others = [
            content for other in whole for name, content in other.items() if Path(name).match(chosen.harms)
        ]
        files[place] = harmed(files[place], others, chosen.container, generator)
        return files


def _make(chosen: Format, folder: Path) -> None:
    with _silence(folder.parent / "made.txt"):
        os.chdir(folder)
        chosen.make(folder)


def _contents(folder: Path) -> list[dict[str, bytes]]:
    inputs = []
    for place in sorted(folder.iterdir()):
        files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
        inputs.append({str(path.relative_to(folder)): path.read_bytes() for path in files})
    return inputs


@dataclass
class _Child:
    process: Any
    connection: Connection
    folder: Path
    case: Case | None = None
    began: float = 0
    worked: float = 0
    done: int = 0

    def begin(self, case: Case) -> None:
        """Have it read an input."""
        self.case, self.done = case, self.done + 1
        self.began, self.worked = time.monotonic(), _processor_time(self.process.pid)
        self.connection.send(case)

    def is_too_slow(self, seconds: float) -> bool:
        """Whether it has worked for so long, or waited for twelve times as long, on its input."""
        waited = time.monotonic() - self.began
        return waited > seconds and (
            waited > _BY_THE_CLOCK * seconds or _processor_time(self.process.pid) - self.worked > seconds
        )

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.join()


@dataclass
class Pool:
    """Child processes that read inputs.

    Args:
        formats: by name.
        folder: empty; every child has a folder in it, to which its inputs and results go.
        seed: of the damage.
        workers: processes at a time.
    """

    formats: Mapping[str, Format]
    corpus: Corpus
    folder: Path
    seed: int = 0
    workers: int = 1
    limits: Limits = field(default_factory=Limits)

    def run(self, cases: Iterable[Case]) -> Iterator[Outcome]:
        """The outcome of every case, in the order in which they end."""
        waiting = iter(cases)
        children: list[_Child] = []
        try:
            while True:
                self._feed(children, waiting)
                busy = [child for child in children if child.case is not None]
                if not busy:
                    return
                ready = wait([child.connection for child in busy], _LOOK_EVERY)
                for child in busy:
                    outcome = self._outcome(child, child.connection in ready)
                    if outcome is not None:
                        if child.case is not None or child.done == _CASES_OF_A_CHILD:
                            child.end()
                            children.remove(child)
                        yield outcome
        finally:
            for child in children:
                child.end()

    def _feed(self, children: list[_Child], waiting: Iterator[Case]) -> None:
        """Give each idle child its next case."""
        while sum(child.case is not None for child in children) < self.workers:
            if (case := next(waiting, None)) is None:
                return
            child = next((child for child in children if child.case is None), None)
            if child is None:
                child = self._started()
                children.append(child)
            child.begin(case)

    def _started(self) -> _Child:
        folder = self.folder / f"child{sum(1 for _ in self.folder.iterdir())}"
        folder.mkdir()
        ours, its = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(
            target=self._serve, args=(its, ours, folder), daemon=True
        )
        process.start()
        its.close()
        return _Child(process, ours, folder)

    def _outcome(self, child: _Child, is_ready: bool) -> Outcome | None:
        """The outcome of a child's case, which a child that cannot go on keeps; None while it reads."""
        assert child.case is not None
        output = child.folder / _OUTPUT
        if is_ready:
            try:
                outcome: Outcome = child.connection.recv()
            except EOFError:
                child.process.join()
                what = f"exit code {child.process.exitcode}"
                return Outcome(child.case, "aborted", what, where=_last_place(output))
            child.case = None
            return outcome
        if not child.is_too_slow(self.limits.seconds):
            return None
        os.kill(child.process.pid, signal.SIGUSR2)  # prints where it is
        time.sleep(_LOOK_EVERY)
        what = f"over {self.limits.seconds:g} s"
        return Outcome(child.case, "slow", what, self.limits.seconds, where=_last_place(output))

    def _serve(self, connection: Connection, other_end: Connection, folder: Path) -> None:
        """What a child does, as long as there is a parent."""
        other_end.close()
        with _silence(folder / _OUTPUT):
            torch.set_num_threads(1)
            cv2.setNumThreads(1)
            logger().setLevel("ERROR")
            sys.dont_write_bytecode = True
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                signal.signal(number, signal.SIG_DFL)  # commands hear them; a child has nothing to save
            watch = _Watch(folder)
            sys.addaudithook(watch)
            faulthandler.enable()  # a child that dies prints where it was
            faulthandler.register(signal.SIGUSR2)
            most = _status("VmSize") + _ROOM
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            with contextlib.suppress(EOFError):
                while True:
                    connection.send(self._read(connection.recv(), folder, watch))

    def _read(self, case: Case, folder: Path, watch: _Watch) -> Outcome:
        os.chdir(folder)
        shutil.rmtree(folder / "last", ignore_errors=True)
        # Readers may remember what they have opened by its path.
        place, out = folder / "last" / str(case.number), folder / "last" / "out"
        out.mkdir(parents=True)
        chosen = self.formats[case.format]
        content = self.corpus.content(chosen, case.number, self.seed)
        for name, data in content.items():
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        path = place / next(iter(content)).split("/")[0]
        return self._judged(case, path, out, watch)

    def _judged(self, case: Case, path: Path, out: Path, watch: _Watch) -> Outcome:
        watch.found.clear()
        return_freed_memory()  # memory that is used again would not show as growth
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        before, began = _status("VmRSS"), time.process_time()
        kind: Kind
        arrays, kind, message, where = 0, "read", "", ""
        try:
            with watch.watching():
                arrays = self.formats[case.format].read(path, out)
        except UserError as error:
            is_whole = case.number < len(self.corpus.inputs[case.format])
            kind, message = ("foreign" if is_whole else "refused"), str(error)
        except BaseException as error:
            kind, message = "foreign", f"{type(error).__name__}: {error}"
            where = _raised_at(error)
        seconds, growth = time.process_time() - began, _status("VmHWM") - before
        if watch.found:
            kind, message = "outside", "; ".join(watch.found)
        elif kind in GOOD and growth > self.limits.megabytes * _MB + 2 * arrays:
            kind, message = "memory", f"{growth // _MB} MB for {arrays // _MB} MB: {message}"
        return Outcome(case, kind, message, seconds, growth, where)


class _Watch:
    """An audit hook that notes what is written outside of a folder, and what reaches out of the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)
        self.found: list[str] = []
        self._is_on = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES:
                self._check(event, path)
        elif event in _CHANGING:
            for path in arguments[: _CHANGING[event]]:
                self._check(event, path)
        elif event in _REACHING_OUT and arguments[:1] not in _ASKED:
            self.found.append(f"{event} {arguments[:1]!r}")

    def _check(self, event: str, path: object) -> None:
        if isinstance(path, int) or path == os.devnull:
            return
        place = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        if not place.startswith(self.folder + os.sep):
            self.found.append(f"{event} {place!r}")


@contextlib.contextmanager
def _silence(file: Path) -> Iterator[None]:
    """Send what libraries print, also from C, to a file."""
    with file.open("wb") as target:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(target.fileno(), 1)
        os.dup2(target.fileno(), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        yield


def _raised_at(error: BaseException) -> str:
    """The innermost line of the package that an exception came through, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}basicsr{os.sep}" in frame.filename]
    return " < ".join(f"{frame.filename}:{frame.lineno}" for frame in [*frames[-1:], *ours[-1:]])


def _last_place(output: Path) -> str:
    """Where `faulthandler` found a child that died or took too long: its innermost line, and ours."""
    lines = output.read_text(errors="replace").rpartition("most recent call first")[2].splitlines()
    places = [line.strip().removeprefix("File ") for line in lines if line.startswith("  File ")]
    ours = [place for place in places if f"{os.sep}basicsr{os.sep}" in place]
    return " < ".join([*places[:1], *ours[:1]])


def _processor_time(pid: int) -> float:
    """Seconds that a process has worked so far (Linux)."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _status(name: str) -> int:
    """Bytes of an entry of ``/proc/self/status``, such as ``VmRSS`` (Linux)."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(f"{name}:"))
