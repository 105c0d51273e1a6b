"""Restored photos judged by the protocols of published sets."""
