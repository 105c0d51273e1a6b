"""Plain formulations of published networks, as functions of their weights by the published names.

Images are in [0, 1] on both sides, whatever the network computes in. Each follows the paper, with the
functions that PyTorch has for it, and stores what those store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count, takewhile

import torch
from torch import Tensor, nn
from torch.nn import functional

State = Mapping[str, Tensor]
Formulation = Callable[[State, Tensor, bool], Tensor]


class Plain(nn.Module):
    """A formulation with its weights.

    Args:
        formulation: (weights, image, whether it is trained) -> restored image.
        state: the weights by name, and buffers.
    """

    def __init__(self, formulation: Formulation, state: State) -> None:
        super().__init__()
        self.formulation = formulation
        self.state = {
            name: tensor.detach().clone()
            if "running_" in name or not tensor.is_floating_point()
            else nn.Parameter(tensor.detach().clone())
            for name, tensor in state.items()
        }
        self.trained = nn.ParameterList(
            item for item in self.state.values() if isinstance(item, nn.Parameter)
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> the same."""
        return self.formulation(self.state, image, self.training)


def efficient_derain(state: State, image: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
    """EfficientDerain (Guo et al., AAAI 2021), with an unfolded copy of the image for each dilation.

    Returns:
        The restored image, the four filtered ones, the predicted kernels (B, 27, H, W).
    """

    def block(number: int, x: Tensor) -> Tensor:
        for layer in (0, 2, 4):
            x = convolved(state, f"conv{number}.conv1.{layer}", x).relu()
        return x

    def twice(x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=2, mode="bilinear")

    first = block(1, image)
    second = block(2, functional.avg_pool2d(first, 2))
    third = block(3, functional.avg_pool2d(second, 2))
    fourth = block(4, functional.avg_pool2d(third, 2))
    x = block(5, functional.avg_pool2d(fourth, 2))
    for number, skip in ((6, fourth), (7, third), (8, second)):
        x = block(number, torch.cat([skip, twice(x)], dim=1))
    core = convolved(state, "outc", twice(x))
    filtered = pixel_filtered(image, core.unflatten(1, (image.shape[1], -1)))
    return convolved(state, "conv_final", torch.cat(filtered, dim=1)), filtered, core


def pixel_filtered(image: Tensor, kernels: Tensor) -> list[Tensor]:
    """The image (B, C, H, W) filtered by 3x3 kernels (B, C, 9, H, W) of each pixel at dilations 1 to 4."""
    filtered = []
    for dilation in (1, 2, 3, 4):
        copies = functional.unfold(image, 3, dilation, padding=dilation)
        filtered.append((kernels * copies.view_as(kernels)).sum(2))
    return filtered


def mimo_unet(state: State, image: Tensor) -> list[Tensor]:
    """MIMO-UNet (Cho et al., ICCV 2021), of any number of blocks, without dropout.

    Returns:
        The restored images at 1/4, 1/2 and 1 of the size.
    """

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        return convolved(state, f"{name}.main.0", x, stride)

    def blocks(name: str, x: Tensor) -> Tensor:
        for block in numbered(state, f"{name}.layers"):
            x = x + conv(f"{block}.main.1", conv(f"{block}.main.0", x).relu())
        return x

    def shallow(number: int, small: Tensor) -> Tensor:
        x = small
        for layer in range(4):
            x = conv(f"SCM{number}.main.{layer}", x).relu()
        return conv(f"SCM{number}.conv", torch.cat([small, x], dim=1))

    def attended(number: int, x: Tensor, small: Tensor) -> Tensor:
        return x + conv(f"FAM{number}.merge", x * shallow(number, small))

    def fused(number: int, size: tuple[int, int], levels: list[Tensor]) -> Tensor:
        x = torch.cat([functional.interpolate(level, size) for level in levels], dim=1)
        return conv(f"AFFs.{number}.conv.1", conv(f"AFFs.{number}.conv.0", x).relu())

    def enlarged(name: str, x: Tensor) -> Tensor:
        weight, bias = state[f"{name}.main.0.weight"], state[f"{name}.main.0.bias"]
        return functional.conv_transpose2d(x, weight, bias, stride=2, padding=1).relu()

    half, quarter = (functional.interpolate(image, scale_factor=share) for share in (0.5, 0.25))
    first = blocks("Encoder.0", conv("feat_extract.0", image).relu())
    second = blocks("Encoder.1", attended(2, conv("feat_extract.1", first, 2).relu(), half))
    third = blocks("Encoder.2", attended(1, conv("feat_extract.2", second, 2).relu(), quarter))
    levels = [first, second, third]
    x = blocks("Decoder.0", third)
    restored = [conv("ConvsOut.0", x) + quarter]
    x = torch.cat([enlarged("feat_extract.3", x), fused(1, second.shape[-2:], levels)], dim=1)
    x = blocks("Decoder.1", conv("Convs.0", x).relu())
    restored.append(conv("ConvsOut.1", x) + half)
    x = torch.cat([enlarged("feat_extract.4", x), fused(0, first.shape[-2:], levels)], dim=1)
    x = blocks("Decoder.2", conv("Convs.1", x).relu())
    return [*restored, conv("feat_extract.5", x) + image]


def msresnet(state: State, pyramid: list[Tensor]) -> list[Tensor]:
    """The network of DeepDeblur (Nah et al., CVPR 2017), which computes in 0..255 less 127.5.

    Args:
        pyramid: the image at 1, 1/2, 1/4 of the size.

    Returns:
        The restored ones.
    """

    def body(scale: int, x: Tensor) -> Tensor:
        first, *blocks, last = numbered(state, f"body_models.{scale}.body")
        x = convolved(state, first, x)
        for block in blocks:
            x = x + convolved(state, f"{block}.body.2", convolved(state, f"{block}.body.0", x).relu())
        return convolved(state, last, x)

    restored: list[Tensor] = []
    for scale in reversed(range(len(pyramid))):
        x = 255 * pyramid[scale] - 127.5
        if restored:
            coarse = convolved(state, f"conv_end_models.{scale + 1}.uppath.0", restored[0])
            x = torch.cat([x, functional.pixel_shuffle(coarse, 2)], dim=1)
        restored.insert(0, body(scale, x))
    return [(x + 127.5) / 255 for x in restored]


def srn(state: State, image: Tensor) -> list[Tensor]:
    """SRN in color (Tao et al., CVPR 2018), with variables, resizing and padding of TensorFlow 1.

    Returns:
        The restored images at 1/4, 1/2 and 1 of the size.
    """

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = state[f"g_net/{name}/weights"].permute(3, 2, 0, 1)
        x = functional.pad(x, (2, 2, 2, 2) if stride == 1 else (1, 2, 1, 2))
        return functional.conv2d(x, weight, state[f"g_net/{name}/biases"], stride)

    def deconv(name: str, x: Tensor) -> Tensor:
        weight = state[f"g_net/{name}/weights"].permute(3, 2, 0, 1)
        bias = state[f"g_net/{name}/biases"]
        return functional.conv_transpose2d(x, weight, bias, stride=2, padding=1).relu()

    def blocks(x: Tensor, *names: str) -> Tensor:
        for name in names:
            x = x + conv(f"{name}/conv2", conv(f"{name}/conv1", x).relu())
        return x

    def level(number: int, x: Tensor) -> Tensor:
        name = f"enc{number}"
        x = conv(f"{name}_1", x, stride=1 if number == 1 else 2).relu()
        return blocks(x, *(f"{name}_{block}" for block in (2, 3, 4)))

    def run(x: Tensor) -> Tensor:
        first = level(1, x)
        second = level(2, first)
        x = blocks(level(3, second), "dec3_3", "dec3_2", "dec3_1")
        x = blocks(deconv("dec2_4", x) + second, "dec2_3", "dec2_2", "dec2_1")
        x = blocks(deconv("dec1_4", x) + first, "dec1_3", "dec1_2", "dec1_1")
        return conv("dec1_0", x)

    def twice(x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        longer = functional.pad(x, (0, 1, 0, 1), mode="replicate")
        size = (2 * height + 1, 2 * width + 1)  # one more: pixels lie at i / 2 from the first one on
        enlarged = functional.interpolate(longer, size, mode="bilinear", align_corners=True)
        return enlarged[..., :-1, :-1]

    last = image[..., ::4, ::4]
    restored = []
    for step in (4, 2, 1):
        last = run(torch.cat([image[..., ::step, ::step], last], dim=1))
        restored.append(last)
        last = twice(last.detach())
    return restored


def srn_shapes(width: int = 32) -> dict[str, tuple[int, ...]]:
    """The variables of SRN in color."""
    shapes: dict[str, tuple[int, ...]] = {}

    def add(name: str, side: int, before: int, after: int, biases: int) -> None:
        shapes[f"g_net/{name}/weights"] = (side, side, before, after)
        shapes[f"g_net/{name}/biases"] = (biases,)

    for number, channels in enumerate((width, 2 * width, 4 * width), 1):
        add(f"enc{number}_1", 5, 6 if number == 1 else channels // 2, channels, channels)
        for block in (f"enc{number}_{item}" for item in (2, 3, 4)):
            add(f"{block}/conv1", 5, channels, channels, channels)
            add(f"{block}/conv2", 5, channels, channels, channels)
        for block in (f"dec{number}_{item}" for item in (1, 2, 3)):
            add(f"{block}/conv1", 5, channels, channels, channels)
            add(f"{block}/conv2", 5, channels, channels, channels)
        if number < 3:
            add(f"dec{number}_4", 4, channels, 2 * channels, channels)
    add("dec1_0", 5, width, 3, 3)
    return shapes


def rcdnet(state: State, image: Tensor, training: bool = False) -> tuple[list[Tensor], list[Tensor]]:
    """RCDNet (Wang et al., CVPR 2020), which computes in 0..255 and stores a copy of its kernels a stage.

    Returns:
        The backgrounds B0, B1, .. and the final one; the rain layers.
    """

    def normed(name: str, x: Tensor) -> Tensor:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return functional.batch_norm(x, mean, variance, weight, bias, training)

    def proximal(name: str, kind: str, x: Tensor) -> Tensor:
        for block in (f"{name}.res{kind}{number}" for number in range(1, 5)):
            y = normed(f"{block}.1", convolved(state, f"{block}.0", x)).relu()
            x = (x + normed(f"{block}.4", convolved(state, f"{block}.3", y))).relu()
        return x

    def maps(name: str, x: Tensor) -> Tensor:
        return (proximal(name, "m", x) - state[f"{name}.tau"]).relu()

    def background(name: str, image: Tensor, dual: Tensor) -> list[Tensor]:
        x = proximal(name, "x", torch.cat([image, dual], dim=1))
        return list(x.split([image.shape[1], dual.shape[1]], dim=1))

    observed = 255 * image
    kernels = state["conv"][1] / 10
    dual = functional.conv2d(observed, state["w_z_f"], padding=1)
    b, dual = background("xnet", observed, dual)
    backgrounds = [b]
    rain = (observed - b - state["tau"]).relu()
    m = maps("m_stage.0", functional.conv_transpose2d(rain, state["weight0"] / 10, padding=4))
    layers = [functional.conv2d(m, kernels, padding=4)]
    b, dual = background("x_stage.0", b - state["eta2"] / 10 * (b - (observed - layers[-1])), dual)
    backgrounds.append(b)
    for stage in range(len(state["eta11"])):
        gradient = functional.conv_transpose2d(layers[-1] - (observed - b), kernels, padding=4)
        m = maps(f"m_stage.{stage + 1}", m - state["eta11"][stage] / 10 * gradient)
        layers.append(functional.conv2d(m, kernels, padding=4))
        moved = b - state["eta12"][stage] / 10 * (b - (observed - layers[-1]))
        b, dual = background(f"x_stage.{stage + 1}", moved, dual)
        backgrounds.append(b)
    backgrounds.append(background("fxnet", b, dual)[0])
    return [b / 255 for b in backgrounds], [layer / 255 for layer in layers]


def rcdnet_state(stages: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights of RCDNet by their published names: step sizes as published, the others drawn."""

    def drawn(*shape: int, scale: float) -> Tensor:
        return scale * torch.randn(shape, generator=generator)

    state = {
        **{name: torch.ones(1) for name in ("eta1", "tau")},
        "eta2": torch.full((1,), 5.0),
        "eta11": torch.ones(stages - 1, 1),
        "eta12": torch.full((stages - 1, 1), 5.0),
        "weight0": drawn(3, 32, 9, 9, scale=0.007).abs(),
        "conv": drawn(3, 32, 9, 9, scale=0.007).abs().repeat(stages - 1, 1, 1, 1, 1),
        "w_z_f": torch.full((32, 3, 3, 3), 1 / 9),
    }
    for kind, channels in (("x", 35), ("m", 32)):
        nets = [
            f"{kind}net",
            *(f"{kind}_stage.{stage}" for stage in range(stages)),
            *(["fxnet"] * (kind == "x")),
        ]
        for net in nets:
            if kind == "m":
                state[f"{net}.tau"] = torch.full((1, channels, 1, 1), 0.5)
            for block in (f"{net}.res{kind}{number}" for number in range(1, 5)):
                for conv, norm in ((f"{block}.0", f"{block}.1"), (f"{block}.3", f"{block}.4")):
                    state[f"{conv}.weight"] = drawn(
                        channels, channels, 3, 3, scale=0.5 / (9 * channels) ** 0.5
                    )
                    state[f"{conv}.bias"] = drawn(channels, scale=3)
                    state[f"{norm}.weight"] = 1 + drawn(channels, scale=0.1)
                    state[f"{norm}.bias"] = drawn(channels, scale=3)
                    state[f"{norm}.running_mean"] = drawn(channels, scale=3)
                    state[f"{norm}.running_var"] = 1 + drawn(channels, scale=0.1).abs()
                    state[f"{norm}.num_batches_tracked"] = torch.tensor(0)
    return state


def convolved(state: State, name: str, x: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """By an odd square kernel, with zeros around the image; with a bias where there is one."""
    weight = state[f"{name}.weight"]
    padding = dilation * (weight.shape[-1] // 2)
    return functional.conv2d(x, weight, state.get(f"{name}.bias"), stride, padding, dilation)


def numbered(state: State, name: str) -> list[str]:
    """``name.0``, ``name.1``, .. as far as there are weights."""
    there = {key[: key.find(".", len(name) + 1)] for key in state if key.startswith(f"{name}.")}
    return list(takewhile(there.__contains__, (f"{name}.{number}" for number in count())))
