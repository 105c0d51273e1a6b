"""What is damaged: each entry of `FORMATS` has files as the package writes them, and their reader."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import safetensors.torch
import scipy.io
import torch
import torch._dynamo
import yaml
from numpy.typing import NDArray
from PIL import Image

from basicsr.checkpoints.convert import convert_checkpoint
from basicsr.checkpoints.weights import load_contents, save_network
from basicsr.commands.train import main as train
from basicsr.config.load import dump_config, load_config
from basicsr.data.boxes import read_box
from basicsr.data.clip_metadata import Clip, ClipMetadata, read_clip_metadata
from basicsr.masks import from_stack, read_label_map, write_label_map
from basicsr.metrics.niqe import Pristine, read_pristine, write_pristine
from basicsr.preparation.manifest import Record, RecordFile, claim_folder, identify, read_records
from basicsr.preparation.masks.coco import encode_coco
from basicsr.preparation.masks.convert import encode_detectron2, encode_published_npz
from basicsr.preparation.pairs.moving_objects import Instances, decode_objects
from basicsr.restoration.restorer import RestoreOptions, Restorer
from basicsr.restoration.video import restore_video, write_video
from basicsr.restoration.weights import load_any
from basicsr.segmenters.precomputed import read_coco
from basicsr.storage import LmdbStorage, write_lmdb
from basicsr.storage.arrays import decode_array, encode_array
from basicsr.storage.meta_info import read_meta_info
from basicsr.synthesis.frame_average import ResponseTable
from basicsr.synthesis.kernel_folder import KernelFolder
from basicsr.synthesis.kernels import linear_motion
from basicsr.utils.image import decode_rgb, encode_png, write_png
from basicsr.utils.log import EventLog, close_log, read_events
from basicsr.utils.photo_file import read_photo_file, write_photo_file, written_suffix
from basicsr.utils.registry import ARCHS
from fuzzing.mutations import PNG, SAFETENSORS, ZIP, Container

HEIGHT, WIDTH = 24, 32
_NETWORK = {"type": "SegNAFNet", "width": 4, "enc_blk_nums": [1], "middle_blk_num": 0, "dec_blk_nums": [0]}


@dataclass(frozen=True)
class Format:
    """One kind of input.

    Attributes:
        name: as it is chosen and counted.
        make: fills a folder; each file or folder in it is a whole input.
        read: whole or damaged input, folder for what is written -> bytes of the arrays that it gave.
        container: what its files are made of, see `mutations.harmed`.
        harms: pattern of those files of an input that are damaged, where an input is a folder.
        share: how many inputs it gets, beside 1 for the others; less for slow readers.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path, Path], int]
    container: Container | None = None
    harms: str = "*"
    share: float = 1


def photo(channels: int = 3, depth: type = np.uint8) -> NDArray[np.integer]:
    """(H, W) or (H, W, channels): smooth, with some noise, so that compression has something to do."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    planes = np.stack([5 * rows, 6 * columns, 255 - 3 * rows - columns, 200 + rows], -1)[..., :channels]
    noisy = (planes + np.random.default_rng(0).integers(0, 20, planes.shape)).clip(0, 255).astype(np.uint8)
    scaled = noisy.astype(depth) * (np.iinfo(depth).max // 255)
    return scaled[..., 0] if channels == 1 else scaled


def labels() -> NDArray[np.int32]:
    """(H, W): four regions and something uncovered."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    found = (1 + 2 * (rows // 12) + columns // 16).astype(np.int32)
    found[:2] = 0
    return found


