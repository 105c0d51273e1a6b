"""An option file for a folder of the user's own pairs."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from PIL import Image

from basicsr.archs.base import RestorationNetwork, build_network, pooled
from basicsr.config.load import load_config, read_options
from basicsr.config.option_files import shipped_option_files
from basicsr.config.schema import Config, TrainOptions
from basicsr.config.stretch import stretched
from basicsr.data.pairing import require_same
from basicsr.storage import DiskStorage
from basicsr.storage.meta_info import listed_name
from basicsr.utils.convert import Mistakes
from basicsr.utils.display import shown
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.image import READABLE, read_rgb

Phase = Literal["train", "val"]
Block = dict[str, Any]

OWN = "Mine"
"""The folder of option files that begin with trained weights; the last part of their names is enough."""
_WITHOUT_MASKS, _WITH_MASKS = "NAFNet", "SegNAFNet"
_LABELS, _GRAY = "grouped_masks", "input_mask"
# The folder of masks that each kind of data set reads.
_MASKS = {"PairedImageDataset": "", "PairedImageMaskDataset": _GRAY, "PairedImageGroupMaskDataset": _LABELS}
_KEPT_FROM_TRAINING = 10  # one pair of so many is for validation
_MOST_KEPT = 100
# How often training sees a pair where it begins with trained weights, and with new ones.
_VISITS_TUNING, _VISITS_NEW = 100, 1000
_LEAST_STEPS, _MOST_STEPS_TUNING = 1000, 20_000
_VALIDATIONS = 10


@dataclass(frozen=True)
class OwnOptions:
    """What was written.

    Args:
        file: the option file.
        lists: the lists of pairs that it names.
        network: that it trains.
        trained, validated: numbers of pairs.
    """

    file: Path
    lists: tuple[Path, ...]
    network: str
    trained: int
    validated: int


@dataclass(frozen=True)
class _Pairs:
    """Pairs of ``folder/target`` and ``folder/input``.

    Args:
        targets: the sharp photos.
        keys: of the pairs that count.
        is_part: whether there are others, so that a list has to say which ones count.
    """

    folder: Path
    targets: DiskStorage
    keys: Sequence[str]
    is_part: bool = False


def write_own_options(data: Path, start: str | None = None, output: Path | None = None) -> OwnOptions:
    """Write an option file that trains on a folder of pairs, and beside it the lists that it needs.

    Args:
        data: with ``target`` and ``input``; or with ``train``, which has them, and maybe ``val`` or ``test``.
            Without one of these, the last tenth of the pairs in the order of their names is for validation,
            at most 100.
        start: a bundled option file for training, by name; see `OWN`. None is
            ``SegNAFNet`` where there are label maps, else ``NAFNet``.
        output: the option file; None is ``<data>-<network>.yml`` in the current folder.

    Raises:
        OptionError: ``start`` is no such name, or does not train on pairs, or what it begins with is missing.
        UserError: no pairs, or files that do not pair, or no masks for a network that takes them, or a file
            that is there already.
    """
    phases = _find_pairs(data)
    if start is None:
        has_labels = all((pairs.folder / _LABELS).is_dir() for pairs in phases.values())
        start = _WITH_MASKS if has_labels else _WITHOUT_MASKS
    base = _find_base(start)
    own_name = "-".join(filter(None, [data.resolve().name.lstrip("."), base.rpartition("/")[2]]))
    file = output or Path(f"{own_name}.yml")
    lists = {phase: file.with_suffix(f".{phase}.txt") for phase, pairs in phases.items() if pairs.is_part}
    for path in (file, *lists.values()):
        if path.exists():
            raise UserError(f"{path}: exists already; choose another name with --output")
    texts = {path: _list_of(phases[phase]) for phase, path in lists.items()}

    options: Block = {"num_gpu": "auto", "datasets": _datasets(base, start, phases, file.stem)}
    config = load_config(shipped_option_files("train")[base], [*_overrides(options)])
    notes = {f"datasets.{phase}": _counted(pairs) for phase, pairs in phases.items()}
    options["datasets"]["train"] |= _crops(config, phases["train"], notes)
    options |= _schedule(config, options["datasets"]["train"], len(phases["train"].keys), notes)
    for phase, path in lists.items():
        options["datasets"][phase]["meta_info_file"] = str(path)
        notes[f"datasets.{phase}.meta_info_file"] = "the pairs that count, by name"
    head = [
        f"Trains on the pairs in {data}: sam-deblur train {file}",
        "Paths are relative to the folder in which that is typed. What is not said here is as in the base",
        "file; docs/options.md explains the keys.",
    ]
    yaml_lines = _yaml({"base": f"options/train/{base}.yml", "name": file.stem, **options}, notes)
    texts[file] = "\n".join([*(f"# {shown(line)}" for line in head), *yaml_lines, ""])
    for path, text in texts.items():
        write_bytes(path, text.encode())
    numbers = (len(phases[phase].keys) for phase in ("train", "val"))
    return OwnOptions(file, tuple(lists.values()), config.network_g.type, *numbers)


def _find_pairs(data: Path) -> dict[str, _Pairs]:
    """The pairs for training (``train``) and validation (``val``)."""
    if not data.is_dir():
        raise UserError(f"{data}: no such folder; check the path")
    train = _pairs_in(data / "train") or _pairs_in(data)
    if train is None:
        what = "no pairs in it; it needs target and input, or train/target and train/input, of the same names"
        raise UserError(f"{data}: {what}")
    val = _pairs_in(data / "val") or _pairs_in(data / "test")
    if val is not None:
        return {"train": train, "val": val}
    if len(train.keys) < 2:
        raise UserError(f"{train.folder}: one pair alone; add another one for validation")
    kept = min(max(1, len(train.keys) // _KEPT_FROM_TRAINING), _MOST_KEPT)
    # Neighbours in the order of names often show the same scene, so those for validation are not spread.
    parts = {"train": train.keys[:-kept], "val": train.keys[-kept:]}
    return {phase: replace(train, keys=keys, is_part=True) for phase, keys in parts.items()}


def _pairs_in(folder: Path) -> _Pairs | None:
    target, blurred = folder / "target", folder / "input"
    if not target.is_dir() or not blurred.is_dir():
        return None
    targets = DiskStorage(target, READABLE)
    require_same(targets.keys(), DiskStorage(blurred, READABLE).keys(), str(target), str(blurred))
    return _Pairs(folder, targets, targets.keys())


def _counted(pairs: _Pairs) -> str:
    return f"{len(pairs.keys)} {'pair' if len(pairs.keys) == 1 else 'pairs'}"


def _find_base(start: str) -> str:
    known = shipped_option_files("train")
    found = next((name for name in (start, f"{OWN}/{start}") if name in known), None)
    if found is None:
        mistakes = Mistakes()
        names = [name.removeprefix(f"{OWN}/") for name in known]
        mistakes.unknown("--from", f"no option file for training has the name {start!r}", start, names)
        raise OptionError("--from", mistakes.lines)
    return found


def _datasets(base: str, start: str, phases: Mapping[str, _Pairs], name: str) -> Block:
    """The block ``datasets`` with the pairs in place of those of the base file."""
    inherited = read_options(shipped_option_files("train")[base])["datasets"]
    blocks: Block = {}
    for phase, pairs in phases.items():
        old = inherited.get(phase, {})
        kind = old.get("type", inherited["train"]["type"])
        if kind not in _MASKS:
            what = f"{start} trains on a {kind}, not on pairs; take another option file"
            raise OptionError("--from", [f"--from: {what}"])
        block = {
            "name": f"{name}-{phase}",
            "type": kind,
            "dataroot_gt": str(pairs.folder / "target"),
            "dataroot_lq": str(pairs.folder / "input"),
        }
        if masks := _MASKS[kind]:
            block["dataroot_mask"] = str(_checked_masks(pairs, masks, start))
        others = ("dataroot_mask", "meta_info_file", "io_backend", "filename_tmpl")
        blocks[phase] = block | {key: None for key in others if key in old and key not in block}
    return blocks | {phase: None for phase in inherited if phase not in phases}


def _checked_masks(pairs: _Pairs, name: str, start: str) -> Path:
    folder = pairs.folder / name
    if not folder.is_dir():
        gray = " --gray" if name == _GRAY else ""
        hint = f"'sam-deblur masks {pairs.folder / 'input'} {folder}{gray}' makes them"
        raise UserError(f"{folder}: no masks, which {start} takes; {hint}, or take --from {_WITHOUT_MASKS}")
    found = DiskStorage(folder, (*READABLE, ".npz"))
    require_same(pairs.targets.keys(), found.keys(), str(pairs.targets.folder), str(folder))
    return folder


def _crops(config: Config, pairs: _Pairs, notes: dict[str, str]) -> Block:
    """Crops and batch of the recipe, no larger than the photos and not more than there are."""
    recipe = config.datasets["train"]
    width, height = min((_size(Path(pairs.targets.describe(key))) for key in pairs.keys), key=min)
    notes["datasets.train"] += f"; the smallest photo has {width}x{height} pixels"
    network = {"type": config.network_g.type, **config.network_g.options}
    net = build_network(pooled(network, False) or network, "network_g")  # global pooling is built sooner
    assert isinstance(net, RestorationNetwork)
    multiple = net.size_rule.multiple_of

    def fitting(side: int) -> int:
        side = min(side, width, height)
        return side - side % multiple or side

    block: Block = {}
    if recipe.options.get("transforms") is not None:
        block["transforms"] = [
            one | {"size": fitting(one["size"])} if one["type"] == "RandomCrop" else one
            for one in recipe.options["transforms"]
        ]
    elif recipe.options.get("gt_size") is not None:
        block["gt_size"] = side = fitting(recipe.options["gt_size"])
        rule = f", a multiple of {multiple}" if multiple > 1 and side % multiple == 0 else ""
        notes["datasets.train.gt_size"] = f"side of the crops in pixels{rule}"
    key = "batch_size_per_gpu" if recipe.batch_size_total is None else "batch_size_total"
    block[key] = min(getattr(recipe, key) or 1, len(pairs.keys))
    notes[f"datasets.train.{key}"] = "crops a step; fewer take less memory"
    return block


def _size(photo: Path) -> tuple[int, int]:
    """Width and height, by the header alone where Pillow knows the type."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # a large photo is no attack
            with Image.open(photo) as picture:
                return picture.size
    except Exception:  # Pillow's readers raise errors of any kind
        height, width = read_rgb(photo).shape[:2]
        return width, height


