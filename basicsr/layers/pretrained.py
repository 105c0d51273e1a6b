"""Published feature networks, frozen, with weights from local files: nothing is downloaded.

State-dict keys are torchvision's (``features.0.weight``). VGG: Simonyan and Zisserman (ICLR 2015); AlexNet:
Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from basicsr.utils.errors import UserError, require_choice

VggType = Literal["vgg11", "vgg13", "vgg16", "vgg19"]

CONVOLUTIONS: dict[VggType, tuple[int, ...]] = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
WIDTHS = (64, 128, 256, 512, 512)


def layer_names(vgg_type: VggType) -> list[str]:
    """Layers in order: ``conv1_1``, ``relu1_1``, .. ``pool1``, ``conv2_1``, .. ``pool5``."""
    names = []
    for block, count in enumerate(CONVOLUTIONS[vgg_type], start=1):
        for index in range(1, count + 1):
            names += [f"conv{block}_{index}", f"relu{block}_{index}"]
        names.append(f"pool{block}")
    return names


def random_vgg(vgg_type: VggType, layer: str, seed: int) -> dict[str, Tensor]:
    """Weights of an untrained VGG, by torchvision's names, up to the layer of that name.

    Normally distributed with variance 2 / inputs, which keeps the scale of features (He et al., ICCV 2015);
    biases are 0.

    Raises:
        UserError: if there is no such layer.
    """
    names = layer_names(vgg_type)
    if layer not in names:
        raise UserError(f"layer: {vgg_type} has no layer '{layer}'. Known: {', '.join(names)}")
    generator = torch.Generator().manual_seed(seed)
    state, channels = {}, 3
    for number, name in enumerate(names[: names.index(layer) + 1]):
        if name.startswith("conv"):
            width = WIDTHS[int(name[4]) - 1]
            drawn = torch.randn(width, channels, 3, 3, generator=generator)
            state[f"features.{number}.weight"] = math.sqrt(2 / (9 * channels)) * drawn
            state[f"features.{number}.bias"] = torch.zeros(width)
            channels = width
    return state


class Frozen(nn.Module):
    """A module without gradients, always in evaluation mode."""

    def freeze(self) -> None:
        """To be called once the weights are loaded."""
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Frozen:
        return super().train(False)


class ImageNetInput(nn.Module):
    """Normalizes by ImageNet's mean and standard deviation, as the networks here were trained; in float32."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> the same, with about zero mean and unit variance."""
        return (image.float() - self.mean) / self.std


class VggFeatures(Frozen):
    """The convolutions of a VGG up to the deepest requested layer.

    Args:
        layers: names as in `layer_names`.
        vgg_type: which VGG.
        weights: file with torchvision's state dict of that VGG; deeper layers in it are ignored.

    Raises:
        UserError: if a layer does not exist, or ``weights`` is not such a file.
        ValueError: if ``vgg_type`` is unknown.
    """

    def __init__(self, layers: list[str], vgg_type: VggType, weights: str) -> None:
        super().__init__()
        require_choice("vgg_type", vgg_type, CONVOLUTIONS)
        names = layer_names(vgg_type)
        unknown = [name for name in layers if name not in names]
        if unknown or not layers:
            what = f"{vgg_type} has no layer '{unknown[0]}'" if unknown else "name at least one layer"
            raise UserError(f"layer_weights: {what}. Known: {', '.join(names)}")
        self.names = names[: max(names.index(name) for name in layers) + 1]
        self.wanted = set(layers)
        self.features = nn.Sequential(*_build_layers(self.names))
        load_weights(self, weights, f"torchvision's state dict of {vgg_type}")
        self.freeze()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) -> outputs (B, C, h, w) of the requested layers by name."""
        outputs = {}
        for name, layer in zip(self.names, self.features, strict=True):
            image = layer(image)
            if name in self.wanted:
                outputs[name] = image
        return outputs


class AlexFeatures(Frozen):
    """The convolutions of AlexNet.

    Args:
        weights: file with torchvision's state dict of AlexNet.

    Raises:
        UserError: if ``weights`` is not such a file.
    """

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )
        load_weights(self, weights, "torchvision's state dict of alexnet")
        self.freeze()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) -> the outputs (B, C, h, w) of ``relu1`` to ``relu5``."""
        outputs: dict[str, Tensor] = {}
        for layer in self.features:
            image = layer(image)
            if isinstance(layer, nn.ReLU):
                outputs[f"relu{len(outputs) + 1}"] = image
        return outputs


def load_weights(module: nn.Module, weights: str, what: str) -> None:
    """Load all that ``module`` needs from a file of named weights; others in it are ignored.

    Args:
        what: the expected kind of file, for the error.

    Raises:
        UserError: if the file is something else, or lacks a weight.
    """
    take_weights(module, read_weights(weights, what), weights, what)


def read_weights(weights: str, what: str) -> Mapping[str, Any]:
    """The weights in a file, by name.

    Raises:
        UserError: if the file is something else.
    """
    try:
        state: Any = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise almost anything in there
        raise UserError(
            f"{weights}: cannot be read as weights ({type(error).__name__}); use {what}"
        ) from error
    if not isinstance(state, Mapping):
        raise UserError(f"{weights}: holds a {type(state).__name__} instead of named weights; use {what}")
    return state


def take_weights(module: nn.Module, state: Mapping[str, Any], weights: str, what: str) -> None:
    """Load all that ``module`` needs from the result of `read_weights`; others are ignored.

    Args:
        weights, what: as for `load_weights`, for the error.

    Raises:
        UserError: if a weight is missing or has a different shape.
    """
    needed = module.state_dict()
    for key, value in needed.items():
        if not isinstance(state.get(key), Tensor):
            raise UserError(f"{weights}: has no '{key}'; use {what}")
        if state[key].shape != value.shape:
            shapes = f"{tuple(state[key].shape)}, not {tuple(value.shape)}"
            raise UserError(f"{weights}: '{key}' has the shape {shapes}; use {what}")
    module.load_state_dict({key: state[key] for key in needed})


def _build_layers(names: list[str]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 3
    for name in names:
        if name.startswith("conv"):
            width = WIDTHS[int(name[4]) - 1]
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            channels = width
        else:
            layers.append(nn.ReLU() if name.startswith("relu") else nn.MaxPool2d(2))
    return layers
