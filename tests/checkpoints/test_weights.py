"""Weights on disk: round trips, foreign files, and one clear line for each thing that can be wrong."""

from __future__ import annotations

import pickle
import tarfile
import warnings

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import nn

from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import (
    load_contents,
    load_network,
    read_weights,
    save_contents,
    save_network,
)
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png
from basicsr.utils.registry import ARCHS

SMALL = {"width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1]}


def net(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 1), nn.Conv2d(width, 3, 1))


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def message_of(call, *arguments, **options) -> str:
    with pytest.raises(UserError) as error:
        call(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_average_is_preferred_and_either_can_be_asked_for(tmp_path):
    plain, averaged, loaded = net(), net(), net()
    save_network(tmp_path / "net.pth", plain, averaged, {"type": "NAFNet", "width": 8})
    assert "[params_ema]" in load_network(loaded, tmp_path / "net.pth")
    assert same(loaded, averaged)
    load_network(loaded, tmp_path / "net.pth", param_key="params")
    assert same(loaded, plain)
    save_network(tmp_path / "plain.pth", plain, None)
    assert "[params]" in load_network(net(), tmp_path / "plain.pth", param_key="params_ema")
    assert load_contents(tmp_path / "net.pth")["basicsr"]["network"] == {"type": "NAFNet", "width": 8}


def test_a_file_may_have_the_longest_name(tmp_path):
    source, loaded = net(), net()
    for name in ("x" * 251 + ".pth", "x" * 249 + ".state"):
        save_network(tmp_path / name, source, None)
        load_network(loaded, tmp_path / name)
        assert same(source, loaded)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"params": s}, lambda s: {"state_dict": s}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_files_of_other_toolkits_are_unwrapped(tmp_path, wrap, prefix: str):
    source, loaded = net(), net()
    torch.save(
        wrap({prefix + key: value for key, value in source.state_dict().items()}), tmp_path / "net.pth"
    )
    load_network(loaded, tmp_path / "net.pth")
    assert same(source, loaded)


def test_safetensors_are_read(tmp_path):
    source, loaded = net(), net()
    save_file(source.state_dict(), tmp_path / "net.safetensors")
    load_network(loaded, tmp_path / "net.safetensors")
    assert same(source, loaded)


def test_a_file_of_another_network_lists_missing_unexpected_and_misshapen_keys(tmp_path):
    state = net(5).state_dict()
    state["other.weight"] = state.pop("0.bias")
    torch.save({"params": state}, tmp_path / "net.pth")
    message = message_of(load_network, net(), tmp_path / "net.pth")
    assert str(tmp_path / "net.pth") in message
    assert "1 missing: 0.bias" in message
    assert "1 unexpected: other.weight" in message
    assert "2 of another shape: 0.weight (5, 3, 1, 1) in the file, (3, 3, 1, 1) in the network" in message
    assert "strict_load_g" in message


def test_a_file_of_another_network_is_told_in_a_few_words(tmp_path):
    """The network that it is of can be copied into an option file."""
    other = {"type": "NAFNet", "width": 8, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]}
    foreign = ARCHS.build("NAFNet", {key: value for key, value in other.items() if key != "type"})
    save_network(tmp_path / "own.pth", foreign, None, other)
    torch.save({"params": foreign.state_dict()}, tmp_path / "published.pth")
    for name, how in (("own", "describes"), ("published", "was recognized as")):
        message = message_of(load_network, ARCHS.build("NAFNet", SMALL), tmp_path / f"{name}.pth")
        assert len(message) < 700 + len(str(tmp_path)) and "unexpected: " in message
        output, _, rest = message.partition(f"The file {how} network_g: ")
        block = yaml.safe_load(rest[: rest.index("}") + 1])
        assert {key: block[key] for key in other} == other
        assert output.count("weight") < 10, "the first of each kind"
    torch.save({"params": net(5).state_dict()}, tmp_path / "none.pth")
    assert "network_g: " not in message_of(load_network, net(), tmp_path / "none.pth")


def test_what_fits_is_loaded_when_not_strict(tmp_path):
    source, loaded = net(5), net()
    torch.save({"params": source.state_dict()}, tmp_path / "net.pth")
    line = load_network(loaded, tmp_path / "net.pth", strict=False)
    assert "loaded 1 weights" in line and "of another shape" in line
    assert torch.equal(loaded[1].bias, source[1].bias)


@pytest.mark.parametrize("row", [{"type": "SegNAFNet"}, {"type": "NAFNet", "mask": True}])
def test_a_network_with_more_inputs_does_at_first_what_the_one_without_did(tmp_path, row):
    """Masks are new to it, and have no say until training gives them one."""
    plain, masked = ARCHS.build("NAFNet", SMALL), ARCHS.build(row.pop("type"), SMALL | row)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.uniform_(-0.3, 0.3)
    save_network(tmp_path / "net.pth", plain, None, {"type": "NAFNet", **SMALL})
    line = load_network(masked, tmp_path / "net.pth", strict=False)
    assert "further input channels of intro.weight start at zero" in line
    inputs = masked.example_inputs(16, 24)
    with torch.no_grad():
        torch.testing.assert_close(masked(*inputs), plain(inputs[0][:, :3]))


