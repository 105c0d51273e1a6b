"""Optional packages: imported where they are used, with the install command in the message."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from basicsr.utils.errors import UserError


def optional_import(module: str, purpose: str, install: str) -> ModuleType:
    """Import ``module`` or raise a one-line `UserError` that states what it is for and how to install it.

    Args:
        module: dotted module name.
        purpose: what the user asked for, e.g. ``"logger.wandb"``.
        install: what to type, e.g. ``"pip install wandb"``.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{purpose} needs the package '{module}' ({error}). Install it: {install}") from error


@dataclass(frozen=True)
class Extra:
    """Optional packages that belong together, as ``pyproject.toml`` lists them.

    Args:
        name: of the extra.
        purpose: what it is for.
        packages: names of the distributions.
    """

    name: str
    purpose: str
    packages: tuple[str, ...]

    @property
    def install(self) -> str:
        """The install command."""
        return f"pip install 'sam-deblur[{self.name}]'"

    def missing(self) -> list[str]:
        """Those of ``packages`` that are not installed."""
        return [name for name in self.packages if version_of(name) is None]


def version_of(package: str) -> str | None:
    """The version of an installed distribution; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


EXTRAS = (
    Extra("heic", "reads HEIC photos", ("pillow-heif",)),
    Extra("video", "reads and writes videos", ("av",)),
    Extra("export", "writes and runs ONNX files", ("onnx", "onnxruntime", "onnxscript")),
    Extra("sam", "finds masks with Segment Anything", ("segment-anything", "torchvision")),
    Extra(
        "transformers",
        "finds masks with the SAM models of transformers",
        ("pillow", "torchvision", "transformers"),
    ),
    Extra("zoo", "runs weights of other toolkits' networks", ("spandrel",)),
    Extra("app", "serves the page of sam-deblur app", ("gradio",)),
    Extra("wandb", "logs training to Weights & Biases", ("wandb",)),
    Extra("docs", "builds the documentation", ("mkdocs-material", "mkdocstrings", "ruff")),
    Extra("mutate", "measures how strong the tests are", ("cosmic-ray",)),
    Extra(
        "dev",
        "runs tests and linters",
        (
            "av", "build", "hypothesis", "jsonschema", "mypy", "onnxruntime", "onnxscript", "pillow-heif",
            "playwright", "pre-commit", "pytest", "pytest-timeout", "pytest-xdist", "ruff", "spandrel",
            "transformers", "types-PyYAML", "types-tqdm",
        ),
    ),
)  # fmt: skip
"""Those of users first, those of developers last."""
