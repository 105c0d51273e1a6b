"""Compare restored photos with the data set of Köhler et al.; the best frame of the camera's path counts.

Each photo is aligned to every frame by brightness and a homography (ECC) before PSNR and SSIM. A worker holds
the frames of one photo in memory, some 400 MB.
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import run_command
from basicsr.protocols.job import EvaluationJob, read_job

EXAMPLE = """example:
  {command} -b Kohler/BlurryImages -r results/mine -s Kohler/GroundTruthImg \\
      -o results/mine-kohler"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur evaluate kohler") -> None:
    """Entry point."""
    job = read_job(called, __doc__, EXAMPLE, ".mat files with the variable GroundTruth, (H, W, 3, N)", argv)
    run_command(lambda: command(job), debug=False)


def command(job: EvaluationJob) -> None:
    """Evaluate, and print the means."""
    from basicsr.protocols.kohler import evaluate_kohler
    from basicsr.utils.log import open_log

    open_log(is_main=True)
    evaluate_kohler(job)
