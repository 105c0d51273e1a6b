"""Weight files: read, write, recognise, rebuild a network from its file alone, convert."""
