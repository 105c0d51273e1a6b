"""Small files that declare much cost little: each is read in a process whose memory is measured."""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch

from basicsr.archs.nafnet import NAFNet
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import load_contents, save_contents
from basicsr.config.load import read_options
from basicsr.config.yaml_text import read_yaml
from basicsr.masks import decode_label_map, require_stack_fits
from basicsr.segmenters.precomputed import read_coco
from basicsr.synthesis.kernel_folder import read_kernel
from basicsr.utils.decode import decode, decode_photo
from basicsr.utils.pixel_limit import PixelLimit
from tests.hostile_files import (
    cost_of,
    deflated_zeros,
    jpeg_that_says,
    npz_of_zeros,
    picture_that_says,
    plain_picture,
    png,
    png_chunk,
)

CONSTANT = 100 << 20
"""Bytes that reading anything may take beyond the picture: decoders are loaded, texts have 64 MiB at most."""
PARTNER = PixelLimit.of_partner(64, 64)
SMALL = {"width": 4, "enc_blk_nums": [1], "middle_blk_num": 1, "dec_blk_nums": [1]}


def require_refused(function: Any, *arguments: Any, match: str) -> None:
    """One line within a second and `CONSTANT`, however much the file says."""
    cost = cost_of(function, *arguments)
    assert cost.message.startswith(("UserError: ", "OptionError: ")), cost
    assert match in cost.message and "\n" not in cost.message, cost
    assert cost.bytes < CONSTANT and cost.seconds < 5, cost


def of_partner(data: bytes, name: str) -> Any:
    return decode_label_map(data, name, limit=PARTNER)


@pytest.mark.parametrize("color_type", [0, 2, 3, 4, 6])
def test_a_png_that_is_too_short_for_its_size_is_cut_short(color_type):
    data = png(20_000, 20_000, 8, color_type, zlib.compress(bytes(100)))
    assert len(data) < 273
    for reader in (decode, decode_label_map):
        require_refused(reader, data, "a.png", match="a.png: not an image, or cut short")


@pytest.mark.parametrize("color_type", [0, 2, 3])
def test_a_chunk_that_lies_about_its_length_takes_no_memory(color_type):
    data = png(64, 64, 8, color_type, extra=png_chunk(b"zTXt", bytes(4500), 2_300_000_000))
    require_refused(decode, data, "a.png", match="cut short")
    require_refused(decode_label_map, data, "a.png", match="cut short")


@pytest.mark.parametrize("color_type", [0, 3])
def test_a_png_that_is_as_large_as_it_says_is_refused_by_the_limit(color_type):
    data = png(32_000, 32_000, 1, color_type)
    assert len(data) < 125_000
    require_refused(decode_label_map, data, "a.png", match="32000 x 32000 pixels are more than 512,000,000")


def test_a_mask_has_the_limit_of_its_partner():
    message = "a.png: 2000 x 2000 pixels are more than 4,096; it belongs to one of 64 x 64"
    require_refused(of_partner, png(2000, 2000), "a.png", match=message)
    stack = npz_of_zeros("masks", (10, 1, 2000, 2000))
    require_refused(of_partner, stack, "a.npz", match="a.npz: 2000 x 2000 pixels are more than 4,096")


@pytest.mark.slow
def test_a_label_map_within_the_limit_takes_what_it_is():
    """4 bytes a pixel of the map, and one of the PNG."""
    cost = cost_of(decode_label_map, png(8000, 8000), "a.png")
    assert cost.message == ""
    assert cost.bytes < 2 * 4 * 8000**2 + CONSTANT


@pytest.mark.parametrize("declared", [32_000, 20_000])
def test_a_jpeg_that_is_too_short_for_its_size(declared):
    match = "cut short" if declared == 20_000 else "pixels are more than 512,000,000"
    require_refused(decode, jpeg_that_says(64, declared), "a.jpg", match=match)


@pytest.mark.parametrize("file_type", ["BMP", "GIF", "TIFF", "PPM", "JPEG2000"])
@pytest.mark.parametrize("declared", [16_000, 60_000])
def test_other_pictures_that_say_more_than_they_have(file_type, declared):
    require_refused(decode, picture_that_says(file_type, declared), "a", match="a: ")


