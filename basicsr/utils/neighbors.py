"""Other installed distributions with an import package of the same name, such as BasicSR's.

Installed side by side, the files of one replace those of the other.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import distributions

OWN = "sam-deblur"
PACKAGE = __name__.partition(".")[0]


def neighbors() -> list[str]:
    """Names and versions of those distributions, sorted."""
    # Not every build tool writes the list of packages. The files of all would take half a second to read, so
    # what has no list is found by its name.
    found = [item for item in distributions() if PACKAGE in (item.read_text("top_level.txt") or "").split()]
    found += distributions(name=PACKAGE)
    named = {f"{item.metadata['Name']} {item.version}" for item in found}
    return sorted(name for name in named if name.split()[0].lower().replace("_", "-") != OWN)


def warn_of_neighbors() -> None:
    """One line on stderr where there are some; of several processes of a machine, the first prints it."""
    if os.environ.get("LOCAL_RANK", "0") == "0" and (found := neighbors()):
        what = f"{', '.join(found)} is installed as well, with its own import package {PACKAGE}"
        hint = f"files of one replace those of the other; give {OWN} its own virtual environment"
        print(f"warning: {what}; {hint}", file=sys.stderr)  # noqa: T201
