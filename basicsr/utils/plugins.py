"""Files of users that register networks, losses, metrics and the like beside those of the package.

A plugin is a Python module. Its file's folder is put at the end of ``sys.path`` and the file is imported by
its name, so that worker processes, which get ``sys.path`` and import by name, find its classes. Users name
plugins in option files or with ``--plugin``. A weight file only names those that it needs, and loads none.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from basicsr.utils import registry
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.typed_path import typed_path


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin.

    Attributes:
        named: what option files and ``--plugin`` call it: an absolute path, or the name of a module.
        module: its name in ``sys.modules``.
        file: where its source is.
        source: of the file, as it was loaded.
    """

    named: str
    module: str
    file: Path
    source: bytes

    @property
    def name(self) -> str:
        """What weight files call it: the name of the file, or of the module."""
        return self.file.name if _is_path(self.named) else self.named

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source).hexdigest()

    @property
    def summary(self) -> str:
        """For logs."""
        return f"plugin {self.named}, SHA-256 {self.sha256}"

    def keep(self, folder: Path) -> None:
        """Copy the file into ``folder``, under a name that differs for another version of it."""
        write_bytes(folder / f"{self.file.stem}_{self.sha256[:8]}.py", self.source)


_loaded: dict[str, Plugin] = {}  # a process imports a module once


def absolute(named: str, folder: Path) -> str:
    """What `load_plugins` takes: a path that is relative to ``folder`` made absolute, a module unchanged."""
    return str((folder / typed_path(named)).resolve()) if _is_path(named) else named


def load_plugins(named: Iterable[str], where: str) -> list[Plugin]:
    """Import plugins, each once a process.

    Args:
        named: paths of ``.py`` files, relative to the current folder, or names of modules.
        where: option or flag that names them, for errors.

    Raises:
        OptionError: no such file or module, or a file name that cannot be imported by.
        UserError: the plugin fails; names its file and line.
    """
    return [_load(absolute(name, Path()), where) for name in named]


def loaded_plugins() -> list[str]:
    """What workers give to `load_plugins` to have the same registries."""
    return list(_loaded)


def plugins_of(modules: Iterable[object]) -> list[dict[str, str]]:
    """What a weight file states about the plugins that the parts of its network come from."""
    homes = {f"{type(item).__module__}." for item in modules}
    loaded = _loaded.values()
    used = [plugin for plugin in loaded if any(home.startswith(f"{plugin.module}.") for home in homes)]
    return [{"name": plugin.name, "sha256": plugin.sha256} for plugin in used]


def require_plugins(needed: Sequence[Mapping[str, Any]], weights: Path) -> list[str]:
    """Make sure that the plugins that a weight file names (`plugins_of`) have been loaded.

    Returns:
        Lines for the log: plugins that have changed since the file was written.

    Raises:
        UserError: one has not been loaded; gives its name and how to load it.
    """
    notes = []
    for item in needed:
        name, sha256 = str(item.get("name")), str(item.get("sha256"))
        if any(plugin.sha256 == sha256 for plugin in _loaded.values()):
            continue
        if all(plugin.name != name for plugin in _loaded.values()):
            what = f"its network comes from the plugin {name} (SHA-256 {sha256[:8]}..), which is not loaded"
            raise UserError(f"{weights}: {what}; give your copy with --plugin {name}")
        notes.append(f"{weights}: the plugin {name} has changed since these weights were written")
    return notes


def _load(named: str, where: str) -> Plugin:
    if named in _loaded:
        return _loaded[named]
    # Names of the package come first, so a plugin that takes one of them is rejected.
    for item in vars(registry).values():
        if isinstance(item, registry.Registry):
            item.names()
    module = _import_file(Path(named), where) if _is_path(named) else _import(named, None, where)
    file = Path(str(module.__file__))
    _loaded[named] = Plugin(named, module.__name__, file, file.read_bytes())
    return _loaded[named]


def _is_path(named: str) -> bool:
    return named.endswith(".py") or "/" in named or "\\" in named


def _import_file(path: Path, where: str) -> ModuleType:
    name, folder = path.stem, str(path.parent)
    if not path.is_file():
        raise OptionError(where, [f"{where}: no such file (got '{path}')"])
    if path.suffix != ".py" or not name.isidentifier():
        what = "a plugin is imported by its name: letters, digits and underscores, then .py"
        raise OptionError(where, [f"{where}: {what} (got '{path.name}')"])
    if folder not in sys.path:
        sys.path.append(folder)
    importlib.invalidate_caches()  # the file may be younger than the last look into its folder
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None or Path(found.origin).resolve() != path:
        what = f"another module has that name: {found.origin if found else None}; rename the file"
        raise OptionError(where, [f"{where}: {what} (got '{path}')"])
    return _import(name, path, where)


def _import(name: str, path: Path | None, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        for item in vars(registry).values():
            if isinstance(item, registry.Registry):
                item.forget(name)
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise OptionError(
                where, [f"{where}: no such module; a file ends with .py (got '{name}')"]
            ) from error
        reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        raise UserError(f"{_place(error, path or name)}: {reason}") from error


def _place(error: Exception, plugin: Path | str) -> str:
    """File and line of a mistake in a plugin: where it is, or where the plugin called what failed."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == str(plugin)]
    outside = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    frame = next(iter(own[-1:] or outside[:1]), None)
    return f"{plugin}" if frame is None else f"{frame.filename}, line {frame.lineno}"
