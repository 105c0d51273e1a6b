"""The comparisons of the speed benchmark. Each first checks that both sides give the same result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inputs import blurred, photo, region_map, write_training_set
from references import dense_mask_average_pool, dense_ssim, load_with_stack
from skimage.metrics import structural_similarity
from timing import Goal, Work
from torch import Tensor, nn

from basicsr.checkpoints.weights import save_network
from basicsr.data.fields import label_field
from basicsr.data.paired import PairedImageDataset, SampleIndex
from basicsr.data.transforms import build_transforms, usual_transforms
from basicsr.masks.pooling import mask_average_pool
from basicsr.metrics import calculate_psnr, calculate_ssim, calculate_ssim_2d
from basicsr.metrics.psnr_ssim import REACH
from basicsr.preparation.layouts.make_store import make_store
from basicsr.restoration.onnx_export import export_onnx
from basicsr.restoration.onnx_network import OnnxNetwork
from basicsr.synthesis import camera_shake
from basicsr.synthesis.composition import convolve_valid
from basicsr.utils.compiled_code import keep_compiled_code
from basicsr.utils.errors import UserError
from basicsr.utils.extras import optional_import
from basicsr.utils.registry import ARCHS, DATASETS
from basicsr.utils.rng import sample_generator

SHAPE = {"width": 32, "enc_blk_nums": [1, 1, 1, 28], "middle_blk_num": 1, "dec_blk_nums": [1, 1, 1, 1]}
CROP = 256
STORED = 512
REGIONS = 64


@dataclass(frozen=True)
class Pair:
    """Two pieces of work with the same result, and how closely they agree."""

    ours: Work
    reference: Work
    agreement: str


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Args:
        title: what is compared with what.
        goal: for the ratio.
        prepare: (device, empty folder) -> what to time.
        on_gpu: whether it can run there.
        in_worker: whether it is the work of a loader's worker, which has one thread.
        on_request: whether it takes minutes, and so runs only where it is named.
    """

    title: str
    goal: Goal
    prepare: Callable[[torch.device, Path], Pair]
    on_gpu: bool = False
    in_worker: bool = False
    on_request: bool = False


def pooling(device: torch.device, folder: Path) -> Pair:
    """MAP by label map and by dense stack."""
    labels = torch.from_numpy(region_map(720, 1280, 100)).to(device)
    masks = _planes(labels, 100)
    features = torch.rand(1, 2, 720, 1280, generator=torch.Generator().manual_seed(0)).to(device)
    return _tensor_pair(
        device,
        lambda: mask_average_pool(features, labels[None]),
        lambda: dense_mask_average_pool(features[0], masks)[None],
        tolerance=1e-5,
    )


def seg_nafnet(device: torch.device, folder: Path) -> Pair:
    """SegNAFNet and NAFNet."""
    seg, plain, image, labels = _with_and_without_regions(device)
    return _tensor_pair(device, lambda: seg(image, labels), lambda: plain(image), tolerance=1e-4)


def seg_nafnet_compiled(device: torch.device, folder: Path) -> Pair:
    """The same under torch.compile."""
    seg, plain, image, labels = _with_and_without_regions(device)
    keep_compiled_code()
    seg.compile()
    plain.compile()
    return _tensor_pair(device, lambda: seg(image, labels), lambda: plain(image), tolerance=1e-4)


def seg_nafnet_exported(device: torch.device, folder: Path) -> Pair:
    """The same as graphs in onnxruntime."""
    seg, plain, image, labels = _with_and_without_regions(device)
    exported = []
    for net in (seg, plain):
        name = type(net).__name__
        save_network(folder / f"{name}.pth", net, None, {"type": name, **SHAPE})
        export_onnx(folder / f"{name}.pth", folder / f"{name}.onnx", local=False)
        exported.append(OnnxNetwork(folder / f"{name}.onnx"))
    ours, reference = exported
    return _tensor_pair(device, lambda: ours(image, labels.int()), lambda: reference(image), tolerance=1e-4)


def _with_and_without_regions(device: torch.device) -> tuple[Any, Any, Tensor, Tensor]:
    """SegNAFNet, NAFNet, an image and label maps. With NAFNet's weights, and 0 for the pooled features, both
    networks give one image.
    """
    plain = _network("NAFNet", device)
    seg = _network("SegNAFNet", device)
    widened = torch.zeros_like(seg.intro.weight)
    widened[:, :3] = plain.intro.weight
    seg.load_state_dict(plain.state_dict() | {"intro.weight": widened}, strict=False)
    labels = torch.from_numpy(region_map(512, 512, 100))[None].to(device)
    return seg, plain, _image(512, 512, device), labels