@pytest.mark.slow
@pytest.mark.parametrize("file_type", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
def test_a_picture_takes_twice_what_it_declares(file_type):
    """With the four bytes a pixel that decoders hold of three colors."""
    pixels = 4000 * 6000
    cost = cost_of(decode, plain_picture(file_type, 4000, 6000), "a")
    assert cost.message == ""
    assert 3 * pixels < cost.bytes < 2 * 4 * pixels + CONSTANT


@pytest.mark.slow
def test_texts_of_a_png_have_one_limit_together():
    profile = png_chunk(b"iCCP", b"a\0\0" + deflated_zeros(200 << 20))
    xmp = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + deflated_zeros(200 << 20))
    texts = b"".join(png_chunk(b"zTXt", b"key\0\0" + deflated_zeros(40 << 20)) for _ in range(5))
    cost = cost_of(decode_photo, png(64, 64, 8, 2, extra=profile + xmp + texts), "a.png")
    assert cost.message == ""  # the photo is whole
    assert cost.bytes < 3 * CONSTANT  # the text, its other encoding, and it as characters


def test_a_stack_is_measured_before_it_is_unpacked():
    lying = npz_of_zeros("masks", (3000, 1, 1000, 1000), stored=1000)
    require_refused(decode_label_map, lying, "a.npz", match="3,000,000,000 bytes, of which the file has")
    match = "a.npz: 5000 masks of 700 x 700 pixels are more than 2^31"
    require_refused(require_stack_fits, 5000, 700, 700, "a.npz", match=match)


def test_run_lengths_are_measured_before_they_are_written_out():
    mask = {"size": [40_000, 40_000], "counts": [40_000**2]}
    require_refused(read_coco, json.dumps([mask]).encode(), "a.json", match="a.json: mask 1: 40000 x 40000")
    digits = {"size": [10, 10], "counts": "o" * 1_000_000}
    require_refused(read_coco, json.dumps([digits]).encode(), "a.json", match="a run of more than 2^64")
    require_refused(read_coco, b"[" * 1_000_000, "a.json", match="a.json: not a JSON file")


def test_a_kernel_is_measured_before_it_is_read():
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (40000, 40000)}"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
    require_refused(read_kernel, data, "k.npy", 9, match="12,800,000,000 bytes, of which 0 are there")
    packed = zlib.compress(struct.pack("<II", 14, 200 << 20) + bytes(1 << 20))  # a matrix of 200 MiB
    element = struct.pack("<II", 15, len(packed)) + packed
    mat = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + element
    require_refused(read_kernel, mat, "k.mat", 9, match="unpacked more than 67,108,864 bytes")


def described(path: Path, **options: Any) -> Path:
    state = NAFNet(**SMALL).state_dict()
    network = {"type": "NAFNet", **SMALL, **options}
    save_contents(path, {"params": state, "basicsr": {"network": network, "facts": {}}})
    return path


def nested(depth: int, twice: bool) -> dict[str, Any]:
    block: dict[str, Any] = {}
    for _ in range(depth):
        block = {"a": block, "b": block} if twice else {"a": block}
    return block


@pytest.mark.parametrize(
    "options, match",
    [
        ({"middle_blk_num": 10**7}, "a number beyond 1,048,576"),
        ({"middle_blk_num": 10**6}, "more tensors than its 61 weights"),
        ({"width": 20_000}, "more values than its 61 weights"),
        ({"train_size": [1, 3, 100_000, 100_000]}, "crops of 100000 x 100000 pixels have more than 2^20"),
        ({"enc_blk_nums": [1] * 100_000}, "more than 10,000 parts"),
        ({"net": nested(90, twice=False)}, "nested more than 16 deep"),
        ({"net": nested(15, twice=True)}, "more than 10,000 parts"),
    ],
)
def test_a_described_network_is_compared_with_the_weights_before_it_is_built(tmp_path, options, match):
    require_refused(rebuild_network, described(tmp_path / "a.pth", **options), match=match)


def test_a_sound_description_is_built(tmp_path):
    assert cost_of(rebuild_network, described(tmp_path / "a.pth")).message == ""


