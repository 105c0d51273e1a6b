"""Hooks of MkDocs: pages that are made, links between files of the repository, a check of what was built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from built_site import mistakes_in
from cells import cells_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from pymdownx.slugs import slugify
from reference_pages import (
    PACKAGES,
    api_page,
    commands_page,
    gallery_page,
    option_types_page,
    options_page,
)
from site_links import INCLUDED, ROOT, rewrite_links

log = get_plugin_logger("hook")  # a warning ends a strict build


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Anchors as code hosts make them, so that a link works there and here."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files of ``docs``."""
    made = {
        "gallery.md": gallery_page(),
        "walkthrough.md": cells_page(ROOT / "docs/walkthrough.py"),
        "reference/options.md": options_page(),
        "reference/option_types.md": option_types_page(),
        "reference/commands.md": commands_page(),
        **{f"reference/api/{package}.md": api_page(package) for package in PACKAGES},
        **{page: (ROOT / source).read_text(encoding="utf-8") for source, page in INCLUDED.items()},
    }
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links between files of the repository lead to pages of the site."""
    place: str = page.file.src_uri
    is_source = place in INCLUDED.values() or page.file.generated_by is None
    return rewrite_links(markdown, place) if is_source else markdown


def on_post_build(config: MkDocsConfig) -> None:
    """Report links that lead nowhere and whatever a reader would fetch from elsewhere."""
    for mistake in mistakes_in(Path(config.site_dir)):
        log.warning(mistake)