def nafnet(device: torch.device, folder: Path) -> Pair:
    """NAFNet and spandrel's, with the same weights."""
    spandrel = optional_import("spandrel.architectures.NAFNet", "the comparison", "pip install spandrel")
    net = _network("NAFNet", device)
    other = spandrel.NAFNet(**SHAPE).to(device).eval()
    other.load_state_dict(net.state_dict())
    image = _image(512, 512, device)
    return _tensor_pair(device, lambda: net(image), lambda: other(image), tolerance=1e-4)


def sample_or_stack(device: torch.device, folder: Path) -> Pair:
    """A training sample with a label map and with a dense stack."""
    write_training_set(folder, STORED, REGIONS)
    dataset = _dataset("PairedImageGroupMaskDataset", folder, dataroot_mask=str(folder / "labels"))

    def stack_sample(number: int) -> dict[str, Tensor]:
        key = dataset.keys[number % len(dataset)]
        images = {"gt": folder / "target" / f"{key}.png", "lq": folder / "input" / f"{key}.png"}
        generator = sample_generator(dataset.seed, number, number)
        return load_with_stack(images, folder / "stacks" / f"{key}.npz", CROP, generator)

    ours = _sample(dataset, 1)
    ours["masks"] = _planes(ours["labels"], REGIONS)
    fields = ("gt", "lq", "masks")
    agreement = _agree(_joined(ours, fields), _joined(stack_sample(1), fields), 1e-6)
    return Pair(_next_each_time(lambda n: _sample(dataset, n)), _next_each_time(stack_sample), agreement)


def sample_from_store(device: torch.device, folder: Path, other: str) -> Pair:
    """A training sample from a store without compression, and from crops as PNG or with a dense stack."""
    split, store = folder / "split", folder / "store"
    split.mkdir()
    if other == "stack":
        reference = sample_or_stack(device, split).reference
    else:
        write_training_set(split, STORED, REGIONS)
    (split / "labels").rename(split / "grouped_masks")
    make_store(split, store, workers=1)
    files, stored = (
        _dataset(
            "PairedImageGroupMaskDataset",
            place,
            dataroot_mask=str(place / "grouped_masks"),
            io_backend={"type": backend},
        )
        for place, backend in ((split, "disk"), (store, "lmdb"))
    )
    fields = ("gt", "lq", "labels")
    agreement = _agree(_joined(_sample(stored, 1), fields), _joined(_sample(files, 1), fields), 0)
    if other == "files":
        reference = _next_each_time(lambda n: _sample(files, n))
    return Pair(_next_each_time(lambda n: _sample(stored, n)), reference, agreement)


def masks_alone(device: torch.device, folder: Path) -> Pair:
    """The masks of a training sample as a label map and as a dense stack, without the images."""
    write_training_set(folder, STORED, REGIONS)
    field = label_field("labels", str(folder / "labels"), "disk")
    keys, transforms = field.keys(), build_transforms(usual_transforms(CROP, use_flip=True, use_rot=True))

    def labels(number: int) -> Tensor:
        generator = sample_generator(0, number, number)
        arrays = {"labels": field.load(keys[number % len(keys)], number)}
        for transform in transforms:
            arrays = transform(arrays, generator)
        return field.finish(arrays["labels"])

    def stack(number: int) -> Tensor:
        path = folder / "stacks" / f"{keys[number % len(keys)]}.npz"
        return load_with_stack({}, path, CROP, sample_generator(0, number, number))["masks"]

    agreement = _agree(_planes(labels(1), REGIONS), stack(1), 0)
    return Pair(_next_each_time(labels), _next_each_time(stack), agreement)


def sample_or_plain(device: torch.device, folder: Path) -> Pair:
    """A training sample with a label map and without masks."""
    write_training_set(folder, STORED, REGIONS)
    dataset = _dataset("PairedImageGroupMaskDataset", folder, dataroot_mask=str(folder / "labels"))
    plain = _dataset("PairedImageDataset", folder)
    fields = ("gt", "lq")
    agreement = _agree(_joined(_sample(dataset, 1), fields), _joined(_sample(plain, 1), fields), 0)
    return Pair(
        _next_each_time(lambda n: _sample(dataset, n)),
        _next_each_time(lambda n: _sample(plain, n)),
        agreement,
    )


