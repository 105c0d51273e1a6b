"""One HTML file with everything inside: markup, style, script, and the document as JSON."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from basicsr.reporting.model import Document, Report, to_document
from basicsr.utils.display import shown
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.reading import parse_json

_HERE = Path(__file__).parent
_BEGIN = '<script id="report" type="application/json">'
_END = "</script>"


def write_report(path: Path, report: Report) -> None:
    """Write ``report`` as a page that opens from disk, without a network; parent folders are made."""
    write_page(path, to_document(report))


def write_page(path: Path, document: Document) -> None:
    """Write the page of a document, see `basicsr.reporting.model`."""
    script = _asset("page.js")
    parts = {
        "title": html.escape(shown(document["title"])),
        "style": _asset("page.css"),
        "data": f"{_BEGIN}{_script_safe(document)}{_END}",
        "script": script,
        # The only script that the policy of the page allows; one injected by a name would be another.
        "script_hash": f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
    }
    # In one pass: inserted text is not searched for further names.
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _asset("page.html"))
    write_bytes(path, page.encode())


def read_page(path: Path) -> Document:
    """The document inside a page that `write_page` wrote.

    Raises:
        UserError: it cannot be read or is not such a page.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the report cannot be read ({error}); check the path") from error
    _, found, rest = text.partition(_BEGIN)
    data, ended, _ = rest.partition(_END)
    try:
        document: Any = parse_json(data) if found and ended else None
    except ValueError:
        document = None
    if not (isinstance(document, dict) and {"title", "runs", "sets"} <= document.keys()):
        raise UserError(f"{path}: not a report of this toolkit, or cut short; run the evaluation again")
    if "metrics" not in document:
        raise UserError(f"{path}: a report of an earlier version; run the evaluation again")
    return document


def link(file: Path, folder: Path) -> str:
    """Where ``file`` is, for a page in ``folder``: a relative URL, ``#`` and spaces escaped.

    Names that are not UTF-8 are escaped byte by byte, as browsers find them.
    """
    return quote(os.fsencode(Path(os.path.relpath(file, folder)).as_posix()))


def _script_safe(document: Document) -> str:
    """JSON in which no ``<`` can end the script element or begin a comment."""
    return json.dumps(document, allow_nan=False).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
