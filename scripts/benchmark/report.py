"""What the benchmark scripts print and put into documents: tables, the machine, versions."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from basicsr.utils.cores import usable_cores
from basicsr.utils.errors import UserError
from basicsr.utils.extras import optional_import
from basicsr.utils.files import write_bytes

ROOT = Path(__file__).resolve().parents[2]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def circumstances(device: torch.device) -> str:
    """Command line, machine and versions, as Markdown."""
    spandrel = optional_import("spandrel", "the benchmark", "pip install spandrel")
    versions = {
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "NumPy": np.__version__,
        "OpenCV": cv2.__version__,
        "spandrel": spandrel.__version__,
    }
    machine = f"{_processor()}, {usable_cores()} cores, {torch.get_num_threads()} threads"
    if device.type == "cuda":
        machine += f"; {torch.cuda.get_device_name(device)}"
    command = shlex.join([str(Path(sys.argv[0]).resolve().relative_to(ROOT)), *sys.argv[1:]])
    lines = (
        f"* Command: `python {command}`",
        f"* Machine: {machine}",
        f"* Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}",
    )
    return "\n".join(lines)


def replace_block(path: Path, name: str, text: str) -> None:
    """Replace what is between ``<!-- name: begin -->`` and ``<!-- name: end -->`` in a document.

    Raises:
        UserError: the document lacks a marker.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found_begin, rest = path.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise UserError(f"{path}: no lines '{begin}' and '{end}'; add them where the figures belong")
    write_bytes(path, f"{before}{begin}\n\n{text}\n\n{end}{after}".encode())


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
