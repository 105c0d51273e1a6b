"""What `--amp auto` measured is remembered for the same network, and for no other."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from basicsr.archs.nafnet import NAFNet
from basicsr.archs.rcdnet import RCDNet
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.restoration.agreements import RememberedAgreement

CPU = torch.device("cpu")


class OfAPlugin(NAFNet):
    def forward(self, x: Tensor) -> Tensor:
        return x


def net(seed: int = 0, **more: object) -> NAFNet:
    torch.manual_seed(seed)
    return NAFNet(width=4, enc_blk_nums=[1], dec_blk_nums=[1], **more)


@pytest.mark.parametrize("figure", [58.4321, math.inf, math.nan])
def test_a_figure_is_kept_for_the_same_weights_and_structure(tmp_path, figure: float):
    folder = tmp_path / "precision"
    assert RememberedAgreement(folder, net(), CPU).find() is None
    RememberedAgreement(folder, net(), CPU).keep(figure)
    assert RememberedAgreement(folder, net(), CPU).find() == pytest.approx(figure, abs=0, nan_ok=True)
    assert RememberedAgreement(folder, net(1), CPU).find() is None
    assert RememberedAgreement(folder, net(train_size=(1, 3, 64, 64)), CPU).find() is None
    assert RememberedAgreement(folder, net(), torch.device("meta")).find() is None


def test_single_numbers_among_the_weights_count_too(tmp_path):
    """Batch normalization counts its batches in a tensor without axes."""
    counting = RCDNet(num_stages=1, num_maps=2, num_duals=2, num_blocks=1)
    numbers = [buffer for buffer in counting.buffers() if buffer.ndim == 0]
    RememberedAgreement(tmp_path, counting, CPU).keep(60.0)
    assert numbers and RememberedAgreement(tmp_path, counting, CPU).find() == 60.0
    numbers[0] += 1
    assert RememberedAgreement(tmp_path, counting, CPU).find() is None


def test_code_of_others_may_change_so_it_is_measured_each_time(tmp_path):
    other = OfAPlugin(width=4, enc_blk_nums=[1], dec_blk_nums=[1])
    RememberedAgreement(tmp_path, other, CPU).keep(60.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"agreement": "60.0", "checksum": "0"}'])
def test_a_damaged_file_is_no_figure_and_is_replaced(tmp_path, content: str):
    remembered = RememberedAgreement(tmp_path, net(), CPU)
    remembered.keep(60.0)
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    assert remembered.find() is None
    remembered.keep(60.0)
    assert remembered.find() == 60.0


def test_a_folder_that_cannot_be_made_changes_nothing(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file/precision", None):
        remembered = RememberedAgreement(folder, net(), CPU)
        remembered.keep(60.0)
        assert remembered.find() is None


@pytest.mark.parametrize(("figure", "chosen"), [(70.0, "bf16"), (40.0, "off"), (math.nan, "off")])
def test_a_restorer_takes_the_figure_of_an_earlier_run(tmp_path, monkeypatch, figure: float, chosen: str):
    monkeypatch.setattr("basicsr.restoration.restorer.has_bfloat16", lambda device: True)
    options = RestoreOptions(amp="auto", device="cpu", cache=tmp_path)
    measured = Restorer(net(), options).amp
    assert measured == Restorer(net(), dataclasses.replace(options, cache=None)).amp
    assert len(list(tmp_path.iterdir())) == 1
    RememberedAgreement(tmp_path, net(), CPU).keep(figure)
    assert Restorer(net(), options).amp == chosen
