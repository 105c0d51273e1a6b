"""How the Demo set and the training set of the shipped weights are made; nothing else builds on it."""
