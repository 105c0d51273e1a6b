"""Train a network from an option file: ``python basicsr/train.py -opt options/train/GoPro/SegNAFNet.yml``."""

from __future__ import annotations

import sys
from pathlib import Path

if (
    not __package__
):  # run as a file: Python put this folder first on the path, where the package's own folder belongs
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from basicsr.config.cli import Arguments, parse_arguments, run_command


def main() -> None:
    """Entry point."""
    arguments = parse_arguments("train")
    run_command(lambda: train(arguments), arguments.debug)


def train(arguments: Arguments) -> None:
    """A whole training run."""
    from basicsr.config.load import load_config  # heavy imports only now, so that --help answers at once
    from basicsr.engine.build import build_model, build_trainer
    from basicsr.engine.run import open_training
    from basicsr.metrics.base import describe
    from basicsr.reporting.curves import write_curves
    from basicsr.utils.log import logger

    config = load_config(arguments.opt, arguments.overrides, "train")
    run = open_training(config, arguments.launcher, arguments.auto_resume)
    model = build_model(config, run)
    trainer = build_trainer(config, run, model)
    run.start_records(config)
    assert config.train is not None
    try:
        trainer.run(config.train.total_iter)
    finally:  # an interrupted run has its curves as well
        if run.ranks.is_main and (drawn := write_curves(run.paths, describe(config.val.judged_by))):
            logger().info(f"training curves: {' and '.join(str(path) for path in drawn)}")
    run.close()


if __name__ == "__main__":
    main()
