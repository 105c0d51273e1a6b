"""Pairs made of sharp photos or frames: averaged, filmed, blurred by kernels."""
