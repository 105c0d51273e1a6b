"""The training loop: resuming, accumulation, clipping, averaging, and steps that are not finite."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from basicsr.archs.base import RestorationNetwork, network_class
from basicsr.engine.hooks import Ema
from basicsr.engine.trainer import Hook, StepSettings, Trainer, move_to
from basicsr.losses import L1Loss, MSELoss
from basicsr.models.base import check_channels, check_inputs, gather_inputs
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.utils.convert import Mistakes
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.registry import ARCHS, MODELS
from basicsr.utils.rng import capture_random_state, restore_random_state

CPU = torch.device("cpu")


def batch_of(number: int, size: int = 2) -> dict:
    generator = torch.Generator().manual_seed(number)
    x = torch.rand(size, 3, 8, 8, generator=generator)
    return {"lq": x, "gt": 1 - x, "key": [str(i) for i in range(size)]}


def in_double(batch: dict) -> dict:
    return {name: value.double() if name in ("lq", "gt") else value for name, value in batch.items()}


def model_of(mixup: bool = False) -> ImageRestorationModel:
    torch.manual_seed(0)
    net = ARCHS.build("NAFNet", {"width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1]})
    return ImageRestorationModel({"g": net}, {"l_pix": L1Loss(loss_weight=2.0)}, mixup)


def trainer_of(
    model, settings=None, batches=None, optimizer=None, rate=lambda step, base: base, hooks=()
) -> Trainer:
    optimizer = optimizer or torch.optim.SGD(model.networks.parameters(), lr=0.1)
    batches = iter(batches) if batches is not None else map(batch_of, itertools.count())
    return Trainer(model, optimizer, rate, batches, settings or StepSettings(), CPU, hooks)


def weights(model) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.networks.parameters()]


def test_training_lowers_the_loss():
    model = model_of()
    model.train()
    first = model.training_step(batch_of(0))["loss"].item()
    trainer_of(
        model, batches=itertools.repeat(batch_of(0)), optimizer=torch.optim.Adam(model.parameters(), 1e-2)
    ).run(60)
    assert model.training_step(batch_of(0))["loss"].item() < first / 2


def test_the_loss_is_the_weighted_sum_of_its_terms():
    model = ImageRestorationModel(model_of().networks, {"l_pix": L1Loss(2.0), "l_percep": MSELoss(0.5)})
    losses = model.training_step(batch_of(0))
    difference = (model.predict(batch_of(0)) - batch_of(0)["gt"]).double()
    l1, l2 = 2 * difference.abs().mean().item(), 0.5 * difference.square().mean().item()
    # Means in float32 over n numbers of one sign are off by n roundings at most.
    rounding = difference.numel() * torch.finfo(torch.float32).eps
    assert losses["l_pix"].item() == pytest.approx(l1, rel=rounding)
    assert losses["loss"].item() == pytest.approx(l1 + l2, rel=rounding)


def test_accumulated_small_batches_equal_one_large_batch():
    small = [in_double(batch_of(number)) for number in range(4)]
    large = {name: torch.cat([batch[name] for batch in small]) for name in ("lq", "gt")} | {
        "key": list("abcdefgh")
    }
    one, four = model_of().double(), model_of().double()
    first = trainer_of(one, batches=[large])
    second = trainer_of(four, StepSettings(accumulate=4), batches=small)
    first.run(1)
    second.run(1)
    for a, b in zip(weights(one), weights(four), strict=True):
        torch.testing.assert_close(a, b)
    # The losses are float32 means over all numbers, or means of such means.
    rounding = 2 * large["gt"].numel() * torch.finfo(torch.float32).eps
    losses = [trainer.last_losses["loss"].item() for trainer in (first, second)]
    assert losses[0] == pytest.approx(losses[1], rel=rounding)
    assert first.samples_done == second.samples_done == 8
    assert second.iteration == 1


def test_the_gradient_norm_is_clipped():
    model = model_of()
    before = weights(model)
    trainer_of(model, StepSettings(clip_norm=0.01)).run(1)
    moved = torch.cat([(a - b).flatten() for a, b in zip(before, weights(model), strict=True)]).norm()
    assert moved.item() == pytest.approx(0.1 * 0.01, rel=1e-3), "learning rate times clipped norm"


def test_the_rate_of_each_step_is_that_of_the_schedule():
    seen = []

    class Watch(Hook):
        def after_step(self, trainer: Trainer) -> None:
            seen.append(trainer.optimizer.param_groups[0]["lr"])

    trainer_of(model_of(), rate=lambda step, base: base / (step + 1), hooks=[Watch()]).run(3)
    assert seen == pytest.approx([0.1, 0.05, 0.1 / 3])


def test_steps_that_are_not_finite_change_nothing_and_are_counted():
    bad = batch_of(1)
    bad["gt"][0, 0, 0, 0] = float("nan")
    model, spared = model_of(), model_of()
    trainer = trainer_of(model, batches=[batch_of(0), bad, batch_of(2)])
    trainer.run(3)
    trainer_of(spared, batches=[batch_of(0), batch_of(2)]).run(2)
    assert trainer.skipped_steps == 1
    assert all(torch.equal(a, b) for a, b in zip(weights(model), weights(spared), strict=True))


class Normed(RestorationNetwork):
    """Batch normalization, whose buffers change in every forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.last = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(x))


