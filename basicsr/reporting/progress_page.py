"""A page of a training run that a browser loads anew every few seconds."""

from __future__ import annotations

import html
import time
from pathlib import Path

from basicsr.reporting.line_chart import to_svg
from basicsr.reporting.page import link
from basicsr.reporting.progress import Progress
from basicsr.utils.display import shown
from basicsr.utils.files import write_bytes

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 880px; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; }
figure { display: inline-block; margin: 0 1rem 1rem 0; max-width: 270px; }
figure img { width: 100%; }
figcaption { font-size: 0.8rem; overflow-wrap: anywhere; }
"""


def write_progress_page(path: Path, progress: Progress, every: float) -> None:
    """Write the page; once the run is done it is not loaded anew.

    Args:
        every: seconds until the browser loads it again.
    """
    refresh = "" if progress.is_done else f'<meta http-equiv="refresh" content="{every:g}">'
    charts = to_svg(progress.panels, shown(progress.name)) if progress.panels else ""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self' file:; "
        "style-src 'unsafe-inline'\">",
        f"{refresh}<title>{_text(progress.name)}</title><style>{_STYLE}</style></head><body>",
        *(f"<p>{_text(line)}</p>" for line in progress.facts(time.time())),
        charts,
        *(_figure(picture, path.parent) for picture in progress.pictures),
        "</body></html>\n",
    ]
    write_bytes(path, "\n".join(parts).encode())


def _figure(picture: Path, folder: Path) -> str:
    name = _text(picture.name)
    return f'<figure><img src="{link(picture, folder)}" alt="{name}"><figcaption>{name}</figcaption></figure>'


def _text(text: str) -> str:
    return html.escape(shown(text))
