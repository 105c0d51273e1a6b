"""Reference pages made from what the package says of itself: schema, docstrings, command lines."""

from __future__ import annotations

import inspect
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from importlib import import_module
from typing import Any

import msgspec
from docstring_forms import one_argument_an_entry
from griffe import Docstring, DocstringSectionKind
from pymdownx.slugs import slugify
from site_links import INCLUDED, ROOT

from basicsr.commands import VERBS, module_of
from basicsr.config import schema as frame
from basicsr.utils import registry
from basicsr.utils.registry import Registry

Schema = dict[str, Any]

FRAME: dict[str, type[msgspec.Struct]] = {
    "": frame.Config,
    "datasets.*": frame.DatasetOptions,
    "network_g": frame.NetworkOptions,
    "path": frame.PathOptions,
    "train": frame.TrainOptions,
    "val": frame.ValOptions,
    "logger": frame.LoggerOptions,
    "logger.wandb": frame.WandbOptions,
    "dist_params": frame.DistOptions,
}
"""Blocks of an option file, in the order of the page: place -> the class that checks it."""

ROLES = {
    "Networks": registry.ARCHS,
    "Data sets": registry.DATASETS,
    "Transforms": registry.TRANSFORMS,
    "Losses": registry.LOSSES,
    "Metrics": registry.METRICS,
    "Optimizers": registry.OPTIMIZERS,
    "Schedules": registry.SCHEDULES,
    "Segmenters": registry.SEGMENTERS,
}
"""Blocks with a ``type``: heading -> the registry of its types."""

PACKAGES = (
    "archs", "checkpoints", "config", "data", "engine", "layers", "losses", "masks", "metrics", "models",
    "preparation", "protocols", "reporting", "restoration", "segmenters", "storage", "studies", "synthesis",
    "utils",
)  # fmt: skip
"""Folders of the package that have a page in the API reference."""

_HELP_WIDTH = 80
_HEAD = ["| option | type | default | meaning |", "|---|---|---|---|"]


def options_page() -> str:
    """The blocks of an option file, a table each."""
    schema = _schema()
    lines = [
        "# Option blocks",
        "",
        "Made from `options/schema.json` and the docstrings of `basicsr/config/schema.py`. "
        "[Option files](../options.md) explains how files inherit, and the choices behind the keys. "
        "Blocks with a `type` take the options of that type as well: [option types](option_types.md).",
        "",
        "Null takes away what a `base:` gives, and the default holds again.",
    ]
    blocks = {place.removesuffix(".*"): place for place in FRAME}
    for place, struct in FRAME.items():
        block = _block_at(schema, place)
        fields = [item for item in msgspec.structs.fields(struct) if item.name != "options"]
        general, told = _told_of(block.get("description", ""), {item.name for item in fields})
        lines += ["", f"## {f'`{place}`' if place else 'Top level'}", ""]
        lines += [_in_backticks(general), ""] if general else []
        lines += _HEAD
        for item in fields:
            kind = _type_text(block["properties"][item.name])
            if inner := blocks.get(f"{place}.{item.name}".strip(".")):
                kind = f"[{kind}](#{_anchor(inner)})"
            lines.append(_row(item.name, kind, _default_of(item), told.get(item.name, "")))
    return "\n".join([*lines, ""])


def option_types_page() -> str:
    """What each network, loss, data set and so on takes beside its ``type``."""
    schema = _schema()
    lines = [
        "# Option types",
        "",
        "What `type` may say, and the options that stand beside it. Made from `options/schema.json` and the "
        "docstrings of the classes and functions; the [API](api/archs.md) has the rest of them. "
        "The options of a `model_type` (`model_opt`) are the arguments of its class in "
        "[`basicsr.models`](api/models.md).",
    ]
    for heading, entries in ROLES.items():
        is_data = entries is registry.DATASETS
        block = _block_at(schema, "datasets.*") if is_data else schema["definitions"][entries.role]
        of_frame = {item.name for item in msgspec.structs.fields(frame.DatasetOptions)} if is_data else set()
        lines += ["", f"## {heading}"]
        for branch in block["allOf"]:
            properties = branch["then"]["properties"]
            name = properties["type"]["const"]
            taken = {key: item for key, item in properties.items() if key not in of_frame | {"type"}}
            lines += ["", f"### `{name}`", "", _in_backticks(properties["type"]["description"]), ""]
            lines += _rows_of_type(entries, name, taken)
    return "\n".join([*lines, ""])


