"""What runs models: the training loop, evaluation, checkpoints, inference and reports."""
