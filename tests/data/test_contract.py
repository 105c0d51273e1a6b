"""What the engine relies on, of every data set."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import default_collate

from basicsr.data.paired import SampleIndex
from basicsr.utils.registry import DATASETS

TRANSFORMS = [{"type": "RandomCrop", "size": 20}, {"type": "RandomFlip"}, {"type": "RandomRotate"}]
ROOTS = {"dataroot_gt": "target", "dataroot_lq": "input", "dataroot_mask": "input_mask"}
READ_BY_ROOTS = [
    name
    for name in DATASETS.names()
    if {key for key, option in DATASETS.options(name).items() if option.required} <= ROOTS.keys()
]


@pytest.mark.parametrize("name", READ_BY_ROOTS)
def test_every_data_set_of_images_keeps_the_contract(name: str, paired_set):
    """Those that need more than the usual folders are tested by themselves."""
    asked = DATASETS.options(name)
    options = {key: f"{paired_set}/{folder}" for key, folder in ROOTS.items() if key in asked}
    dataset = DATASETS.build(name, options | {"transforms": TRANSFORMS}, seed=3, train=True)
    samples = [dataset[SampleIndex(number, 1)] for number in (4, 2)]
    batch = dataset.complete(default_collate(samples), torch.device("cpu"))
    assert set(batch) == {*dataset.delivers, "key"} and batch["key"] == ["photo_4", "photo_2"]
    assert all(batch[key].shape[0] == 2 and batch[key].shape[-2:] == (20, 20) for key in dataset.delivers)
    assert set(dataset.places("photo_4")) == {field.name for field in dataset.fields}
    assert dataset.reference in dataset.delivers and dataset.keys == dataset.field(dataset.reference).keys()
