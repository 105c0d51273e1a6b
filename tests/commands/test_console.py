"""``sam-deblur``: its verbs, what it says of them, and that scripts are the same commands."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from basicsr import __version__, console
from basicsr.commands import VERBS, module_of

ROOT = Path(__file__).resolve().parents[2]
KNOWN = [verb for verbs in VERBS.values() for verb in verbs]
TOOLS = {"compare_losses.py", "fuzz.py", "mutate.py", "random_vgg.py", "try_install.py"}
"""Of developers, like the folder benchmark."""


def own_scripts() -> list[Path]:
    folders = {"benchmark", "fuzzing"}
    paths = (ROOT / "scripts").rglob("*.py")
    return [path for path in paths if path.parent.name not in folders and path.name not in TOOLS]


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = 0
    try:
        console.main(words)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, *capsys.readouterr()


def test_every_file_of_commands_is_a_verb():
    folder = ROOT / "basicsr/commands"
    files = {
        path.relative_to(ROOT).with_suffix("") for path in folder.rglob("*.py") if path.stem != "__init__"
    }
    assert {".".join(path.parts) for path in files} == {module_of(verb) for verb in KNOWN}


def test_every_script_is_a_verb():
    scripts = [
        path for path in (ROOT / "scripts").rglob("*.py") if path.parent.name not in ("benchmark", "fuzzing")
    ]
    for path in scripts:
        if path.name not in TOOLS:
            (module,) = re.findall(r"^from (basicsr\.commands\.\S+) import main$", path.read_text(), re.M)
            assert module in {module_of(verb) for verb in KNOWN}
            assert f'main(called="python {path.relative_to(ROOT).as_posix()}"' in path.read_text()


@pytest.mark.parametrize("verb", KNOWN)
def test_help_shows_an_example_of_the_verb(capsys, verb):
    code, out, _ = run(capsys, *verb.split(), "--help")
    assert code == 0 and out.startswith(f"usage: sam-deblur {verb} ")
    ends_with = re.search(r"\nexamples?:[ \n](.+)\Z", out, re.S)
    assert ends_with is not None and f"sam-deblur {verb}" in ends_with.group(1)


def test_help_of_verbs_imports_nothing_heavy():
    code = f"""
import contextlib, io, sys
from basicsr import console
for verb in {KNOWN}:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        console.main([*verb.split(), "--help"])
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    imported = set(done.stdout.split())
    assert set(map(module_of, KNOWN)) <= imported
    assert not imported & {"torch", "cv2", "numpy", "skimage", "scipy", "PIL", "importlib.metadata"}


def test_usage_lists_all_verbs_below_headings(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    places = [out.index(f"\n{heading}:\n") for heading in VERBS]
    assert places == sorted(places)
    for verbs in VERBS.values():
        for verb, what in verbs.items():
            assert re.search(rf"^  {verb} +{re.escape(what)}$", out, re.M)
    assert run(capsys) == (2, "", out)


def test_first_word_of_two_lists_its_verbs(capsys):
    code, out, _ = run(capsys, "prepare", "--help")
    listed = re.findall(r"^  (\S+ ?\S+)  ", out, re.M)
    assert code == 0 and listed == [verb for verb in KNOWN if verb.startswith("prepare ")]
    assert run(capsys, "prepare") == (2, "", out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian", "-opt", "x.yml"], "sam-deblur trian: no such verb. Did you mean 'train'?"),
        (["prepare", "gpro"], "sam-deblur prepare gpro: no such verb. Did you mean 'prepare gopro'?"),
        (["xyz", "--help"], "sam-deblur xyz: no such verb. sam-deblur --help lists what there is"),
    ],
)
def test_unknown_verb_is_one_line(capsys, words, message):
    assert run(capsys, *words) == (2, "", f"error: {message}\n")


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"sam-deblur {__version__}\n", "")


def test_the_page_of_commands_has_every_verb_and_its_script():
    rows = re.findall(
        r"^\| `(.+?)` \| (.+?) \| (?:`(.+?)`)? ?\|$", (ROOT / "docs/commands.md").read_text(), re.M
    )
    assert [(verb, what) for verb, what, _ in rows] == [
        (verb, what) for verbs in VERBS.values() for verb, what in verbs.items()
    ]
    for verb, _, script in rows:
        if script:
            assert f"from {module_of(verb)} import " in (ROOT / script).read_text()
    named = {script for *_, script in rows}
    scripts = [
        path for path in (ROOT / "scripts").rglob("*.py") if path.parent.name not in ("benchmark", "fuzzing")
    ]
    assert {path.relative_to(ROOT).as_posix() for path in scripts if path.name not in TOOLS} <= named


@pytest.mark.parametrize("verb", KNOWN)
def test_module_takes_words_and_how_it_was_called(verb, capsys):
    with pytest.raises(SystemExit) as end:
        import_module(module_of(verb)).main(["--help"], "somebody else")
    assert end.value.code == 0 and capsys.readouterr().out.startswith("usage: somebody else ")
