"""Calling losses and metrics with what their parameters name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Named(Generic[Result]):
    """A callable that picks its arguments, by the names of its parameters, from those offered.

    Args:
        function: a function, or an object with ``__call__`` or (a module) ``forward``.

    Attributes:
        needs: parameters without a default.
        takes: all parameters.
    """

    def __init__(self, function: Callable[..., Result]) -> None:
        self.function = function
        # of a module, `__call__` names nothing
        described = getattr(function, "forward", function)
        parameters = inspect.signature(described).parameters.values()
        self.takes = tuple(item.name for item in parameters)
        self.needs = tuple(item.name for item in parameters if item.default is inspect.Parameter.empty)

    def __call__(self, offered: Mapping[str, Any]) -> Result:
        """Call with those of ``offered`` that are taken; parameters with a default may be missing."""
        return self.function(**{name: offered[name] for name in self.takes if name in offered})