def ssim(device: torch.device, folder: Path) -> Pair:
    """SSIM by separable filters and by a dense 3-D convolution, which is inexact in float32."""
    gt = photo("astronaut.png", 720, 1280)
    restored = blurred(gt)
    ours, reference = calculate_ssim(restored, gt), dense_ssim(restored, gt)
    return Pair(
        lambda: calculate_ssim(restored, gt),
        lambda: dense_ssim(restored, gt),
        _agree(torch.tensor(ours), torch.tensor(reference), 2e-4),
    )


def ssim_2d(device: torch.device, folder: Path) -> Pair:
    """Our SSIM, and the 2-D one of scikit-image; ours of that kind is compared with it first."""
    gt = photo("astronaut.png", 720, 1280)
    restored = blurred(gt)

    def reference() -> float:
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        return float(structural_similarity(restored, gt, channel_axis=2, data_range=255, **options))

    return Pair(
        lambda: calculate_ssim(restored, gt),
        reference,
        _agree(torch.tensor(calculate_ssim_2d(restored, gt)), torch.tensor(reference()), 1e-4),
    )


def ssim_torchmetrics(device: torch.device, folder: Path) -> Pair:
    """2-D SSIM, and that of torchmetrics, whose mean has the border; the pixels inside are compared first."""
    there = optional_import("torchmetrics.functional.image", "the comparison", "pip install torchmetrics")
    gt = photo("astronaut.png", 720, 1280)
    restored = blurred(gt)
    both = [torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in (restored, gt)]
    compute = partial(there.structural_similarity_index_measure, *both, data_range=1.0)
    inner = compute(return_full_image=True)[1][..., REACH:-REACH, REACH:-REACH].mean()
    return Pair(
        lambda: calculate_ssim_2d(restored, gt),
        compute,
        _agree(torch.tensor(calculate_ssim_2d(restored, gt)), inner.double(), 1e-4),
    )


def blur_deepinv(device: torch.device, folder: Path) -> Pair:
    """The convolution of blur synthesis, and that of deepinv."""
    there = optional_import("deepinv.physics", "the comparison", "pip install deepinv")
    image = _image(720, 1280, device)[0]
    kernel = torch.from_numpy(camera_shake(np.random.default_rng(0), 0.25)).to(image)
    blur = there.Blur(kernel[None, None], padding="valid", use_fft=True, device=device)
    return _tensor_pair(
        device, lambda: convolve_valid(image, kernel), lambda: blur(image[None])[0], tolerance=1e-5
    )


def metrics(device: torch.device, folder: Path) -> Pair:
    """What an evaluation adds to restoring."""
    height, width = 360, 640
    net, image = _network("NAFNet", device), _image(height, width, device)
    gt = photo("astronaut.png", height, width)
    restored = blurred(gt)
    return Pair(
        lambda: (calculate_psnr(restored, gt), calculate_ssim(restored, gt)),
        lambda: net(image),
        "one follows the other",
    )