def _schedule(config: Config, train: Block, pairs: int, notes: dict[str, str]) -> Block:
    """Length of the training by the number of pairs, and how often it is looked at."""
    recipe = config.train
    assert recipe is not None
    batch = train.get("batch_size_total") or train["batch_size_per_gpu"] * recipe.accumulate
    if config.path.pretrain_network_g is not None:
        visits, most = _VISITS_TUNING, _MOST_STEPS_TUNING
    else:
        visits, most = _VISITS_NEW, recipe.total_iter
    steps = min(max(math.ceil(visits * pairs / batch), _LEAST_STEPS), most)
    every = math.ceil(steps / _VALIDATIONS)
    seen = f"each pair is seen about {max(1, round(steps * batch / pairs)):,} times"
    notes["train.total_iter"] = f"{seen}; a shorter training: --set train.total_iter=N"
    logger: Block = {"print_freq": min(100, every), "save_checkpoint_freq": every}
    if "psnr" in config.val.judged_by:
        logger["keep_best"] = "psnr"
        notes["logger.keep_best"] = "the best weights so far are models/net_g_best.pth of the experiment"
    return {"train": _changed(recipe, steps), "val": {"val_freq": every}, "logger": logger}


def _changed(recipe: TrainOptions, steps: int) -> Block:
    """What of the block ``train`` is other where the recipe lasts so many steps."""
    before = stretched(recipe, recipe.total_iter)
    block: Block = {"total_iter": steps}
    for override in stretched(recipe, steps):
        if override not in before:
            key, _, text = override.removeprefix("train.").partition("=")
            *outer, last = key.split(".")
            place = block
            for name in outer:
                place = place.setdefault(name, {})
            place[last] = json.loads(text)
    return block


