"""Signals, as programs see them that are started by themselves, by a terminal, or by a launcher."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from basicsr.utils.interruption import RESUME_ME, Interrupted, Interruption

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are a matter of POSIX")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_is_raised_or_noted_and_handlers_come_back(number: int):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=signal.Signals(number).name) as caught, Interruption().raised():
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) is before
    interruption = Interruption()
    with Interruption().raised():
        with interruption.noted():
            assert not interruption.is_asked
            os.kill(os.getpid(), number)
            assert interruption.number == number
            os.kill(os.getpid(), number)  # an echo, as of torchrun
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_a_saved_run_asks_to_be_resumed():
    assert Interrupted(signal.SIGTERM, is_saved=True).exit_code == RESUME_ME == 75


def test_no_handler_for_exceptions_takes_it():
    with pytest.raises(Interrupted), Interruption().raised():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:
            pytest.fail("it is no mistake")


def test_a_signal_whose_exception_got_lost_is_not_forgotten():
    inner = Interruption()
    with Interruption().raised():
        with suppress(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
        with inner.noted():
            assert inner.number == signal.SIGTERM


def test_an_import_is_finished_first(tmp_path, monkeypatch):
    code = "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\ntotal = sum(range(1000))\n"
    (tmp_path / "module_that_is_interrupted.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Interrupted), Interruption().raised():
        module = importlib.import_module("module_that_is_interrupted")
        assert module.total == 499500
        time.sleep(10)


def test_what_the_caller_ignores_stays_ignored(monkeypatch):
    """As nohup does."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption().raised():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_second_signal_leaves_at_once():
    done = run(
        "import os, signal, time\n"
        "from basicsr.utils.interruption import Interruption\n"
        "with Interruption().noted():\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n"
        "    time.sleep(1.1)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')\n"
    )
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "")


def test_a_command_that_is_interrupted_clears_away_what_is_half_done(tmp_path):
    done = run(
        "import os, signal\n"
        "from pathlib import Path\n"
        "from basicsr.config.cli import run_command\n"
        "from basicsr.utils.files import write_atomically\n"
        "def write(temporary):\n"
        "    temporary.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        f"run_command(lambda: write_atomically(Path({str(tmp_path)!r}) / 'a.png', write), debug=False)\n"
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "interrupted by SIGTERM\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a signal does not say who sent it")
def test_a_worker_hears_its_parent_alone_and_ends_with_it():
    done = run(
        "import multiprocessing, os, signal, time\n"
        "from basicsr.utils.interruption import serve_parent\n"
        "def work(connection):\n"
        "    serve_parent()\n"
        "    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):\n"
        "        os.kill(os.getpid(), number)\n"
        "    time.sleep(0.2)\n"
        "    connection.send(os.getpid())\n"
        "    time.sleep(60)\n"
        "context = multiprocessing.get_context('fork')\n"
        "ours, theirs = context.Pipe()\n"
        "workers = [context.Process(target=work, args=(theirs,)) for _ in range(2)]\n"
        "for worker in workers:\n"
        "    worker.start()\n"
        "    ours.recv()\n"
        "workers[0].terminate()\n"
        "workers[0].join()\n"
        "print(workers[0].exitcode, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )  # its output ends with its last process, so a worker that stayed would be waited for
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "1\n")
