"""What runs models: the training loop, evaluation, inference and reports."""
