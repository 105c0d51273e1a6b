"""The report of an evaluation: ``report.html`` of ``basicsr/test.py``."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from basicsr.config.paths import ResultPaths
from basicsr.config.schema import Config, MetricOptions, ValOptions
from basicsr.engine.evaluator import Evaluation, Judged
from basicsr.engine.run import TestingRun
from basicsr.reporting.facts import Facts, circumstances
from basicsr.reporting.model import Report, ReportImage, ReportSet, Unit
from basicsr.reporting.page import link
from basicsr.reporting.thumbnails import make_thumbnails

_UNITS: dict[str, Unit] = {"calculate_psnr": "dB", "calculate_mcr": "rate"}
_OF_INPUT = {"calculate_input_psnr": "calculate_psnr", "calculate_input_ssim": "calculate_ssim"}
_SHOWN_BY_BROWSERS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def image_maker(options: ValOptions) -> Callable[[Judged], ReportImage]:
    """What `basicsr.engine.evaluator.evaluate` keeps of each image for `evaluation_report`.

    The PSNR of the input is measured as the first ``calculate_psnr`` of ``val.metrics`` measures that of the
    result; without one the report shows no gain. Its SSIM is that of ``calculate_input_ssim``, where
    ``val.metrics`` has it.
    """
    return functools.partial(_image, options.judged_by)


def evaluation_report(
    config: Config, run: TestingRun, evaluations: Sequence[Evaluation], command: Sequence[str]
) -> Report:
    """The report on ``evaluations``, made with ``keep=image_maker(config.val)``.

    Args:
        command: option file and overrides, as they were typed.
    """
    metrics = config.val.judged_by
    sets = [
        ReportSet(item.name, [_linked(image, item.name, run.paths, config.val) for image in item.kept])
        for item in evaluations
    ]
    units = {name: _UNITS[item.type] for name, item in metrics.items() if item.type in _UNITS}
    return Report(config.name, _facts(config, run, command), sets, units, _first(metrics, "calculate_psnr"))


def _first(metrics: Mapping[str, MetricOptions], kind: str) -> str | None:
    return next((name for name, item in metrics.items() if item.type == kind), None)


def _image(metrics: Mapping[str, MetricOptions], judged: Judged) -> ReportImage:
    """Values of the result only: metrics of the input stand beside them, under the same names."""
    values = {name: value for name, value in judged.values.items() if metrics[name].type not in _OF_INPUT}
    thumbnails = make_thumbnails(judged.lq, judged.restored, judged.gt, judged.labels)
    return ReportImage(judged.key, thumbnails, values, _input_values(metrics, judged), full=judged.places)


def _input_values(metrics: Mapping[str, MetricOptions], judged: Judged) -> dict[str, float]:
    values = {name: 0.0 for name, item in metrics.items() if item.type == "calculate_mcr"}  # it loses nothing
    for name, item in metrics.items():
        of_result = _first(metrics, _OF_INPUT[item.type]) if item.type in _OF_INPUT else None
        if of_result is not None:
            values[of_result] = judged.values[name]
    gain = _first(metrics, "calculate_psnr")
    if gain is not None and gain not in values:
        values[gain] = metrics[gain].build()(restored=judged.lq, gt=judged.gt)
    return values


def _linked(image: ReportImage, dataset: str, paths: ResultPaths, options: ValOptions) -> ReportImage:
    """Links in place of files, for those that are there and that browsers show."""
    files = {role: Path(image.full[role]) for role in ("lq", "gt") if role in image.full}
    files["restored"] = paths.picture(dataset, image.key, options.suffix)
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
