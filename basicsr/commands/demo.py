"""Restore one photo with the network and the weights of an option file, the published single-image command.

`sam-deblur restore` does more: folders, videos, masks by SAM; and it needs no option file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from basicsr.config.cli import (
    add_option_file_arguments,
    add_plugin_argument,
    command_parser,
    option_file_of,
    run_command,
)
from basicsr.utils.typed_path import typed_path

EXAMPLE = """example:
  {command} -opt options/test/REDS/NAFNet.yml --input_path a.png --output_path b.png"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur demo") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    add_option_file_arguments(parser)
    parser.add_argument("--input_path", type=typed_path, required=True, metavar="FILE", help="blurred photo")
    parser.add_argument(
        "--output_path", type=typed_path, required=True, metavar="FILE", help="restored photo"
    )
    parser.add_argument(
        "--labels", type=typed_path, metavar="FILE",
        help="masks of the photo (label map, gray PNG or npz) for networks that take them; default: computed",
    )  # fmt: skip
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="overrides",
        help="override options, e.g. --set path.pretrain_network_g=NAFNet-REDS-width64.pth",
    )  # fmt: skip
    add_plugin_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    typed = parser.parse_args(argv)
    typed.opt = option_file_of(typed, parser)
    run_command(lambda: demo(typed), typed.debug)


def demo(typed: argparse.Namespace) -> None:
    """Build the network of the option file, load its weights, restore the photo."""
    from basicsr.archs.base import require_restoring  # heavy imports only now, so that --help answers at once
    from basicsr.config.load import load_config
    from basicsr.engine.networks import start_network
    from basicsr.layers.normalization import Normalization
    from basicsr.masks import read_label_map
    from basicsr.restoration import RestoreOptions, Restorer
    from basicsr.restoration.items import find_items
    from basicsr.utils.devices import choose_device
    from basicsr.utils.errors import OptionError
    from basicsr.utils.log import logger, open_log
    from basicsr.utils.photo_file import read_photo_file, require_size, write_photo_file

    open_log(True)
    config = load_config(typed.opt, typed.overrides, "demo", typed.plugins)
    find_items([typed.input_path], typed.output_path, is_folder=False, overwrite=typed.overwrite)
    if config.path.pretrain_network_g is None and config.network_g.weights is None:
        hint = "name the weights: --set path.pretrain_network_g=FILE"
        raise OptionError("path", [f"path.pretrain_network_g: not given; {hint}"])
    net = start_network(config, "g", choose_device("cpu" if config.num_gpu == 0 else "auto"))
    if net.normalization is None:
        given = [Normalization.of(*(item.options.get(name) for name in ("mean", "std", "gamma")))
                for item in config.tested().values()]  # fmt: skip
        net.normalization = next(filter(None, given), None)
    options = RestoreOptions(
        tile=config.val.tile or "auto",
        overlap=config.val.tile_overlap,
        device="cpu" if config.num_gpu == 0 else "auto",
    )
    photo = read_photo_file(typed.input_path)
    require_size(typed.output_path, *photo.image.shape[:2])
    labels = read_label_map(typed.labels) if typed.labels is not None else None
    restored = Restorer(require_restoring(net, "network_g"), options).run(photo.image, labels)
    notes = write_photo_file(typed.output_path, photo, restored.image)
    for note in [*photo.notes, *notes, *restored.findings.notes()]:
        logger().info(note)
    logger().info(f"restored: {typed.output_path}")
