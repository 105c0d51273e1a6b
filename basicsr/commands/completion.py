"""Print the completion script of this program for a shell.

It completes verbs, flags, and their values: choices, bundled option files and short names
of weights by name, and files. It is generated from the current commands; write it again after an update.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from basicsr.config.cli import command_parser, parser_of, run_command

EXAMPLES = """examples:
  {command} bash > ~/.local/share/bash-completion/completions/sam-deblur
  {command} zsh > ~/.sam-deblur.zsh     # and in ~/.zshrc: source ~/.sam-deblur.zsh
  {command} fish > ~/.config/fish/completions/sam-deblur.fish
  eval "$({command} bash)"              # in this bash alone"""
PROGRAM = "sam-deblur"
SHELLS = ("bash", "zsh", "fish")


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur completion") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument("shell", choices=SHELLS)
    typed = parser.parse_args(argv)
    run_command(lambda: print(completion(typed.shell), end=""), debug=False)


def completion(shell: str) -> str:
    """The script for one of `SHELLS`."""
    from basicsr.commands import VERBS, module_of
    from basicsr.config.completion import SCRIPTS, describe_verb

    verbs = [
        describe_verb(verb, about, parser_of(import_module(module_of(verb)).main, f"{PROGRAM} {verb}"))
        for described in VERBS.values()
        for verb, about in described.items()
    ]
    return SCRIPTS[shell](PROGRAM, verbs)
