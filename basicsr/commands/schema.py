"""Write the JSON schema of option files, which editors complete and check with.

An option file names it in its first line: # yaml-language-server: $schema=schema.json
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from basicsr.config.cli import add_plugin_argument, command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLES = """examples:
  {command} schema.json
  {command} schema.json --plugin my_network.py"""


def main(
    argv: Sequence[str] | None = None, called: str = "sam-deblur schema", default: Path | None = None
) -> None:
    """Entry point.

    Args:
        default: file to write where none is typed; None asks for one.
    """
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument(
        "output", type=typed_path, nargs="?" if default else None, default=default, metavar="FILE",
        help="JSON file to write" + (f" (default: {default})" if default else ""),
    )  # fmt: skip
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if it is out of date"
    )
    add_plugin_argument(parser)
    typed = parser.parse_args(argv)
    work = check_schema if typed.check else write_schema
    run_command(lambda: work(typed.output, typed.plugins), debug=False)


def write_schema(file: Path, plugins: Sequence[str] = ()) -> None:
    """Write the schema with the names of the package and of ``plugins``."""
    from basicsr.utils.files import write_bytes

    write_bytes(file, _contents(plugins))


def check_schema(file: Path, plugins: Sequence[str] = ()) -> None:
    """Compare a schema on disk with the code.

    Raises:
        UserError: they differ, or there is no such file.
    """
    from basicsr.utils.errors import UserError

    if not file.is_file() or file.read_bytes() != _contents(plugins):
        raise UserError(f"{file} is not up to date; write it again without --check")


def _contents(plugins: Sequence[str]) -> bytes:
    import json

    from basicsr.config.json_schema import options_schema
    from basicsr.utils.plugins import load_plugins

    load_plugins(plugins, "--plugin")
    return (json.dumps(options_schema(), indent=2, allow_nan=False) + "\n").encode()