def normed() -> ImageRestorationModel:
    torch.manual_seed(0)
    return ImageRestorationModel({"g": Normed()}, {"l_pix": L1Loss()})


@pytest.mark.parametrize("broken", ["lq", "gt"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_skipped_step_changes_no_buffer_and_no_average(broken: str, accumulate: int):
    """Nor does the good half of a step that is skipped for its other half."""
    bad = batch_of(1)
    bad[broken][0, 0, 0, 0] = float("nan")
    first, last = ([batch_of(number)] * accumulate for number in (0, 2))
    skipped = [batch_of(5)] * (accumulate - 1) + [bad]
    trained = []
    for batches in ([*first, *last, *first], [*first, *last, *skipped, *first]):
        model = normed()
        ema = Ema(model, decay=0.5)
        trainer = trainer_of(model, StepSettings(accumulate=accumulate), batches, hooks=[ema])
        trainer.run(len(batches) // accumulate)
        trained.append((trainer.skipped_steps, model.state_dict(), ema.model.state_dict()))
    (none, *spared), (one, *disturbed) = trained
    assert (none, one) == (0, 1)
    for expected, found in zip(spared, disturbed, strict=True):
        assert [key for key in expected if not torch.equal(expected[key], found[key])] == []
    assert spared[0]["networks.g.norm.num_batches_tracked"] == 3 * accumulate


@pytest.fixture
def process_group(tmp_path):
    """A group of this process alone, so that gradients and buffers go the way of several processes."""
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_in_a_process_group_buffers_see_each_batch_once(request):
    """The pass that settles DDP's buckets does not count, nor does a skipped step."""
    bad = batch_of(1)
    bad["lq"][0, 0, 0, 0] = float("nan")
    alone, grouped = normed(), normed()
    trainer_of(alone, batches=[batch_of(0), batch_of(2)]).run(2)
    request.getfixturevalue("process_group")
    trainer = trainer_of(grouped, batches=[batch_of(0), bad, batch_of(2)])
    trainer.run(3)
    assert trainer.skipped_steps == 1
    for expected, found in zip(alone.state_dict().values(), grouped.state_dict().values(), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_processes_exchange_gradients_once_a_step(process_group, monkeypatch, accumulate: int):
    exchanges = []

    def count(_, bucket):  # PyTorch takes no annotations that are strings
        exchanges.append(bucket.buffer().numel())
        done = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    class Counted(torch.nn.parallel.DistributedDataParallel):
        def __init__(self, module: nn.Module) -> None:
            super().__init__(module)
            self.register_comm_hook(None, count)

    monkeypatch.setattr("basicsr.engine.trainer.DistributedDataParallel", Counted)
    model = model_of()
    trainer_of(model, StepSettings(accumulate=accumulate)).run(2)
    size = sum(parameter.numel() for parameter in model.parameters())
    assert sum(exchanges) == size * (1 + 2), "the pass that settles the buckets, and two steps"


def test_endless_trouble_stops_training_with_advice():
    model = model_of()
    nn.init.constant_(next(model.parameters()), torch.inf)
    with pytest.raises(UserError, match=r"iteration 100: .*lr.*--auto_resume"):
        trainer_of(model).run(1000)


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_trains_and_keeps_float32_weights(amp: str):
    model, reference = model_of(), model_of()
    trainer = trainer_of(model, StepSettings(amp=amp, channels_last=True))
    trainer.run(5)
    trainer_of(reference).run(5)
    assert trainer.skipped_steps == 0
    for a, b in zip(weights(model), weights(reference), strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, atol=0.02, rtol=0.05)


def test_the_average_follows_its_formula_and_predicts():
    model = model_of()
    ema = Ema(model, decay=0.9)
    trail = []

    class Watch(Hook):
        def after_step(self, trainer: Trainer) -> None:
            trail.append(weights(trainer.model))

    trainer_of(model, hooks=[ema, Watch()]).run(3)
    expected = trail[0]
    for later in trail[1:]:
        expected = [0.9 * old + 0.1 * new for old, new in zip(expected, later, strict=True)]
    for a, b in zip(weights(ema.model), expected, strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.equal(ema.model.predict(batch_of(0)), model.predict(batch_of(0)))


def test_the_state_survives_a_round_trip_bit_for_bit():
    def fresh() -> tuple[ImageRestorationModel, Trainer]:
        model = model_of()
        return model, trainer_of(model, optimizer=torch.optim.AdamW(model.parameters(), lr=1e-2))

    straight, straight_trainer = fresh()
    straight_trainer.run(6)
    first, first_trainer = fresh()
    first_trainer.run(3)
    second, second_trainer = fresh()
    second.load_state_dict(first.state_dict())
    second_trainer.load_state_dict(first_trainer.state_dict())
    second_trainer.batches = map(batch_of, itertools.count(3))
    second_trainer.run(6)
    assert all(torch.equal(a, b) for a, b in zip(weights(straight), weights(second), strict=True))
    assert second_trainer.samples_done == straight_trainer.samples_done == 12


def test_mixup_blends_both_images_alike():
    """The target of `batch_of` is one minus the input, and so is the target of any blend."""
    seen = []

    class Spy(RestorationNetwork):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x

    class Target(nn.Module):
        def forward(self, restored: torch.Tensor, gt: torch.Tensor) -> torch.Tensor:
            torch.testing.assert_close(gt, 1 - restored)
            return restored.mean()

    torch.manual_seed(0)
    model = ImageRestorationModel({"g": Spy()}, {"l_pix": Target()}, mixup=True)
    batch = batch_of(0, size=8)
    model.training_step(batch)
    assert not torch.equal(seen[0], batch["lq"])
    # Each sample is used once on either side.
    torch.testing.assert_close(seen[0].double().mean(0), batch["lq"].double().mean(0), atol=1e-6, rtol=0)


class Target(nn.Module):
    """A loss that keeps the target."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        self.seen.append(target)
        return pred.mean()


class Inputs(RestorationNetwork):
    """Keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        return x


def noise_of(batch: dict, **options: object) -> torch.Tensor:
    """What training adds to the inputs of a batch."""
    net = Inputs()
    model = ImageRestorationModel({"g": net}, {"l_pix": L1Loss()}, **options)
    model.training_step(batch)
    assert torch.equal(model.predict(batch), batch["lq"]), "restoring adds none"
    return net.seen[0] - batch["lq"]


def test_input_noise_has_the_standard_deviation_of_its_option():
    torch.manual_seed(0)
    batch = {name: torch.full((8, 3, 64, 64), 0.5) for name in ("lq", "gt")}
    noise = noise_of(batch, input_noise=0.1).double()
    # of n values the mean strays by sigma / sqrt(n), the variance by sqrt(2 / n) of itself
    for values in [*noise, noise]:
        count = values.numel()
        assert values.mean().item() == pytest.approx(0, abs=4 * 0.1 / count**0.5)
        assert values.var().item() == pytest.approx(0.01, rel=4 * (2 / count) ** 0.5)
    assert torch.equal(batch["lq"], torch.full((8, 3, 64, 64), 0.5)), "the batch stays"


def test_input_noise_that_varies_is_normal_from_sample_to_sample():
    """The square of |N(0, 1)| has mean 1 and variance 2; within a sample all pixels share it."""
    torch.manual_seed(0)
    batch = {name: torch.full((500, 3, 16, 16), 0.5) for name in ("lq", "gt")}
    noise = noise_of(batch, input_noise=0.1, input_noise_varies=True).double()
    variances = noise.flatten(1).var(1) / 0.01
    assert variances.mean().item() == pytest.approx(1, abs=4 * (2 / 500) ** 0.5)
    halves = (noise[:, :, :8].flatten(1).var(1), noise[:, :, 8:].flatten(1).var(1))
    assert torch.corrcoef(torch.stack(halves))[0, 1] > 0.95


def test_without_input_noise_no_random_number_is_drawn():
    before = torch.get_rng_state()
    assert noise_of(batch_of(0)).abs().max() == 0
    assert noise_of(batch_of(0), input_noise_varies=True).abs().max() == 0
    assert torch.equal(torch.get_rng_state(), before)


def test_input_noise_is_added_to_the_input_alone_and_to_clips_as_well():
    batch = batch_of(0) | {"mask": torch.rand(2, 1, 8, 8)}
    net = Inputs()
    net.image_inputs = ("lq", "mask")
    loss = Target()
    ImageRestorationModel({"g": net}, {"l": loss}, input_noise=0.1).training_step(batch)
    assert torch.equal(net.seen[0][:, 3:], batch["mask"]) and torch.equal(loss.seen[0], batch["gt"])
    clips = {name: torch.zeros(2, 5, 3, 8, 8) for name in ("lq", "gt")}
    assert noise_of(clips, input_noise=0.1, input_noise_varies=True).shape == (2, 5, 3, 8, 8)


def test_input_noise_is_an_option_of_the_model_and_not_negative():
    mistakes = Mistakes()
    given = {"input_noise": "2e-2", "input_noise_varies": True}
    known = MODELS.check("ImageRestorationModel", given, "model_opt", mistakes)
    assert mistakes.lines == [] and known == {"input_noise": 0.02, "input_noise_varies": True}
    MODELS.check("ImageRestorationModel", {"input_noise": -1}, "model_opt", mistakes)
    assert len(mistakes.lines) == 1 and mistakes.lines[0].startswith("model_opt.input_noise: ")


def test_resuming_draws_the_same_input_noise():
    """Random numbers are those of PyTorch, which checkpoints hold."""
    batch = batch_of(0)
    torch.manual_seed(3)
    noise_of(batch, input_noise=0.1, input_noise_varies=True)
    state = capture_random_state()
    straight = noise_of(batch, input_noise=0.1, input_noise_varies=True)
    torch.manual_seed(8)
    restore_random_state(state)
    assert torch.equal(noise_of(batch, input_noise=0.1, input_noise_varies=True), straight)


@pytest.mark.parametrize(
    ("name", "options", "taken"),
    [
        ("NAFNet", {"img_channel": 1}, 1),
        ("NAFNet", {"img_channel": 1, "mask": True}, 2),
        ("NAFNet", {"extra_channel": 2}, 5),
        ("SegNAFNet", {"img_channel": 4}, 4),
        ("WithMAP", {"net": {"type": "Baseline", "img_channel": 1}}, 1),
    ],
)
def test_a_network_of_other_channels_than_images_have_is_refused(name: str, options: dict, taken: int):
    with pytest.raises(OptionError, match=rf"network_g: {name} takes {taken} channel.*gray ones too"):
        check_channels(ARCHS.build(name, options), "network_g")


RESTORING = [
    name
    for name in ARCHS.names()
    if issubclass(network_class(name), RestorationNetwork) and not network_class(name).needs_state
]


@pytest.mark.parametrize("name", RESTORING)
def test_every_network_takes_the_channels_of_its_inputs_by_default(name: str):
    options = {"net": {"type": "NAFNet"}} if network_class(name).wraps else {}
    check_channels(ARCHS.build(name, options), "network_g")


def test_without_mixup_a_batch_reaches_network_and_loss_as_it_is():
    seen = []

    class Spy(RestorationNetwork):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x.mean()

    class Judge(nn.Module):
        def forward(self, restored: torch.Tensor, gt: torch.Tensor) -> torch.Tensor:
            seen.extend([restored, gt])
            return restored

    batch = batch_of(0)
    ImageRestorationModel({"g": Spy()}, {"l_pix": Judge()}).training_step(batch)
    assert torch.equal(seen[0], batch["lq"]) and torch.equal(seen[2], batch["gt"])


def test_mixup_draws_its_shares_from_the_beta_distribution_of_1_2():
    """Its variance is 1 / (4 (2 a + 1)); a batch of two shows the share where its samples change places."""

    class Spy(RestorationNetwork):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shares.append(float(x.flatten()[0]))
            return x

    shares: list[float] = []
    batch = {"lq": torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1), "gt": torch.zeros(2, 1, 1, 1)}
    model = ImageRestorationModel({"g": Spy()}, {"l_pix": L1Loss()}, mixup=True)
    torch.manual_seed(0)
    for _ in range(600):
        model.training_step(batch)
    mixed = torch.tensor([share for share in shares if share != 1])
    assert 0.4 < len(mixed) / len(shares) < 0.6, "half of the orders of two leave them in place"
    variance = 1 / (4 * (2 * 1.2 + 1))
    # The mean of n strays by sd / sqrt(n), their variance by less than sqrt(2 / n) of itself.
    assert mixed.mean().item() == pytest.approx(0.5, abs=4 * (variance / len(mixed)) ** 0.5)
    assert mixed.var().item() == pytest.approx(variance, rel=4 * (2 / len(mixed)) ** 0.5)


def test_inputs_are_gathered_by_what_the_network_takes():
    batch = {"lq": torch.rand(1, 3, 4, 4), "mask": torch.rand(1, 1, 4, 4), "labels": torch.ones(1, 4, 4)}
    plain, cat, seg = (
        ARCHS.build(*args) for args in (("NAFNet", {}), ("NAFNet", {"mask": True}), ("SegNAFNet", {}))
    )
    assert [x.shape for x in gather_inputs(plain, batch)] == [(1, 3, 4, 4)]
    (joined,) = gather_inputs(cat, batch)
    assert torch.equal(joined, torch.cat([batch["lq"], batch["mask"]], 1))
    assert gather_inputs(seg, batch)[1] is batch["labels"]
    masked, regions = (ImageRestorationModel({"g": net}, {"l_pix": L1Loss()}) for net in (cat, seg))
    check_inputs(regions, ("gt", "lq", "labels"), "datasets.train", training=True)
    with pytest.raises(
        OptionError, match=r"datasets.train.type: SegNAFNet needs 'labels'.*PairedImageGroupMaskDataset"
    ):
        check_inputs(regions, ("gt", "lq", "mask"), "datasets.train")
    with pytest.raises(OptionError, match="PairedImageMaskDataset"):
        check_inputs(masked, ("gt", "lq"), "datasets.train")
    with pytest.raises(OptionError, match="ImageRestorationModel needs 'gt'"):
        check_inputs(masked, ("lq", "mask"), "datasets.train", training=True)

    class Staged(nn.Module):
        def forward(self, restored: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
            return restored.mean() + coarse.mean()

    staged = ImageRestorationModel({"g": plain}, {"l_staged": Staged()})
    output = r"a loss names 'coarse'.*nor a network returns as a stage \(restored\)"
    with pytest.raises(OptionError, match=output):
        check_inputs(staged, ("gt", "lq"), "datasets.train", training=True)


def test_only_images_of_four_dimensions_get_another_layout():
    batch = {
        "lq": torch.rand(2, 3, 4, 5),
        "labels": torch.ones(2, 4, 5, dtype=torch.int32),
        "key": ["a", "b"],
    }
    moved, plain = move_to(batch, CPU, channels_last=True), move_to(batch, CPU)
    assert moved["lq"].is_contiguous(memory_format=torch.channels_last) and plain["lq"].is_contiguous()
    for name in ("lq", "labels"):
        assert torch.equal(moved[name], batch[name]) and torch.equal(plain[name], batch[name])
    assert moved["key"] is batch["key"]


def test_losses_of_a_step_are_means_over_its_batches():
    trainer = trainer_of(model_of(), StepSettings(accumulate=3))
    model = model_of()
    expected = [model.training_step(batch_of(number))["loss"].item() for number in range(3)]
    trainer.run(1)
    assert trainer.last_losses["loss"].item() == pytest.approx(sum(expected) / 3)
    assert trainer.last_losses.keys() == {"loss", "l_pix"}
    assert (trainer.iteration, trainer.samples_done) == (1, 6)
    assert trainer.step_seconds >= trainer.data_seconds > 0


def test_a_limit_that_is_not_reached_clips_nothing():
    free, clipped = model_of(), model_of()
    trainer_of(free).run(1)
    trainer_of(clipped, StepSettings(clip_norm=1e6)).run(1)
    assert all(torch.equal(a, b) for a, b in zip(weights(free), weights(clipped), strict=True))


class Shift(RestorationNetwork):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.weight


@pytest.mark.parametrize(("in_a_row", "stops"), [(99, False), (100, True)])
def test_a_good_step_begins_the_count_of_useless_ones_anew(in_a_row: int, stops: bool):
    bad = batch_of(1)
    bad["gt"][:] = float("nan")
    order = [bad] * 60 + [batch_of(0)] + [bad] * in_a_row + [batch_of(0)]
    trainer = trainer_of(ImageRestorationModel({"g": Shift()}, {"l_pix": L1Loss()}), batches=order)
    if stops:
        with pytest.raises(UserError, match="iteration 161: 100 steps in a row"):
            trainer.run(len(order))
    else:
        trainer.run(len(order))
        assert trainer.skipped_steps == 60 + in_a_row


@pytest.mark.parametrize(("before", "after", "scale"), [
    ("fp16", "fp16", 256.0),  # that of the state
    ("off", "fp16", 65536.0),  # that with which scaling begins
    ("fp16", "off", 1.0),
    ("off", "bf16", 1.0),
])  # fmt: skip
def test_a_run_may_go_on_in_another_precision(before: str, after: str, scale: float):
    first = trainer_of(model_of(), StepSettings(amp=before))
    first.scaler.load_state_dict({**first.scaler.state_dict(), "scale": 256.0} if before == "fp16" else {})
    second = trainer_of(model_of(), StepSettings(amp=after))
    second.load_state_dict(first.state_dict())
    assert second.scaler.get_scale() == scale


def test_a_state_of_less_than_no_steps_is_refused():
    """Adam would take the root of a negative number."""
    model = model_of()
    trainer = trainer_of(model, optimizer=torch.optim.Adam(model.parameters()))
    trainer.run(1)
    state = trainer.state_dict()
    state["optimizer"]["state"][0]["step"] = torch.tensor(-128.0)
    with pytest.raises(ValueError, match="the optimizer has made -128 steps"):
        trainer.load_state_dict(state)


def test_the_state_of_another_optimizer_is_refused():
    state = trainer_of(model_of()).state_dict()
    model = model_of()
    other = trainer_of(model, optimizer=torch.optim.Adam(model.parameters()))
    with pytest.raises(ValueError, match="it belongs to SGD, not Adam"):
        other.load_state_dict(state)


def test_hooks_are_called_in_order_around_the_steps():
    calls = []

    class Watch(Hook):
        def __init__(self, name: str) -> None:
            self.name = name

        def before_run(self, trainer: Trainer) -> None:
            assert trainer.model.training
            calls.append((self.name, "before", trainer.iteration))

        def after_step(self, trainer: Trainer) -> None:
            calls.append((self.name, "step", trainer.iteration))

    model = model_of().eval()
    trainer_of(model, hooks=[Watch("a"), Watch("b")]).run(2)
    moments = [("before", 0), ("step", 1), ("step", 2)]
    assert calls == [(name, *moment) for moment in moments for name in "ab"]
