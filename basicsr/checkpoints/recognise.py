"""Networks known by their weights alone: the options of published files, read from names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from basicsr.checkpoints.unwrap import below

KNOWN = "NAFNet (also with a mask channel), SegNAFNet, Baseline, or WithMAP around one of them"


def recognise(state: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The ``network_g`` block of a network with these weights; None where they are of none of `KNOWN`.

    Width, blocks of each level and channels come from the shapes. What has no weights (local pooling, mask
    value, dropout) is left at its default.
    """
    wrapped, pooled = (_convolution(state, name) for name in ("map.pre_seg.weight", "pre_seg.weight"))
    if wrapped:
        inner = {name.removeprefix("net."): tensor for name, tensor in state.items()}
        net = _network(inner, wrapped[0])
        return net and {"type": "WithMAP", "net": net, "seg_channel": wrapped[0]}
    net = _network(state, pooled[0] if pooled else 0)
    if net is None or not pooled:
        return net
    if net["type"] != "NAFNet" or net.pop("mask"):
        return None  # no such network is known
    return net | {"type": "SegNAFNet", "seg_channel": pooled[0]}


def recognise_below(state: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """The ``network_g`` blocks of the networks in a file, by what stands before their names.

    ``{"": block}`` is usual; a file of another toolkit may give ``{"module.": block}``, or several.
    """
    anchor = "intro.weight"
    ends = [name.removesuffix(anchor) for name in state if f".{name}".endswith(f".{anchor}")]
    # A network may be wrapped in another known one (WithMAP), so what is further out is asked first.
    steps = [end.split(".")[:-1] for end in ends]
    for depth in range(max(map(len, steps), default=-1) + 1):
        prefixes = {"".join(f"{part}." for part in parts[:depth]) for parts in steps if len(parts) >= depth}
        blocks = {prefix: recognise(below(state, prefix)) for prefix in sorted(prefixes)}
        if found := {prefix: block for prefix, block in blocks.items() if block is not None}:
            return found
    return {}


def _network(state: Mapping[str, Tensor], pooled: int) -> dict[str, Any] | None:
    """NAFNet or Baseline that is fed ``pooled`` channels beside the image."""
    first, last = _convolution(state, "intro.weight"), _convolution(state, "ending.weight")
    if not first or not last:
        return None
    img_channel = last[0]
    extra_channel = first[1] - img_channel - pooled
    levels = range(_count(state, "downs"))
    block: dict[str, Any] = {
        "img_channel": img_channel,
        "width": first[0],
        "middle_blk_num": _count(state, "middle_blks"),
        "enc_blk_nums": [_count(state, f"encoders.{level}") for level in levels],
        "dec_blk_nums": [_count(state, f"decoders.{level}") for level in levels],
    }
    attention = next((name for name in state if name.endswith(".se.1.weight")), None)
    if attention is None:
        return {"type": "NAFNet", **block, "mask": extra_channel == 1} if extra_channel in (0, 1) else None
    stem = attention.removesuffix("se.1.weight")
    dw, ffn = _convolution(state, f"{stem}conv1.weight"), _convolution(state, f"{stem}conv4.weight")
    if extra_channel or not dw or not ffn:
        return None
    return {"type": "Baseline", **block, "dw_expand": dw[0] // dw[1], "ffn_expand": ffn[0] // ffn[1]}


def _convolution(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    """Shape of the weights of a convolution; empty where there is none of that name."""
    tensor = state.get(name)
    return tuple(tensor.shape) if tensor is not None and tensor.ndim == 4 and tensor.numel() else ()


def _count(state: Mapping[str, Tensor], parent: str) -> int:
    """Children of ``parent`` that have weights: ``parent.0.*``, ``parent.1.*``, .."""
    prefix = f"{parent}."
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})
