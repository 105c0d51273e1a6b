"""Clips: blurred photos with the frames that they stand for, and the order of those."""
