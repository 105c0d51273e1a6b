"""Rules of the source that no run would show."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from setuptools import Distribution

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for folder in ("basicsr", "scripts")
    for path in sorted((ROOT / folder).rglob("*.py"))
}

# Folders of the package, the top line first, as in docs/architecture.md.
LAYERS = (
    {"commands"},
    {"app", "diagnosis"},
    {"restoration", "studies", "recipes"},
    {"reporting", "protocols"},
    {"engine", "preparation"},
    {"models"},
    {"losses", "metrics", "data", "segmenters"},
    {"checkpoints"},
    {"archs"},
    {"layers", "synthesis"},
    {"masks", "storage"},
    {"config"},
    {"utils"},
)
# The modules beside the folders are entry points, above all of them; one may call another.
ENTRY_POINTS = len(LAYERS)
HEIGHTS = {room: ENTRY_POINTS - 1 - line for line, rooms in enumerate(LAYERS) for room in rooms}

LISTINGS = {"glob", "rglob", "iterdir", "walk", "scandir", "listdir"}
# Folders that are the toolkit's own, or where only some names are looked for.
MAY_LIST = {
    "basicsr/utils/folders.py": "the rule itself",
    "basicsr/utils/files.py": "its own temporary files",
    "basicsr/utils/shipped.py": "weights of the package",
    "basicsr/config/paths.py": "runs of the toolkit",
    "basicsr/engine/agreement.py": "code of the package",
    "basicsr/config/load.py": "names that are near a wrong one",
    "basicsr/config/option_files.py": "option files of the package",
    "basicsr/preparation/manifest.py": "records of the toolkit",
    "scripts/benchmark/growth.py": "open files of a process",
    "scripts/benchmark/preparation.py": "what it has just written",
    "scripts/fuzzing/children.py": "what it has just written",
    "scripts/fuzzing/formats.py": "what it has just written",
    "scripts/mutate.py": "code of the package",
    "scripts/try_install.py": "what it has just built, and interpreters",
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


def module_of(name: str) -> str:
    """``basicsr/masks/__init__.py`` -> ``basicsr.masks``"""
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module_of(name): tree for name, tree in SOURCES.items()}


def imports(tree: ast.AST) -> set[str]:
    """Modules of the package that are imported, inside functions too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inner or {str(node.module)}
    return {name for name in found if name.partition(".")[0] == "basicsr"}


def room_of(module: str) -> str:
    """``basicsr.masks.label_map`` -> ``masks``"""
    return module.split(".")[1]


def height_of(module: str) -> int:
    return HEIGHTS.get(room_of(module), ENTRY_POINTS)


def test_every_folder_has_its_line():
    package = ROOT / "basicsr"
    assert {path.parent.name for path in package.glob("*/__init__.py")} == HEIGHTS.keys()


def test_the_page_shows_the_lines():
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    drawn = [set(re.findall(r"\b(\w+)/", line)) for line in page.split("```")[1].strip().splitlines()]
    assert drawn == [{"scripts"}, *LAYERS]


def test_imports_point_downwards_and_folders_on_one_line_do_not_import_each_other():
    wrong = [
        f"{module} imports {imported}"
        for module, tree in MODULES.items()
        for imported in imports(tree) - {"basicsr"}
        if module.startswith("basicsr.")
        and room_of(module) in HEIGHTS
        and room_of(module) != room_of(imported)
        and height_of(module) <= height_of(imported)
    ]
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others():
    order = TopologicalSorter({module: imports(tree) - {"basicsr"} for module, tree in MODULES.items()})
    order.prepare()  # raises CycleError, which names them


def test_what_ships_is_nothing_to_build_on():
    """``recipes`` make the Demo set and the data of the shipped weights, for commands and scripts alone."""
    users = {
        module
        for module, tree in MODULES.items()
        for imported in imports(tree) - {"basicsr"}
        if room_of(imported) == "recipes" and not module.startswith("basicsr.recipes")
    }
    assert users and all(module.startswith(("scripts.", "basicsr.commands.")) for module in users)


def test_a_built_package_has_the_files_beside_the_code(tmp_path, monkeypatch):
    """Weights, page and pristine model; ``py.typed``, by which type checkers read the annotations."""
    monkeypatch.chdir(ROOT)
    package = Distribution({"script_name": "setup.py"})
    package.parse_config_files()
    package.get_command_obj("egg_info").egg_base = str(tmp_path)
    build = package.get_command_obj("build_py")
    build.ensure_finalized()
    built = {Path(source, name) for _, source, _, names in build.data_files for name in names}
    there = {
        (Path(folder) / name).relative_to(ROOT)
        for folder, _, names in os.walk(ROOT / "basicsr", followlinks=True)  # options are a link
        for name in names
        if not name.endswith((".py", ".pyc"))
    }
    assert Path("basicsr/py.typed") in built
    assert built == there


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


def test_no_shell_is_ever_asked():
    """Not for Slurm's lists of hosts either (CVE-2024-27763): programs get their words one by one."""
    shells = {
        ("system", "os"), ("popen", "os"), ("getoutput", "subprocess"), ("getstatusoutput", "subprocess"),
        ("create_subprocess_shell", "asyncio"),
    }  # fmt: skip
    for name, tree in SOURCES.items():
        assert shells.isdisjoint(calls(tree)), name
        words = [node for node in ast.walk(tree) if isinstance(node, ast.keyword)]
        assert all(word.arg != "shell" for word in words), name
