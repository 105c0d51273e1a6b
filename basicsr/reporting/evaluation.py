"""The report of an evaluation: ``report.html`` of ``basicsr/test.py``."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basicsr.config.paths import ResultPaths
from basicsr.config.schema import Config, ValOptions
from basicsr.engine.evaluator import Evaluation, Judged, build_metrics
from basicsr.engine.run import TestingRun
from basicsr.metrics.base import Metric, as_numbers, describe, headline_of, values_of_input
from basicsr.reporting.facts import Facts, circumstances
from basicsr.reporting.model import Numbers, Report, ReportImage, ReportSet
from basicsr.reporting.page import link
from basicsr.reporting.thumbnails import make_thumbnails

Image = NDArray[Any]

_SHOWN_BY_BROWSERS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def image_maker(options: ValOptions) -> Callable[[Judged], ReportImage]:
    """What `basicsr.engine.evaluator.evaluate` keeps of each image for `evaluation_report`.

    Values of the input are those of the metrics of ``val.metrics`` that measure it. Where none does, the
    first headline (PSNR) is measured on the input as on the result; without one the report shows no gain.
    """
    return functools.partial(_image, build_metrics(options.judged_by))


def evaluation_report(
    config: Config, run: TestingRun, evaluations: Sequence[Evaluation], command: Sequence[str]
) -> Report:
    """The report on ``evaluations``, made with ``keep=image_maker(config.val)``.

    Args:
        command: option file and overrides, as they were typed.
    """
    sets = [
        ReportSet(
            item.name,
            [_linked(image, run.paths) for image in item.kept],
            item.summaries,
        )
        for item in evaluations
    ]
    metrics = describe(config.val.judged_by)
    of_result = {name: facts for name, facts in metrics.items() if facts.input_of is None}
    return Report(config.name, _facts(config, run, command), sets, of_result)


def _image(metrics: Mapping[str, Metric], judged: Judged) -> ReportImage:
    """Values of the result only: metrics of the input stand beside them, under the same names."""
    values = {name: value for name, value in judged.values.items() if metrics[name].facts.input_of is None}
    lq, restored, gt = Judged.middle(judged.lq), judged.restored, judged.gt
    if restored.ndim == 3:
        gt = Judged.middle(gt)
    files = judged.places if judged.picture is None else judged.places | {"restored": str(judged.picture)}
    thumbnails = make_thumbnails(lq, restored, gt, judged.labels)
    return ReportImage(judged.key, thumbnails, values, _input_values(metrics, judged), full=files)


def _input_values(metrics: Mapping[str, Metric], judged: Judged) -> dict[str, Numbers]:
    facts = {name: metric.facts for name, metric in metrics.items()}
    values: dict[str, Numbers] = {
        name: item.unchanged for name, item in facts.items() if item.unchanged is not None
    }
    for name, of_result in values_of_input(facts).items():
        values[of_result] = judged.values[name]
    gain = headline_of(facts)
    if gain is not None and gain not in values:
        offered = {"restored": _unchanged(judged), "gt": judged.gt, "lq": judged.lq}
        if offered.keys() >= set(metrics[gain].needs):
            measured = as_numbers(metrics[gain].measure(offered))
            values |= {gain: measured} if measured is not None else {}
    return values


def _unchanged(judged: Judged) -> Image:
    """The output of a network that changes nothing; in a clip from a photo, each frame is the photo."""
    shape = judged.restored.shape
    return judged.lq if judged.lq.shape == shape else np.broadcast_to(Judged.middle(judged.lq), shape)


def _linked(image: ReportImage, paths: ResultPaths) -> ReportImage:
    """Links in place of files, for those that are there and that browsers show."""
    files = {role: Path(image.full[role]) for role in ("lq", "restored", "gt") if role in image.full}
    full = {
        role: link(file, paths.root)
        for role, file in files.items()
        if file.suffix.lower() in _SHOWN_BY_BROWSERS and file.is_file()
    }
    return replace(image, full=full)


def _facts(config: Config, run: TestingRun, command: Sequence[str]) -> Facts:
    network = config.network_g
    options = ", ".join(f"{name} {value}" for name, value in network.options.items())
    return [
        ("Network", f"{network.type}, {options}" if options else network.type),
        ("Weights", str(config.path.pretrain_network_g or "random")),
        ("Options", shlex.join(command)),
        *circumstances(run.device),
    ]
