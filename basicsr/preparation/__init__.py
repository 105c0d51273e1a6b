"""What the commands in scripts/data_preparation do: making data sets ready for training and testing."""

from basicsr.preparation.demo import make_demo_dataset

__all__ = ["make_demo_dataset"]
