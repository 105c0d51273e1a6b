"""Rules of the source that no run would show."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for folder in ("basicsr", "scripts")
    for path in sorted((ROOT / folder).rglob("*.py"))
}

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
    "scripts/mutate.py": "code of the package",
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


def test_folders_of_users_are_read_by_one_rule():
    """`basicsr.utils.folders`: sorted, links followed, hidden names skipped, the rest counted."""
    listing = {
        name: {call for call, owner in calls(tree) if call in LISTINGS and owner not in OTHERS}
        for name, tree in SOURCES.items()
    }
    assert {name: found for name, found in listing.items() if found and name not in MAY_LIST} == {}
    assert [name for name in MAY_LIST if not listing[name]] == [], "to be taken off the list"


def test_paths_on_command_lines_are_expanded():
    """``type=typed_path`` (or ``expand``), not ``type=Path``."""
    places = [
        f"{name}:{node.lineno}"
        for name, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "type" and getattr(node.value, "id", "") == "Path"
    ]
    assert places == []
