"""The documentation site: its navigation, how links are rewritten, what is found wrong in built pages.

The whole site is built, and checked, by ``make docs``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HOOKS = ROOT / "docs/hooks"


@pytest.fixture
def links(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(HOOKS)
    return importlib.import_module("site_links")


@pytest.fixture
def mistakes_in(monkeypatch):
    monkeypatch.syspath_prepend(HOOKS)
    return importlib.import_module("built_site").mistakes_in


def pages_of(entry) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for inner in entry.values() if isinstance(entry, dict) else entry:
            yield from pages_of(inner)


def test_the_navigation_has_every_page_once_and_none_that_is_not_there(links):
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named = list(pages_of(navigation))
    files = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert len(named) == len(set(named))
    made = {page for page in named if page.startswith("reference/")} | {"gallery.md", "walkthrough.md"}
    assert set(named) - made == files | set(links.INCLUDED.values())
    packages = {Path(page).stem for page in named if page.startswith("reference/api/")}
    assert packages <= {path.parent.name for path in (ROOT / "basicsr").glob("*/__init__.py")}


@pytest.mark.parametrize(
    ("page", "text", "rewritten"),
    [
        ("index.md", "[a](docs/options.md#x)", "[a](options.md#x)"),
        ("index.md", "![a](docs/images/a.png)", "![a](images/a.png)"),
        ("index.md", "[a](CHANGELOG.md)", "[a](changelog.md)"),
        ("options.md", "[a](../datasets/README.md#t)", "[a](datasets.md#t)"),
        ("datasets.md", "[a](../docs/deraining.md)", "[a](deraining.md)"),
        ("index.md", "[LICENSE](LICENSE)", "`LICENSE`"),
        ("options.md", "[`setup`](../setup.py)", "`setup`"),
        ("options.md", "[a](../nowhere.py)", "[a](../nowhere.py)"),
        ("options.md", "[a](https://example.org/b) [c](#d)", "[a](https://example.org/b) [c](#d)"),
        ("index.md", "```\n[a](docs/b.md)\n```\n[a](docs/b.md)", "```\n[a](docs/b.md)\n```\n[a](b.md)"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(links, page, text, rewritten):
    assert links.rewrite_links(text, page) == rewritten


def test_a_site_whose_links_lead_somewhere_has_no_mistakes(mistakes_in, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">A</h1><a href="in/b.html#part">b</a><a href="#top">a</a><a href=".">a</a>'
        '<a href="https://example.org/">elsewhere</a><img src="data:image/png;base64,AA==">'
    )
    (tmp_path / "in/b.html").write_text('<h2 id="part">B</h2><a href="..">a</a><a href="/index.html">a</a>')
    (tmp_path / "a.css").write_text("p {background: url(a.png)}")
    assert mistakes_in(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "text", "mistake"),
    [
        ("a.html", '<a href="b.html">b</a>', "a.html: b.html: no such file"),
        ("a.html", '<a href="#b">b</a>', "a.html: #b: no such anchor"),
        ("a.html", '<img src="b.png">', "a.html: b.png: no such file"),
        ("a.html", '<script src="https://x.org/a.js">', "a.html: fetches https://x.org/a.js"),
        ("a.html", '<link rel="preconnect" href="//x.org">', "a.html: fetches //x.org"),
        ("a.html", '<p style="background: url(//x.org/a)">', "a.html: fetches //x.org/a"),
        ("a.css", '@import "https://x.org/a.css";', "a.css: fetches https://x.org/a.css"),
        ("a.css", "@font-face {src: url('https://x.org/f')}", "a.css: fetches https://x.org/f"),
    ],
)
def test_broken_links_and_what_is_fetched_are_named(mistakes_in, tmp_path, name, text, mistake):
    (tmp_path / name).write_text(text)
    assert mistakes_in(tmp_path) == [mistake]
