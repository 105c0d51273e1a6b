"""What the commands in scripts/data_preparation do: making data sets ready for training and testing."""
