"""How strong the tests of a folder are: change one token at a time, and check whether its tests notice.

``python scripts/mutate.py masks``, or ``make mutate ROOM=masks``; docs/testing.md has the results.

The changes are cosmic-ray's: comparison, arithmetic, number, and/or, not, True/False, break/continue, loop,
decorator, except. They are made in a copy of the checkout, and a seed draws them. mutmut fits less: it
changes nothing outside of functions and nothing in decorated ones, so no default of an option, no preset and
no limit, and it does not sample. The commands of cosmic-ray itself change the checkout in place, try every
change and start an interpreter for each; here tests run in forks of a process that has imported PyTorch.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from basicsr.config.cli import run_command
from basicsr.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
PRELOADED = ("cv2", "hypothesis", "scipy.ndimage", "torch", "torch.utils.data")
# Each token and what it becomes; cosmic-ray knows more, but `a << b` for `a + b` is noticed by anyone.
OPERATORS = (
    *("AddNot", "ExceptionReplacer", "NumberReplacer", "RemoveDecorator", "ZeroIterationForLoop"),
    *("ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
    *(
        f"ReplaceBinaryOperator_{change}"
        for change in ("Add_Sub", "Sub_Add", "Mul_Div", "Mul_Add", "Div_Mul")
    ),
    *(f"ReplaceBinaryOperator_{change}" for change in ("FloorDiv_Mul", "FloorDiv_Div", "Mod_FloorDiv")),
    *(f"ReplaceBinaryOperator_{change}" for change in ("Pow_Mul", "LShift_RShift", "RShift_LShift")),
    *(f"ReplaceBinaryOperator_{change}" for change in ("BitOr_BitAnd", "BitAnd_BitOr", "BitXor_BitOr")),
    *(f"ReplaceComparisonOperator_{change}" for change in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceComparisonOperator_{change}" for change in ("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt")),
    *(f"ReplaceComparisonOperator_{change}" for change in ("Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt")),
    *(f"ReplaceUnaryOperator_Delete_{sign}" for sign in ("Invert", "Not", "USub")),
)
Position = tuple[int, int]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("room", help="folder of basicsr/, such as masks, or a file of one")
    parser.add_argument("--number", type=int, default=40, help="how many changes are tried (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="which changes are drawn (default: 0)")
    parser.add_argument(
        "--tests", help="the tests that are run (default: the folder of tests/ of the same name)"
    )
    args = parser.parse_args()
    tests = args.tests or f"tests/{args.room.split('/')[0]}"
    run_command(lambda: measure(args.room, tests, args.number, args.seed), debug=False)


def measure(room: str, tests: str, number: int, seed: int) -> None:
    """Print each change with what the tests made of it.

    Raises:
        UserError: no such folder, or its tests fail without any change.
    """
    place = ROOT / "basicsr" / room
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    if not files or not (ROOT / tests).exists():
        raise UserError(f"basicsr/{room} with tests in {tests}: there is no such folder")
    for name in PRELOADED:
        importlib.import_module(name)
    changes = [
        (file.relative_to(ROOT), change) for file in files for change in _sites(file.read_text()).items()
    ]
    chosen = random.Random(seed).sample(changes, min(number, len(changes)))
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        copy = Path(folder) / ROOT.name
        _copy_checkout(copy)
        start = time.monotonic()
        if _noticed(copy, tests, timeout=3600):
            raise UserError(f"{tests} fails without any change; fix that first")
        timeout = 30 + 4 * (time.monotonic() - start)
        noticed = 0
        for index, (file, ((line, _), variants)) in enumerate(sorted(chosen), 1):
            original = (copy / file).read_text()
            changed = random.Random(f"{seed} {file} {line}").choice(variants)
            (copy / file).write_text(changed)
            found = _noticed(copy, tests, timeout, first=_mirror(file))
            (copy / file).write_text(original)
            noticed += found
            print(f"[{index}/{len(chosen)}] {'noticed ' if found else 'SURVIVED'} {file}:{line}", flush=True)
            for before, after in zip(original.split("\n"), changed.split("\n"), strict=True):
                if before != after:
                    print(f"    - {before.strip()}\n    + {after.strip()}", flush=True)
    print(f"{room}: {noticed} of {len(chosen)} changes noticed ({noticed / len(chosen):.0%})")


def _sites(source: str) -> dict[Position, list[str]]:
    """Every place at which a token can change: (line, column) -> the changed sources.

    Annotations are left alone, since they are not run.
    """
    spans = list(_annotations(ast.parse(source)))
    tree = get_ast(source)
    found: dict[Position, list[str]] = defaultdict(list)
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        positions = [position for node in ast_nodes(tree) for position in operator.mutation_positions(node)]
        for occurrence, (start, _) in enumerate(positions):
            if any(first <= start < last for first, last in spans):
                continue
            try:
                changed = mutate_code(source, operator, occurrence)
            except AttributeError:  # cosmic-ray knows no dotted name behind `except`
                continue
            if changed and _compiles(changed) and changed.count("\n") == source.count("\n"):
                found[start].append(changed)
    return found


def _annotations(tree: ast.AST) -> Iterator[tuple[Position, Position]]:
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            part = getattr(node, name, None)
            if part is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def _compiles(source: str) -> bool:
    try:
        compile(source, "changed", "exec")
    except SyntaxError:
        return False
    return True


def _copy_checkout(target: Path) -> None:
    """The files that git knows or would add, without data and results."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def _mirror(file: Path) -> Path:
    """The tests of a file: ``basicsr/masks/pooling.py`` -> ``tests/masks/test_pooling.py``."""
    return Path("tests", *file.parts[1:-1], f"test_{file.name}")


def _noticed(copy: Path, tests: str, timeout: float, first: Path | None = None) -> bool:
    """Whether the tests fail, or take far longer than they should; ``first`` of them are run first."""
    process = multiprocessing.get_context("fork").Process(target=_run_tests, args=(copy, tests, first))
    process.start()
    process.join(timeout)
    if process.is_alive():
        os.killpg(process.pid, 9)
        process.join()
    return process.exitcode != 0


def _run_tests(copy: Path, tests: str, first: Path | None) -> None:
    os.setsid()
    os.chdir(copy)
    # Files change twice a second; compiled ones are told apart by the second only.
    os.environ.update(PYTHONPATH=str(copy), PYTHONDONTWRITEBYTECODE="1")
    sys.dont_write_bytecode = True
    for name in [name for name in sys.modules if name.split(".")[0] == "basicsr"]:
        del sys.modules[name]
    sys.path.insert(0, str(copy))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    options = ["-x", "-q", "-m", "not slow and not gpu", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    code = 0
    if first is not None and first.exists() and first.is_relative_to(tests):
        code = pytest.main([*options, str(first)])
        options.append(f"--ignore={first}")
    if code == 0 and str(first) != tests:
        code = pytest.main([*options, tests])
    os._exit(int(code))


if __name__ == "__main__":
    main()
