"""Write the JSON schema of option files, which editors complete and check with: ``python
scripts/option_schema.py``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from basicsr.config.cli import run_command
from basicsr.config.json_schema import options_schema
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes

SCHEMA = Path(__file__).resolve().parents[1] / "options" / "schema.json"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if it is out of date"
    )
    check = parser.parse_args().check
    run_command(check_schema if check else write_schema, debug=False)


def write_schema() -> None:
    """Bring ``options/schema.json`` up to date."""
    write_bytes(SCHEMA, _contents())


def check_schema() -> None:
    """Compare ``options/schema.json`` with the code.

    Raises:
        UserError: they differ, or there is no such file.
    """
    if not SCHEMA.is_file() or SCHEMA.read_bytes() != _contents():
        raise UserError(f"{SCHEMA} is not up to date; run python scripts/option_schema.py")


def _contents() -> bytes:
    return (json.dumps(options_schema(), indent=2, allow_nan=False) + "\n").encode()


if __name__ == "__main__":
    main()
