"""Compare restored photos with a ground truth that is not exactly registered, as for RealBlur.

Each photo is aligned to its ground truth by brightness and a homography (ECC) before PSNR and SSIM. Photos
pair by name. The figures are comparable to those of MPRNet, Restormer and SBDD, not to unaligned ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import run_command
from basicsr.protocols.job import EvaluationJob, read_job

EXAMPLE = """example:
  {command} -b RealBlurJ/test/input -r results/mine -s RealBlurJ/test/target \\
      -o results/mine-aligned"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur evaluate aligned") -> None:
    """Entry point."""
    job = read_job(called, __doc__, EXAMPLE, "the sharp photos", argv)
    run_command(lambda: command(job), debug=False)


def command(job: EvaluationJob) -> None:
    """Evaluate, and print the means."""
    from basicsr.protocols.aligned import evaluate_aligned
    from basicsr.utils.log import open_log

    open_log(is_main=True)
    evaluate_aligned(job)
