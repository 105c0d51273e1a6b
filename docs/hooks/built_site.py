"""What is wrong with a built site: links that lead nowhere, and what a reader would fetch from elsewhere."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes whose address a browser fetches by itself.
_FETCHED = {
    ("audio", "src"), ("embed", "src"), ("iframe", "src"), ("img", "src"), ("link", "href"),
    ("object", "data"), ("script", "src"), ("source", "src"), ("video", "src"),
}  # fmt: skip
_IN_STYLE = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)


@dataclass
class _Page(HTMLParser):
    """Anchors, links and fetched addresses of a page."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag, name) == ("a", "name"):
                self.anchors.add(value)
            elif (tag, name) == ("a", "href"):
                self.links.append(value)
            elif (tag, name) in _FETCHED:
                self.fetched.append(value)
            elif name == "style":
                self.fetched += _IN_STYLE.findall(value)


def mistakes_in(site: Path) -> list[str]:
    """One line for each mistake in the pages and style sheets below ``site``; empty where all is well."""
    pages, mistakes, files = {}, [], set()
    for folder, _, names in os.walk(site):
        for path in (Path(folder, name) for name in sorted(names)):
            name = path.relative_to(site).as_posix()
            files.add(name)
            if path.suffix == ".html":
                pages[name] = _Page()
                pages[name].feed(path.read_text(encoding="utf-8"))
            elif path.suffix == ".css":
                outside = _IN_STYLE.findall(path.read_text(encoding="utf-8"))
                mistakes += [f"{name}: fetches {address}" for address in outside]
    for name, page in sorted(pages.items()):
        mistakes += [f"{name}: fetches {address}" for address in page.fetched if _is_outside(address)]
        for address in (*page.links, *page.fetched):
            if not _is_outside(address) and (what := _what_is_broken(address, name, pages, files)):
                mistakes.append(f"{name}: {address}: {what}")
    return mistakes


def _is_outside(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def _what_is_broken(address: str, page: str, pages: dict[str, _Page], files: set[str]) -> str | None:
    parts = urlsplit(address)
    if parts.scheme == "data":
        return None
    path = unquote(parts.path)
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
    target = target.lstrip("/")  # the page of missing pages has links from the top
    if path.endswith("/") or target in ("", "."):
        target = posixpath.normpath(posixpath.join(target, "index.html"))
    if target not in files:
        return "no such file"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "no such anchor"
    return None