def _overrides(block: Block, where: str = "") -> Iterator[str]:
    """The values of a block as ``load_config`` takes them."""
    for key, value in block.items():
        if isinstance(value, dict):
            yield from _overrides(value, f"{where}{key}.")
        else:
            yield f"{where}{key}={json.dumps(value)}"


def _yaml(block: Block, notes: Mapping[str, str], where: str = "", indent: str = "") -> Iterator[str]:
    """Lines of a block; ``notes`` are comments by dotted key."""
    for key, value in block.items():
        note = f" # {notes[where + key]}" if where + key in notes else ""
        if isinstance(value, dict):
            yield f"{indent}{key}:{note}"
            yield from _yaml(value, notes, f"{where}{key}.", f"{indent}  ")
        else:
            text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf)
            yield f"{indent}{key}: {text.removesuffix(chr(10)).removesuffix(f'{chr(10)}...')}{note}"


def _list_of(pairs: _Pairs) -> str:
    """The text of a ``meta_info`` file."""
    lines = []
    for key in pairs.keys:
        path = Path(pairs.targets.describe(key))
        line = listed_name(f"{key}{path.suffix}")
        if line is None:
            raise UserError(f"{path}: a list cannot hold this name; rename the pair")
        lines.append(f"{line}\n")
    return "".join(lines)
