"""Which samples a process sees, as a function of the position only, so there is nothing to save."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler

from basicsr.data.paired import SampleIndex
from basicsr.utils.rng import permutation


class TrainSampler(Sampler[list[SampleIndex]]):
    """Endless batches of one process. All processes share one stream of shuffled epochs.

    Args:
        epoch_size: samples per epoch (images times ``dataset_enlarge_ratio``).
        batch_size: samples per batch of this process.
        rank: number of this process.
        world_size: number of processes.
        seed: of the shuffling, together with the epoch.
        shuffle: False goes through each epoch in order.
        start: samples of the stream that are done, over all processes; where a resumed run continues.
    """

    def __init__(
        self,
        epoch_size: int,
        batch_size: int,
        rank: int,
        world_size: int,
        seed: int,
        shuffle: bool,
        start: int = 0,
    ) -> None:
        self.epoch_size = epoch_size
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.seed = seed
        self.shuffle = shuffle
        self.start = start

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        order_epoch, order = -1, None
        position = self.start + self.rank
        while True:
            batch = []
            for _ in range(self.batch_size):
                epoch, offset = divmod(position, self.epoch_size)
                if self.shuffle and epoch != order_epoch:
                    order_epoch, order = epoch, permutation(self.seed, epoch, self.epoch_size)
                batch.append(SampleIndex(offset if order is None else int(order[offset]), epoch))
                position += self.world_size
            yield batch


class ShareSampler(Sampler[int]):
    """Every ``world_size``-th sample, starting at ``rank``: each is evaluated once, by one process."""

    def __init__(self, size: int, rank: int, world_size: int) -> None:
        self.indices = range(rank, size, world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
