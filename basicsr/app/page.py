"""The page of ``sam-deblur app``, built with Gradio, which must be configured before its import."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
from starlette.middleware import Middleware

from basicsr.app.workshop import Choices, Masks, Result, View, Workshop
from basicsr.restoration.blend import Place
from basicsr.restoration.items import KNOWN
from basicsr.restoration.weights import QUICK
from basicsr.utils.errors import UserError

_HERE = Path(__file__).parent
_DAY = 24 * 3600
_HOUR = 3600
_WAITING = '<div class="waiting">The result appears here.</div>'
_ABOUT = """# Sharper photos

Nothing leaves the machine that this page runs on; uploads and results are deleted when it ends."""
# Nothing is loaded from elsewhere, whatever Gradio's own page asks for.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'"
)


def build_page(workshop: Workshop) -> gr.Blocks:
    """The page over a workshop, for `launch`."""
    visitors = _Visitors(workshop)
    kinds = [("Regions of similar color", "graph"), ("None", "none")]
    if workshop.setup.segmenter is not None:
        kinds.insert(0, (f"Objects, by {workshop.setup.segmenter.name}", "own"))
    offered = workshop.setup.offered()
    with gr.Blocks(title="sam-deblur", analytics_enabled=False, delete_cache=(_HOUR, _DAY)) as page:
        gr.Markdown(_ABOUT)
        view, places, history = gr.State(None), gr.State(()), gr.State([])
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                files = gr.File(
                    label="Photos, or a short video",
                    file_count="multiple",
                    file_types=list(KNOWN),
                    height=160,
                    elem_id="files",
                )
                network = gr.Dropdown(
                    offered, value=(*workshop.setup.weights, QUICK)[0], label="Network", elem_id="network"
                )
                strength = gr.Slider(0, 1, 1, step=0.05, label="Strength", info="0: the unchanged photo")
                ensemble = gr.Checkbox(
                    label="Average over 8 mirrored and turned copies (8 times slower)", elem_id="ensemble"
                )
                with gr.Accordion("Own weights", open=False):
                    own = gr.File(
                        label="Weight file, used in place of the network above", height=120, elem_id="own"
                    )
                with gr.Accordion("Regions", open=False):
                    masks = gr.Radio(kinds, value=kinds[0][1], label="Masks", elem_id="masks")
                    show_regions = gr.Button("Show the regions", elem_id="show_regions")
                    hint = gr.Markdown(visible=False, elem_id="hint")
                    regions = gr.Image(
                        label="Regions",
                        show_label=False,
                        interactive=False,
                        visible=False,
                        format="png",
                        buttons=[],
                        elem_id="regions",
                    )
                    clear = gr.Button("Restore everywhere", visible=False, elem_id="clear")
                with gr.Row():
                    start = gr.Button("Restore", variant="primary", min_width=120, elem_id="start")
                    cancel = gr.Button("Cancel", min_width=120, elem_id="cancel")
            with gr.Column(scale=5, min_width=320):
                shown = gr.HTML(
                    _WAITING,
                    css_template=(_HERE / "compare.css").read_text(encoding="utf-8"),
                    js_on_load=(_HERE / "compare.js").read_text(encoding="utf-8"),
                    elem_id="shown",
                )
                download = gr.DownloadButton("Download", visible=False, variant="primary", elem_id="download")
                notes = gr.Markdown(elem_id="notes")
                chosen = gr.Radio([], label="Results of this session", visible=False, elem_id="history")
                command = gr.Code(
                    label="The same on the command line",
                    language="shell",
                    interactive=False,
                    visible=False,
                    wrap_lines=True,
                    lines=1,
                    elem_id="command",
                )

        def look(paths: list[str] | None, weights: str, own: str | None, masks: Masks) -> tuple[Any, ...]:
            with _errors_shown():
                if not paths:
                    raise UserError("Choose a photo or a video first")
                guided = workshop.takes_masks(own or weights)
                view = None if masks == "none" else workshop.look(Path(paths[0]), masks)
            hint = "This network is guided by masks." if guided else "This network takes no masks."
            if view is not None:
                hint += " **Only here**: click the regions to restore; the rest stays unchanged."
            return (
                view,
                (),
                gr.Markdown(hint, visible=True),
                gr.Image(None if view is None else view.drawn(()), visible=view is not None),
                gr.Button(visible=False),
            )

        def forget_regions() -> tuple[Any, ...]:
            return (
                None,
                (),
                gr.Markdown(visible=False),
                gr.Image(None, visible=False),
                gr.Button(visible=False),
            )

        def pick(view: View, places: tuple[Place, ...], event: gr.SelectData) -> tuple[Any, ...]:
            x, y = event.index
            places = view.toggled(places, view.place_at(int(x), int(y)))
            return places, view.drawn(places), gr.Button(visible=bool(places))

        def everywhere(view: View) -> tuple[Any, ...]:
            return (), view.drawn(()), gr.Button(visible=False)

        def restore(
            paths: list[str] | None,
            weights: str,
            own: str | None,
            masks: Masks,
            strength: float,
            ensemble: bool,
            places: tuple[Place, ...],
            history: list[Result],
            request: gr.Request,
            progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio finds it by its default)
        ) -> tuple[Any, ...]:
            session = str(request.session_hash)
            with _errors_shown():
                outcome = workshop.restore(
                    [Path(path) for path in paths or []],
                    Choices(own or weights, masks, strength, ensemble, places),
                    visitors.folder(session),
                    lambda share, words: progress(share, desc=words),
                    lambda: visitors.has_cancelled(session),
                )
            for line in outcome.problems:
                gr.Warning(escape(line))
            if outcome.is_cancelled:
                gr.Info("Cancelled")
            history = [*history, *outcome.results]
            listed = [(f"{i + 1}: {result.place.name}", i) for i, result in enumerate(history)]
            radio = gr.Radio(listed, value=len(history) - 1 if history else None, visible=bool(history))
            return (history, radio, *show(history, len(history) - 1 if history else None))

        def show(history: list[Result], index: int | None) -> tuple[Any, ...]:
            if index is None:
                return _WAITING, gr.DownloadButton(visible=False), "", gr.Code(visible=False)
            result = history[index]
            return (
                comparison(result),
                gr.DownloadButton(f"Download {result.place.name}", value=str(result.place), visible=True),
                "\n".join(f"* {_plain(note)}" for note in result.notes),
                gr.Code(result.command, visible=True),
            )

        choices = [files, network, own, masks]
        seen = [view, places, hint, regions, clear]
        results = [shown, download, notes, command]
        show_regions.click(look, choices, seen, concurrency_id="work", api_visibility="private")
        for choice in (files.change, masks.change):
            choice(forget_regions, None, seen, queue=False, api_visibility="private")
        regions.select(pick, [view, places], [places, regions, clear], api_visibility="private")
        clear.click(everywhere, [view], [places, regions, clear], api_visibility="private")
        start.click(visitors.begin, None, None, queue=False, api_visibility="private").then(
            restore,
            [*choices, strength, ensemble, places, history],
            [history, chosen, *results],
            concurrency_id="work",
            concurrency_limit=1,
            show_progress_on=[shown],
            api_visibility="private",
        )
        cancel.click(visitors.cancel, None, None, queue=False, api_visibility="private")
        chosen.input(show, [history, chosen], results, queue=False, api_visibility="private")
        page.unload(visitors.leave)
    page.queue(default_concurrency_limit=1)
    return page


def launch(page: gr.Blocks, folder: Path, host: str, port: int | None, share: bool, max_upload: str) -> str:
    """Serve the page; returns its address. It ends with the process.

    Args:
        folder: the page may show its files.
        port: None takes the first free one from 7860 on.
        share: open a tunnel through Gradio's servers; anyone with its address can reach the page.
        max_upload: largest file, such as ``500mb``.

    Raises:
        UserError: the port is taken.
    """
    try:
        _, local, shared = page.launch(
            server_name=host,
            server_port=port,
            share=share,
            quiet=True,
            prevent_thread_lock=True,
            show_error=False,
            max_file_size=max_upload,
            allowed_paths=[str(folder / "results")],
            footer_links=[],
            theme=gr.themes.Default(font="system-ui", font_mono="monospace"),
            app_kwargs={"middleware": [Middleware(_OwnFilesOnly)]},
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=False,
            pwa=False,
        )
    except OSError as error:
        raise UserError(f"--port {port}: taken, or not allowed; choose another") from error
    return str(shared or local)


def comparison(result: Result) -> str:
    """Markup of the slider between the photo and its result; ``compare.js`` moves it."""
    before, after, place = (_address(path) for path in (result.before, result.after, result.place))
    name = escape(result.place.name)
    buttons = "".join(
        f'<button type="button" data-way="{way}" title="{title}" aria-label="{title}">{text}</button>'
        for way, title, text in (
            ("out", "Zoom out", "−"),
            ("in", "Zoom in", "+"),
            ("fit", "Fit", "Fit"),
            ("full", "One photo pixel per screen pixel", "1:1"),
        )
    )
    clip = ""
    if result.is_clip:
        clip = f'<video class="clip" controls loop muted playsinline src="{place}"></video>'
    elif result.place.suffix.lower() == ".gif":
        clip = f'<img class="clip" src="{place}" alt="{name}">'
    width, height = result.size
    return f"""
