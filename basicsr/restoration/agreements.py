"""How well networks agree in two precisions, remembered between runs, since measuring it takes a moment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch

import basicsr
from basicsr.archs.base import RestorationNetwork
from basicsr.utils.checksum import checksum_of_parts, with_checksum, without_checksum
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.log import logger
from basicsr.utils.reading import read_file

_ENTRY = "agreement"
_LARGEST = 1000  # bytes of a file


class RememberedAgreement:
    """The figure in dB of one network on one device.

    Args:
        folder: of all figures, one file each; it may not exist. None remembers nothing.
        net: networks that are not from this package are not remembered.
    """

    def __init__(self, folder: Path | None, net: RestorationNetwork, device: torch.device) -> None:
        # The code of other networks may change while their weights and structure do not.
        is_ours = type(net).__module__.startswith("basicsr.")
        self._path = folder / f"{checksum_of_parts(_facts(net, device))}.json" if folder and is_ours else None

    def find(self) -> float | None:
        """What `keep` was given for such a network; None if it was given none, or the file is damaged."""
        if self._path is None:
            return None
        try:
            return float(without_checksum(json.loads(read_file(self._path, _LARGEST)))[_ENTRY])
        except (OSError, UserError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def keep(self, agreement: float) -> None:
        """Remember the figure for the next run; a folder that cannot be written is only logged."""
        if self._path is None:
            return
        content = with_checksum({_ENTRY: repr(agreement)})  # JSON has no infinity
        try:
            write_bytes(self._path, json.dumps(content).encode())
        except OSError as error:
            logger().debug(f"{self._path}: not written ({error.strerror})")


def _facts(net: RestorationNetwork, device: torch.device) -> Iterator[bytes]:
    """All that the figure depends on."""
    where = device.type
    if where == "cpu":
        where += torch.backends.cpu.get_cpu_capability()
    elif where == "cuda":
        where += torch.cuda.get_device_name(device)
    yield f"{basicsr.__version__} {torch.__version__} {where}\n{net}\n{net.normalization}".encode()
    for name, tensor in net.state_dict().items():
        yield name.encode()
        yield tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
