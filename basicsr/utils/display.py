"""Foreign text on console and log: file names can hold line breaks and terminal commands."""

from __future__ import annotations

import unicodedata

# Categories of Unicode: control, format, surrogate, separator of lines, of paragraphs.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}

ESCAPED = "backslashreplace"
"""How names with bytes that are not UTF-8 are encoded in JSON and CSV; JSON's own escapes look alike."""


def shown(text: str) -> str:
    r"""One line, in which all but visible characters are escaped as in Python: ``\n``, ``\x1b``, ``\u202e``.

    Bytes of a name that are not UTF-8 are ``\udc80`` to ``\udcff``.
    """
    return "".join(_escaped(one) if unicodedata.category(one) in _UNSEEN else one for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


class Lines(str):
    """A text of several lines for the log; each is shown by itself."""

    @property
    def shown(self) -> str:
        """The lines, each as `shown` gives it."""
        return "\n".join(map(shown, self.split("\n")))