<div class="compare" style="--split: 50%; --zoom: 1; --x: 0px; --y: 0px; --ratio: {width / height:.4f}">
  <div class="view" tabindex="0" role="group"
       aria-label="{name}: plus, minus, 0 and 1 zoom; arrow keys move the divider or the enlarged picture">
    <div class="side left"><img src="{before}" alt="{name}, before" draggable="false"></div>
    <div class="side right"><img src="{after}" alt="{name}, after" draggable="false"></div>
    <i class="line"></i><span class="name left">before</span><span class="name right">after</span>
  </div>
  <div class="tools">
    <input type="range" min="0" max="100" step="1" value="50" aria-label="Divider between before and after">
    <span>{buttons}</span>
  </div>
  {clip}
</div>"""


class _Visitors:
    """Who has pressed Cancel, and where the results of each browser tab are."""

    def __init__(self, workshop: Workshop) -> None:
        self._results = workshop.setup.folder / "results"
        self._cancelled: set[str] = set()

    def folder(self, session: str) -> Path:
        return self._results / hashlib.sha256(session.encode()).hexdigest()[:32]

    def has_cancelled(self, session: str) -> bool:
        return session in self._cancelled

    def begin(self, request: gr.Request) -> None:
        self._cancelled.discard(str(request.session_hash))

    def cancel(self, request: gr.Request) -> None:
        self._cancelled.add(str(request.session_hash))

    def leave(self, request: gr.Request) -> None:
        self.cancel(request)
        shutil.rmtree(self.folder(str(request.session_hash)), ignore_errors=True)


class _OwnFilesOnly:
    """Middleware: the page loads nothing from elsewhere, and fetches nothing for anybody."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and "file=http" in scope["path"]:
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), (b"content-security-policy", _POLICY.encode())]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_policy)


@contextmanager
def _errors_shown() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise gr.Error(escape(error.shown), duration=None, print_exception=False) from error


def _address(path: Path) -> str:
    return f"gradio_api/file={quote(str(path))}"


def _plain(note: str) -> str:
    """A note, escaped for Markdown."""
    return "".join(f"\\{one}" if one in "\\`*_{}[]()<>#!|" else one for one in note)
