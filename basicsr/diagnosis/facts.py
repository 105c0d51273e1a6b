"""What is there: versions, devices, extras, weights and folders."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import basicsr
from basicsr.config.paths import EXPERIMENTS, RESULTS
from basicsr.diagnosis.finding import Finding
from basicsr.utils.cores import usable_cores
from basicsr.utils.extras import EXTRAS
from basicsr.utils.fetchable import FETCHABLE
from basicsr.utils.neighbors import neighbors
from basicsr.utils.shipped import shipped_weights
from basicsr.utils.user_cache import user_cache

_GIB = 1 << 30
_CPU = Path("/proc/cpuinfo")
# as Linux names them on x86 and on ARM
_BF16 = ("amx_bf16", "avx512_bf16", "bf16")
_BUNDLED = {"MAXIM-1S", "NAFNet", "SegNAFNet"}


def versions() -> Iterator[Finding]:
    """Of the package, its commit in a checkout, and what computes."""
    root = Path(basicsr.__file__).resolve().parents[1]
    yield Finding("sam-deblur", f"{basicsr.__version__}, in {root}")
    for other in neighbors():
        hint = "give sam-deblur its own virtual environment"
        yield Finding("", f"{other} has an import package basicsr as well", hint)
    yield Finding("Python", platform.python_version())
    modules = {"torch": "torch", "torchvision": "torchvision", "OpenCV": "cv2", "numpy": "numpy"}
    package = {"OpenCV": "opencv-python-headless"}
    for name, module in modules.items():
        try:
            yield Finding(name, str(import_module(module).__version__))
        except Exception as error:  # a damaged package can raise anything
            hint = f"pip install --force-reinstall {package.get(name, module)}"
            yield Finding(name, f"cannot be imported: {error}", hint, fails=True)
    yield from _commit(root)


def _commit(root: Path) -> Iterator[Finding]:
    try:
        from basicsr.engine.record import code
    except Exception:  # reported by the lines before
        return
    found = code(root)
    if found["commit"] is not None:
        changed = ", files differ from it" if found["is_dirty"] else ""
        yield Finding("git commit", f"{found['commit'][:12]}{changed}")


def devices() -> Iterator[Finding]:
    """CPU, memory and GPUs. Expects that PyTorch can be imported."""
    import torch

    from basicsr.utils.memory import free_memory

    name, flags = _cpu()
    yield Finding("CPU", f"{name}, {usable_cores()} usable cores")
    bf16 = [flag for flag in _BF16 if flag in flags]
    yield Finding("bf16 instructions", ", ".join(bf16) or "none: train.amp=bf16 saves no time here")
    free, total = free_memory(torch.device("cpu")), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Finding("memory", f"{free / _GIB:.1f} GiB free of {total / _GIB:.1f} GiB")
    if not torch.cuda.is_available():
        built = (
            f"PyTorch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "PyTorch has no CUDA"
        )
        yield Finding("CUDA", f"no device ({built}): networks run on the CPU")
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        found = torch.cuda.get_device_properties(index)
        size, version = found.total_memory / _GIB, f"{found.major}.{found.minor}"
        yield Finding(
            f"cuda:{index}", f"{found.name}, {size:.1f} GiB, capability {version}, CUDA {torch.version.cuda}"
        )


def _cpu() -> tuple[str, set[str]]:
    """Its name and the flags that Linux lists; elsewhere the name alone."""
    try:
        lines = _CPU.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    values: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        values.setdefault(key.strip(), value.strip())
    name = values.get("model name") or platform.processor() or platform.machine()
    return name, set((values.get("flags") or values.get("Features") or "").split())


def extras() -> Iterator[Finding]:
    """Optional packages, and how to install those that are missing."""
    for extra in EXTRAS:
        missing = extra.missing()
        if missing:
            yield Finding(extra.name, f"{extra.purpose}: no {', '.join(missing)}", extra.install)
        else:
            yield Finding(extra.name, f"{extra.purpose}: installed")


def weights() -> Iterator[Finding]:
    """Weights with short names, bundled and fetched."""
    there = shipped_weights()
    for name in sorted(_BUNDLED | there.keys()):
        if name in there:
            yield Finding(name, f"bundled, {there[name].stat().st_size / 1e6:.1f} MB")
        else:
            hint = "pip install --force-reinstall sam-deblur"
            yield Finding(name, "bundled, but the file is missing", hint, fails=True)
    for name, one in FETCHABLE.items():
        if one.path.is_file():
            yield Finding(name, f"fetched, {one.path.stat().st_size / 1e6:.1f} MB: {one.what}")
        else:
            yield Finding(name, f"not fetched: {one.what}", f"sam-deblur weights get {name}")


def folders() -> Iterator[Finding]:
    """Where files go, and the free space there."""
    places = {
        "masks (cache)": user_cache("masks"),
        "compiled steps (cache)": user_cache("compiled"),
        "checks of --amp auto (cache)": user_cache("precision"),
        "fetched weights": user_cache("weights"),
        "training runs": EXPERIMENTS.absolute(),
        "test results": RESULTS.absolute(),
    }
    for name, place in places.items():
        there = next(path for path in (place, *place.parents) if path.exists())
        free = f"{shutil.disk_usage(there).free / _GIB:.1f} GiB free"
        if os.access(there, os.W_OK):
            yield Finding(name, f"{place}, {free}")
        else:
            cache = place.is_relative_to(user_cache(""))
            hint = "set XDG_CACHE_HOME to a folder" if cache else "run in a folder"
            yield Finding(name, f"{place}, not writable", f"{hint} that you may write")
