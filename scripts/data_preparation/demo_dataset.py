"""Make the Demo data set from the photographs that scikit-image carries: ``python
scripts/data_preparation/demo_dataset.py``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from basicsr.config.cli import run_command
from basicsr.preparation.demo import make_demo_dataset


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("datasets/Demo"), help="default: datasets/Demo"
    )
    folder = parser.parse_args().folder
    run_command(lambda: print(f"{make_demo_dataset(folder)} pairs in {folder}"), debug=False)


if __name__ == "__main__":
    main()
