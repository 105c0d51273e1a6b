"""What `peers` times: NAFNet and steps of its training, in several programs.

A contestant gets a folder with ``net.pth`` (weights of NAFNet, see `SHAPE`), ``net.onnx`` (the same network,
exported) and ``image.npy`` (1, 3, 512, 512), and returns the work to time. What it computes is compared with
``result.npy`` first.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from processes import serve
from torch import Tensor, nn

from basicsr.archs.nafnet import NAFNet
from basicsr.engine.optimizers import AdamW
from basicsr.engine.trainer import StepSettings, Trainer
from basicsr.losses import PSNRLoss
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.utils.allocator import keep_freed_memory
from basicsr.utils.compiled_code import keep_compiled_code

Work = Callable[[], NDArray[Any] | None]

SHAPE: dict[str, Any] = {
    "width": 32, "enc_blk_nums": [1, 1, 1, 28], "middle_blk_num": 1, "dec_blk_nums": [1, 1, 1, 1],
}  # fmt: skip
_BATCH, _CROP = 2, 128
_MATRIX = 2048


def _image(folder: Path) -> Tensor:
    return torch.from_numpy(np.load(folder / "image.npy"))


def _ours(folder: Path) -> NAFNet:
    net = NAFNet(**SHAPE)
    net.load_state_dict(torch.load(folder / "net.pth", weights_only=True))
    return net


def _spandrel(folder: Path) -> nn.Module:
    from spandrel.architectures.NAFNet import NAFNet as Published

    net: nn.Module = Published(**SHAPE)
    net.load_state_dict(torch.load(folder / "net.pth", weights_only=True))
    return net


def _inferred(net: nn.Module, image: Tensor, autocast: bool = False) -> Work:
    net.eval().requires_grad_(False)

    def work() -> NDArray[Any]:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            result: Tensor = net(image)
        return result.float().numpy()

    return work


def ceiling(folder: Path) -> Work:
    """A float32 product of matrices of 2048 x 2048, 17.2 GFLOP."""
    left, right = torch.rand(2, _MATRIX, _MATRIX)

    def work() -> None:
        torch.mm(left, right)

    return work


def ours(folder: Path) -> Work:
    """NAFNet as ``sam-deblur restore --amp off`` runs it."""
    keep_freed_memory()
    return _inferred(_ours(folder), _image(folder))


def ours_bf16(folder: Path) -> Work:
    """NAFNet as ``sam-deblur restore --amp bf16`` runs it."""
    keep_freed_memory()
    return _inferred(copy.deepcopy(_ours(folder)).bfloat16(), _image(folder), autocast=True)


def ours_compiled(folder: Path) -> Work:
    """NAFNet under torch.compile."""
    keep_freed_memory()
    net = _ours(folder)
    net.compile()
    return _inferred(net, _image(folder))


def ours_compiled_bf16(folder: Path) -> Work:
    """NAFNet under torch.compile, weights in bfloat16."""
    keep_freed_memory()
    net = _ours(folder).bfloat16()
    net.compile()
    return _inferred(net, _image(folder), autocast=True)


def spandrel(folder: Path) -> Work:
    """The published code, in the package spandrel."""
    return _inferred(_spandrel(folder), _image(folder))


def spandrel_bf16(folder: Path) -> Work:
    """The published code under autocast."""
    return _inferred(_spandrel(folder), _image(folder), autocast=True)


def onnxruntime(folder: Path) -> Work:
    """The exported graph in onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "net.onnx"), providers=["CPUExecutionProvider"])
    image = _image(folder).numpy()
    return lambda: session.run(None, {"lq": image})[0]


def openvino(folder: Path, precision: str = "f32") -> Work:
    """The exported graph in OpenVINO."""
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    model = openvino.Core().compile_model(str(folder / "net.onnx"), "CPU", hints)
    image = _image(folder).numpy()
    return lambda: model(image)[0]


def openvino_bf16(folder: Path) -> Work:
    """The exported graph in OpenVINO, bfloat16."""
    return openvino(folder, "bf16")


def _crops() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    gt = torch.rand(_BATCH, 3, _CROP, _CROP, generator=generator)
    noise = torch.randn(gt.shape, generator=generator)
    return {"gt": gt, "lq": gt + 0.1 * noise, "key": ["a", "b"]}


def _our_step(folder: Path, compiled: bool = False, **settings: Any) -> Work:
    """As train.py does it by default, but for the clipping of gradients, which the plain loop has not."""
    keep_freed_memory()
    model = ImageRestorationModel({"g": _ours(folder)}, {"l_pix": PSNRLoss()})
    model.to(memory_format=torch.channels_last)
    if compiled:
        keep_compiled_code()
        model.compile()
    batch = _crops()

    def endless() -> Any:
        while True:
            yield batch

    optimizer = AdamW(model.networks.parameters(), lr=1e-5)
    trainer = Trainer(
        model, optimizer, lambda step, base: base, endless(),
        StepSettings(channels_last=True, **settings), torch.device("cpu"),
    )  # fmt: skip

    def work() -> None:
        trainer.run(trainer.iteration + 1)

    return work


def step_ours(folder: Path) -> Work:
    """A step of `Trainer`: 2 crops of 128."""
    return _our_step(folder)


def step_ours_bf16(folder: Path) -> Work:
    """The same with ``train.amp: bf16``."""
    return _our_step(folder, amp="bf16")


def step_ours_compiled_bf16(folder: Path) -> Work:
    """The same, compiled."""
    return _our_step(folder, compiled=True, amp="bf16")


def step_spandrel(folder: Path, autocast: bool = False) -> Work:
    """A plain loop over the published code: the same crops, loss and optimizer."""
    net, loss, batch = _spandrel(folder).train(), PSNRLoss(), _crops()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5)

    def work() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
            value = loss(net(batch["lq"]), batch["gt"])
        value.backward()
        optimizer.step()

    return work


CONTESTANTS: dict[str, Callable[[Path], Work]] = {
    entry.__name__: entry
    for entry in (
        ceiling, ours, ours_bf16, ours_compiled, ours_compiled_bf16, spandrel, spandrel_bf16, onnxruntime,
        openvino, openvino_bf16, step_ours, step_ours_bf16, step_ours_compiled_bf16, step_spandrel,
    )
}  # fmt: skip


def main(name: str, folder: Path) -> None:
    """Call it once, compare the result with ``result.npy``, then `serve`."""
    work = CONTESTANTS[name](folder)
    began = time.perf_counter()
    result = work()
    first = time.perf_counter() - began
    difference = 0.0 if result is None else float(np.abs(result - np.load(folder / "result.npy")).max())
    serve(work, difference, first)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
