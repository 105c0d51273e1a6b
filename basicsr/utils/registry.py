"""Registries: from a word in an option file to the class or function of that name.

A constructor's signature is the schema of its options: a misspelt name, a wrong type and a missing value are
found from the annotations, with the place in the option file and the nearest valid name. So adding a network,
a loss, a metric or a dataset takes one file and one import line in its folder's ``__init__.py``.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, TypeVar, get_type_hints

from basicsr.utils.convert import Mistakes, advice_on, convert, join
from basicsr.utils.errors import OptionError

Entry = TypeVar("Entry", bound=Callable[..., Any])


@dataclass(frozen=True)
class Option:
    """One option of an entry: its annotation, and its default unless it is required."""

    kind: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


class Registry:
    """Names of one role.

    Args:
        role: what the entries are, in the words of users ("network", "loss").
        home: package whose ``__init__.py`` imports every entry; imported at the first look-up.
        runtime: parameter names that the program passes; they are not options.
        elsewhere: names that other toolkits have, and what does their work here.
        called_by_name: of functions, the program passes all parameters without a default, whatever they are
            called; options have a default.
    """

    def __init__(
        self,
        role: str,
        home: str,
        runtime: tuple[str, ...] = (),
        elsewhere: Mapping[str, str] | None = None,
        called_by_name: bool = False,
    ) -> None:
        self.role = role
        self.home = home
        self.runtime = runtime
        self.elsewhere = dict(elsewhere or {})
        self.called_by_name = called_by_name
        self._entries: dict[str, Callable[..., Any]] = {}

    def register(self, entry: Entry) -> Entry:
        """Class or function decorator.

        Raises:
            ValueError: the name is taken, the entry swallows ``**kwargs`` (which would hide misspelt
                options), or an option has no annotation.
        """
        name = entry.__name__
        if name in self._entries:
            other = self._entries[name].__module__
            raise ValueError(f"{self.role} '{name}' of {entry.__module__} is already registered by {other}")
        for parameter in inspect.signature(entry).parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                raise ValueError(f"{self.role} '{name}' takes **{parameter.name}: name every option instead")
            if self._is_option(entry, parameter) and parameter.annotation is inspect.Parameter.empty:
                raise ValueError(f"{self.role} '{name}': option '{parameter.name}' has no annotation")
        self._entries[name] = entry
        return entry

    def forget(self, module: str) -> None:
        """Take out what ``module``, or one inside of it, has registered, so that it can be imported again."""
        self._entries = {
            name: item
            for name, item in self._entries.items()
            if not f"{item.__module__}.".startswith(f"{module}.")
        }

    def names(self) -> list[str]:
        """All registered names, sorted."""
        importlib.import_module(self.home)
        return sorted(self._entries)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self.names():
            mistakes = Mistakes()
            mistakes.unknown(self.role, f"unknown {self.role} '{name}'", name, self.names())
            raise OptionError(self.role, mistakes.lines)
        return self._entries[name]

    def options(self, name: str) -> dict[str, Option]:
        """The options that the entry takes, in the order of its signature."""
        entry = self[name]
        # of a dataclass, the class: its __init__ does not know the names in the modules of its bases
        is_plain_class = inspect.isclass(entry) and not is_dataclass(entry)
        hints = get_type_hints(entry.__init__ if is_plain_class else entry, include_extras=True)
        return {
            parameter.name: Option(hints[parameter.name], parameter.default)
            for parameter in inspect.signature(entry).parameters.values()
            if self._is_option(entry, parameter)
        }

    def _is_option(self, entry: Callable[..., Any], parameter: inspect.Parameter) -> bool:
        named = self.called_by_name and not inspect.isclass(entry)
        passed = named and parameter.default is inspect.Parameter.empty
        return not passed and parameter.name not in self.runtime

    def check(
        self,
        name: Any,
        options: Mapping[str, Any],
        where: str,
        mistakes: Mistakes,
        beside: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Convert ``options`` to the annotated types; every mistake is noted with its YAML path.

        Args:
            beside: keys that may stand beside the options in the file; they are named when a key is unknown.
        """
        if not isinstance(name, str) or name not in self.names():
            what = f"unknown {self.role} {name!r}"
            if str(name) in self.elsewhere:
                mistakes.add(join(where, "type"), f"{what}; {self.elsewhere[name]}")
            else:
                mistakes.unknown(join(where, "type"), what, str(name), self.names())
            return {}
        known = self.options(name)
        for key in options:
            if key not in known:
                mistakes.unknown(
                    join(where, key), f"{name} has no such option", str(key), [*known, *beside], options[key]
                )
        for key, option in known.items():
            if option.required and key not in options:
                mistakes.add(
                    join(where, key), f"required by {name}, but not given{advice_on(option.kind, None)}"
                )
        return {
            key: convert(value, known[key].kind, join(where, key), mistakes)
            for key, value in options.items()
            if key in known
        }

    def build(self, name: str, options: Mapping[str, Any], /, **runtime: Any) -> Any:
        """An instance of the class ``name``, or the function ``name`` with its options bound.

        Args:
            options: checked here once more, so that it also serves code that has no option file.
            runtime: values for parameters named in `runtime`; those that the entry does not take are not
                passed.

        Raises:
            OptionError: with all mistakes in ``options``.
        """
        mistakes = Mistakes()
        values = self.check(name, options, "", mistakes)
        if mistakes.lines:
            raise OptionError(f"{self.role} {name}", mistakes.lines)
        entry = self._entries[name]
        taken = inspect.signature(entry).parameters
        values |= {key: value for key, value in runtime.items() if key in taken}
        return entry(**values) if inspect.isclass(entry) else functools.partial(entry, **values)


@dataclass(frozen=True)
class Nested:
    """Marks an option that is itself a block with a ``type``, by ``Annotated[.., Nested(ARCHS)]``.

    A list of such blocks is ``list[Annotated[.., Nested(TRANSFORMS)]]``.
    """

    registry: Registry

    def check(self, value: Mapping[str, Any], where: str, mistakes: Mistakes) -> None:
        name, options = split_type(value)
        self.registry.check(name, options, where, mistakes)


def split_type(block: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A block with a ``type`` -> the type (None when it is missing) and the other keys."""
    return block.get("type"), {key: value for key, value in block.items() if key != "type"}


WITHOUT_TRUTH = "photos without ground truth are restored by basicsr/infer.py"

ARCHS = Registry("network", "basicsr.archs", runtime=("state",))
SEGMENTERS = Registry("segmenter", "basicsr.segmenters")
LOSSES = Registry("loss", "basicsr.losses")
METRICS = Registry("metric", "basicsr.metrics", called_by_name=True)
DATASETS = Registry(
    "dataset", "basicsr.data", runtime=("seed", "train"), elsewhere={"SingleImageDataset": WITHOUT_TRUTH}
)
TRANSFORMS = Registry("transform", "basicsr.data", runtime=("margin",))
MODELS = Registry("model", "basicsr.models", runtime=("networks", "losses", "mixup"))
OPTIMIZERS = Registry("optimizer", "basicsr.engine.optimizers", runtime=("params",))
SCHEDULES = Registry("scheduler", "basicsr.engine.schedules", runtime=("step", "base_lr"))
