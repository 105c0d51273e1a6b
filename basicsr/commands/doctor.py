"""Show what this installation has, and test whether it works.

Versions, devices, optional packages, weights, folders and free space; then a test of some seconds, which
restores a picture and trains a tiny network on each device. Exit code 1 where something essential fails.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from basicsr.config.cli import command_parser, run_command

EXAMPLES = """examples:
  {command}
  {command} --no_test > installation.txt"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur doctor") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument("--no_test", action="store_true", help="skip the test")
    typed = parser.parse_args(argv)
    run_command(lambda: command(typed), debug=False)


def command(typed: argparse.Namespace) -> None:
    """Print line by line, so that a hanging test is visible."""
    from basicsr.diagnosis import facts
    from basicsr.diagnosis.finding import Finding
    from basicsr.utils.errors import UserError

    found: list[Finding] = []

    def report(title: str, findings: Iterable[Finding]) -> None:
        print(title)
        for finding in findings:
            print(finding.text(), flush=True)
            found.append(finding)
        print()

    report("Versions", facts.versions())
    computes = not any(one.fails for one in found)
    if computes:
        report("Devices", facts.devices())
    report("Extras", facts.extras())
    report("Weights", facts.weights())
    report("Folders", facts.folders())
    if computes and not typed.no_test:
        from basicsr.diagnosis.self_test import self_test

        report("Test", self_test())
    failed = [one.name for one in found if one.fails]
    if failed:
        raise UserError(f"doctor: {', '.join(failed)}: see above what to do")
    print("nothing essential is missing" if typed.no_test else "all that is essential works")
