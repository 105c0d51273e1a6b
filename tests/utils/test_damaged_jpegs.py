"""JPEGs that are damaged in the middle are found; whole ones of every kind are read as OpenCV reads them."""

from __future__ import annotations

import io
from itertools import product

import cv2
import numpy as np
import pytest
from PIL import Image

from basicsr.utils.decode import decode
from basicsr.utils.errors import UserError

LOST = 2048  # bytes
KINDS = {
    f"{name} {subsampling}": {"subsampling": subsampling, **options}
    for subsampling, (name, options) in product(
        ("4:4:4", "4:2:2", "4:2:0"),
        {
            "baseline": {},
            "optimized": {"optimize": True},
            "restarts": {"restart_marker_rows": 1},
            "progressive": {"progressive": True},
            "progressive with restarts": {"progressive": True, "restart_marker_blocks": 5},
        }.items(),
    )
}
DAMAGES = {
    "zeros": lambda data, at: data[:at] + bytes(LOST) + data[at + LOST :],
    "random bytes": lambda data, at: data[:at] + np.random.default_rng(at).bytes(LOST) + data[at + LOST :],
    "cut out": lambda data, at: data[:at] + data[at + LOST :],
    "end": lambda data, at: data[:at],
    "end with its marker": lambda data, at: data[:at] + data[-2:],
    "end filled with zeros": lambda data, at: data[:at].ljust(len(data), b"\0"),
}


def jpeg(mode: str = "RGB", size: tuple[int, int] = (160, 120), **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(cv2.GaussianBlur(noise, (0, 0), 1)).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def by_opencv(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return image if image.ndim == 2 else image[..., ::-1]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_in_the_middle_is_named(kind, damage, capfd):
    data = jpeg(quality=90, **KINDS[kind])
    for tenths in (3, 5, 7):
        harmed = DAMAGES[damage](data, len(data) * tenths // 10)
        with pytest.raises(
            UserError, match=r"^a.jpg: the JPEG is damaged or cut short \([^\n]+\); [^\n]+ replace the file$"
        ):
            decode(harmed, "a.jpg")
    assert capfd.readouterr().err == "", "libjpeg's own lines name no file"


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_damage_of_gray_and_of_inks_is_named(mode):
    data = jpeg(mode, quality=90)
    for damage in DAMAGES.values():
        with pytest.raises(UserError, match="^a.jpg: the JPEG is damaged or cut short"):
            decode(damage(data, len(data) // 2), "a.jpg")


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("size", [(160, 120), (17, 33), (1, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_have_the_pixels_that_opencv_reads(kind, size, mode):
    data = jpeg(mode, size, quality=90, **KINDS[kind])
    np.testing.assert_array_equal(decode(data, "a.jpg"), by_opencv(data))


@pytest.mark.parametrize("factors", [0x411111, 0x420000, 0x221111, 0x211111, 0x121111, 0x111111])
@pytest.mark.parametrize("progressive", [0, 1])
def test_files_of_opencv_are_whole(factors, progressive):
    noise = np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    if factors != 0x420000:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factors]
    data = cv2.imencode(".jpg", noise, options)[1].tobytes()
    np.testing.assert_array_equal(decode(data, "a.jpg"), by_opencv(data))


def test_what_is_odd_but_whole_is_read():
    data = jpeg()
    pixels = by_opencv(data)
    scan = data.index(b"\xff\xda")
    odd = {
        "bytes behind the end": data + b"film" * 100,
        "a second picture": data + data,
        "zeros behind the end": data + bytes(100),
        "fill bytes": data[:-2] + b"\xff\xff\xff\xd9",
        "a byte too much": data[:-2] + b"\0\xff\xd9",
        "a comment in front of the end": data[:-2] + b"\xff\xfe\0\4ab\xff\xd9",
        "another JFIF": data[:11] + b"\2" + data[12:],
        "spectral selection of cameras": data[: scan + 11] + bytes(3) + data[scan + 14 :],
        "half a profile": data[:20] + b"\xff\xe2\0\x12ICC_PROFILE\0\1\3ab" + data[20:],
    }
    for case, changed in odd.items():
        np.testing.assert_array_equal(decode(changed, case), pixels, err_msg=case)


def test_colors_without_transformation_and_unusual_sampling_are_read():
    data = jpeg(keep_rgb=True, quality=100)
    np.testing.assert_array_equal(decode(data, "a.jpg"), by_opencv(data))
    frame = bytearray(jpeg(subsampling="4:4:4"))
    frame[frame.index(b"\xff\xc0") + 11] = 0x31  # three samples of luma for one of color
    with pytest.raises(UserError, match="^a.jpg: "):
        decode(bytes(frame[: len(frame) // 2]), "a.jpg")
    assert decode(bytes(frame), "a.jpg").shape == (120, 160, 3)


def test_damaged_pixels_behind_spectral_selection_of_cameras_are_named():
    data = jpeg(quality=90)
    scan = data.index(b"\xff\xda")
    odd = data[: scan + 11] + bytes(3) + data[scan + 14 :]
    with pytest.raises(UserError, match="^a.jpg: the JPEG is damaged"):
        decode(DAMAGES["cut out"](odd, len(odd) // 2), "a.jpg")
