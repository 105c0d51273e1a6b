"""Train a network from an option file."""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import Arguments, parse_arguments, run_command
from basicsr.utils.interruption import Interrupted


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur train") -> None:
    """Entry point."""
    arguments = parse_arguments("train", argv, called)

    def command() -> None:
        try:
            train(arguments)
        except Interrupted as interrupted:  # an interrupted start can be repeated as well
            raise Interrupted(interrupted.number, is_saved=True) from None

    run_command(command, arguments.debug)


def train(arguments: Arguments) -> None:
    """A whole training run."""
    from basicsr.config.load import load_config  # heavy imports only now, so that --help answers at once
    from basicsr.engine.build import build_model, build_trainer
    from basicsr.engine.run import open_training
    from basicsr.metrics.base import describe
    from basicsr.reporting.curves import draw_curves
    from basicsr.utils.allocator import keep_freed_memory
    from basicsr.utils.dist import wait_for_all
    from basicsr.utils.log import logger
    from basicsr.utils.memory import peak_memory

    keep_freed_memory()
    config = load_config(arguments.opt, arguments.overrides, "train", arguments.plugins)
    run = open_training(config, arguments.launcher, arguments.auto_resume)
    with run.going_on():
        trainer = build_trainer(config, run, build_model(config, run))
        run.start_records(config)
        assert config.train is not None
        interrupted = None
        try:
            with run.interruption.noted():
                trainer.run(config.train.total_iter)
        except Interrupted as asked:
            interrupted = asked
        finally:  # an interrupted run gets its curves as well
            if run.ranks.is_main:
                peak = peak_memory(run.device)
                if peak is not None:
                    logger().info(f"peak memory of this process on {run.device}: {peak / 1e9:.2f} GB")
                draw_curves(run.paths, describe(config.val.judged_by))
        wait_for_all()
    run.close()
    if interrupted is not None:
        raise interrupted
