"""Networks in ONNX files, run by onnxruntime as if they were ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.utils.errors import UserError
from basicsr.utils.extras import optional_import

INSTALL = "pip install 'sam-deblur[export]'"

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
_IMAGE_INPUTS = {3: ("lq",), 4: ("lq", "mask")}
_RANK_OF_CLIPS = 5  # (1, T, C, H, W)
_NO_LOG = 4  # failures are raised as well
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc")


class OnnxNetwork(RestorationNetwork):
    """A network in an ``.onnx`` file: ours, or any other with such inputs.

    Its inputs are an image (1, C, H, W) in [0, 1], of 3 channels or 4 with a mask, and where it takes one a
    label map (1, H, W) of integers, in any order.

    Args:
        path: the file.
        providers: of onnxruntime; None takes CUDA where onnxruntime offers it, and the CPU.

    Raises:
        UserError: onnxruntime is not installed, the file cannot be run, or its inputs are unexpected.
    """

    def __init__(self, path: Path, providers: Sequence[str] | None = None) -> None:
        super().__init__()
        runtime: Any = optional_import("onnxruntime", f"running {path}", INSTALL)
        if not path.is_file():
            raise UserError(f"{path}: no such ONNX file")
        offered = runtime.get_available_providers()
        wanted = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in offered]
        options = runtime.SessionOptions()
        options.log_severity_level = _NO_LOG
        try:
            self.session = runtime.InferenceSession(str(path), options, providers=providers or wanted)
            self._metadata = dict(self.session.get_modelmeta().custom_metadata_map)
            for item in (*self.session.get_inputs(), *self.session.get_outputs()):
                _ = item.name, item.shape  # these raise where they are not text
        except Exception as error:
            raise UserError(f"{path}: onnxruntime cannot run it ({_first_line(error)})") from error
        self.path = path
        inputs = {len(item.shape): item for item in self.session.get_inputs()}
        self.takes_labels = 3 in inputs
        self._inputs = [inputs[rank] for rank in (4, 3) if rank in inputs]
        channels = self._inputs[0].shape[1] if 4 in inputs else None
        others = len(self._inputs) != len(self.session.get_inputs())
        if others or channels not in _IMAGE_INPUTS or any(item.type not in _DTYPES for item in self._inputs):
            found = ", ".join(f"{item.name} {item.shape}" for item in self.session.get_inputs())
            raise UserError(
                f"{path}: takes {found}; expected an image [1, 3 or 4, height, width], and at most a "
                "label map [1, height, width] beside it"
            )
        self.image_inputs = _IMAGE_INPUTS[channels]
        outputs = self.session.get_outputs()
        if not outputs:
            raise UserError(f"{path}: gives nothing; expected an image or a clip")
        self.gives = "clip" if len(outputs[0].shape) == _RANK_OF_CLIPS else "image"

    def metadata(self) -> dict[str, str]:
        """The metadata of the file; see `basicsr.restoration.onnx_export.export_onnx`."""
        return self._metadata

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Image (1, C, H, W), label map (1, H, W) -> (1, C, H, W) or (1, T, C, H, W), float32, on the device
        of ``x``.

        Raises:
            UserError: a size that the file does not take.
            MemoryError: too little memory.
        """
        given = [x] if labels is None else [x, labels]
        feed = {
            item.name: tensor.detach().cpu().numpy().astype(_DTYPES[item.type], copy=False)
            for item, tensor in zip(self._inputs, given, strict=True)
        }
        try:
            (restored,) = self.session.run([self.session.get_outputs()[0].name], feed)
        except Exception as error:
            if any(words in str(error) for words in _OUT_OF_MEMORY):
                raise MemoryError(_first_line(error)) from error
            shapes = ", ".join(f"{item.name} {item.shape}" for item in self._inputs)
            raise UserError(
                f"{self.path}: takes {shapes}, failed on {tuple(x.shape)} ({_first_line(error)})"
            ) from error
        return torch.from_numpy(restored).float().to(x.device)

    def extra_repr(self) -> str:
        return str(self.path)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