def test_only_convolutions_with_more_inputs_are_widened(tmp_path):
    """And those by zeros behind the file's channels; anything else that does not fit stays as it is."""
    file = {
        "wider": nn.Conv2d(3, 4, 3),
        "narrower": nn.Conv2d(5, 4, 3),
        "of_another_size": nn.Conv2d(3, 4, 1),
        "with_more_outputs": nn.Conv2d(3, 5, 3),
        "flat": nn.Linear(3, 4),
        "long": nn.Conv1d(3, 4, 3),
    }
    network = {
        "wider": nn.Conv2d(5, 4, 3),
        "narrower": nn.Conv2d(3, 4, 3),
        "of_another_size": nn.Conv2d(5, 4, 3),
        "with_more_outputs": nn.Conv2d(5, 4, 3),
        "flat": nn.Linear(5, 4),
        "long": nn.Conv1d(5, 4, 3),
    }
    net = nn.ModuleDict(network)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.save({"params": nn.ModuleDict(file).state_dict()}, tmp_path / "net.pth")
    line = load_network(net, tmp_path / "net.pth", strict=False)
    assert line.count("further input channels of wider.weight start at zero") == 1
    widened = network["wider"].weight
    assert torch.equal(widened[:, :3], file["wider"].weight)
    assert widened[:, 3:].eq(0).all()
    for name in network.keys() - {"wider"}:
        assert torch.equal(net.state_dict()[f"{name}.weight"], before[f"{name}.weight"]), name
    for name in network.keys() - {"with_more_outputs"}:
        assert torch.equal(network[name].bias, file[name].bias), name


@pytest.mark.parametrize(("count", "end"), [(1, "; "), (2, ", ..; ")])
def test_keys_are_counted_and_the_first_of_a_kind_is_named(tmp_path, count: int, end: str):
    torch.save({"params": {"other.weight": torch.zeros(1)}}, tmp_path / "net.pth")
    wanted = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(count)))
    message = message_of(load_network, wanted, tmp_path / "net.pth")
    assert f": {count} missing: 0.weight{end}1 unexpected: other.weight. " in message


class Evil:
    def __reduce__(self):
        return (print, ("code from a file was run",))


def test_code_in_a_file_is_refused_and_not_run(tmp_path, capsys):
    torch.save({"params": net().state_dict(), "extra": Evil()}, tmp_path / "evil.pth")
    message = message_of(load_contents, tmp_path / "evil.pth")
    assert "refused" in message and str(tmp_path / "evil.pth") in message
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert str(tmp_path / "plain.pth") in message_of(load_contents, tmp_path / "plain.pth")
    assert "code from a file" not in capsys.readouterr().out


def test_a_tar_file_is_refused_before_it_is_unpacked(tmp_path):
    with tarfile.open(tmp_path / "old.pth", "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    message = message_of(load_contents, tmp_path / "old.pth")
    assert "old.pth: a tar file" in message and "torch.save" in message


def test_a_picture_is_no_checkpoint(tmp_path):
    write_png(tmp_path / "photo.pth", np.zeros((8, 8, 3), np.uint8))
    assert "photo.pth: not a checkpoint" in message_of(load_contents, tmp_path / "photo.pth")


def test_numpy_files_hold_arrays_and_no_objects(tmp_path):
    """Unpickling could run code; what is cut short or foreign is one line as well."""
    np.savez(tmp_path / "objects.npz", weights=np.array([print, "x"], dtype=object))
    with pytest.raises(UserError, match="objects.npz: refused: it holds Python objects that could run code"):
        read_weights(tmp_path / "objects.npz")
    np.savez(tmp_path / "words.npz", names=np.array(["a", "b"]))
    np.save(tmp_path / "single.npy", np.zeros(3))
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    np.savez(tmp_path / "whole.npz", weights=np.ones((8, 8)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:-40])
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"weights": 1}))
    for name in ("words", "single", "cut", "pickle"):
        with pytest.raises(UserError, match=f"{name}.npz: not a checkpoint, or cut short") as caught:
            read_weights(tmp_path / f"{name}.npz")
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"whole.npz: holds weights of none of .*weights \(8, 8\)"):
        rebuild_network(tmp_path / "whole.npz")


def test_broken_missing_and_empty_files_are_named(tmp_path):
    save_network(tmp_path / "net.pth", net(), None)
    (tmp_path / "cut.pth").write_bytes((tmp_path / "net.pth").read_bytes()[:500])
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "empty.pth").write_bytes(b"")
    for name in ("cut", "text", "empty"):
        assert f"{name}.pth: not a checkpoint, or cut short" in message_of(
            load_contents, tmp_path / f"{name}.pth"
        )
    assert "no such checkpoint" in message_of(load_contents, tmp_path / "none.pth")
    torch.save(net().state_dict(), tmp_path / "whole.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    assert "holds a list" in message_of(load_contents, tmp_path / "list.pth")
    message = message_of(load_network, net(), tmp_path / "whole.pth", param_key="params_ema")
    assert "no entry 'params_ema'" in message and "0.weight" in message


def test_nothing_half_written_is_left_when_the_disk_is_full(tmp_path):
    save_contents(tmp_path / "a.state", {"x": torch.zeros(3)})
    before = (tmp_path / "a.state").read_bytes()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        save_contents(tmp_path / "file" / "b.state", {"x": torch.zeros(3)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.state", "file"]
    assert (tmp_path / "a.state").read_bytes() == before
