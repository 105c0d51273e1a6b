"""Damage to a checkpoint is noticed; nobody else is disturbed by its checksum."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from basicsr.checkpoints.convert import convert_checkpoint
from basicsr.checkpoints.seal import is_damaged, seal_zip
from basicsr.checkpoints.weights import load_contents, load_network, save_contents, save_network
from basicsr.utils.errors import UserError
from basicsr.utils.registry import ARCHS

SMALL = {"width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1]}


@pytest.fixture(params=[".pth", ".safetensors"])
def sealed(request, tmp_path) -> Path:
    """A weight file that was written here."""
    save_network(tmp_path / "net.pth", ARCHS.build("NAFNet", SMALL), None, {"type": "NAFNet", **SMALL})
    if request.param == ".safetensors":
        convert_checkpoint(tmp_path / "net.pth", tmp_path / "net.safetensors")
    return tmp_path / f"net{request.param}"


def test_every_flipped_bit_and_every_hole_in_the_tensors_is_noticed(sealed):
    """At places all over the file: what is not noticed loads the very same weights."""
    whole = sealed.read_bytes()
    expected = load_contents(sealed)["params"]
    noticed = 0
    places = range(0, len(whole), max(1, len(whole) // 150))
    for number, place in enumerate(places):
        if number % 2:
            harmed = whole[:place] + bytes([whole[place] ^ (1 << number % 8)]) + whole[place + 1 :]
        else:
            harmed = whole[:place] + bytes(64) + whole[place + 64 :]
        if harmed == whole:
            continue
        sealed.write_bytes(harmed)
        try:
            found = load_contents(sealed)["params"]
        except UserError as error:
            noticed += 1
            assert str(error).startswith(f"{sealed}: ") and "\n" not in str(error)
        else:  # the digits' label alone can be harmed without a trace
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert noticed >= len(places) * 0.9


def test_a_flip_in_a_tensor_is_told_in_one_line(sealed):
    whole = bytearray(sealed.read_bytes())
    tensor = load_contents(sealed)["params"]["intro.weight"].contiguous().numpy().tobytes()
    whole[whole.index(tensor) + 5] ^= 1
    sealed.write_bytes(whole)
    assert is_damaged(sealed)
    with pytest.raises(UserError, match="damaged, its content does not match its checksum; fetch it again"):
        load_network(ARCHS.build("NAFNet", SMALL), sealed)


def test_other_programs_read_sealed_files(sealed):
    if sealed.suffix == ".pth":
        assert torch.load(sealed, weights_only=True).keys() == {"params", "basicsr"}
        assert zipfile.ZipFile(sealed).testzip() is None
    else:
        assert load_file(sealed).keys() == ARCHS.build("NAFNet", SMALL).state_dict().keys()


def test_files_without_a_checksum_and_files_saved_again_load_as_ever(sealed, tmp_path):
    """A flip in them goes unnoticed, as it always did."""
    state = load_contents(sealed)["params"]
    torch.save({"params": state}, tmp_path / "again.pth")
    save_file(state, tmp_path / "again.safetensors")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("again.pth", "again.safetensors", "old.pth"):
        assert not is_damaged(tmp_path / name)
        load_network(ARCHS.build("NAFNet", SMALL), tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 40, b"\0" * 8, b"\x09" + bytes(7) + b" blake2b:"])
def test_anything_may_be_asked(content: bytes, tmp_path):
    (tmp_path / "file").write_bytes(content)
    assert is_damaged(tmp_path / "file") is content.endswith(b":")


def test_a_file_of_many_chunks_is_read_to_its_end(tmp_path):
    """Digits are looked for at the end, and all before them counts."""
    save_contents(tmp_path / "large.pth", {"x": torch.arange(700_000)})
    assert not is_damaged(tmp_path / "large.pth")
    whole = (tmp_path / "large.pth").read_bytes()
    for place in (500, 1 << 20, (1 << 20) - 1, len(whole) - 400):
        harmed = bytearray(whole)
        harmed[place] ^= 16
        (tmp_path / "large.pth").write_bytes(harmed)
        assert is_damaged(tmp_path / "large.pth"), place


def test_a_seal_changes_nothing_before_it(tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "plain.pth")
    plain = (tmp_path / "plain.pth").read_bytes()
    assert seal_zip(plain)[: len(plain) - 2] == plain[:-2]
