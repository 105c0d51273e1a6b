"""Evaluate a network on every ``datasets.test*`` of an option file."""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import Arguments, parse_arguments, run_command


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur test") -> None:
    """Entry point."""
    arguments = parse_arguments("test", argv, called)
    run_command(lambda: test(arguments), arguments.debug)


def test(arguments: Arguments) -> None:
    """A whole evaluation."""
    from basicsr.config.load import load_config  # heavy imports only now, so that --help answers at once
    from basicsr.engine.build import build_model, build_test_loaders, evaluate_all
    from basicsr.engine.report import publish_results
    from basicsr.engine.run import open_testing
    from basicsr.reporting.evaluation import evaluation_report, image_maker
    from basicsr.reporting.page import write_report
    from basicsr.utils.allocator import keep_freed_memory
    from basicsr.utils.log import logger

    keep_freed_memory()
    config = load_config(arguments.opt, arguments.overrides, "test", arguments.plugins)
    run = open_testing(config, arguments.launcher)
    with run.going_on():
        model = build_model(config, run)
        loaders = build_test_loaders(config, run, model)
        run.start_records(config)
        keep = image_maker(config.val) if config.val.report else None
        evaluations = evaluate_all(config, run, model, loaders, keep)
        if run.ranks.is_main:
            publish_results(run.paths, evaluations)
            if config.val.report:
                command = [arguments.opt, *arguments.overrides]
                write_report(run.paths.report, evaluation_report(config, run, evaluations, command))
                logger().info(f"report: {run.paths.report}")
    run.close()
