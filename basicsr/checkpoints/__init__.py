"""Weight files: read, write, recognize, rebuild a network from its file alone, convert."""
