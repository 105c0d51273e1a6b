"""Whether it works: small tasks that take seconds, one line each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from basicsr.diagnosis.finding import Finding
from basicsr.losses import PSNRLoss
from basicsr.metrics.psnr_ssim import calculate_psnr
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.storage import LmdbStorage, write_lmdb
from basicsr.synthesis import blur_image, linear_motion
from basicsr.utils.image import Array, decode_rgb, encode_png, read_rgb, write_png
from basicsr.utils.registry import ARCHS
from basicsr.utils.shipped import shipped_weights

_SIZE = (96, 128)
_BUNDLED = "SegNAFNet"


def self_test() -> Iterator[Finding]:
    """Restore a picture and train a network on each device; write and read a PNG and an LMDB."""
    for device in ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]:
        hint = (
            "install PyTorch for this CPU" if device == "cpu"
            else "install PyTorch for this GPU and its driver, or run with --device cpu (training: num_gpu=0)"
        )  # fmt: skip
        yield _tried(f"restore, {device}", partial(restores, device), hint)
        yield _tried(f"train, {device}", partial(trains, device), hint)
    with TemporaryDirectory(prefix="sam-deblur-") as folder:
        hint = "set TMPDIR to a folder on a local disk with free space"
        yield _tried(
            "PNG", partial(keeps_png, Path(folder)), f"pip install opencv-python-headless, or {hint}"
        )
        yield _tried("LMDB", partial(keeps_lmdb, Path(folder)), f"pip install lmdb, or {hint}")


def _tried(name: str, test: Callable[[], str], hint: str) -> Finding:
    """The result of a test, which raises any exception if something is wrong."""
    try:
        return Finding(name, f"ok{test()}")
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return Finding(name, f"failed: {reason}", hint, fails=True)


def restores(device: str) -> str:
    """Restore a blurred picture with bundled weights; the result has to be closer to the sharp one."""
    sharp = picture()
    blurred = np.round(blur_image(sharp / 255.0, linear_motion(8.0, 0.5)) * 255).astype(np.uint8)
    restorer = Restorer.from_checkpoint(
        shipped_weights()[_BUNDLED], RestoreOptions(device=device, guard="off")
    )
    before, after = (calculate_psnr(image, sharp) for image in (blurred, restorer.restore(blurred)))
    if not after > before:
        raise RuntimeError(f"the restored picture has {after:.1f} dB, the blurred one {before:.1f} dB")
    return f", {before:.1f} dB blurred, {after:.1f} dB restored"


def trains(device: str) -> str:
    """One step of a tiny network; loss and weights have to be finite, and the weights changed."""
    net = ARCHS.build(
        "NAFNet", {"width": 4, "enc_blk_nums": [1], "middle_blk_num": 1, "dec_blk_nums": [1]}
    ).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    sharp = torch.from_numpy(picture()).permute(2, 0, 1)[None].to(device) / 255
    loss = PSNRLoss()(net(sharp * 0.5), sharp)
    loss.backward()
    optimizer.step()
    after = list(net.parameters())
    if not all(torch.isfinite(tensor).all() for tensor in (loss, *after)):
        raise RuntimeError("a training step gives numbers that are not finite")
    if all(torch.equal(*pair) for pair in zip(before, after, strict=True)):
        raise RuntimeError("a training step changes no weight")
    return ""


def keeps_png(folder: Path) -> str:
    """A PNG that is written and read again has the same pixels."""
    path = folder / "picture.png"
    write_png(path, picture())
    _require_same(read_rgb(path))
    return ""


def keeps_lmdb(folder: Path) -> str:
    """An LMDB that is written and read again has the same pixels."""
    path = folder / "pictures.lmdb"
    write_lmdb(path, [("picture", encode_png(picture()), (*_SIZE, 3))])
    _require_same(decode_rgb(LmdbStorage(path).read("picture"), "picture"))
    return ""


def _require_same(read: Array) -> None:
    if not np.array_equal(read, picture()):
        raise RuntimeError("the pixels read differ from those written")


def picture() -> Array:
    """A picture with edges in all directions, uint8 (96, 128, 3) RGB, always the same."""
    rows, columns = np.indices(_SIZE)
    stripes = np.sin(2 * math.pi * (rows + 2 * columns) / 48) > 0
    disc = np.hypot(rows - 48, columns - 64) < 30
    squares = (rows // 12 + columns // 12) % 2 == 0
    planes = (stripes, disc, squares ^ disc)
    return np.stack([60 + 140 * plane for plane in planes], axis=2).astype(np.uint8)
