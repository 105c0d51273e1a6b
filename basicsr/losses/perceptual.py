"""Perceptual and style loss on VGG features, with weights from a local file.

Sources: Johnson et al., "Perceptual Losses for Real-Time Style Transfer" (ECCV 2016); VGG: Simonyan and
Zisserman (ICLR 2015).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from basicsr.losses.pixel import require_same_shape
from basicsr.utils.convert import ExistingFile
from basicsr.utils.errors import UserError
from basicsr.utils.registry import LOSSES

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


class VggFeatures(nn.Module):
    """The convolutions of a VGG up to the deepest layer asked for; frozen, and always in evaluation mode.

    State-dict keys are torchvision's (``features.0.weight``).

    Args:
        layers: names as in `layer_names`.
        vgg_type: which VGG.
        weights: file with torchvision's state dict of that VGG; deeper layers in it are ignored.

    Raises:
        UserError: a layer does not exist, or ``weights`` is not such a file.
    """

    def __init__(self, layers: list[str], vgg_type: VggType, weights: str) -> None:
        super().__init__()
        names = layer_names(vgg_type)
        unknown = [name for name in layers if name not in names]
        if unknown or not layers:
            what = f"{vgg_type} has no layer '{unknown[0]}'" if unknown else "name at least one layer"
            raise UserError(f"layer_weights: {what}. Known: {', '.join(names)}")
        self.names = names[: max(names.index(name) for name in layers) + 1]
        self.wanted = set(layers)
        self.features = nn.Sequential(*_build_layers(self.names))
        _load(self, weights, vgg_type)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> VggFeatures:
        return super().train(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) -> the wanted layers' outputs (B, C, h, w) by name."""
        outputs = {}
        for name, layer in zip(self.names, self.features, strict=True):
            image = layer(image)
            if name in self.wanted:
                outputs[name] = image
        return outputs


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


def _load(vgg: VggFeatures, weights: str, vgg_type: VggType) -> None:
    way_on = f"vgg_weights must be torchvision's state dict of {vgg_type}"
    try:
        state: Any = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise nearly anything in there
        raise UserError(f"{weights}: cannot be read as weights ({type(error).__name__}); {way_on}") from error
    needed = vgg.state_dict()
    if not isinstance(state, Mapping):
        raise UserError(f"{weights}: holds a {type(state).__name__} instead of weights by name; {way_on}")
    for key, value in needed.items():
        if not isinstance(state.get(key), Tensor):
            raise UserError(f"{weights}: has no '{key}'; {way_on}")
        if state[key].shape != value.shape:
            shapes = f"{tuple(state[key].shape)}, not {tuple(value.shape)}"
            raise UserError(f"{weights}: '{key}' has the shape {shapes}; {way_on}")
    vgg.load_state_dict({key: state[key] for key in needed})


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda features, goals: (features - goals).abs().mean(),
    "l2": lambda features, goals: (features - goals).square().mean(),
    "fro": lambda features, goals: torch.linalg.vector_norm(features - goals),
}


@LOSSES.register
class PerceptualLoss(nn.Module):
    """Weighted distance of VGG features (perceptual) plus that of their Gram matrices (style), as one scalar.

    ``pred`` and ``target`` are (B, 3, H, W) RGB in [0, 1]; the target gets no gradient. Computed in float32,
    also under autocast.

    Args:
        layer_weights: factor for each layer, e.g. ``{relu3_4: 1.0}``; names as in `layer_names`.
        vgg_weights: file with torchvision's state dict of ``vgg_type``; nothing is downloaded.
        vgg_type: which VGG.
        use_input_norm: normalise by ImageNet's mean and standard deviation, as VGG was trained.
        range_norm: images are in [-1, 1]; map them to [0, 1] first.
        perceptual_weight, style_weight: factors of the two terms; a term with factor 0 is not computed.
        criterion: mean absolute (``l1``) or mean squared (``l2``) difference, or the norm of the difference
            over the whole batch (``fro``).

    Raises:
        UserError: both terms are off, a layer does not exist, or the file does not hold such weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        layer_weights: dict[str, float],
        vgg_weights: ExistingFile,
        vgg_type: VggType = "vgg19",
        use_input_norm: bool = True,
        range_norm: bool = False,
        perceptual_weight: float = 1.0,
        style_weight: float = 0.0,
        criterion: Literal["l1", "l2", "fro"] = "l1",
    ) -> None:
        super().__init__()
        if perceptual_weight == 0 and style_weight == 0:
            raise UserError("perceptual_weight: 0, and style_weight too; set one of them, or remove the loss")
        self.layer_weights = dict(layer_weights)
        self.use_input_norm = use_input_norm
        self.range_norm = range_norm
        self.perceptual_weight = perceptual_weight
        self.style_weight = style_weight
        self.distance = DISTANCES[criterion]
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        self.vgg = VggFeatures(list(layer_weights), vgg_type, vgg_weights)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        require_same_shape(pred, target)
        with torch.autocast(pred.device.type, enabled=False):
            features = self.vgg(self._normalise(pred))
            with torch.no_grad():
                goals = self.vgg(self._normalise(target))
            loss = pred.new_zeros((), dtype=torch.float32)
            for name, weight in self.layer_weights.items():
                feature, goal = features[name], goals[name]
                if self.perceptual_weight:
                    loss = loss + self.perceptual_weight * weight * self.distance(feature, goal)
                if self.style_weight:
                    loss = loss + self.style_weight * weight * self.distance(gram(feature), gram(goal))
        return loss

    def _normalise(self, image: Tensor) -> Tensor:
        image = image.float()
        if self.range_norm:
            image = (image + 1) / 2
        return (image - self.mean) / self.std if self.use_input_norm else image


def gram(features: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, C): inner products of the channels, divided by C*h*w."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])
