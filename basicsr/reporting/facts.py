"""Lines of a report about the run that every run has."""

from __future__ import annotations

import platform
import time

import cv2
import numpy as np
import torch

import basicsr

Facts = list[tuple[str, str]]


def circumstances(device: torch.device) -> Facts:
    """Device, date and versions."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    versions = {
        "sam-deblur": basicsr.__version__,
        "Python": platform.python_version(),
        "PyTorch": torch.__version__,
        "NumPy": np.__version__,
        "OpenCV": cv2.__version__,
    }
    return [
        ("Device", name),
        ("Date", time.strftime("%Y-%m-%d %H:%M")),
        ("Versions", ", ".join(f"{package} {version}" for package, version in versions.items())),
    ]
