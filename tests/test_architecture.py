"""Rules of the source that no run would show."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for folder in ("basicsr", "scripts") for path in (ROOT / folder).rglob("*.py"))

LISTINGS = {"glob", "rglob", "iterdir", "walk", "scandir", "listdir"}
# Folders that are the toolkit's own, or where only some names are looked for.
MAY_LIST = {
    "basicsr/utils/folders.py": "the rule itself",
    "basicsr/utils/files.py": "its own temporary files",
    "basicsr/utils/shipped.py": "weights of the package",
    "basicsr/config/paths.py": "runs of the toolkit",
    "basicsr/config/load.py": "names that are near a wrong one",
    "basicsr/preparation/manifest.py": "records of the toolkit",
    "scripts/benchmark/preparation.py": "what it has just written",
}
# `walk` of these is another one.
OTHERS = {"ast", "folders"}


def calls(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Names of called functions, and of what they are called on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
                yield node.func.attr, owner
            elif isinstance(node.func, ast.Name):
                yield node.func.id, ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_folders_of_users_are_read_by_one_rule(path: Path):
    """`basicsr.utils.folders`: sorted, links followed, hidden names skipped, the rest counted."""
    name = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {call for call, owner in calls(tree) if call in LISTINGS and owner not in OTHERS}
    if name in MAY_LIST:
        assert found, f"{name} lists nothing: take it off MAY_LIST"
    else:
        assert not found, f"{name}: take basicsr.utils.folders for {', '.join(sorted(found))}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_on_command_lines_are_expanded(path: Path):
    """``type=typed_path`` (or ``expand``) instead of ``type=Path``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            kinds = [word.value for word in node.keywords if word.arg == "type"]
            assert not any(isinstance(kind, ast.Name) and kind.id == "Path" for kind in kinds), node.lineno
