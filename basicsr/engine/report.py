"""Evaluation results as JSON, CSV and a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from basicsr.config.paths import ResultPaths
from basicsr.engine.evaluator import Evaluation
from basicsr.utils.files import write_bytes
from basicsr.utils.log import json_safe, logger


def write_results(paths: ResultPaths, evaluations: Sequence[Evaluation]) -> None:
    """Write ``metrics.json`` (infinite values are null) and ``metrics.csv`` (a row an image)."""
    content = {item.name: {"mean": item.mean, "images": item.rows} for item in evaluations}
    write_bytes(paths.metrics_json, (json.dumps(json_safe(content), indent=2) + "\n").encode())
    buffer = io.StringIO()
    names = list(dict.fromkeys(name for item in evaluations for row in item.rows for name in row))
    writer = csv.DictWriter(buffer, ["dataset", *names], lineterminator="\n")
    writer.writeheader()
    for item in evaluations:
        writer.writerows({"dataset": item.name, **row} for row in item.rows)
    write_bytes(paths.metrics_csv, buffer.getvalue().encode())


def publish_results(paths: ResultPaths, evaluations: Sequence[Evaluation]) -> None:
    """`write_results`, the table in the log, and where everything lies."""
    write_results(paths, evaluations)
    logger().info("results\n" + table(evaluations))
    logger().info(f"metrics: {paths.metrics_json} and {paths.metrics_csv}")
    if paths.visualization.is_dir():
        logger().info(f"pictures: {paths.visualization}")


def table(evaluations: Sequence[Evaluation]) -> str:
    """A line a data set: its number of images and the mean of each metric."""
    names = list(dict.fromkeys(name for item in evaluations for name in item.mean))
    cells = [["dataset", "images", *names]]
    for item in evaluations:
        means = [f"{item.mean[name]:.4f}" if name in item.mean else "" for name in names]
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
