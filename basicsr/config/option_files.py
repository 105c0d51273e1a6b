"""Bundled option files, by name."""

from __future__ import annotations

from pathlib import Path

from basicsr.config.schema import Command
from basicsr.utils.convert import Mistakes
from basicsr.utils.errors import OptionError
from basicsr.utils.typed_path import expand, typed_path

# a link to the folder options/ of the checkout; a real folder where the package is installed
OPTIONS = Path(__file__).resolve().parents[1] / "options"


def shipped_option_files(command: Command) -> dict[str, Path]:
    """``{"Demo/NAFNet": file, ..}`` of a command, sorted."""
    folder = OPTIONS / _folder(command)
    files = sorted(folder.glob("*/*.yml"))
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def find_option_file(named: str | Path, command: Command) -> Path:
    """The option file that ``named`` means.

    Args:
        named: a path; where there is no such file, the name of a bundled one, such as
            ``GoPro/SegNAFNet`` or, as in the checkout, ``options/train/GoPro/SegNAFNet.yml``.

    Raises:
        OptionError: a name without suffix that is neither.
    """
    path = typed_path(str(named))
    if path.is_file():
        return path
    shipped = shipped_option_files(command)
    name = path.as_posix().removeprefix(f"options/{_folder(command)}/").removesuffix(".yml")
    if name in shipped:
        return shipped[name]
    if path.suffix or path.is_dir():
        return path  # reading it reports what is wrong
    mistakes = Mistakes()
    mistakes.unknown(str(named), "no such option file", name, shipped)
    raise OptionError(str(named), mistakes.lines)


def find_base(named: str, folder: Path) -> Path:
    """The option file that ``base:`` means: relative to ``folder``, that of the file with the key.

    Where there is no such file, a path below the folder ``options`` is taken from the package.
    """
    path = folder / expand(named)
    shipped = OPTIONS / named.removeprefix("options/")
    return shipped if not path.is_file() and named.startswith("options/") and shipped.is_file() else path


def _folder(command: Command) -> str:
    return "train" if command == "train" else "test"
