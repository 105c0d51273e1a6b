"""Errors that are meant for the user: one line that names the file or option, the value, and the way on."""

from __future__ import annotations


class UserError(Exception):
    """Something outside the program is wrong (a file, a folder, a checkpoint). The commands print it and exit
    with 1.
    """

    exit_code = 1


class OptionError(UserError):
    """One or more mistakes in the options, each a line ``<yaml path>: <what is wrong> (got <value>)``. Exit
    code 2.
    """

    exit_code = 2

    def __init__(self, source: str, mistakes: list[str]) -> None:
        self.source = source
        self.mistakes = list(mistakes)
        noun = "mistake" if len(mistakes) == 1 else "mistakes"
        super().__init__(
            "\n".join([f"{source}: {len(mistakes)} {noun}", *(f"  {line}" for line in mistakes)])
        )
