"""What only a GPU can show. The same code runs on CPU in all other tests."""

from __future__ import annotations

import pytest
import torch

from basicsr.engine.trainer import StepSettings, Trainer, move_to
from basicsr.losses import PSNRLoss
from basicsr.masks.pooling import drop_regions, mask_average_pool
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.utils.registry import ARCHS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA is not available"),
]
SMALL = {"width": 8, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]}


def batch_of(seed: int) -> dict:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(4, 3, 32, 32, generator=generator)
    labels = torch.randint(0, 9, (4, 32, 32), generator=generator, dtype=torch.int32)
    return {"lq": x, "gt": (x + 0.1).clamp(0, 1), "labels": labels, "key": list("abcd")}


def test_pooling_is_that_of_the_cpu():
    features, labels = torch.randn(2, 3, 64, 48), torch.randint(0, 30, (2, 64, 48))
    expected = mask_average_pool(features, labels, 0.5)
    torch.testing.assert_close(
        mask_average_pool(features.cuda(), labels.cuda(), 0.5).cpu(), expected, atol=1e-5, rtol=1e-5
    )
    dropped = drop_regions(labels.cuda(), 0.5).cpu()
    for before, after in zip(labels, dropped, strict=True):
        assert len(before.unique()) - len(after.unique()) == (len(before.unique()) - 1) // 2


def test_pooling_has_a_deterministic_path():
    features = torch.randn(2, 3, 256, 256, device="cuda", requires_grad=True)
    labels = torch.randint(0, 5, (2, 256, 256), device="cuda")
    results = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(3):
            features.grad = None
            pooled = mask_average_pool(features, labels)
            pooled.square().sum().backward()
            results.append((pooled.detach().clone(), features.grad.clone()))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("name", ["NAFNet", "SegNAFNet", "Baseline", "NAFNetLocal", "SegNAFNetLocal"])
def test_networks_give_what_they_give_on_the_cpu(name: str):
    torch.manual_seed(0)
    options = SMALL | ({"train_size": [1, 3, 16, 16]} if name.endswith("Local") else {})
    net = ARCHS.build(name, options).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    batch = batch_of(0)
    inputs = (batch["lq"], batch["labels"]) if net.takes_labels else (batch["lq"],)
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        expected = net(*inputs)
        result = net.cuda()(*(x.cuda() for x in inputs)).cpu()
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_training_lowers_the_loss(amp: str, compiled: bool):
    torch.manual_seed(0)
    device = torch.device("cuda", 0)
    net = ARCHS.build("SegNAFNet", SMALL | {"mask_dropout": 0.5})
    model = ImageRestorationModel({"g": net}, {"l_pix": PSNRLoss()}).to(device)
    batch = batch_of(1)
    first = model.training_step(move_to(batch, device))["loss"].item()
    if compiled:
        net.compile()
    optimizer = torch.optim.AdamW(model.networks.parameters(), lr=1e-2)
    settings = StepSettings(amp=amp, clip_norm=0.01, channels_last=True)  # type: ignore[arg-type]
    trainer = Trainer(model, optimizer, lambda step, base: base, iter([batch] * 60), settings, device)
    trainer.run(60)
    assert trainer.last_losses["loss"].item() < first - 3
    assert trainer.skipped_steps < 20, "a scaler may look for its scale at first"
