"""The networks of the benchmark, each beside another implementation with the same weights.

To add one, add a function and a line of `CASES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from network_references import (
    Plain,
    efficient_derain,
    mimo_unet,
    msresnet,
    pixel_filtered,
    rcdnet,
    rcdnet_state,
    srn,
    srn_shapes,
)
from sides import Case, Sides
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork, build_network
from basicsr.utils.extras import optional_import

State = dict[str, Tensor]


def nafnet() -> Sides:
    shape = {"width": 32, "enc_blk_nums": [1, 1, 1, 28], "middle_blk_num": 1, "dec_blk_nums": [1, 1, 1, 1]}
    return _beside_spandrel("NAFNet", shape, shape)


def uformer() -> Sides:
    shape = {"embed_dim": 16, "depths": [2] * 9, "modulator": True}
    ours = shape | {"drop_path": 0.0, "shift_bottleneck": True}
    reference = shape | {"drop_path_rate": 0.0, "img_size": 256}  # built for 256, it shifts them, too
    return _beside_spandrel("Uformer", ours, reference)


def mimo() -> Sides:
    return _mimo("MIMOUNet", 8)


def mimo_plus() -> Sides:
    return _mimo("MIMOUNetPlus", 20)


def deepdeblur() -> Sides:
    net = build("MSResNet", {"blocks": 4})
    return beside_plain(net, drawn(net.state_dict()), lambda state, x, _: msresnet(state, _pyramid(x))[0])


def srn_color() -> Sides:
    state = drawn({name: torch.empty(shape) for name, shape in srn_shapes().items()})
    return beside_plain(build("SRN", {"tf_compat": True}), state, lambda state, x, _: srn(state, x)[-1])


def rain_dictionary() -> Sides:
    state = rcdnet_state(4, torch.Generator().manual_seed(0))
    net = build("RCDNet", {"num_stages": 4})
    return beside_plain(net, state, lambda state, x, training: rcdnet(state, x, training)[0][-1])


def efficient() -> Sides:
    net = build("EfficientDerain", {"width": 32})
    state = drawn(net.state_dict(), gain=math.sqrt(2))
    return beside_plain(net, state, lambda state, x, _: efficient_derain(state, x)[0])


def filtering() -> Sides:
    from basicsr.layers.pixel_kernels import filter_with_pixel_kernels

    state = drawn(nn.Conv2d(3, 27, 1).state_dict())

    def filters(how: Callable[[Tensor, Tensor], Sequence[Tensor]]) -> Plain:
        def formulation(state: Mapping[str, Tensor], image: Tensor, training: bool) -> Tensor:
            kernels = nn.functional.conv2d(image, state["weight"], state["bias"]).unflatten(1, (3, 9))
            return torch.stack(list(how(image, kernels))).sum(0)

        return Plain(formulation, state)

    return Sides(filters(partial(filter_with_pixel_kernels, dilations=(1, 2, 3, 4))), filters(pixel_filtered))


CASES = {
    "nafnet": Case("NAFNet", "width 32, 36 blocks", "spandrel's", nafnet),
    "uformer": Case("Uformer", "width 16 (Uformer-T)", "spandrel's", uformer),
    "mimo": Case("MIMOUNet", "8 blocks a level", "plain", mimo),
    "mimo_plus": Case("MIMOUNetPlus", "20 blocks a level", "plain", mimo_plus),
    "msresnet": Case("MSResNet", "4 of 19 blocks a scale", "plain", deepdeblur),
    "srn": Case("SRN", "color, as published", "plain", srn_color),
    "rcdnet": Case("RCDNet", "4 of 17 stages", "plain, a copy of the kernels a stage", rain_dictionary),
    "efficient_derain": Case(
        "EfficientDerain", "width 32 of 64", "plain, an unfolded copy a dilation", efficient
    ),
    "filtering": Case(
        "EfficientDerain", "its filters alone", "plain, an unfolded copy a dilation", filtering
    ),
}


def _mimo(kind: str, blocks: int) -> Sides:
    net = build(kind, {"num_res": blocks, "drop_out_rate": 0.0})
    return beside_plain(net, drawn(net.state_dict()), lambda state, x, _: mimo_unet(state, x)[-1])


def build(kind: str, options: Mapping[str, Any]) -> RestorationNetwork:
    return build_network({"type": kind, **options})


def _beside_spandrel(kind: str, options: Mapping[str, Any], others: Mapping[str, Any]) -> Sides:
    """A network and that of the package spandrel, which has the same name, each with its options."""
    module = optional_import(f"spandrel.architectures.{kind}", "the comparison", "pip install spandrel")
    reference = getattr(module, kind)(**others)
    state = drawn(reference.state_dict())
    reference.load_state_dict(state)
    return Sides(_with_weights(build(kind, options), state), reference)


def beside_plain(
    net: RestorationNetwork, state: State, formulation: Callable[[Mapping[str, Tensor], Tensor, bool], Tensor]
) -> Sides:
    return Sides(_with_weights(net, state), Plain(formulation, state))


def _with_weights(net: RestorationNetwork, state: State) -> RestorationNetwork:
    """The network with published weights."""
    net.load_state_dict(dict(net.adapt_state(state)))
    return net


def drawn(state: State, gain: float = 1.0) -> State:
    """Random weights that keep the scale of features, and of which none is 0 and hides what it multiplies."""
    generator = torch.Generator().manual_seed(0)
    drawn = {}
    for name, tensor in state.items():
        values = torch.randn(tensor.shape, generator=generator)
        if not tensor.is_floating_point():
            drawn[name] = tensor
        elif tensor.ndim < 2 or tensor.shape[0] == 1:  # biases, and factors of channels
            drawn[name] = (0.0 if "bias" in name else 1.0) + 0.1 * values
        else:
            before = tensor[..., 0] if name.endswith("/weights") else tensor[0]  # layout of TensorFlow
            drawn[name] = gain / math.sqrt(before.numel()) * values
    return drawn


def _pyramid(image: Tensor) -> list[Tensor]:
    """The image (1, 3, H, W) at 1, 1/2 and 1/4 of the size, as DeepDeblur was trained with."""
    from skimage.transform import pyramid_gaussian

    pixels = image[0].permute(1, 2, 0).numpy()
    levels = list(pyramid_gaussian(pixels, max_layer=2, channel_axis=2))
    return [torch.from_numpy(np.float32(level)).permute(2, 0, 1)[None] for level in levels]
