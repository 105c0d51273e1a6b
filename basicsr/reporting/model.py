"""The content of a report, and its form as JSON.

The JSON document is what the page shows and what a comparison is made of::

    {"title": str, "gain": metric | null, "notes": [str],
     "metrics": {metric: {"title": str, "unit": str, "digits": int, "better": str, "averaged": bool}},
     "runs": [{"name": str, "facts": [[what, value]]}],
     "sets": [{"name": str, "summaries": [{metric: {"mean": number, "left_out": str}}], "images": [{
        "key": str, "size": [width, height], "thumbnails": {"lq" | "gt" | "labels": base64},
        "gt_frames": [base64],
        "input": {metric: numbers}, "full": {"lq" | "gt": link},
        "results": [{"thumbnail": base64, "values": {metric: numbers}, "notes": [str], "full": link | null,
            "frames": [base64]}]
     }]}]}

``results`` and ``summaries`` have an entry for each of ``runs``: one in a report, several in a comparison.
``frames`` and ``gt_frames`` are only for clips. ``summaries`` are of the metrics that are not ``averaged``;
of others the page computes the mean of its images. ``numbers`` are a number, or for a clip a list with one
per frame. Pictures are WebP.
Numbers that JSON cannot express are the strings "Infinity", "-Infinity" and "NaN".
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from basicsr.metrics.base import MetricFacts, headline_of
from basicsr.metrics.summary import Summary
from basicsr.reporting.thumbnails import Thumbnails

Document = dict[str, Any]
Numbers = float | Sequence[float]


@dataclass(frozen=True)
class ReportImage:
    """One restored image.

    Args:
        key: name of the image, unique in its set; ``/`` between folders.
        thumbnails: from `make_thumbnails`.
        values: metrics of the result by name, for a clip possibly one per frame; empty without ground truth.
        input: the same metrics of the input, as far as they are known.
        notes: short remarks, e.g. ``"4000 x 3000, 12.3 s"``.
        full: links to the full pictures ``lq``, ``restored``, ``gt`` from the folder of the report, as far as
            there are such files; see `basicsr.reporting.page.link`.
    """

    key: str
    thumbnails: Thumbnails
    values: Mapping[str, Numbers] = field(default_factory=dict)
    input: Mapping[str, Numbers] = field(default_factory=dict)
    notes: Sequence[str] = ()
    full: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportSet:
    """The images of one data set or folder, in the order in which the page shows them.

    Args:
        summaries: of metrics by name; those that are the mean of the images may be left out.
    """

    name: str
    images: Sequence[ReportImage]
    summaries: Mapping[str, Summary] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What one run has restored.

    Args:
        title: of the page, and name of the run in comparisons.
        facts: (what, value) lines about the run, e.g. ``("Weights", "net_g_latest.pth")``.
        sets: at least one.
        metrics: facts of those in ``values`` and ``summaries``. The gain is the difference of the first
            ``headline`` among them to the input.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    sets: Sequence[ReportSet]
    metrics: Mapping[str, MetricFacts] = field(default_factory=dict)


def to_document(report: Report) -> Document:
    """The report as the JSON document of this module."""
    return {
        "title": report.title,
        "gain": headline_of(report.metrics),
        "notes": [],
        "metrics": {name: _facts(name, facts) for name, facts in report.metrics.items()},
        "runs": [{"name": report.title, "facts": [list(fact) for fact in report.facts]}],
        "sets": [
            {
                "name": item.name,
                "summaries": [_summaries(item, report.metrics)],
                "images": [_image(image) for image in item.images],
            }
            for item in report.sets
        ],
    }


def _facts(name: str, facts: MetricFacts) -> Document:
    return {
        "title": facts.title(name),
        "unit": facts.unit,
        "digits": facts.digits,
        "better": facts.better,
        "averaged": facts.averaged,
    }


def _summaries(item: ReportSet, metrics: Mapping[str, MetricFacts]) -> Document:
    return {
        name: {"mean": _number(summary.mean), "left_out": summary.left_out_text}
        for name, summary in item.summaries.items()
        if name in metrics and not metrics[name].averaged
    }


def _image(image: ReportImage) -> Document:
    thumbnails = image.thumbnails
    pictures = {"lq": thumbnails.lq, "gt": thumbnails.gt, "labels": thumbnails.labels}
    shown: Document = {
        "key": image.key,
        "size": list(thumbnails.size),
        "thumbnails": {name: _base64(data) for name, data in pictures.items() if data is not None},
        "input": _numbers(image.input),
        "full": {name: link for name, link in image.full.items() if name != "restored"},
        "results": [
            {
                "thumbnail": _base64(thumbnails.restored),
                "values": _numbers(image.values),
                "notes": list(image.notes),
                "full": image.full.get("restored"),
            }
        ],
    }
    if thumbnails.frames:
        shown["results"][0]["frames"] = [_base64(data) for data in thumbnails.frames]
    if thumbnails.gt_frames:
        shown["gt_frames"] = [_base64(data) for data in thumbnails.gt_frames]
    return shown


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _numbers(values: Mapping[str, Numbers]) -> dict[str, Any]:
    return {
        name: [_number(item) for item in value] if isinstance(value, Sequence) else _number(value)
        for name, value in values.items()
    }


def _number(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)
