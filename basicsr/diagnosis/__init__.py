"""What this installation has, and whether it works."""
