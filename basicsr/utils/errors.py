"""Errors that are meant for the user: one line that names the file or option, the value, and a hint."""

from __future__ import annotations

from collections.abc import Iterable

from basicsr.utils.display import shown


class UserError(Exception):
    """Something outside the program is wrong (a file, a checkpoint). Commands print it and exit with 1.

    Args:
        message: one line.
        lines: further ones, e.g. one for each of several files.
    """

    exit_code = 1

    def __init__(self, message: str = "", lines: Iterable[str] = ()) -> None:
        self.lines = (message, *lines)
        super().__init__("\n  ".join(self.lines))

    @property
    def shown(self) -> str:
        """The text for a console, see `basicsr.utils.display.shown`."""
        return "\n  ".join(map(shown, self.lines))


class OptionError(UserError):
    """Mistakes in the options. Exit code 2.

    Args:
        source: option file, or the option or flag that is wrong.
        mistakes: one line each, ``<yaml path>: <what is wrong> (got <value>)``.
    """

    exit_code = 2

    def __init__(self, source: str, mistakes: list[str]) -> None:
        self.source = source
        self.mistakes = list(mistakes)
        if len(mistakes) == 1:
            (only,) = mistakes
            super().__init__(only if only.startswith(source) else f"{source}: {only}")
        else:
            super().__init__(f"{source}: {len(mistakes)} mistakes", mistakes)


class ReportedError(UserError):
    """What another process of the run already reports. Commands exit silently."""


def require_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ValueError unless ``value`` is one of ``choices``; for arguments that Python code passes.

    Args:
        name: of the argument.
    """
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