def commands_page() -> str:
    """What ``sam-deblur VERB --help`` prints, for every verb."""
    lines = [
        "# Command reference",
        "",
        "What `sam-deblur VERB --help` prints. [Commands](../commands.md) is the short list.",
    ]
    for heading, verbs in VERBS.items():
        lines += ["", f"## {heading}"]
        for verb in verbs:
            lines += ["", f"### {verb}", "", "```text", _help_of(verb), "```"]
    return "\n".join([*lines, ""])


def api_page(package: str) -> str:
    """Directives by which mkdocstrings documents the modules of ``basicsr.<package>``."""
    folder = ROOT / "basicsr" / package
    modules = sorted(
        path.relative_to(ROOT).with_suffix("").parts
        for path in folder.rglob("*.py")
        if not path.name.startswith("_")
    )
    text = import_module(f"basicsr.{package}").__doc__ or ""
    found_last = ["---", "search: {boost: 0.2}", "---", ""]  # a search finds explanations first
    lines = [*found_last, f"# basicsr.{package}", "", text.strip(), ""]
    return "\n".join([*lines, *(f"::: {'.'.join(module)}" for module in modules), ""])


def gallery_page() -> str:
    """The pictures of ``docs/images``, each with its text on the page that shows it.

    Raises:
        ValueError: a picture is on no page.
    """
    sources = {source: page for source, page in INCLUDED.items() if (ROOT / source).exists()}
    sources |= {f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))}
    shown: dict[str, tuple[str, str, str]] = {}
    for source, page in sources.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        for what, image in re.findall(r"^!\[(.+?)\]\((?:docs/)?images/(\S+?)\)$", text, re.MULTILINE):
            shown.setdefault(image, (what, page, text.partition("\n")[0].removeprefix("# ")))
    lost = {path.name for path in (ROOT / "docs/images").iterdir()} - shown.keys()
    if lost:
        raise ValueError(f"docs/images: no page shows {', '.join(sorted(lost))}; show or remove it")
    lines = ["# Gallery", "", "The pictures of this site. Each page says how its picture was made."]
    for image, (what, page, title) in shown.items():
        lines += ["", f"## {what[0].upper()}{what[1:]}", "", f"![{what}](images/{image})", ""]
        lines += [f"From [{title}]({page})."]
    return "\n".join([*lines, ""])


def _schema() -> Schema:
    schema: Schema = json.loads((ROOT / "options/schema.json").read_text(encoding="utf-8"))
    return schema


def _block_at(schema: Schema, place: str) -> Schema:
    """The block at ``train`` or ``datasets.*``, without the choice of null instead."""
    for key in place.split(".") if place else []:
        schema = _object(schema)
        schema = schema["additionalProperties"] if key == "*" else schema["properties"][key]
    return {**schema, **_object(schema)}


def _object(schema: Schema) -> Schema:
    members = schema.get("anyOf", [schema])
    return next(member for member in members if "properties" in member or "additionalProperties" in member)


def _rows_of_type(entries: Registry, name: str, taken: Schema) -> list[str]:
    if not taken:
        return ["It has no options."]
    options, meanings = entries.options(name), _meanings(entries[name])
    return [
        *_HEAD,
        *(
            _row(key, _type_text(item), options[key].default, meanings.get(key, ""))
            for key, item in taken.items()
        ),
    ]


