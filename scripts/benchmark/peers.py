"""NAFNet beside other programs that run it, each in its own process: ``python scripts/benchmark/peers.py``.

Times are the least of the rounds, which alternate between the processes (`processes`). The ceiling is the
rate of a float32 product of matrices on the same cores.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from contestants import CONTESTANTS, SHAPE
from inputs import photo
from processes import started
from report import circumstances, replace_block, table
from torch.utils.flop_counter import FlopCounterMode

from basicsr.archs.nafnet import NAFNet
from basicsr.checkpoints.weights import save_network
from basicsr.config.cli import run_command
from basicsr.restoration.onnx_export import export_onnx
from basicsr.utils.errors import UserError
from basicsr.utils.extras import version_of
from basicsr.utils.typed_path import typed_path

SIDE = 512
_MATRIX_FLOP = 2 * 2048**3
_TOLERANCE = 1e-4
_ROUNDED = 0.1  # of results in bfloat16; what matters is their PSNR, which docs/benchmarks.md has
HEAD = ("512x512, width 32, 36 blocks", "what", "time", "of spandrel's", "of the ceiling", "first call")
NAMES = {
    "ours": ("ours", "forward, float32"),
    "spandrel": ("spandrel", "forward, float32"),
    "onnxruntime": ("onnxruntime, our export", "forward, float32"),
    "openvino": ("OpenVINO, our export", "forward, float32"),
    "ours_compiled": ("ours, torch.compile", "forward, float32"),
    "ours_bf16": ("ours", "forward, bf16"),
    "spandrel_bf16": ("spandrel, autocast", "forward, bf16"),
    "openvino_bf16": ("OpenVINO, our export", "forward, bf16"),
    "ours_compiled_bf16": ("ours, torch.compile", "forward, bf16"),
    "step_spandrel": ("plain loop over spandrel's", "training step, 2 crops of 128, float32"),
    "step_ours": ("`Trainer`", "training step, 2 crops of 128, float32"),
    "step_ours_bf16": ("`Trainer`", "training step, 2 crops of 128, bf16"),
    "step_ours_compiled_bf16": ("`Trainer`, `torch.compile`", "training step, 2 crops of 128, bf16"),
}


def write_inputs(folder: Path) -> float:
    """What `contestants` reads; returns the floating-point operations of a forward pass."""
    torch.manual_seed(0)
    net = NAFNet(**SHAPE).eval()
    for name, parameter in net.named_parameters():
        if name.endswith(("beta", "gamma")):  # 0 at the start, which would hide the blocks from the check
            torch.nn.init.normal_(parameter, std=0.1)
    image = torch.from_numpy(photo("astronaut.png", SIDE, SIDE).transpose(2, 0, 1).copy())[None] / 255
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        result = net(image)
    np.save(folder / "image.npy", image.numpy())
    np.save(folder / "result.npy", result.numpy())
    torch.save(net.state_dict(), folder / "net.pth")
    save_network(folder / "described.pth", net, None, {"type": "NAFNet", **SHAPE})
    export_onnx(folder / "described.pth", folder / "net.onnx", local=False)
    return counter.get_total_flops()


def run(names: Sequence[str], rounds: int, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        operations = write_inputs(folder)
        wanted = ["ceiling", *names]
        file = str(Path(__file__).with_name("contestants.py"))
        contestants = {name: stack.enter_context(started(name, [file, name, str(folder)])) for name in wanted}
        for name, contestant in contestants.items():
            limit = _ROUNDED if name.endswith("bf16") else _TOLERANCE
            if not contestant.difference <= limit:
                raise UserError(f"{name}: differs by {contestant.difference:g}: nothing to compare")
        for _ in range(rounds):
            for contestant in contestants.values():
                contestant.time()
    least = {name: min(contestant.seconds) for name, contestant in contestants.items()}
    rate = _MATRIX_FLOP / least["ceiling"]
    rows = []
    for name in names:
        published = least.get("step_spandrel" if name.startswith("step") else "spandrel")
        of_peer = "–" if published is None else f"{published / least[name]:.2f}× as fast"
        is_float32 = "bf16" not in name and not name.startswith("step")
        share = f"{operations / rate / least[name]:.0%}" if is_float32 else "–"
        first = contestants[name].first
        rows.append([*NAMES[name], f"{least[name]:.3f} s", of_peer, share, f"{first:.1f} s"])
    facts = [
        f"* Rounds: {rounds}, of which the least counts; {operations / 1e9:.1f} GFLOP in a forward pass, "
        f"{rate / 1e9:.0f} GFLOP/s in a product of matrices",
        f"* onnxruntime {version_of('onnxruntime')}, OpenVINO {version_of('openvino')}",
    ]
    text = "\n".join([table(HEAD, rows), "", circumstances(torch.device("cpu")), *facts])
    print(text)
    if document is not None:
        replace_block(document, "peers on cpu", text)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="of each process; default: 7")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--write", type=typed_path, metavar="FILE", help="also write the table into it")
    typed = parser.parse_args()
    if typed.rounds < 1:
        parser.error(f"--rounds takes 1 or more, not {typed.rounds}")
    assert set(NAMES) | {"ceiling"} == set(CONTESTANTS)
    run_command(lambda: run(typed.only or list(NAMES), typed.rounds, typed.write), debug=False)


if __name__ == "__main__":
    main()
