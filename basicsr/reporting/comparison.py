"""Several runs in one page: their reports joined image by image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote_to_bytes

from basicsr.reporting.model import Document
from basicsr.reporting.page import link, read_page, write_page
from basicsr.utils.errors import UserError

REPORT = "report.html"


def compare(results: Sequence[Path], output: Path) -> list[str]:
    """Write the comparison of the ``report.html`` of several folders (or of such files) to ``output``.

    Returns:
        What the reader has to know: images that only some runs have, other inputs. The page shows it as well.

    Raises:
        UserError: fewer than two, one is not the report of a single run, they have no image in common, or
            ``output`` is one of them.
    """
    if len(results) < 2:
        raise UserError(f"a comparison needs at least two results, found {len(results)}; name more folders")
    paths = [path / REPORT if path.is_dir() else path for path in results]
    if output.resolve() in [path.resolve() for path in paths]:
        raise UserError(f"{output}: would replace a report that is compared; choose another name")
    documents = []
    for path in paths:
        document = read_page(path)
        if len(document["runs"]) != 1:
            raise UserError(f"{path}: a comparison itself; name the results that it was made from")
        documents.append(_with_links_from(document, path.parent, output.parent))
    joined = join(documents, _names(documents, paths))
    if not joined["sets"]:
        raise UserError(f"{paths[0]} and {paths[1]}: no image in common; compare runs on the same data set")
    write_page(output, joined)
    notes: list[str] = joined["notes"]
    return notes


def join(documents: Sequence[Document], names: Sequence[str]) -> Document:
    """Documents of one run each -> one document with a result per run for every image that all runs have.

    Input, ground truth and label map of an image are those of the first run.

    Args:
        names: of the runs.
    """
    first = documents[0]
    gain = first["gain"] if all(document["gain"] == first["gain"] for document in documents) else None
    notes: list[str] = []
    sets = []
    for item in first["sets"]:
        others = [_images(document, item["name"]) for document in documents]
        common = [image["key"] for image in item["images"] if all(image["key"] in other for other in others)]
        notes += _differences(item["name"], others, set(common), names)
        images = [_joined([other[key] for other in others]) for key in common]
        if images:
            summaries = [_summaries(document, item["name"], len(images)) for document in documents]
            sets.append({"name": item["name"], "summaries": summaries, "images": images})
    known = {item["name"] for item in first["sets"]}
    for document, name in zip(documents[1:], names[1:], strict=True):
        extra = [item["name"] for item in document["sets"] if item["name"] not in known]
        notes += [f"{name_of_set}: only in {name}, left out" for name_of_set in extra]
    return {
        "title": " against ".join(names) if len(names) == 2 else f"Comparison of {len(names)} runs",
        "gain": gain,
        "notes": notes,
        "metrics": {name: facts for document in documents for name, facts in document["metrics"].items()},
        "runs": [
            {"name": name, "facts": document["runs"][0]["facts"]}
            for name, document in zip(names, documents, strict=True)
        ],
        "sets": sets,
    }


def _images(document: Document, name: str) -> dict[str, Document]:
    found = [item["images"] for item in document["sets"] if item["name"] == name]
    return {image["key"]: image for images in found for image in images}


def _summaries(document: Document, name: str, count: int) -> Document:
    """A run's summaries of the set, where the comparison has all ``count`` images of it."""
    (found,) = [item for item in document["sets"] if item["name"] == name]
    whole: Document = found["summaries"][0] if len(found["images"]) == count else {}
    return whole


def _joined(images: Sequence[Document]) -> Document:
    return images[0] | {"results": [image["results"][0] for image in images]}


def _differences(
    name: str, runs: Sequence[dict[str, Document]], common: set[str], names: Sequence[str]
) -> list[str]:
    """What does not fit together in the data set ``name``, one sentence each."""
    notes = []
    for run, images in zip(names, runs, strict=True):
        left_out = len(images) - len(common)
        if left_out:
            notes.append(f"{name}: {left_out} of {len(images)} images of {run} are not in all runs, left out")
    for run, images in list(zip(names, runs, strict=True))[1:]:
        other = [key for key in common if _input_differs(runs[0][key], images[key])]
        if other:
            what = f"{len(other)} images have a different input than in {names[0]}, e.g. {min(other)}"
            notes.append(f"{name}: {what}; their differences are not those of the networks ({run})")
    return notes


def _input_differs(a: Document, b: Document) -> bool:
    shared = a["input"].keys() & b["input"].keys()
    return a["size"] != b["size"] or any(a["input"][name] != b["input"][name] for name in shared)


def _names(documents: Sequence[Document], paths: Sequence[Path]) -> list[str]:
    """Names of the runs; those of their folders where two have one."""
    names = [document["runs"][0]["name"] for document in documents]
    if len(set(names)) == len(names):
        return names
    folders = [str(path.parent) for path in paths]
    return [f"{folder} ({i})" if folders.count(folder) > 1 else folder for i, folder in enumerate(folders, 1)]


def _with_links_from(document: Document, here: Path, there: Path) -> Document:
    """The links of a report in the folder ``here``, for a page in the folder ``there``."""

    def moved(old: str) -> str:
        return link(here / os.fsdecode(unquote_to_bytes(old)), there)

    for item in document["sets"]:
        for image in item["images"]:
            image["full"] = {role: moved(old) for role, old in image["full"].items()}
            for result in image["results"]:
                result["full"] = moved(result["full"]) if result["full"] is not None else None
    return document
