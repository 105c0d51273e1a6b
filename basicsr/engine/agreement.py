"""What all processes of a run need to have in common, compared before the first collective could hang."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import basicsr
from basicsr.config.schema import Config, effective_options
from basicsr.engine.record import versions
from basicsr.utils.checksum import checksum, checksum_of_parts
from basicsr.utils.differences import differing
from basicsr.utils.errors import OptionError
from basicsr.utils.plugins import load_plugins
from basicsr.utils.watch import Watch

_PACKAGE = Path(basicsr.__file__).resolve().parent


def agree(watch: Watch, facts: Mapping[str, Any]) -> None:
    """Compare what this process knows with what the others do.

    Args:
        facts: with values that JSON can express.

    Raises:
        OptionError: on all processes, naming the first difference from the first process.
    """
    known = json.loads(json.dumps(facts))
    digests = watch.gather(checksum(json.dumps(known, sort_keys=True).encode()))
    if len(set(digests)) == 1:
        return
    first, *others = watch.gather(known)
    for rank, other in enumerate(others, 1):
        for name, value, another in differing(first, other):
            what = f"{name}: {value} (rank 0), {another} (rank {rank})"
            raise OptionError(name, [f"{what}; all processes of a run need the same options, code and data"])


def code_and_options(config: Config) -> dict[str, Any]:
    """The options by their names in the option file, and ``code``: what interprets them.

    It leaves out what may differ: the machine with its cores and devices, and the current folder with
    ``experiments/`` and ``results/``, which only the first process writes.
    """
    sources = (part for path in sorted(_PACKAGE.rglob("*.py")) for part in _named_content(path))
    code = {
        **versions(),
        "source": checksum_of_parts(sources),
        "plugins": [plugin.summary for plugin in load_plugins(config.plugins, "plugins")],
    }
    return {**effective_options(config), "code": code}


def _named_content(path: Path) -> tuple[bytes, bytes]:
    return str(path.relative_to(_PACKAGE)).encode(), path.read_bytes()
