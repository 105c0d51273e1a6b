"""Damaged inputs by the thousand for every reader of the package: ``python scripts/fuzz.py --number 100000``.

Each input goes through the functions that training, testing and restoring use. It may be read, or refused
with the one error that is meant for users. Findings are any other exception, a crash of the interpreter, more
than five seconds, memory beyond twice the arrays of the input and a constant, and a file written outside of
the output folder. Inputs are the same for the same seed, so ``--case png:1234`` repeats one of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from fuzzing.children import BAD, Case, Corpus, Limits, Outcome, Pool
from fuzzing.formats import FORMATS, Format

from basicsr.config.cli import run_command
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.typed_path import typed_path

_SHOWN = 200  # characters of an error message
_PROGRESS_EVERY = 60  # seconds


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(chosen.name for chosen in FORMATS)
    parser.add_argument("--number", type=int, default=2000, help="how many inputs in all (default: 2000)")
    parser.add_argument("--formats", nargs="+", metavar="NAME", help=f"only these, of {names}")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default: 0)")
    parser.add_argument("--workers", type=int, default=1, help="processes at a time (default: 1)")
    parser.add_argument("--case", help="only this input, as FORMAT:NUMBER")
    parser.add_argument("--keep", type=typed_path, metavar="FOLDER", help="folder for the inputs of findings")
    typed = parser.parse_args()
    run_command(lambda: fuzz(typed), debug=False)


def fuzz(typed: argparse.Namespace) -> None:
    """Read, count, print.

    Raises:
        UserError: there are findings.
    """
    cases = None if typed.case is None else [_case(typed.case)]
    wanted = typed.formats or ([cases[0].format] if cases else [chosen.name for chosen in FORMATS])
    formats = {chosen.name: chosen for chosen in FORMATS if chosen.name in wanted}
    if unknown := set(wanted) - set(formats):
        raise OptionError("--formats", [f"--formats: no format '{min(unknown)}'; see --help"])
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        corpus = Corpus.made(formats.values(), folder / "corpus")
        (folder / "children").mkdir()
        pool = Pool(formats, corpus, folder / "children", typed.seed, typed.workers, Limits())
        found = _Findings()
        try:
            with closing(pool.run(cases or cases_of(formats.values(), typed.number))) as outcomes:
                for outcome in _with_progress(outcomes):
                    found.add(outcome)
                    if typed.keep is not None and (outcome.kind in BAD or cases):
                        chosen, number = formats[outcome.case.format], outcome.case.number
                        _keep(typed.keep, outcome.case, corpus.content(chosen, number, typed.seed))
                    if cases:
                        print(f"{outcome.case}: {outcome.kind} {outcome.message} {outcome.where}")
        finally:  # also on Ctrl+C
            print("\n".join([found.table(wanted), *found.lines()]))
    if found.examples:
        count = sum(map(len, found.examples.values()))
        raise UserError(f"{count} inputs are not handled; --case FORMAT:NUMBER repeats one of them")


def cases_of(formats: Iterable[Format], number: int) -> Iterator[Case]:
    """``number`` cases in all, by the shares of the formats, taking turns."""
    formats = list(formats)
    total = sum(chosen.share for chosen in formats)
    counts = {chosen.name: max(1, round(number * chosen.share / total)) for chosen in formats}
    for place in range(max(counts.values())):
        yield from (Case(name, place) for name, count in counts.items() if place < count)


class _Findings:
    """Counts, and what is wrong by what it looks like."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.longest: dict[str, float] = defaultdict(float)
        self.growth: dict[str, int] = defaultdict(int)
        self.examples: dict[tuple[str, ...], list[Outcome]] = defaultdict(list)

    def add(self, outcome: Outcome) -> None:
        name = outcome.case.format
        self.counts[name, outcome.kind] += 1
        self.longest[name] = max(self.longest[name], outcome.seconds)
        self.growth[name] = max(self.growth[name], outcome.growth)
        if outcome.kind in BAD:
            kind = outcome.message.partition(":")[0] if outcome.kind == "foreign" else ""
            self.examples[name, outcome.kind, kind, outcome.where].append(outcome)

    def table(self, names: Sequence[str]) -> str:
        """Markdown: a row a format, and one for all."""
        kinds = ("read", "refused", *BAD)
        head = ["format", "inputs", *kinds, "longest s", "memory MB"]
        rows = [self._row(name, [name], kinds) for name in names]
        rows.append(self._row("all", names, kinds))
        return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])

    def _row(self, label: str, names: Sequence[str], kinds: Sequence[str]) -> list[str]:
        counts = [sum(self.counts[name, kind] for name in names) for kind in kinds]
        longest, growth = max(self.longest[name] for name in names), max(self.growth[name] for name in names)
        return [
            label,
            *(f"{count:,}" for count in (sum(counts), *counts)),
            f"{longest:.1f}",
            str(growth >> 20),
        ]

    def lines(self) -> Iterator[str]:
        """The findings, those that look alike in one."""
        for (_, kind, _, where), outcomes in sorted(self.examples.items(), key=lambda item: -len(item[1])):
            cases = ", ".join(str(outcome.case) for outcome in outcomes[:3])
            message = " ".join(outcomes[0].message.split())[:_SHOWN]
            yield f"{len(outcomes)} {kind} ({cases}): {message} [{where}]"


def _with_progress(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """The same; now and then a line on the terminal."""
    last = began = time.monotonic()
    bad = 0
    for count, outcome in enumerate(outcomes, 1):
        bad += outcome.kind in BAD
        if time.monotonic() - last > _PROGRESS_EVERY:
            last = time.monotonic()
            print(f"{count} inputs in {last - began:.0f} s, {bad} findings", file=sys.stderr, flush=True)
        yield outcome


def _case(text: str) -> Case:
    name, _, number = text.partition(":")
    if not number.isdecimal():
        raise OptionError("--case", [f"--case: expected FORMAT:NUMBER (got {text!r})"])
    return Case(name, int(number))


def _keep(folder: Path, case: Case, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        file = folder / f"{case.format}_{case.number}" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


if __name__ == "__main__":
    main()
