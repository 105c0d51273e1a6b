"""Which samples are seen, in which order, by which process."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basicsr.config.schema import DatasetOptions
from basicsr.data.loader import (
    batch_size_of_one,
    batches,
    evaluation_loader,
    train_loader,
)
from basicsr.data.paired import PairedImageDataset
from basicsr.data.sampler import ShareSampler, TrainSampler
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.interruption import explaining_workers
from basicsr.utils.log import logger


def first_batches(count: int, **options) -> list:
    settings = {"epoch_size": 10, "batch_size": 3, "rank": 0, "world_size": 1, "seed": 7, "shuffle": True}
    return list(itertools.islice(TrainSampler(**settings | options), count))


def test_every_epoch_shows_every_sample_once_in_another_order():
    stream = list(itertools.chain(*first_batches(10)))
    epochs = [[number for number, epoch in stream if epoch == which] for which in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert list(range(10)) != epochs[0] != epochs[1] != epochs[2]
    assert first_batches(10) == first_batches(10)
    assert first_batches(10) != first_batches(10, seed=8)


def test_without_shuffling_the_order_is_that_of_the_files():
    assert [number for number, _ in itertools.chain(*first_batches(4, shuffle=False))] == [*range(10), 0, 1]


@given(done=st.integers(0, 30), batch=st.integers(1, 4), world=st.integers(1, 3))
def test_resuming_goes_on_where_it_stopped(done: int, batch: int, world: int):
    options = {"batch_size": batch, "world_size": world, "rank": world - 1}
    assert first_batches(done + 5, **options)[done:] == first_batches(
        5, start=done * batch * world, **options
    )


@given(world=st.integers(1, 4))
def test_processes_share_one_stream(world: int):
    """Together they see what a single process with the whole batch sees."""
    alone = first_batches(4, batch_size=2 * world)
    shares = [first_batches(4, batch_size=2, world_size=world, rank=rank) for rank in range(world)]
    for step, together in enumerate(alone):
        assert Counter(together) == Counter(itertools.chain(*(share[step] for share in shares)))


@given(world=st.sampled_from([1, 2, 4]), other=st.sampled_from([1, 2, 4]), done=st.integers(0, 5))
def test_resuming_with_other_processes_keeps_the_steps(world: int, other: int, done: int):
    """Steps of 4 samples, whoever shares them."""

    def steps(count: int, world: int, start: int = 0) -> list[Counter]:
        settings = {"batch_size": 4 // world, "world_size": world, "start": start}
        shares = [first_batches(count, rank=rank, **settings) for rank in range(world)]
        return [Counter(itertools.chain(*step)) for step in zip(*shares, strict=True)]

    assert steps(done, world) + steps(3, other, start=4 * done) == steps(done + 3, 1)


@given(size=st.integers(0, 20), world=st.integers(1, 5))
def test_each_test_image_belongs_to_exactly_one_process(size: int, world: int):
    shares = [list(ShareSampler(size, rank, world)) for rank in range(world)]
    assert sorted(itertools.chain(*shares)) == list(range(size))


def pairs(folder) -> PairedImageDataset:
    return PairedImageDataset(
        dataroot_gt=f"{folder}/target", dataroot_lq=f"{folder}/input", gt_size=8, train=True
    )


def options(**changes) -> DatasetOptions:
    return DatasetOptions(**{"type": "PairedImageDataset", "name": "set"} | changes)


@given(total=st.integers(1, 40), world=st.integers(1, 9), accumulate=st.integers(1, 5))
def test_a_total_batch_is_shared_evenly_or_refused(total: int, world: int, accumulate: int):
    try:
        one = batch_size_of_one(options(batch_size_total=total), world, accumulate)
    except OptionError:
        assert total % (world * accumulate) != 0
    else:
        assert one >= 1 and one * world * accumulate == total


def test_a_total_batch_that_cannot_be_shared_is_one_line():
    with pytest.raises(OptionError) as error:
        batch_size_of_one(options(batch_size_total=32), 3, 2)
    assert str(error.value) == (
        "datasets.train.batch_size_total: 3 process(es) with train.accumulate 2 cannot share it evenly; "
        "choose a multiple of 6, or another number of processes (got 32)"
    )


def test_the_batch_of_one_process_can_be_given_instead():
    assert batch_size_of_one(options(), 4, 2) == 1
    assert batch_size_of_one(options(batch_size_per_gpu=8), 4, 2) == 8


def test_order_and_augmentation_do_not_depend_on_the_number_of_workers(paired_set):
    loaders = [
        train_loader(pairs(paired_set), options(num_worker_per_gpu=n), 4, Ranks(), seed=5) for n in (0, 2)
    ]
    streams = [[batch for batch, _ in zip(batches(loader), range(5), strict=False)] for loader in loaders]
    for alone, spread in zip(*streams, strict=True):
        assert alone["key"] == spread["key"]
        assert alone["gt"].equal(spread["gt"])


def test_enlarging_shows_every_image_that_many_times_an_epoch(paired_set):
    loader = train_loader(
        pairs(paired_set),
        options(dataset_enlarge_ratio=2, num_worker_per_gpu=0),
        6,
        Ranks(),
        5,
    )
    first_epoch = [batch for batch, _ in zip(batches(loader), range(2), strict=False)]
    assert set(Counter(first_epoch[0]["key"] + first_epoch[1]["key"]).values()) == {2}


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_loaders_are_as_the_options_say(paired_set, monkeypatch):
    monkeypatch.setattr("basicsr.data.loader.usable_cores", lambda: 8)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    dataset, ranks = pairs(paired_set), Ranks(1, 4, 1, 2)
    for workers, expected in ((3, 3), (5, 4)):
        chosen = options(num_worker_per_gpu=workers, num_prefetch_queue=7)
        training = train_loader(dataset, chosen, 3, ranks, seed=6, samples_done=24)
        testing = evaluation_loader(dataset, chosen, ranks)
        assert training.num_workers == testing.num_workers == expected
        assert training.prefetch_factor == 7
        assert training.pin_memory and testing.pin_memory
    sampler = training.batch_sampler
    assert (sampler.epoch_size, sampler.batch_size, sampler.rank, sampler.world_size) == (6, 3, 1, 4)
    assert (sampler.seed, sampler.shuffle, sampler.start) == (6, True, 24)
    assert testing.batch_size == 1 and list(testing.sampler) == [1, 5]


@pytest.mark.parametrize(
    ("wanted", "pinned"),
    [
        ({"pin_memory": False}, False),
        ({"pin_memory": False, "prefetch_mode": "cpu"}, False),
        ({"pin_memory": False, "prefetch_mode": "cuda"}, True),
        ({"pin_memory": True, "prefetch_mode": "cpu"}, True),
    ],
)
def test_memory_is_pinned_where_it_is_asked_for_and_there_is_a_gpu(paired_set, monkeypatch, wanted, pinned):
    for has_gpu in (True, False):
        monkeypatch.setattr("torch.cuda.is_available", lambda has_gpu=has_gpu: has_gpu)
        loader = evaluation_loader(pairs(paired_set), options(num_worker_per_gpu=0, **wanted), Ranks())
        assert loader.pin_memory == (pinned and has_gpu)


def test_workers_never_exceed_the_cores(paired_set):
    cores = len(os.sched_getaffinity(0))
    dataset, many = pairs(paired_set), options(num_worker_per_gpu=500)
    assert train_loader(dataset, many, 4, Ranks(), 1).num_workers == cores
    shared_by_all = Ranks(0, 2 * cores, 0, 2 * cores)
    assert train_loader(dataset, many, 4, shared_by_all, 1).num_workers == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_worker_stays_one_line(paired_set, workers: int):
    (paired_set / "input/photo_3.png").write_text("no image")
    loader = evaluation_loader(pairs(paired_set), options(num_worker_per_gpu=workers), Ranks())
    with pytest.raises(UserError) as error:
        list(batches(loader))
    assert str(error.value).startswith(f"{paired_set}/input/photo_3.png: not an image")
    assert "\n" not in str(error.value)


@pytest.fixture
def clean() -> Iterator[None]:
    """Loaders of other tests have no workers any more, and those of this one none afterwards."""
    gc.collect()
    yield
    gc.collect()


@pytest.mark.usefixtures("clean")
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes are stopped so on POSIX alone")
def test_a_worker_that_is_stopped_is_named_and_not_waited_for_without_end(paired_set, monkeypatch, caplog):
    monkeypatch.setattr("basicsr.data.loader._WARN_AFTER", 0.5)
    logger().propagate = True
    chosen = options(num_worker_per_gpu=1, worker_timeout=1.0)
    stream = batches(train_loader(pairs(paired_set), chosen, 4, Ranks(), seed=5))
    next(stream)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, signal.SIGSTOP)
    said = f"no batch has arrived for 1 s: process {worker.pid}, which loads data, is stopped"
    with pytest.raises(UserError, match=said), caplog.at_level("WARNING", "basicsr"):
        for _ in stream:
            pass
    assert multiprocessing.active_children() == []
    assert "waiting for a batch for 0 s: process" in caplog.messages[0]


@pytest.mark.usefixtures("clean")
@pytest.mark.skipif(os.name != "posix", reason="signals are a matter of POSIX")
def test_a_worker_that_is_killed_is_one_line(paired_set):
    chosen = options(num_worker_per_gpu=1)
    with pytest.raises(UserError, match="killed, most likely because memory ran out"), explaining_workers():
        stream = batches(train_loader(pairs(paired_set), chosen, 4, Ranks(), seed=5))
        next(stream)
        for worker in multiprocessing.active_children():
            worker.kill()
        for _ in stream:
            pass
