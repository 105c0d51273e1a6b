"""Forms of docstrings that the package has and griffe, which reads them for the API pages, has not.

* ``a, b: text`` in a list of arguments says the same of both.
* The arguments of a ``msgspec.Struct``, and those of a protocol, are its fields.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Class, Extension, Object

_ARGUMENTS = re.compile(r"(?<=^Args:\n)(?:[ ]+.*\n?)+", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}\S.*\n?(?: {5,}.*\n?)*", re.MULTILINE)


def one_argument_an_entry(docstring: str) -> str:
    """``a, b: text`` as ``a: text`` and ``b: text``, in a docstring without indentation."""
    return _ARGUMENTS.sub(lambda section: _ENTRY.sub(_split, section[0]), docstring)


def _split(entry: re.Match[str]) -> str:
    names, colon, text = entry[0].strip("\n").partition(":")
    if not colon or not re.fullmatch(r"\w+(, \w+)+", names.strip()):
        return entry[0]
    return "".join(f"    {name}:{text}\n" for name in names.strip().split(", "))


class DocstringForms(Extension):
    """Rewrites docstrings when griffe has read a module."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring is None:
            return
        text = one_argument_an_entry(obj.docstring.value)
        bases = {str(base) for base in obj.bases} if isinstance(obj, Class) else set()
        if bases & {"msgspec.Struct", "Struct", "Protocol"}:
            text = re.sub(r"^Args:$", "Attributes:", text, flags=re.MULTILINE)
        obj.docstring.value = text
