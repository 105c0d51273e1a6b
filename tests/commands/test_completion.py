"""``sam-deblur completion``: what shells offer at a place of the command line."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from importlib import import_module

import pytest

from basicsr import console
from basicsr.commands import VERBS, module_of
from basicsr.commands.completion import SHELLS, completion
from basicsr.config.cli import command_parser, parser_of
from basicsr.config.completion import describe_verb, fish_script

KNOWN = [verb for verbs in VERBS.values() for verb in verbs]
BASH = shutil.which("bash")


@pytest.fixture(scope="module")
def script() -> str:
    return completion("bash")


@pytest.fixture
def complete(script, tmp_path):
    """A function: words of a command line, of which the last one is being typed -> what bash offers."""

    def offered(*words: str) -> list[str]:
        typed = " ".join(f"'{word}'" for word in ("sam-deblur", *words))
        asked = (
            f'COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _sam_deblur; printf "%s\\n" "${{COMPREPLY[@]}}"'
        )
        run = [BASH, "--norc", "-c", f"{script}\n{asked}"]
        done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert done.stderr == ""
        return done.stdout.split()

    return offered


def test_bash_completes_verbs(complete):
    first = list(dict.fromkeys(verb.split()[0] for verb in KNOWN))
    assert complete("") == [*first, "--help", "--version"]
    assert complete("tr") == ["train"]
    assert complete("prepare", "sh") == ["show-masks", "show-kernels"]
    assert complete("weights", "") == ["list", "get", "convert", "--help"]


def test_bash_completes_flags_and_their_choices(complete):
    assert complete("train", "--l") == ["--launcher", "--local_rank", "--local-rank"]
    assert complete("prepare", "gopro", "A", "B", "--") == ["--help", "--blur", "--link"]
    assert complete("prepare", "gopro", "--link", "") == ["symlink", "hardlink", "copy"]
    assert complete("test", "GoPro/NAFNet", "--launcher", "py") == ["pytorch"]
    assert complete("completion", "") == ["bash", "zsh", "fish"]


def test_bash_completes_names_of_option_files_and_weights_beside_files(complete, tmp_path):
    (tmp_path / "GoPro.yml").touch()
    (tmp_path / "NAFNet-own.pth").touch()
    offered = complete("train", "GoPro")
    assert {"GoPro/SegNAFNet", "GoPro/Uformer-distilled", "GoPro.yml"} <= set(offered)
    assert complete("train", "Min") == ["Mine/MAXIM", "Mine/NAFNet", "Mine/SegNAFNet"]
    assert complete("test", "-opt", "Min") == []
    assert complete("restore", "-i", "a.png", "--weights", "N") == ["NAFNet", "NAFNet-own.pth"]
    assert complete("weights", "get", "maxim-deb") == ["maxim-deblurring"]


def test_bash_leaves_files_to_the_shell(complete, script, tmp_path):
    (tmp_path / "photo.png").touch()
    assert complete("restore", "-i", "photo.png", "pho") == []
    assert complete("train", "--set", "a=1", "Go") == []
    assert "complete -o bashdefault -o default -F _sam_deblur sam-deblur" in script


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_have_every_flag_of_every_verb(shell, capsys):
    console.main(["completion", shell])
    text = capsys.readouterr().out
    assert text.startswith("# Completion of sam-deblur for ") and f"'sam-deblur completion {shell}'" in text
    for verb in KNOWN:
        parser = parser_of(import_module(module_of(verb)).main, verb)
        names = [name for action in parser._actions for name in action.option_strings]
        assert {"-h", "--help"} <= set(names)
        if shell == "fish":
            lines = "\n".join(line for line in text.splitlines() if f"_has {verb}' " in line)
            found = re.findall(r" -([lso]) (\S+)", lines)
            assert names == [f"--{name}" if kind == "l" else f"-{name}" for kind, name in found]
        else:
            assert f'"{verb}") words="{" ".join(names)}" ;;' in text


def test_fish_is_told_descriptions_with_quotes():
    parser = command_parser("program look", None, "example: {command} a")
    parser.add_argument("--who", help="the photo's owner; may be repeated")
    parser.add_argument("--hidden", help=argparse.SUPPRESS)
    text = fish_script("program", [describe_verb("look", "a photo", parser)])
    assert r"-l who -r -F -d 'the photo\'s owner'" in text
    assert "hidden" not in text


def test_a_command_without_a_parser_of_the_toolkit_is_refused():
    with pytest.raises(TypeError, match="^program look reads its words without command_parser$"):
        parser_of(lambda argv, called: None, "program look")
