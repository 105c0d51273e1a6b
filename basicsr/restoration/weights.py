"""Which network restores: from a weight file, or the newest one that was trained here."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from basicsr.config.paths import EXPERIMENTS, ExperimentPaths
from basicsr.engine.rebuild import rebuild_network
from basicsr.utils.errors import UserError
from basicsr.utils.log import logger


def load_any(path: Path, local: bool | None = None) -> nn.Module:
    """The network of a weight file, rebuilt from the file alone, or of an ``.onnx`` file.

    Args:
        local: see `basicsr.engine.rebuild.rebuild_network`.

    Raises:
        UserError: no such file, damaged, or of no known network.
    """
    if path.suffix.lower() == ".onnx":
        from basicsr.restoration.onnx_network import OnnxNetwork

        if local is not None:
            raise UserError(f"{path}: pooling is fixed in an .onnx file; export it anew with the other kind")
        return OnnxNetwork(path)
    rebuilt = rebuild_network(path, local)
    logger().info(rebuilt.said)
    return rebuilt.net


def find_default_weights() -> Path:
    """The weights of the newest demo run below the current folder.

    Raises:
        UserError: there is none.
    """
    found = [ExperimentPaths(run).network("latest") for run in EXPERIMENTS.glob("Demo-*")]
    existing = [path for path in found if path.is_file()]
    if not existing:
        way_on = "give --weights FILE, or train the demo: make demo"
        raise UserError(f"{EXPERIMENTS}: no demo run below it to take weights from; {way_on}")
    newest = max(existing, key=lambda path: path.stat().st_mtime)
    what = (
        "a small network that learned a little straight motion blur in minutes; expect little on other photos"
    )
    logger().warning(f"no --weights given; taking {newest}: {what}")
    return newest
