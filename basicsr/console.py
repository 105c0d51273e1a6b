"""The installed command: ``sam-deblur restore|masks|train|test``."""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = {
    "restore": ("basicsr.infer", "restore a photo, a folder or a video"),
    "masks": ("basicsr.preparation.masks.command", "make region masks for a folder of photos"),
    "train": ("basicsr.train", "train a network from an option file"),
    "test": ("basicsr.test", "evaluate a network on the data sets of an option file"),
}


def main() -> None:
    """Run the command of the first argument with the others."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command in COMMANDS:
        sys.argv = [f"sam-deblur {command}", *sys.argv[2:]]
        import_module(COMMANDS[command][0]).main()
        return
    asked = command in ("-h", "--help")
    lines = [f"  {name:9}{what}" for name, (_, what) in COMMANDS.items()]
    usage = "usage: sam-deblur COMMAND ...\n\n" + "\n".join(lines)
    usage += "\n\nsam-deblur COMMAND --help explains a command."
    print(usage, file=sys.stdout if asked else sys.stderr)
    sys.exit(0 if asked else 2)


if __name__ == "__main__":
    main()
