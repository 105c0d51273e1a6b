"""Build sdist and wheel, install each into an empty environment, and restore and train there.

python scripts/try_install.py python3.10 python3.13

The wheel is built from the sdist, so a file missing there is missing in both. The first interpreter gets the
wheel, the second the sdist, and so on in turn. An interpreter that is not on the PATH is looked for below
~/.pyenv/versions (or $PYENV_ROOT/versions); one that is not found is reported and skipped. If none is found,
the one that runs this script is used. Needs the package build, and about 7 GB of temporary space.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What a user does first, in an empty folder.
FIRST_STEPS = (
    ("doctor",),
    ("prepare", "demo-set"),
    ("restore", "-i", "datasets/Demo/test/input", "-o", "out"),
    ("train", "Demo/SegNAFNet", "--set", "train.total_iter=2", "val.val_freq=null", "num_gpu=0"),
    ("test", "Demo/NAFNet", "--set", "num_gpu=0"),
)


def main() -> int:
    """Exit code 1 where something failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pythons", nargs="+", metavar="PYTHON", help="interpreters, e.g. python3.10")
    pythons = parser.parse_args().pythons
    found = {name: path for name in pythons if (path := find_python(name)) is not None}
    for name in pythons:
        if name not in found:
            print(f"{name}: not found; not tried")
    found = found or {"this Python": Path(sys.executable)}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run(sys.executable, "-m", "build", "--outdir", work / "dist", ROOT)
        (sdist,), (wheel,) = (work / "dist").glob("*.tar.gz"), (work / "dist").glob("*.whl")
        for (name, python), package in zip(found.items(), itertools.cycle((wheel, sdist)), strict=False):
            try_package(python, package, work / "tried")
            print(f"{name}: {package.name} installed; {len(FIRST_STEPS)} commands ran")
            shutil.rmtree(work / "tried")
    return 0


def find_python(name: str) -> Path | None:
    """The interpreter ``python3.10``, or None."""
    on_path = shutil.which(name)
    # pyenv puts scripts on the PATH that run only versions which are activated
    if on_path is not None and not subprocess.run([on_path, "--version"], capture_output=True).returncode:
        return Path(on_path)
    version = re.sub(r"^python", "", name)
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = sorted(root.glob(f"versions/{version}.*/bin/python"))
    return candidates[-1] if candidates else None


def try_package(python: Path, package: Path, folder: Path) -> None:
    """Install into a new environment and run `FIRST_STEPS` in an empty folder."""
    run(python, "-m", "venv", folder / "venv")
    own = folder / "venv/bin"
    run(own / "python", "-m", "pip", "install", "--quiet", package)
    empty = folder / "empty"
    empty.mkdir()
    for words in FIRST_STEPS:
        run(own / "sam-deblur", *words, cwd=empty)
    if not list((empty / "out").glob("*.png")):
        raise SystemExit("restore wrote no photo")


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command without the environment of this interpreter; end with its output where it fails."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL"))
    }
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(
            f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        )


if __name__ == "__main__":
    sys.exit(main())