def repacked(source: Path, target: Path, old: bytes, new: bytes, kind: int = zipfile.ZIP_STORED) -> Path:
    """A checkpoint with other bytes in its pickle."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w", kind) as written:
        for info in read.infolist():
            data = read.read(info)
            written.writestr(info.filename, data.replace(old, new) if "pkl" in info.filename else data)
    return target


def test_weights_that_are_more_than_their_file(tmp_path):
    thousand, many = b"M\xe8\x03", struct.pack("<BI", ord("J"), 1 << 30)
    small, large = tmp_path / "small.pth", tmp_path / "large.pth"
    torch.save({"params": {"a": torch.zeros(1000)}}, small)
    torch.save({"params": {"a": torch.zeros(1 << 25)}}, large)
    torch.save({"params": {"a": torch.zeros(1).expand(100_000, 100_000)}}, tmp_path / "view.pth")
    torch.save(
        {"params": {"a": torch.zeros(1000)}}, tmp_path / "old.pth", _use_new_zipfile_serialization=False
    )
    old = (tmp_path / "old.pth").read_bytes().replace(thousand, many)
    (tmp_path / "old.pth").write_bytes(old.replace(struct.pack("<q", 1000), struct.pack("<q", 1 << 30)))
    (tmp_path / "a.npz").write_bytes(npz_of_zeros("a", (1 << 25,), "<f4"))
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 1 << 32]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    for path, match in {
        repacked(small, tmp_path / "claims.pth", thousand, many): "not a checkpoint, or cut short",
        repacked(large, tmp_path / "packed.pth", b"", b"", zipfile.ZIP_DEFLATED): "that unpack to 134,",
        tmp_path / "view.pth": "states 40,000,000,000 bytes of weights",
        tmp_path / "old.pth": "not a checkpoint, or cut short",
        tmp_path / "a.npz": "that unpack to 134,217,728",
        tmp_path / "a.safetensors": "not a checkpoint, or cut short",
    }.items():
        require_refused(load_contents, path, match=match)


def bomb(link: str) -> str:
    """Nine times nine times ..: each block names the one before it nine times."""
    first = "a0: &a0 {x: 1}\n"
    return first + "".join(
        f"a{i}: &a{i} {{{link}: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)
    )


@pytest.mark.parametrize(
    "text, match",
    [
        (bomb("b"), "more than 20,000 values"),
        (bomb("<<"), "more than 20,000 values"),
        ("a: " + "[" * 10_000, "nested more than 32 deep"),
        ("- " * 5_000 + "a", "nested more than 32 deep"),
        ("".join(" " * i + "a:\n" for i in range(400)), "nested more than 32 deep"),
        ("a: " + "1:" * 100_000 + "1", "more than 4,000 characters"),
        ("a: b\n" * 100_000, "more than the 262,144 bytes"),
    ],
)
def test_option_files_have_limits(tmp_path, text, match):
    path = tmp_path / "a.yml"
    path.write_text(text)
    require_refused(read_options, path, match=match)


def test_overrides_have_the_limits_of_option_files():
    with pytest.raises(ValueError, match="500,000 characters, expected 262,144 at most"):
        read_yaml("a: b\n" * 100_000)


def test_a_diamond_of_bases_is_read_once(tmp_path):
    """Without that, 25 files that name the next one twice are read 2^25 times."""
    for i in range(25):
        (tmp_path / f"{i}.yml").write_text(f"base: [{i + 1}.yml, {i + 1}.yml]\nk{i}: 1\n")
    (tmp_path / "25.yml").write_text("k25: 1\n")
    cost = cost_of(read_options, tmp_path / "0.yml")
    assert cost.message == "" and cost.seconds < 5
    assert read_options(tmp_path / "0.yml") == {f"k{i}": 1 for i in range(26)}


def test_a_chain_of_bases_has_an_end(tmp_path):
    for i in range(40):
        (tmp_path / f"{i}.yml").write_text(f"base: {i + 1}.yml\n")
    require_refused(read_options, tmp_path / "0.yml", match="base: more than 32 option files inherit")


def test_a_base_is_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for base in ("/dev/zero", "pipe"):
        (tmp_path / "a.yml").write_text(f"base: {base}\n")
        require_refused(read_options, tmp_path / "a.yml", match="not a regular file")


def test_a_photo_is_a_regular_file_that_ends(tmp_path):
    from basicsr.utils.photo_file import read_photo_file

    with (tmp_path / "hole.png").open("wb") as file:
        file.truncate(1 << 40)
    require_refused(read_photo_file, tmp_path / "hole.png", match="bytes that such a file may have")
    require_refused(read_photo_file, Path("/dev/zero"), match="not a regular file")