def stack() -> NDArray[np.bool_]:
    """(3, H, W): masks that overlap."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([rows < 12, columns < 16, (rows - 12) ** 2 + (columns - 16) ** 2 < 40])


# Photos


def _photos(file_type: str, *kinds: tuple[str, dict[str, object]]) -> Callable[[Path], None]:
    """Photos of a type that Pillow writes, one for each mode and its options."""

    def make(folder: Path) -> None:
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, "camera"
        for number, (mode, options) in enumerate(kinds):
            picture = Image.fromarray(photo(4 if mode in ("RGBA", "LA", "CMYK") else 3))
            picture = picture.convert("RGB").convert(mode) if mode != "RGBA" else picture
            if file_type not in ("GIF", "BMP", "PPM", "JPEG2000"):
                options = {"exif": exif, **options}
            picture.save(folder / f"{number}.{file_type.lower()}", file_type, **options)

    return make


def _png_photos(folder: Path) -> None:
    _photos("PNG", ("P", {"dpi": (72, 72)}), ("LA", {"icc_profile": bytes(range(200))}), ("1", {}))(folder)
    write_png(folder / "rgb.png", photo())
    write_png(folder / "deep.png", photo(depth=np.uint16))


def _jpeg_photos(folder: Path) -> None:
    kinds = (
        ("RGB", {"icc_profile": bytes(300)}),
        ("L", {"progressive": True}),
        ("CMYK", {}),
        ("RGB", {"quality": 30}),
    )
    _photos("JPEG", *kinds)(folder)


def _tiff_photos(folder: Path) -> None:
    kinds = (
        ("RGB", {"compression": "tiff_lzw"}),
        ("RGBA", {"compression": "tiff_deflate"}),
        ("CMYK", {}),
        ("1", {}),
    )
    _photos("TIFF", *kinds)(folder)
    whole = read_photo_file(folder / "0.tiff")
    write_photo_file(folder / "own.tiff", whole, whole.image)


def _read_photo(path: Path, out: Path) -> int:
    """As `infer.py` does, and as a data set does."""
    found = read_photo_file(path)
    decode_rgb(path.read_bytes(), str(path))
    write_photo_file(out / f"photo{written_suffix(path.suffix)}", found, found.image)
    return found.image.nbytes + (0 if found.alpha is None else found.alpha.nbytes)


def _heic_photos(folder: Path) -> None:
    import pillow_heif

    pillow_heif.from_pillow(Image.fromarray(photo())).save(folder / "0.heic")


# Masks


def _label_maps(folder: Path) -> None:
    write_label_map(folder / "labels.png", labels())
    write_png(folder / "gray.png", (labels() * 50).astype(np.uint8))
    Image.fromarray(labels().astype(np.uint8)).convert("P").save(folder / "palette.png")


def _read_label_map(path: Path, out: Path) -> int:
    return read_label_map(path).nbytes


def _npz_stacks(folder: Path) -> None:
    (folder / "stack.npz").write_bytes(encode_published_npz(stack()))
    (folder / "instances.npz").write_bytes(encode_detectron2(stack()))


def _read_npz_stack(path: Path, out: Path) -> int:
    objects = decode_objects(path.read_bytes(), str(path))
    if not isinstance(objects, Instances):
        return read_label_map(path).nbytes
    return objects.masks.nbytes + from_stack(objects.masks, name=str(path)).nbytes


def _coco_masks(folder: Path) -> None:
    (folder / "coco.json").write_bytes(encode_coco(stack()))


def _read_coco(path: Path, out: Path) -> int:
    return read_coco(path.read_bytes(), str(path), (HEIGHT, WIDTH)).nbytes


# Numbers


def _kernels(folder: Path) -> None:
    kernel = linear_motion(9, 30)
    write_png(folder / "kernel.png", (kernel / kernel.max() * 65535).astype(np.uint16))
    np.save(folder / "kernel.npy", kernel)
    scipy.io.savemat(folder / "kernel.mat", {"K": kernel}, do_compression=True)
    scipy.io.savemat(folder / "plain.mat", {"other": kernel.astype(np.float32)})


def _read_kernel(path: Path, out: Path) -> int:
    (out / "kernels").mkdir()
    shutil.copy(path, out / "kernels")
    kernels = KernelFolder(out / "kernels", 33, center=True)
    return sum(kernels[number].nbytes for number in range(len(kernels)))


def _tables(folder: Path) -> None:
    np.save(folder / "table.npy", np.linspace(0, 1, 256) ** 2.2)
    np.save(folder / "rgb.npy", np.linspace(0, 1, 256 * 3).reshape(256, 3).astype(np.float32))


def _read_table(path: Path, out: Path) -> int:
    return ResponseTable.from_file(path).light.nbytes


def _niqe_models(folder: Path) -> None:
    write_pristine(folder / "pristine.npz", Pristine(np.arange(36.0), np.eye(36)))
    scipy.io.savemat(folder / "pristine.mat", {"mu_prisparam": np.arange(36.0), "cov_prisparam": np.eye(36)})


def _read_niqe_model(path: Path, out: Path) -> int:
    return read_pristine(path).covariance.nbytes


# Lists and texts


def _meta_infos(folder: Path) -> None:
    (folder / "meta_info.txt").write_text("".join(f"clip/{i:04d}.png (24,32,3) 1\n" for i in range(20)))
    (folder / "plain.txt").write_text("\n".join(f"photo {i}.jpg" for i in range(20)), encoding="utf-8-sig")


def _read_meta_info(path: Path, out: Path) -> int:
    return sum(map(len, read_meta_info(path)))


def _clip_metadata(folder: Path) -> None:
    clips = [
        Clip(f"0/{i}", "keep", "train", f"0/blur{i}.png", (f"0/1_{i}.png", f"0/2_{i}.png"), f"0/box{i}.json")
        for i in range(4)
    ]
    ClipMetadata("clips", 2, clips).write(folder / "metadata.json")


def _read_clip_metadata(path: Path, out: Path) -> int:
    keys = [f"0/{kind}{number}" for number in range(4) for kind in ("blur", "1_", "2_")]
    return len(read_clip_metadata(path, keys).clips)


def _boxes(folder: Path) -> None:
    (folder / "box.json").write_text('{"bbox": [1, 2, 30.5, 20]}')
    (folder / "box.pkl").write_bytes(pickle.dumps({"bbox": np.array([1.0, 2, 30, 20])}))


def _read_box(path: Path, out: Path) -> int:
    return len(read_box(path))


_PARAMETERS = {"segmenter": "GraphRegions", "options": {"scale": 100}, "overlap": "exact"}


def _manifests(folder: Path) -> None:
    for name in ("sealed", "earlier"):
        claim_folder(folder / name, _PARAMETERS, [], overwrite=False)
        records = RecordFile(folder / name, 0, 2)
        for number in range(5):
            record = Record(f"photo {number}", HEIGHT, WIDTH, 4, ["a note"], 1000, identify(_PARAMETERS))
            records.append(record)
    for file in (folder / "earlier").iterdir():  # as versions without checksums wrote them
        lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
        contents = [json.loads(line) for line in lines]
        for content in contents:
            del content["checksum"]
        file.write_text("".join(json.dumps(content) + "\n" for content in contents))


def _read_manifest(path: Path, out: Path) -> int:
    claim_folder(path, _PARAMETERS, [path / "photo 1.png"], overwrite=False)
    RecordFile(path, 0, 2)
    return sum(map(len, read_records(path).values()))


def _event_logs(folder: Path) -> None:
    lines = [{"kind": "train", "iter": i, "time": 1.5 * i, "loss": 1 / (i + 1)} for i in range(12)]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _read_event_log(path: Path, out: Path) -> int:
    shutil.copy(path, out / "events.jsonl")
    EventLog(out / "events.jsonl").go_back(7)
    return len(read_events(path))


def _options() -> dict[str, object]:
    """All that a run has to remember, on the data of `_training`."""
    roots = {"dataroot_gt": "set", "dataroot_lq": "set", "dataroot_mask": "labels"}
    data = {"type": "PairedImageGroupMaskDataset", **roots, "num_worker_per_gpu": 0}
    return {
        "name": "run",
        "num_gpu": 0,
        "datasets": {"train": {**data, "name": "train", "gt_size": 16, "batch_size_per_gpu": 1}},
        "network_g": {**_NETWORK, "mask_dropout": 0.5},
        "train": {
            "optim_g": {"type": "AdamW", "lr": 1e-3, "betas": [0.9, 0.9]},
            "scheduler": {"type": "TrueCosineAnnealingLR", "T_max": 60},
            "total_iter": 2,
            "pixel_opt": {"type": "PSNRLoss"},
            "ema_decay": 0.9,
        },
        "logger": {"print_freq": 1, "save_checkpoint_freq": 1},
    }


def _option_files(folder: Path) -> None:
    """One with all in it, and one with a base; aliases, merges and strings of all kinds."""
    for name in ("plain", "based"):
        (folder / name / "set").mkdir(parents=True)
        (folder / name / "labels").mkdir()
        (folder / name / "set" / "kept").write_bytes(b"")
        (folder / name / "labels" / "kept").write_bytes(b"")
    text = yaml.safe_dump(_options(), sort_keys=False)
    (folder / "plain" / "run.yml").write_text(text)
    (folder / "based" / "base.yml").write_text(text)
    over = 'base: base.yml\nname: "b\\u00e4sed"\ntrain: &t {optim_g: {lr: 2.e-3}}\nval: {<<: {val_freq: 3}}\n'
    (folder / "based" / "run.yml").write_text(over)


def _read_options(path: Path, out: Path) -> int:
    os.chdir(path)
    return len(dump_config(load_config("run.yml")))


# Checkpoints


def _network(folder: Path) -> None:
    torch.manual_seed(0)
    net = ARCHS.build(_NETWORK["type"], {name: value for name, value in _NETWORK.items() if name != "type"})
    save_network(folder / "net.pth", net, net, _NETWORK)


def _zip_checkpoints(folder: Path) -> None:
    """As written here, as written elsewhere, and the variables of another framework."""
    _network(folder)
    contents = load_contents(folder / "net.pth")
    torch.save(contents["params"], folder / "elsewhere.pth")
    torch.save(contents, folder / "unsealed.pth")


def _legacy_checkpoints(folder: Path) -> None:
    _zip_checkpoints(folder)
    for file in folder.iterdir():
        torch.save(load_contents(file), file, _use_new_zipfile_serialization=False)


def _safetensors_checkpoints(folder: Path) -> None:
    _network(folder)
    convert_checkpoint(folder / "net.pth", folder / "net.safetensors")
    params = load_contents(folder / "net.pth")["params_ema"]
    safetensors.torch.save_file(params, folder / "elsewhere.safetensors")
    (folder / "net.pth").unlink()


def _read_checkpoint(path: Path, out: Path) -> int:
    return sum(tensor.nbytes for tensor in load_any(path).state_dict().values())


def _npz_weights(folder: Path) -> None:
    np.savez(folder / "net.npz", **{"a/kernel": np.ones((3, 3, 2, 4), np.float32), "a/bias": np.arange(4)})


def _read_npz_weights(path: Path, out: Path) -> int:
    return sum(tensor.nbytes for tensor in load_contents(path)["params"].values())


def _training(folder: Path) -> None:
    """A run of two steps with its data."""
    place = folder / "run"
    for name in ("a.png", "b.png"):
        write_png(place / "set" / name, photo())
        write_label_map(place / "labels" / name, labels())
    (place / "run.yml").write_text(yaml.safe_dump(_options()))
    before = Path.cwd()
    os.chdir(place)
    train(["-opt", "run.yml"])
    os.chdir(before)


def _read_training(path: Path, out: Path) -> int:
    """A third step from the state of the second."""
    os.chdir(path)
    try:
        train(["-opt", "run.yml", "--auto_resume", "--debug", "--set", "train.total_iter=3"])
    finally:
        close_log()
    return 0


# Databases, videos, graphs


def _databases(folder: Path) -> None:
    shape = (HEIGHT, WIDTH, 3)
    entries = [(f"clip/{number:04d}", encode_png(photo()), shape) for number in range(8)]
    write_lmdb(folder / "sealed", entries)
    write_lmdb(folder / "elsewhere", [*entries, *((f"x{i:03d}", b"x" * i, (1, 1, 1)) for i in range(150))])
    (folder / "elsewhere" / "checksums.txt").unlink()


def _arrays(folder: Path) -> None:
    for number, pixels in enumerate((photo(), photo().astype(np.uint16) * 257)):
        (folder / f"{number}.npy").write_bytes(encode_array(pixels))


def _read_array(path: Path, out: Path) -> int:
    return decode_array(path.read_bytes(), str(path), 3).nbytes


def _read_database(path: Path, out: Path) -> int:
    storage = LmdbStorage(path)
    return sum(len(storage.read(key)) for key in storage.keys())  # noqa: SIM118


def _videos(folder: Path) -> None:
    frames = np.stack([np.roll(photo(), number, 1) for number in range(5)])
    for suffix in (".mp4", ".mkv", ".webm"):
        write_video(folder / f"clip{suffix}", frames, Fraction(25), crf=30)


def _read_video(path: Path, out: Path) -> int:
    """As `infer.py` does, with a network that changes nothing."""
    restore_video(path, out / f"clip{path.suffix}", lambda picture: picture, crf=40, progress=False)
    return 0


def _graphs(folder: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    weights = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["lq", "weights"], ["mixed"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["mixed", "lq"], ["restored"]),
    ]
    sides = [1, 3, "height", "width"]
    image, restored = (helper.make_tensor_value_info(n, TensorProto.FLOAT, sides) for n in ("lq", "restored"))
    graph = helper.make_graph(nodes, "g", [image], [restored], [numpy_helper.from_array(weights, "weights")])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), folder / "net.onnx")


def _read_graph(path: Path, out: Path) -> int:
    restorer = Restorer(load_any(path), RestoreOptions(device="cpu", guard="off"))
    return restorer.restore(photo()).nbytes


_RGB: tuple[str, dict[str, object]] = ("RGB", {})

FORMATS: Sequence[Format] = (
    Format("options", _option_files, _read_options, harms="*.yml", share=0.5),
    Format("labels", _label_maps, _read_label_map, PNG),
    Format("npz", _npz_stacks, _read_npz_stack, ZIP),
    Format("coco", _coco_masks, _read_coco),
    Format("kernels", _kernels, _read_kernel),
    Format("npy", _tables, _read_table),
    Format("arrays", _arrays, _read_array),
    Format("niqe", _niqe_models, _read_niqe_model, share=0.5),
    Format("meta_info", _meta_infos, _read_meta_info, share=0.5),
    Format("metadata", _clip_metadata, _read_clip_metadata),
    Format("boxes", _boxes, _read_box, share=0.5),
    Format("manifest", _manifests, _read_manifest),
    Format("events", _event_logs, _read_event_log, share=0.5),
    Format("pth", _zip_checkpoints, _read_checkpoint, ZIP),
    Format("legacy_pth", _legacy_checkpoints, _read_checkpoint),
    Format("safetensors", _safetensors_checkpoints, _read_checkpoint, SAFETENSORS),
    Format("npz_weights", _npz_weights, _read_npz_weights, ZIP, share=0.5),
    Format("state", _training, _read_training, ZIP, harms="*.state", share=0.1),
    Format("lmdb", _databases, _read_database),
    Format("png", _png_photos, _read_photo, PNG),
    Format("jpeg", _jpeg_photos, _read_photo),
    Format("webp", _photos("WebP", _RGB, ("RGBA", {"lossless": True})), _read_photo),
    Format("tiff", _tiff_photos, _read_photo),
    Format("bmp", _photos("BMP", _RGB, ("P", {}), ("1", {})), _read_photo),
    Format("gif", _photos("GIF", ("P", {}), ("L", {})), _read_photo),
    Format("pnm", _photos("PPM", _RGB, ("L", {}), ("1", {})), _read_photo, share=0.3),
    Format("jp2", _photos("JPEG2000", _RGB, ("L", {})), _read_photo, share=0.3),
    Format("avif", _photos("AVIF", _RGB), _read_photo, share=0.3),
    Format("heic", _heic_photos, _read_photo, share=0.3),
    Format("video", _videos, _read_video, share=0.2),
    Format("onnx", _graphs, _read_graph, share=0.5),
)
