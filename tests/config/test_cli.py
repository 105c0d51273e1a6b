"""The command line: what it takes, and how it ends."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from basicsr.config.cli import parse_arguments, run_command
from basicsr.utils.errors import OptionError, UserError

ROOT = Path(__file__).resolve().parents[2]


def python(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "", "OMP_NUM_THREADS": "1", **environment},
    )


@pytest.mark.parametrize("command", ["train", "test"])
def test_help_imports_nothing_heavy(command):
    done = python("-X", "importtime", str(ROOT / f"basicsr/{command}.py"), "--help")
    imported = {
        line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")
    }
    assert done.returncode == 0 and f"options/{command}/Demo/SegNAFNet.yml" in done.stdout
    assert {"basicsr.config.cli", "argparse"} <= imported
    assert not {name.split(".")[0] for name in imported} & {
        "torch",
        "cv2",
        "numpy",
        "yaml",
        "msgspec",
        "skimage",
    }


@pytest.mark.parametrize("typed", [["--local_rank=0"], ["--local-rank", "0"], ["--local-rank=3"], []])
def test_local_rank_is_taken_in_both_spellings_and_ignored(typed):
    arguments = parse_arguments("train", ["-opt", "a.yml", "--launcher", "pytorch", *typed])
    assert arguments == parse_arguments("train", ["--opt", "a.yml", "--launcher", "pytorch"])
    assert (arguments.opt, arguments.launcher, arguments.overrides) == ("a.yml", "pytorch", [])


def test_set_takes_several_and_may_be_repeated():
    typed = ["-opt", "a.yml", "--set", "a=1", "b.c=[1, 2]", "--auto_resume", "--set", "d=-1e-3"]
    arguments = parse_arguments("train", typed)
    assert arguments.overrides == ["a=1", "b.c=[1, 2]", "d=-1e-3"]
    assert arguments.auto_resume and not arguments.debug


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("train", []),
        ("train", ["-opt", "a.yml", "--launcher", "mpi"]),
        ("train", ["-opt", "a.yml", "--unknown"]),
        ("test", ["-opt", "a.yml", "--auto_resume"]),
    ],
)
def test_mistyped_command_line_exits_with_2(command, typed, capsys):
    with pytest.raises(SystemExit) as caught:
        parse_arguments(command, typed)
    assert caught.value.code == 2 and "usage:" in capsys.readouterr().err


def raises(error: BaseException):
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("a.png: cut short"), 1, "error: a.png: cut short\n"),
        (OptionError("a.yml", ["name: wrong"]), 2, "error: a.yml: name: wrong\n"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "a.png"),
            1,
            "error: a.png: No such file; check the path\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "x/"),
            1,
            "error: x/: Permission denied; choose a place that you may read and write\n",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "x/"),
            1,
            "error: x/: Read-only file system; choose a place that you may read and write\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "1.state"),
            1,
            "error: 1.state: No space left on device; free some space\n",
        ),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "xx.png"),
            1,
            "error: xx.png: File name too long; shorten the name\n",
        ),
    ],
)
def test_mistake_of_the_user_ends_in_one_message_and_a_code(error, code, message, capsys, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(SystemExit) as caught:
        run_command(raises(error), debug=False)
    assert caught.value.code == code
    assert capsys.readouterr().err == message
    with pytest.raises(UserError):
        run_command(raises(error), debug=True)


@pytest.mark.parametrize(
    ("message", "ran_out"),
    [
        ("DataLoader worker (pid 7) is killed by signal: Killed. ", "memory ran out"),
        ("DataLoader worker (pid(s) 7, 8) exited unexpectedly", "memory ran out"),
        ("DataLoader worker (pid 7) is killed by signal: Bus error. ", "shared memory (/dev/shm) ran out"),
    ],
)
def test_a_killed_worker_is_one_line_with_its_likely_cause(message: str, ran_out: str, capsys, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(SystemExit) as caught:
        run_command(raises(RuntimeError(message)), debug=False)
    told = capsys.readouterr().err
    assert caught.value.code == 1 and told.count("\n") == 1
    assert f"was killed, most likely because {ran_out}" in told and "num_worker_per_gpu" in told


@pytest.mark.parametrize(
    "error",
    [ValueError("bug"), RuntimeError("bug"), OSError("bug"), PermissionError(errno.EPERM, "not a file")],
)
def test_other_errors_are_not_hidden(error):
    with pytest.raises(type(error)) as caught:
        run_command(raises(error), debug=False)
    assert caught.value is error


def test_under_a_launcher_a_mistake_ends_the_process_whatever_waits():
    code = (
        "import threading\n"
        "from basicsr.config.cli import run_command\n"
        "from basicsr.utils.errors import UserError\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "def command(): raise UserError('x.png: broken')\n"
        "run_command(command, debug=False)"
    )
    done = python("-c", code, RANK="1")
    assert (done.returncode, done.stderr) == (1, "error: x.png: broken\n")


@pytest.mark.parametrize(("local_rank", "message"), [("0", "error: name: taken\n"), ("1", "")])
def test_every_machine_says_wrong_options_once(local_rank, message):
    code = (
        "from basicsr.config.cli import run_command\n"
        "from basicsr.utils.errors import OptionError\n"
        "def command(): raise OptionError('name', ['name: taken'])\n"
        "run_command(command, debug=False)"
    )
    done = python("-c", code, RANK=f"4{local_rank}", LOCAL_RANK=local_rank)
    assert (done.returncode, done.stderr) == (2, message)


def test_wrong_options_end_training_with_2_and_no_traceback(small, write, tmp_path):
    small["network_g"]["widht"] = 8
    small["datasets"]["train"]["dataroot_gt"] = "absent"
    path = write(yaml.safe_dump(small))
    typed = ["-opt", str(path), "--set", "train.optim_g.lr=fast", "--local_rank=0"]
    done = python(str(ROOT / "basicsr/train.py"), *typed, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines() == [
        f"error: {path}: 3 mistakes",
        "  datasets.train.dataroot_gt: no such folder (got 'absent')",
        "  network_g.widht: NAFNet has no such option. Did you mean 'width'? (got 8)",
        "  train.optim_g.lr: Expected `float`, got `str` (got 'fast')",
    ]
    assert not (tmp_path / "experiments").exists()
