"""Pairs made from sharp photos or frames: averaged, filmed, blurred by kernels."""