CASES = {
    "map": Case(
        "MAP, 1280x720, 100 regions, 2 channels: label map / dense stack",
        Goal("faster", 40), pooling, on_gpu=True,
    ),
    "seg_nafnet": Case(
        "forward, 512x512, width 32: SegNAFNet (100 regions) / NAFNet",
        Goal("cost", 1.03), seg_nafnet, on_gpu=True,
    ),
    "seg_nafnet_exported": Case(
        "the same in onnxruntime, our exports: SegNAFNet / NAFNet", Goal("cost", 1.03), seg_nafnet_exported
    ),
    "seg_nafnet_compiled": Case(
        "the same under `torch.compile`: SegNAFNet / NAFNet",
        Goal("cost", 1.03), seg_nafnet_compiled, on_gpu=True, on_request=True,
    ),
    "sample_or_stack": Case(
        f"training sample, 512x512 PNG to 256x256, {REGIONS} regions: label map / dense npz stack",
        Goal("faster", 10), sample_or_stack, in_worker=True,
    ),
    "store_or_stack": Case(
        f"training sample, 512x512 to 256x256, {REGIONS} regions: `prepare store` / PNG with dense npz stack",
        Goal("faster", 10), partial(sample_from_store, other="stack"), in_worker=True,
    ),
    "store_or_files": Case(
        f"training sample, 512x512 to 256x256, {REGIONS} regions: `prepare store` / PNG",
        Goal("faster", 10), partial(sample_from_store, other="files"), in_worker=True,
    ),
    "masks_alone": Case(
        f"its masks alone, {REGIONS} regions: label map / dense npz stack",
        Goal("faster", 10), masks_alone, in_worker=True,
    ),
    "sample_or_plain": Case(
        f"training sample, 512x512 PNG to 256x256: label map ({REGIONS} regions) / no masks",
        Goal("cost", 1.3), sample_or_plain, in_worker=True,
    ),
    "ssim": Case("calculate_ssim, 1280x720: separable / dense 3-D convolution", Goal("faster", 75), ssim),
    "ssim_2d": Case(
        "SSIM, 1280x720: calculate_ssim, 3-D / scikit-image, 2-D of each channel", Goal("faster", 1), ssim_2d
    ),
    "ssim_torchmetrics": Case(
        "SSIM, 1280x720: calculate_ssim_2d / torchmetrics", Goal("faster", 1), ssim_torchmetrics
    ),
    "blur_deepinv": Case(
        "blurring 1280x720 by 65x65: convolve_valid / deepinv's Blur by FFT",
        Goal("cost", 1.05), blur_deepinv, on_gpu=True,
    ),
    "metrics": Case(
        "evaluating 640x360: PSNR and SSIM / NAFNet forward, width 32", Goal("cost", 0.05), metrics
    ),
    "nafnet": Case(
        "NAFNet forward, 512x512, width 32, float32: ours / spandrel's",
        Goal("cost", 1.0), nafnet, on_gpu=True,
    ),
}  # fmt: skip


def _planes(labels: Tensor, regions: int) -> Tensor:
    """(H, W) -> float32 (regions, 1, H, W) in {0, 1}."""
    return torch.stack([labels == region for region in range(1, regions + 1)])[:, None].float()


def _network(kind: str, device: torch.device) -> Any:
    torch.manual_seed(0)
    net = ARCHS.build(kind, SHAPE)
    for name, parameter in net.named_parameters():
        if name.endswith(("beta", "gamma")):  # 0 at the start, which would hide the blocks from the check
            nn.init.normal_(parameter, std=0.1)
    return net.to(device).eval()


def _image(height: int, width: int, device: torch.device) -> Tensor:
    pixels = np.ascontiguousarray(photo("astronaut.png", height, width).transpose(2, 0, 1))
    return torch.from_numpy(pixels)[None].to(device) / 255


def _tensor_pair(
    device: torch.device, ours: Callable[[], Tensor], reference: Callable[[], Tensor], tolerance: float
) -> Pair:
    def waiting(work: Work) -> Work:
        def run() -> None:
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        return run

    return Pair(waiting(ours), waiting(reference), _agree(ours(), reference(), tolerance))


def _dataset(kind: str, folder: Path, **more: Any) -> PairedImageDataset:
    roots = {"dataroot_gt": str(folder / "target"), "dataroot_lq": str(folder / "input")}
    options = roots | more | {"gt_size": CROP, "use_flip": True, "use_rot": True}
    return DATASETS.build(kind, options, seed=0, train=True)


def _sample(dataset: PairedImageDataset, number: int) -> dict[str, Any]:
    return dataset[SampleIndex(number, epoch=number)]


def _next_each_time(load: Callable[[int], object]) -> Work:
    numbers = count()
    return lambda: load(next(numbers))


def _joined(sample: dict[str, Any], fields: tuple[str, ...]) -> Tensor:
    return torch.cat([sample[field].flatten().float() for field in fields])


def _agree(ours: Tensor, reference: Tensor, tolerance: float) -> str:
    if ours.shape != reference.shape:
        raise UserError(f"shapes {tuple(ours.shape)} and {tuple(reference.shape)}: nothing to compare")
    difference = float((ours - reference).abs().max())
    if not difference <= tolerance:
        raise UserError(f"results differ by {difference:g}, more than {tolerance:g}: nothing to compare")
    return f"max difference {difference:.1g} (≤ {tolerance:g})"
