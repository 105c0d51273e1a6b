"""The installed command: ``sam-deblur VERB ..``. `basicsr.commands` lists the verbs."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module

from basicsr import __version__
from basicsr.commands import VERBS, module_of
from basicsr.utils.display import shown

PROGRAM = "sam-deblur"
HELP = {"-h", "--help"}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the verb of the first words with the others, or explain the verbs."""
    words = list(sys.argv[1:] if argv is None else argv)
    for count in (2, 1):
        verb, rest = " ".join(words[:count]), words[count:]
        if verb in _known():
            if not HELP & set(rest):
                from basicsr.utils.neighbors import warn_of_neighbors

                warn_of_neighbors()
            import_module(module_of(verb)).main(rest, f"{PROGRAM} {verb}")
            return
    typed = [word for word in words if word not in HELP]
    asked = len(typed) < len(words)
    if typed == ["--version"]:
        print(f"{PROGRAM} {__version__}")
    elif listed := usage(typed):
        print(listed, file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 2)
    else:
        print(f"error: {shown(_unknown(typed))}", file=sys.stderr)
        sys.exit(2)


def usage(beginning: Sequence[str] = ()) -> str:
    """The verbs that begin with these words, below their headings; empty where there are none."""
    width = max(map(len, _known())) + 2
    lines: list[str] = []
    for heading, verbs in VERBS.items():
        shown = [verb for verb in verbs if verb.split()[: len(beginning)] == list(beginning)]
        if shown:
            lines += ["", f"{heading}:", *(f"  {verb:{width}}{verbs[verb]}" for verb in shown)]
    if not lines:
        return ""
    return "\n".join([f"usage: {PROGRAM} VERB ...", *lines, "", f"{PROGRAM} VERB --help explains a verb."])


def _known() -> list[str]:
    return [verb for verbs in VERBS.values() for verb in verbs]


def _unknown(typed: Sequence[str]) -> str:
    has_two_words = any(verb.startswith(f"{typed[0]} ") for verb in _known())
    verb = " ".join(typed[: 2 if has_two_words else 1])
    near = difflib.get_close_matches(verb, _known(), n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"{PROGRAM} --help lists what there is"
    return f"{PROGRAM} {verb}: no such verb. {hint}"


if __name__ == "__main__":
    main()
