"""What a report says, and how it is written as JSON.

The JSON document is what the page shows and what a comparison is made of::

    {"title": str, "gain": metric | null, "units": {metric: unit}, "notes": [str],
     "runs": [{"name": str, "facts": [[what, value]]}],
     "sets": [{"name": str, "images": [{
        "key": str, "size": [width, height], "thumbnails": {"lq" | "gt" | "labels": base64},
        "input": {metric: number}, "full": {"lq" | "gt": link},
        "results": [{"thumbnail": base64, "values": {metric: number}, "notes": [str], "full": link | null}]
     }]}]}

``results`` has an entry for each of ``runs``: one in a report, several in a comparison. Pictures are WebP.
Numbers that JSON has no word for are the strings "Infinity", "-Infinity" and "NaN".
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from basicsr.reporting.thumbnails import Thumbnails

Unit = Literal["dB", "rate"]
Document = dict[str, Any]


@dataclass(frozen=True)
class ReportImage:
    """One restored image.

    Args:
        key: name of the image, unique in its set; ``/`` between folders.
        thumbnails: from `make_thumbnails`.
        values: metrics of the result by name; empty without ground truth.
        input: the same metrics of the input, as far as they are known.
        notes: short remarks, e.g. ``"4000 x 3000, 12.3 s"``.
        full: links to the full pictures ``lq``, ``restored``, ``gt`` from the folder of the report, as far as
            there are such files; see `basicsr.reporting.page.link`.
    """

    key: str
    thumbnails: Thumbnails
    values: Mapping[str, float] = field(default_factory=dict)
    input: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    full: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportSet:
    """The images of one data set or folder, in the order in which the page shows them."""

    name: str
    images: Sequence[ReportImage]


@dataclass(frozen=True)
class Report:
    """What one run has restored.

    Args:
        title: of the page, and name of the run in comparisons.
        facts: (what, value) lines about the run, e.g. ``("Weights", "net_g_latest.pth")``.
        sets: at least one.
        units: of metrics; a ``rate`` is shown in percent. Others have none.
        gain: the metric whose difference to the input is the gain, usually that of PSNR; None shows none.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    sets: Sequence[ReportSet]
    units: Mapping[str, Unit] = field(default_factory=dict)
    gain: str | None = None


def to_document(report: Report) -> Document:
    """The report as the JSON document of this module."""
    return {
        "title": report.title,
        "gain": report.gain,
        "units": dict(report.units),
        "notes": [],
        "runs": [{"name": report.title, "facts": [list(fact) for fact in report.facts]}],
        "sets": [
            {"name": item.name, "images": [_image(image) for image in item.images]} for item in report.sets
        ],
    }


def _image(image: ReportImage) -> Document:
    thumbnails = image.thumbnails
    pictures = {"lq": thumbnails.lq, "gt": thumbnails.gt, "labels": thumbnails.labels}
    return {
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


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _numbers(values: Mapping[str, float]) -> dict[str, float | str]:
    return {name: _number(float(value)) for name, value in values.items()}


def _number(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
