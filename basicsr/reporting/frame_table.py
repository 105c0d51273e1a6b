"""Results of runs for each frame of their clips, as HyperCUT tabulates them, from their ``metrics.json``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from basicsr.metrics.summary import Summary
from basicsr.utils.errors import UserError
from basicsr.utils.reading import parse_json

Row = tuple[str, Sequence[float]]
TextRow = tuple[str, Sequence[str]]

METRICS = "metrics.json"
_SEED = re.compile(r"-seed\d+$")


def frame_table(results: Sequence[Path], metric: str, over_seeds: bool = False) -> str:
    """A Markdown table for each data set: a row a run, a column a frame, and the mean over the frames.

    Infinite values are left out of the means.

    Args:
        results: folders with ``metrics.json``, or such files.
        metric: by the name that it has in ``val.metrics``.
        over_seeds: one row for runs that differ only in the end ``-seed<number>`` of their names, as a study
            writes them: the mean over the seeds ± the sample standard deviation.

    Raises:
        UserError: a file cannot be read, or has no values per frame of that metric; or runs have clips of
            different lengths.
    """
    paths = [path / METRICS if path.is_dir() else path for path in results]
    contents = {path: _read(path) for path in paths}
    sets = list(dict.fromkeys(name for content in contents.values() for name in content))
    tables = []
    for name in sets:
        rows = [
            (path.resolve().parent.name, _means(content[name], metric, path))
            for path, content in contents.items()
            if name in content
        ]
        counts = sorted({len(means) for _, means in rows})
        if len(counts) > 1:
            found = f"{counts[0]} and {counts[-1]} frames"
            raise UserError(f"{name}: the clips have {found}; make a table of those that are alike")
        tables.append(_markdown(name, metric, _over_seeds(rows) if over_seeds else _alone(rows)))
    return "\n\n".join(tables)


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); name the folder of a test") from error
    return content


def _means(of_set: dict[str, Any], metric: str, path: Path) -> list[float]:
    """The mean of each frame over the clips."""
    values = [image.get(metric) for image in of_set["images"]]
    if not values or not all(isinstance(frames, list) for frames in values):
        names = sorted({name for image in of_set["images"] for name, item in image.items() if _is_clip(item)})
        known = ", ".join(names) or "none"
        raise UserError(f"{path}: has no values of each frame of '{metric}'; it has those of: {known}")
    return [
        Summary.of(float("nan") if value is None else value for value in frame).mean
        for frame in zip(*values, strict=True)
    ]


def _is_clip(value: Any) -> bool:
    return isinstance(value, list)


def _alone(rows: Sequence[Row]) -> list[TextRow]:
    return [(run, [f"{value:.2f}" for value in _with_mean(means)]) for run, means in rows]


def _over_seeds(rows: Sequence[Row]) -> list[TextRow]:
    seeds: dict[str, list[list[float]]] = {}
    for run, means in rows:
        seeds.setdefault(_SEED.sub("", run), []).append(_with_mean(means))
    table: list[TextRow] = []
    for run, values in seeds.items():
        title = f"{run} ({len(values)} seeds)" if len(values) > 1 else run
        table.append((title, [_spread(*column) for column in zip(*values, strict=True)]))
    return table


def _with_mean(means: Sequence[float]) -> list[float]:
    return [*means, Summary.of(means).mean]


def _spread(*values: float) -> str:
    deviation = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):.2f}{deviation}"


def _markdown(name: str, metric: str, rows: Sequence[TextRow]) -> str:
    frames = len(rows[0][1]) - 1
    cells = [[f"{metric} on {name}", *(str(number + 1) for number in range(frames)), "mean"]]
    cells.append(["---"] * len(cells[0]))
    cells += [[run, *values] for run, values in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
