"""How the Demo set and the training set of the bundled weights are made; nothing else depends on it."""
