"""What workers load in training: samples with remarks, and substitutes for samples that cannot be read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from torch.utils.data import Dataset, default_collate

from basicsr.data.paired import ImageDataset, SampleIndex
from basicsr.data.remarks import Remark
from basicsr.masks.pooling import compact_labels
from basicsr.utils.errors import UserError
from basicsr.utils.rng import sample_generator

Sample = dict[str, Any]

_MOST_SUBSTITUTES = 10  # for one sample; if none of them can be read, the data set is broken, not a file


class TrainingSamples(Dataset[tuple[Sample, list[Remark]]]):
    """The samples of any data set.

    Args:
        unreadable: ``stop`` raises the error of a sample that cannot be read; ``skip`` uses the first of its
            `substitutes` that can.
    """

    def __init__(self, dataset: ImageDataset, unreadable: Literal["stop", "skip"]) -> None:
        self.dataset = dataset
        self.unreadable = unreadable

    def __getitem__(self, which: SampleIndex) -> tuple[Sample, list[Remark]]:
        skipped: list[Remark] = []
        for candidate in itertools.chain([which], substitutes(which, len(self.dataset), self.dataset.seed)):
            try:
                sample, remarks = self.dataset.read(candidate)
            except UserError as error:
                if self.unreadable == "stop":
                    raise
                skipped.append(Remark("unreadable", str(error)))
            else:
                return sample, skipped + remarks
        what = f"{len(skipped) - 1} substitutes cannot be read either"
        raise UserError(f"{skipped[0].text}; {what}")


def substitutes(which: SampleIndex, size: int, seed: int) -> Iterator[SampleIndex]:
    """Samples of other images that replace one, in order. They depend on its index only, so workers,
    processes and resumed runs agree on them.

    Args:
        size: number of images.
        seed: of the data set.
    """
    generator = sample_generator(seed, which.epoch, which.number)
    for offset in 1 + generator.permutation(size - 1)[:_MOST_SUBSTITUTES]:
        yield SampleIndex(which.number + int(offset), which.epoch)


def collate(samples: Sequence[tuple[Sample, list[Remark]]]) -> dict[str, Any]:
    """A batch; if there are remarks, it holds them as ``remarks``. Label maps are compact."""
    rest = [{name: value for name, value in sample.items() if name != "labels"} for sample, _ in samples]
    batch: dict[str, Any] = default_collate(rest)
    if "labels" in samples[0][0]:
        batch["labels"] = compact_labels([sample["labels"] for sample, _ in samples])
    remarks = [remark for _, of_sample in samples for remark in of_sample]
    return batch | {"remarks": remarks} if remarks else batch
