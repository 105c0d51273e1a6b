"""Clips: blurred photos with the frames that they were made from, and the order of the frames."""
