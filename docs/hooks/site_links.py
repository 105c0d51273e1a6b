"""Where a file of the repository stands in the site, and its links rewritten to match."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

INCLUDED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "datasets/README.md": "datasets.md",
    "experiments/README.md": "experiments.md",
}
"""Pages from outside of ``docs``: path in the repository -> path in the site."""

_FENCED = re.compile(r"^( *)(```+|~~~+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)\)")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def source_of(page: str) -> str:
    """From site to repository: ``index.md`` -> ``README.md``, ``options.md`` -> ``docs/options.md``."""
    included = {target: source for source, target in INCLUDED.items()}
    return included.get(page, f"docs/{page}")


def rewrite_links(text: str, page: str, root: Path = ROOT) -> str:
    """Markdown of the repository as Markdown of the site.

    Links to pages lead to their place in the site. Other files of the repository have no address there, so
    a link to one becomes its text as code. What is broken stays, for the build to report.

    Args:
        page: path in the site.
        root: the repository.
    """
    source = source_of(page)

    def rewritten(match: re.Match[str]) -> str:
        target, hash_mark, anchor = match["target"].partition("#")
        if not target or _ADDRESS.match(target):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        place = INCLUDED.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if place is not None:
            relative = posixpath.relpath(place, posixpath.dirname(page) or ".")
            return f"{match['image']}[{match['text']}]({relative}{hash_mark}{anchor})"
        return f"`{match['text'].strip('`')}`" if (root / path).exists() else match[0]

    parts, end = [], 0
    for fence in _FENCED.finditer(text):
        parts += [_LINK.sub(rewritten, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(rewritten, text[end:])])
