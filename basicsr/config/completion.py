"""Completion scripts for the command line in shells, made from its parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from shlex import quote

from basicsr.config.cli import OptionFileName, WeightsName
from basicsr.config.option_files import shipped_option_files
from basicsr.utils.fetchable import FETCHABLE
from basicsr.utils.shipped import shipped_weights


@dataclass(frozen=True)
class Values:
    """What may be typed for an argument: one of ``words``, and a file where ``files`` is true."""

    words: tuple[str, ...] = ()
    files: bool = False


@dataclass(frozen=True)
class Flag:
    """An argument with dashes.

    Args:
        names: all its spellings.
        about: a short description.
        values: that follow it; None where it takes none.
        several: whether it takes more than one.
    """

    names: tuple[str, ...]
    about: str
    values: Values | None
    several: bool


@dataclass(frozen=True)
class Verb:
    """A verb of one or two words, its flags, and what may stand without one."""

    name: str
    about: str
    flags: tuple[Flag, ...]
    operands: Values

    @property
    def flag_names(self) -> list[str]:
        """All spellings of all flags."""
        return [name for flag in self.flags for name in flag.names]


def describe_verb(name: str, about: str, parser: argparse.ArgumentParser) -> Verb:
    """What a shell has to know about a verb."""
    actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    operands = [_values(action, name) for action in actions if not action.option_strings]
    flags = [
        Flag(
            names=tuple(action.option_strings),
            about=(action.help or "").partition(";")[0],
            values=None if action.nargs == 0 else _values(action, name),
            several=action.nargs in ("+", "*"),
        )
        for action in actions
        if action.option_strings
    ]
    words = dict.fromkeys(word for values in operands for word in values.words)
    return Verb(name, about, tuple(flags), Values(tuple(words), any(values.files for values in operands)))


def _values(action: argparse.Action, verb: str) -> Values:
    if isinstance(action.choices, range) or action.type in (int, float):
        return Values()
    if action.choices is not None:
        return Values(tuple(map(str, action.choices)))
    if action.type is OptionFileName:
        return Values(
            tuple(shipped_option_files("test" if verb in ("test", "demo") else "train")), files=True
        )
    if action.type is WeightsName:
        return Values((*shipped_weights(), *FETCHABLE), files=True)
    return Values(files=True)


def bash_script(program: str, verbs: Sequence[Verb]) -> str:
    """The script for bash 3.2 and newer."""
    function = f"_{program.replace('-', '_')}"
    two = " | ".join(_first_of_two(verbs))
    lines = [
        f"# Completion of {program} for bash, from '{program} completion bash'.",
        f"{function}() {{",
        '    local current="${COMP_WORDS[COMP_CWORD]}" verb="${COMP_WORDS[1]}"',
        '    local start=2 flag="" words="" files="" place',
        "    COMPREPLY=()",
        f'    case "$verb" in {two}) start=3 verb="$verb ${{COMP_WORDS[2]}}" ;; esac',
        "    if (( COMP_CWORD == 1 )); then",
        f'        words="{" ".join(_words_after((), verbs))} --help --version"',
        "    elif (( COMP_CWORD < start )); then",
        '        case "${COMP_WORDS[1]}" in',
        *(f'            {first}) words="{" ".join(_words_after((first,), verbs))} --help" ;;'
          for first in _first_of_two(verbs)),
        "        esac",
        '    elif [[ "$current" == -* ]]; then',
        '        case "$verb" in',
        *(f'            "{verb.name}") words="{" ".join(verb.flag_names)}" ;;' for verb in verbs),
        "        esac",
        "    else",
        "        # the flag that this word belongs to; \" ..\" says that others stand between them",
        "        for (( place = COMP_CWORD - 1; place >= start; place-- )); do",
        '            case "${COMP_WORDS[place]}" in -*) flag="${COMP_WORDS[place]}"; break ;; esac',
        "        done",
        '        if (( place < COMP_CWORD - 1 )); then flag="$flag .."; fi',
        '        case "$verb|$flag" in',
        *(f"            {line}" for verb in verbs for line in _bash_values(verb)),
        "        esac",
        "    fi",
        '    COMPREPLY=( $(compgen -W "$words" -- "$current") )',
        "    # without words, the shell completes files by itself",
        '    if [[ -n "$words" && -n "$files" ]]; then',
        "        compopt -o filenames 2> /dev/null",
        '        while IFS= read -r place; do COMPREPLY+=("$place"); done < <(compgen -f -- "$current")',
        "    fi",
        "}",
        f"complete -o bashdefault -o default -F {function} {program}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _bash_values(verb: Verb) -> Iterable[str]:
    """Cases of values: those of each flag, then what may stand without one."""
    for flag in verb.flags:
        if flag.values is not None:
            ends = ("", " ..") if flag.several else ("",)
            patterns = [f'"{verb.name}|{name}{end}"' for name in flag.names for end in ends]
            yield f"{' | '.join(patterns)}) {_bash_words(flag.values)};;"
    yield f'"{verb.name}|"*) {_bash_words(verb.operands)};;'


def _bash_words(values: Values) -> str:
    return (f'words="{" ".join(values.words)}" ' if values.words else "") + (
        "files=1 " if values.files else ""
    )


def zsh_script(program: str, verbs: Sequence[Verb]) -> str:
    """The script for zsh, which runs that of bash."""
    lines = [
        f"# Completion of {program} for zsh, from '{program} completion zsh'.",
        "(( $+functions[compdef] )) || { autoload -U compinit && compinit }",
        "autoload -U bashcompinit && bashcompinit",
    ]
    return "\n".join(lines) + "\n" + bash_script(program, verbs).partition("\n")[2]


def fish_script(program: str, verbs: Sequence[Verb]) -> str:
    """The script for fish 3.0 and newer."""
    function = f"__{program.replace('-', '_')}"
    lines = [
        f"# Completion of {program} for fish, from '{program} completion fish'.",
        f"function {function}_is  # whether these are all words before the one that is typed",
        '    test (commandline -opc | string join " ") = (string join " " -- (commandline -opc)[1] $argv)',
        "end",
        f"function {function}_has  # whether the words begin with these",
        '    set -l typed (string join " " -- (commandline -opc)[2..-1])',
        '    string match -q -- (string join " " -- $argv)" *" "$typed "',
        "end",
        f"complete -c {program} -f",
        f"complete -c {program} -n {function}_is -l help -d 'list the verbs'",
        f"complete -c {program} -n {function}_is -l version -d 'print the version'",
    ]
    for first in _first_of_two(verbs):
        lines.append(f"complete -c {program} -n {function}_is -a {first} -d 'several verbs'")
    for verb in verbs:
        *before, word = verb.name.split()
        when = quote(" ".join([f"{function}_is", *before]))
        lines.append(f"complete -c {program} -n {when} -a {word} -d {_fish_quote(verb.about)}")
        when = quote(f"{function}_has {verb.name}")
        lines.append(f"complete -c {program} -n {when} {_fish_values(verb.operands)}")
        for flag in verb.flags:
            names = " ".join(map(_fish_name, flag.names))
            values = "" if flag.values is None else f" -r {_fish_values(flag.values)}"
            about = _fish_quote(flag.about)
            lines.append(f"complete -c {program} -n {when} {names}{values} -d {about}")
    return "\n".join(lines) + "\n"


def _fish_name(name: str) -> str:
    if name.startswith("--"):
        return f"-l {name[2:]}"
    return f"-s {name[1:]}" if len(name) == 2 else f"-o {name[1:]}"


def _fish_values(values: Values) -> str:
    words = f" -a {_fish_quote(' '.join(values.words))}" if values.words else ""
    return ("-F" if values.files else "-f") + words


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _first_of_two(verbs: Iterable[Verb]) -> list[str]:
    """First words of verbs of two words."""
    return list(dict.fromkeys(verb.name.split()[0] for verb in verbs if " " in verb.name))


def _words_after(typed: tuple[str, ...], verbs: Iterable[Verb]) -> list[str]:
    """The words that continue ``typed`` to a verb."""
    count = len(typed)
    named = [verb.name.split() for verb in verbs]
    return list(
        dict.fromkeys(words[count] for words in named if tuple(words[:count]) == typed and words[count:])
    )


SCRIPTS = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}
"""By the name of the shell."""
