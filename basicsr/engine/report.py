"""Evaluation results as JSON, CSV and a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from basicsr.config.paths import ResultPaths
from basicsr.engine.evaluator import Evaluation
from basicsr.utils.display import ESCAPED, Lines
from basicsr.utils.files import write_bytes
from basicsr.utils.log import json_safe, logger


def write_results(paths: ResultPaths, evaluations: Sequence[Evaluation]) -> None:
    """Write ``metrics.json`` and ``metrics.csv`` (a row per image, infinite values are ``inf``).

    In the JSON a data set has the ``mean`` of each metric over the finite values, the ``images``, where
    others are null, and by metric how many were ``left_out``: ``{"psnr": {"infinite": 1}}``; ``undefined``
    is not a number.
    """
    content = {item.name: _summarized(item) for item in evaluations}
    write_bytes(paths.metrics_json, (json.dumps(json_safe(content), indent=2) + "\n").encode())
    buffer = io.StringIO()
    names = list(dict.fromkeys(name for item in evaluations for row in item.rows for name in row))
    writer = csv.DictWriter(buffer, ["dataset", *names], lineterminator="\n")
    writer.writeheader()
    for item in evaluations:
        writer.writerows({"dataset": item.name, **row} for row in item.rows)
    write_bytes(paths.metrics_csv, buffer.getvalue().encode(errors=ESCAPED))


def _summarized(evaluation: Evaluation) -> dict[str, Any]:
    left_out = {name: item.left_out for name, item in evaluation.summaries.items()}
    return {
        "mean": evaluation.mean,
        "left_out": {name: counts for name, counts in left_out.items() if counts},
        "images": evaluation.rows,
    }


def publish_results(paths: ResultPaths, evaluations: Sequence[Evaluation]) -> None:
    """`write_results`, the table in the log, and where everything lies."""
    write_results(paths, evaluations)
    logger().info(Lines("results\n" + table(evaluations)))
    logger().info(f"metrics: {paths.metrics_json} and {paths.metrics_csv}")
    if paths.visualization.is_dir():
        logger().info(f"pictures: {paths.visualization}")


def table(evaluations: Sequence[Evaluation]) -> str:
    """A line per data set: its number of images and the summary of each metric."""
    names = list(dict.fromkeys(name for item in evaluations for name in item.summaries))
    cells = [["dataset", "images", *names]]
    for item in evaluations:
        summaries = item.summaries
        means = [f"{summaries[name]:.4f}" if name in summaries else "" for name in names]
        cells.append([item.name, str(len(item.rows)), *means])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
