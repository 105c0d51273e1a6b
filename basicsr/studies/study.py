"""The rows that a study compares, from a YAML file that is checked like option files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from basicsr.archs.base import network_class
from basicsr.config.load import read_options
from basicsr.config.schema import Options, Whole
from basicsr.utils.convert import AnyPath, Count, Mistakes, Name, WeightFile, convert
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import ARCHS


@dataclass(frozen=True)
class KeyValues:
    """Marks ``key=value`` overrides.

    Args:
        own: keys that the study sets itself.
    """

    own: tuple[str, ...]

    def check(self, overrides: list[str], where: str, mistakes: Mistakes) -> None:
        for override in overrides:
            key = override.partition("=")[0]
            if key in self.own:
                mistakes.add(where, f"{key} is set by this command; leave it out", override)


OF_TRAINING = KeyValues(("name", "manual_seed"))
OF_TEST = KeyValues(("name", "path.pretrain_network_g", "network_g.weights"))
TrainingSet = Annotated[list[str], OF_TRAINING]
TestSet = Annotated[list[str], OF_TEST]
TestFiles = AnyPath | list[AnyPath]
BudgetPart = Literal["iterations", "crops", "side"]


class Row(Options, frozen=True, kw_only=True):
    """One line of the table.

    ``label`` is its name in the table; null is its key. ``train`` and ``test`` are its option files; null
    uses those of the study. ``set`` and ``test_set`` are ``key=value`` overrides of training and test,
    applied after those of the study. ``network`` replaces ``network_g`` in both. ``weights``: a file, or the
    name of a network whose weights are bundled; the row is not trained but tested once with these, as the
    network that they describe. A row whose ``network`` has no weights is tested once as well.
    """

    label: str | None = None
    train: AnyPath | None = None
    network: dict[str, Any] | None = None
    weights: WeightFile | None = None
    test: TestFiles | None = None
    set: TrainingSet = []
    test_set: TestSet = []

    @property
    def is_fixed(self) -> bool:
        """Whether its network has no weights."""
        kind = (self.network or {}).get("type")
        return kind in ARCHS.names() and network_class(kind).is_fixed

    @property
    def is_trained(self) -> bool:
        """Whether it has to be trained before it is tested."""
        return self.weights is None and not self.is_fixed


class Study(Options, frozen=True, kw_only=True):
    """A whole study file.

    ``group`` is the prefix of the names of the runs, ``<group>-<row>-seed<seed>``; the tables go to
    ``results/<group>-<name>``. ``train`` and ``test`` are option files of every row that does not name its
    own, relative to the study file; ``{group}`` and ``{row}`` in them are replaced by group and row. ``test``
    may be a list of files: the table has the data sets of all of them. ``set`` and ``test_set`` are
    ``key=value`` overrides of every training and every test. ``minutes``: how long each row is trained,
    instead of the iterations of its option file. ``same``: parts of the budget in which all rows have to
    agree; ``side`` is that of the training crops, and ``iterations`` has no effect with ``minutes``.
    ``metrics``: which of ``val.metrics`` the table shows. ``reference``: ``input`` adds the values of the
    degraded images themselves as first row, null omits them. ``cost``: height and width of the image on which
    multiply-adds and seconds of each row are measured; null omits the cost.
    """

    name: Name
    group: Name
    rows: dict[str, Row]
    train: AnyPath | None = None
    test: TestFiles | None = None
    seeds: tuple[Whole, ...] = (0, 1, 2)
    set: TrainingSet = []
    test_set: TestSet = []
    minutes: Annotated[float, Meta(gt=0)] | None = None
    same: tuple[BudgetPart, ...] = ("iterations", "crops", "side")
    metrics: tuple[str, ...] = ("psnr", "ssim", "mcr")
    reference: Literal["input"] | None = "input"
    cost: tuple[Count, Count] | None = (256, 256)

    @property
    def labels(self) -> dict[str, str]:
        """Row -> its name in the table."""
        return {name: row.label or name for name, row in self.rows.items()}

    def test_files(self, row: Row) -> list[str]:
        """The option files that a row is tested with."""
        files = row.test or self.test or []
        return [files] if isinstance(files, str) else files


def load_study(path: Path) -> Study:
    """Read a study file; like an option file, it may have a ``base:``.

    Raises:
        OptionError: lists all mistakes at once.
    """
    mistakes = Mistakes()
    study = convert(read_options(path), Study, "", mistakes)
    if isinstance(study, Study):
        _check(study, mistakes)
    if mistakes.lines:
        raise OptionError(str(path), mistakes.lines)
    assert isinstance(study, Study)
    return study


def _check(study: Study, mistakes: Mistakes) -> None:
    """Mistakes in the combination of several keys."""
    for key, values in (("rows", study.rows), ("seeds", study.seeds), ("metrics", study.metrics)):
        if not values:
            hint = "; a row without options is `NAME: {}`" if key == "rows" else ""
            mistakes.add(key, f"expected at least one{hint}")
        if len(set(values)) < len(values):
            mistakes.add(key, "one is given twice", list(values))
    labels = list(study.labels.values())
    for name, row in study.rows.items():
        if labels.count(study.labels[name]) > 1:
            mistakes.add(f"rows.{name}.label", "two rows have this label", study.labels[name])
        if row.weights is not None:
            for key, given in (("train", row.train), ("network", row.network), ("set", row.set)):
                if given:
                    mistakes.add(f"rows.{name}.{key}", "cannot be combined with weights; keep one of them")
        elif row.is_fixed:
            for key, given in (("train", row.train), ("set", row.set)):
                if given:
                    assert row.network is not None
                    what = f"{row.network['type']} has no weights to train; leave it out"
                    mistakes.add(f"rows.{name}.{key}", what)
        elif row.train is None and study.train is None:
            mistakes.add(f"rows.{name}.train", "required, as the study has no `train` (or weights)")
        if not study.test_files(row):
            mistakes.add(f"rows.{name}.test", "required, as the study has no `test`")