def _row(name: str, kind: str, default: Any, meaning: str) -> str:
    """A row of a table; without a ``default`` of its own the option is required."""
    cells = (f"`{name}`", kind, _default_text(default), _in_backticks(meaning).replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def _default_of(field: msgspec.structs.FieldInfo) -> Any:
    has_factory = field.default_factory is not msgspec.NODEFAULT
    return field.default_factory() if has_factory else field.default


def _default_text(default: Any) -> str:
    if default in (inspect.Parameter.empty, msgspec.NODEFAULT):
        return "required"
    if isinstance(default, msgspec.Struct):
        return ""  # those of the block
    return f"`{json.dumps(msgspec.to_builtins(default), ensure_ascii=False)}`"


def _anchor(place: str) -> str:
    return str(slugify(case="lower")(place, "-"))


def _type_text(schema: Schema) -> str:
    """A JSON schema in a few words. Null, which every option may be, is not among them."""
    if not schema:
        return "any value"
    if "$ref" in schema:
        role = schema["$ref"].rpartition("/")[2]
        heading = next(heading for heading, entries in ROLES.items() if entries.role == role)
        return f"[{role}](option_types.md#{heading.lower()})"
    if "anyOf" in schema:
        members = [member for member in schema["anyOf"] if member != {"type": "null"}]
        return " or ".join(dict.fromkeys(_type_text(member) for member in members))
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"] if choice is not None)
    kinds = schema.get("type", [])
    kind = next(kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null")
    if kind == "array":
        return _list_text(schema)
    if kind == "object":
        return "block"
    return f"{kind}{_bounds_text(schema)}"


def _list_text(schema: Schema) -> str:
    items = schema.get("items", {})
    if isinstance(items, list):
        return f"list of {len(items)}: {', '.join(_type_text(item) for item in items)}"
    return f"list of {_type_text(items)}"


def _bounds_text(schema: Schema) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return f" {' and '.join(bounds)}" if bounds else ""


def _meanings(entry: object) -> dict[str, str]:
    """What docstrings say of arguments: of a function, or of a class and those that it derives from."""
    found: dict[str, str] = {}
    for owner in entry.__mro__ if isinstance(entry, type) else (entry,):
        text = one_argument_an_entry(inspect.cleandoc(owner.__doc__ or ""))
        for section in Docstring(text).parse("google", warnings=False):
            if section.kind is DocstringSectionKind.parameters:
                for argument in section.value:
                    found.setdefault(argument.name, " ".join(argument.description.split()))
    return found


def _told_of(text: str, names: set[str]) -> tuple[str, dict[str, str]]:
    """A block's description -> what it says of the block, and of each option the sentences that name it.

    A sentence that names none belongs to those of the sentence before.
    """
    general: list[str] = []
    told: dict[str, list[str]] = {}
    current: set[str] = set()
    for sentence in re.split(r"(?<=\.) (?=[A-Z`])", text):
        current = {name for name in re.findall(r"``(\w+)(?::[^`]*)?``", sentence) if name in names} or current
        if not current:
            general.append(sentence)
        for name in current:
            told.setdefault(name, []).append(sentence.removeprefix(f"``{name}``: "))
    return " ".join(general), {name: " ".join(sentences) for name, sentences in told.items()}


def _in_backticks(text: str) -> str:
    """Docstrings have code in pairs of backticks; a table of Markdown takes single ones."""
    return re.sub(r"``([^`]+)``", r"`\1`", text)


def _help_of(verb: str) -> str:
    printed = io.StringIO()
    with _terminal(_HELP_WIDTH), redirect_stdout(printed), suppress(SystemExit):
        import_module(module_of(verb)).main(["--help"], f"sam-deblur {verb}")
    return printed.getvalue().rstrip()


@contextmanager
def _terminal(width: int) -> Iterator[None]:
    """Inside, argparse prints for a terminal of that many columns, without colors."""
    before = dict(os.environ)
    os.environ |= {"COLUMNS": str(width), "NO_COLOR": "1"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before
