"""YAML for option files and overrides: safe, and one line for every error that a parser can find."""

from __future__ import annotations

from typing import Any

import yaml

LARGEST = 1 << 18
"""Bytes of an option file, about ten times the largest of the package."""
_SHOWN = 60  # characters of a value in an error
_DEEPEST = 32
_MOST_NODES = 20_000
_TEXT = "tag:yaml.org,2002:str"
_LONGEST_NUMBER = 4_000  # characters; those of base 60 take time that grows with the square


def read_yaml(text: str) -> tuple[Any, list[str]]:
    """Plain values, and a line for each oddity that is unambiguous.

    A key that is given twice in one block is such an oddity where both values are equal (the later one is
    taken); with two values it is a mistake. So is a block or list that contains itself.

    Raises:
        ValueError: not YAML, with a value that its type cannot hold, or larger than options are: 256 KiB of
            text, 32 blocks or lists within each other, 20,000 values, where what an alias stands for counts
            as often as it is named; one line.
    """
    if len(text) > LARGEST:
        raise ValueError(f"{len(text):,} characters, expected {LARGEST:,} at most")
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data(), loader.odd
    except yaml.MarkedYAMLError as error:
        what = ", ".join(part for part in (error.context, error.problem) if part)
        mark = error.problem_mark or error.context_mark
        raise ValueError(_one_line(what + (_place(mark) if mark else ""))) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(_one_line(str(error))) from error
    finally:
        if loader is not None:
            loader.dispose()


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader; keeps mere oddities in ``odd``."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.odd: list[str] = []
        self._depth = 0
        self._sizes: dict[int, int] = {}  # values in a composed node, by its id

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > _DEEPEST:
            what = f"blocks or lists are nested more than {_DEEPEST} deep"
            raise yaml.composer.ComposerError(None, None, what, self.get_mark())
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.CollectionNode) and node.end_mark is None:  # an alias inside its own anchor
            raise yaml.composer.ComposerError(None, None, "a block or list contains itself", node.start_mark)
        if node is not None and id(node) not in self._sizes:
            self._sizes[id(node)] = self._count(node)
        return node

    def _count(self, node: yaml.Node) -> int:
        """How many values a node stands for."""
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        inner = [part for pair in parts for part in pair] if isinstance(node, yaml.MappingNode) else parts
        count = 1 + sum(self._sizes[id(part)] for part in inner)
        if count > _MOST_NODES:
            raise yaml.composer.ComposerError(
                None, None, f"more than {_MOST_NODES:,} values", node.start_mark
            )
        return count

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        # The text is looked at before `<<` fills in keys, which may well be given again to replace them.
        node = super().compose_mapping_node(anchor)
        seen: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    self._check_twice(key, seen[key.value], value)
                seen[key.value] = value
        return node

    def _check_twice(self, key: yaml.ScalarNode, earlier: yaml.Node, later: yaml.Node) -> None:
        # as text: true, 1 and 1.0 are equal in Python
        first, second = (repr(self.construct_object(node, deep=True)) for node in (earlier, later))
        what = f"key '{key.value}' is given twice"
        if first != second:
            raise yaml.constructor.ConstructorError(None, None, f"{what}, with two values", key.start_mark)
        self.odd.append(f"{what}, with the same value{_place(key.start_mark)}")

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """As PyYAML; errors that its constructors miss (``!!bool maybe``) get a position, too."""
        try:
            if isinstance(node, yaml.ScalarNode) and node.tag != _TEXT and len(node.value) > _LONGEST_NUMBER:
                raise ValueError(f"more than {_LONGEST_NUMBER:,} characters")
            value = super().construct_object(node, deep)
            if isinstance(value, int):
                str(value)  # Python refuses to print numbers with thousands of digits
            return value
        except yaml.YAMLError:
            raise
        except Exception as error:
            kind = node.tag.rpartition(":")[2]
            shown = repr(node.value[:_SHOWN]) if isinstance(node, yaml.ScalarNode) else "this"
            why = f": {error}" if isinstance(error, ValueError) else ""
            raise yaml.constructor.ConstructorError(
                None, None, f"{shown} is no {kind}{why}", node.start_mark
            ) from error

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """As PyYAML; half of a surrogate pair (``"\\ud800"``) is a `ValueError`: no file can hold it."""
        value = super().construct_scalar(node)
        value.encode()
        return value


def _place(mark: yaml.Mark) -> str:
    return f" (line {mark.line + 1}, column {mark.column + 1})"


def _one_line(text: str) -> str:
    return " ".join(text.split())
