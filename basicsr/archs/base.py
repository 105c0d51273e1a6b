"""The contract of networks: what each declares, for training, restoring and exporting to rely on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import msgspec
import torch
from torch import Tensor, nn

from basicsr.layers.local_pool import GlobalAvgPool2d, LocalAvgPool2d, to_local
from basicsr.layers.map_unit import MaskAveragePool
from basicsr.layers.normalization import Normalization
from basicsr.layers.padding import SizeRule
from basicsr.layers.weights_facts import WeightsFacts
from basicsr.utils.convert import Mistakes
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.registry import ARCHS, split_type

Gives = Literal["image", "clip"]
Block = dict[str, Any]

# Peak of a convolutional network's forward pass without gradients: about 40 bytes for each pixel and channel
# at full resolution (measured on NAFNet of width 16 to 64, local pooling included), with some margin.
_BYTES_PER_CHANNEL = 48


@dataclass(frozen=True)
class FeaturePoint:
    """A module inside a network whose features other code may read or change.

    Args:
        name: of the module, as in ``net.get_submodule(name)``. Modules run once per pass, in the order of the
            points, and the features are their outputs (B, C, H, W).
        channels: of the features.
        reduction: how many times smaller than the image each side of the features is.
    """

    name: str
    channels: int
    reduction: int


class Network(nn.Module):
    """What every registered network declares, whatever its inputs and outputs.

    Building, loading, training, averaging and saving need nothing else. Networks that restore images derive
    from `RestorationNetwork`; others have their own base class for what they return, see
    `basicsr.archs.ordering.OrderingNetwork`.

    Attributes:
        normalization: of the images that ``forward`` takes; None if unknown.
        published_normalization: of the images that its published weights were trained on.
        block: the options that it was built from; set by `build_network`.
        wraps: name of the option that holds the block of an inner network; None if there is none.
        needs_state: whether it is built from its weights: the constructor takes them by name as ``state``,
            and loads them. Such a network can be tested and can restore, but is not trained.
        is_fixed: whether it has no weights, as classical methods. It can be tested, but is not trained.
    """

    normalization: Normalization | None = None
    published_normalization: ClassVar[Normalization | None] = None
    wraps: ClassVar[str | None] = None
    needs_state: ClassVar[bool] = False
    is_fixed: ClassVar[bool] = False
    block: Block = {}

    @property
    def pools_globally(self) -> bool:
        """Whether some block averages over the whole image and could do so over windows."""
        return any(isinstance(module, GlobalAvgPool2d) for module in self.modules())

    @property
    def pools_locally(self) -> bool:
        """Whether blocks average over windows (TLC)."""
        return any(isinstance(module, LocalAvgPool2d) for module in self.modules())

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        """The options of a network with these weights, derived from their names and shapes.

        Options without weights (local pooling, mask value, dropout) are left at their defaults. None if the
        weights belong to another network, or do not determine its options.

        Args:
            extra_channel: input channels that a network around this one appends to its inputs.
        """
        return None

    @classmethod
    def completed(cls, options: Block, state: Mapping[str, Tensor]) -> Block:
        """Options from a weight file, completed by those whose default was different when it was written."""
        return options

    @classmethod
    def with_pooling(cls, options: Block, local: bool) -> Block | None:
        """The block of the same network with local or global pooling; None if there is no such network.

        Args:
            options: of this class.
        """
        return None if local else {"type": cls.__name__, **options}

    def adapt_state(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights with the names and shapes of this network, from a file that may have the published ones.

        Args:
            state: without a prefix common to all names (``module.``).
        """
        return state

    def weights_facts(self) -> WeightsFacts:
        """The facts that belong to its current weights, except `normalization`; see `facts_of`."""
        return WeightsFacts()

    def adopt_weights_facts(self, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
        """Configure the network as the loaded weights require.

        Args:
            facts: None for a file from elsewhere, which has none: its weights are treated as published ones.
            loaded: names of the weights that were loaded.

        Returns:
            A line for the log.
        """
        return ""


class RestorationNetwork(Network):
    """Degraded image in, restored image (or clip) out, for images of any size.

    ``forward`` takes the image inputs (B, C, H, W), concatenated by channel in the order of `image_inputs`,
    then label maps (B, H, W) if `takes_labels`. It returns the final image (B, C, H, W), or the clip
    (B, T, C, H, W), not clamped; it pads and crops internally. Restoring, tiling, exporting and evaluating
    need nothing else. Further outputs for losses are in `stages`.

    A subclass defines at least `forward` and `img_channel`, and whatever differs from the defaults here.

    Attributes:
        gives: whether ``forward`` returns an image or a clip.
        image_inputs: fields of a sample that make up the first argument of ``forward``; the image comes
            first.
        takes_labels: whether ``forward`` takes label maps as second argument.
        stage_names: keys of what `stages` returns.
        img_channel: channels of the image.
        size_rule: which sizes need no padding, and how others are padded.
        feature_points: see `FeaturePoint`.
        local_train_size: (1, C, H, W) of the training crops of a class whose blocks pool locally by default;
            None pools globally.
    """

    gives: Gives = "image"
    image_inputs: tuple[str, ...] = ("lq",)
    takes_labels: bool = False
    stage_names: tuple[str, ...] = ("restored",)
    img_channel: int = 3
    size_rule: SizeRule = SizeRule()
    feature_points: tuple[FeaturePoint, ...] = ()
    local_train_size: ClassVar[tuple[int, int, int, int] | None] = None

    def stages(self, *inputs: Tensor) -> dict[str, Any]:
        """Everything that a loss may use, by the names of `stage_names`: at least ``restored``.

        A stage with images at several scales is called ``scales``: (B, C, H / 2^k, W / 2^k) each, finest
        first, for the padded image.

        Args:
            inputs: as for ``forward``.
        """
        return {"restored": self(*inputs)}

    def first_stages(self, count: int) -> RestorationNetwork:
        """The network of the first ``count`` stages alone: faster, and not as strong. It has its own block.

        Raises:
            ValueError: there are no such stages.
        """
        raise ValueError(f"{type(self).__name__} has no stages that restore without the others")

    @property
    def input_channels(self) -> int:
        """Channels of the first argument of ``forward``."""
        return self.img_channel + len(self.image_inputs) - 1

    def example_inputs(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Zeros of the shapes that ``forward`` takes, batch 1; for tracing, export and measuring."""
        like = next(self.parameters(), torch.zeros(()))
        image = torch.zeros(1, self.input_channels, height, width, device=like.device, dtype=like.dtype)
        if not self.takes_labels:
            return (image,)
        return image, torch.zeros(1, height, width, dtype=torch.int32, device=like.device)

    @property
    def region_pool(self) -> MaskAveragePool | None:
        """The pooling over regions; None if there is none.

        ``forward`` of such a network takes the means of `region_features` as third argument ``means``, so
        that a part of an image can use the means of whole regions; see
        `basicsr.layers.map_unit.MaskAveragePool`.
        """
        return None

    def region_features(self, image: Tensor) -> Tensor:
        """Padded image inputs (B, C, H, W) -> the features that `region_pool` averages (B, C, H, W).

        A value depends only on pixels at most `basicsr.layers.map_unit.HALO` away.
        """
        raise NotImplementedError(f"{type(self).__name__} pools no regions")

    @property
    def bytes_per_pixel(self) -> int:
        """Peak memory of ``forward`` without gradients, in bytes per pixel of the image."""
        first = next((module for module in self.modules() if isinstance(module, nn.Conv2d)), None)
        return _BYTES_PER_CHANNEL * (32 if first is None else first.out_channels)

    def localize(self, train_size: tuple[int, int, int, int] | None) -> None:
        """Pool over windows of 1.5 times ``train_size`` (TLC); None is `local_train_size`, or global."""
        train_size = train_size or self.local_train_size
        if train_size is not None:
            to_local(self, train_size)


def facts_of(net: Network) -> WeightsFacts:
    """The facts that belong to the weights of a network."""
    return msgspec.structs.replace(net.weights_facts(), normalization=net.normalization)


def adopt_facts(net: Network, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
    """Configure a network as its loaded weights require.

    Args:
        facts, loaded: as for `Network.adopt_weights_facts`.

    Returns:
        A line for the log; empty if there is nothing to report.
    """
    lines = [net.adopt_weights_facts(facts, loaded)]
    net.normalization = facts.normalization if facts is not None else net.published_normalization
    if net.normalization is not None and not net.normalization.changes_nothing:
        lines.append(f"{net.normalization} (of the training images)")
    return "; ".join(filter(None, lines))


def build_network(block: Block, where: str = "network") -> Network:
    """Build a new network from a block with its ``type``.

    Args:
        where: place of the block in an option file, for errors.

    Raises:
        OptionError: lists all mistakes in the block.
    """
    name, options = split_type(block)
    mistakes = Mistakes()
    ARCHS.check(name, options, where, mistakes)
    if mistakes.lines:
        raise OptionError(where, mistakes.lines)
    if network_class(name).needs_state:
        what = f"required by {name}, but not given; it is built from its weights"
        raise OptionError(where, [f"{where}.weights: {what}"])
    try:
        net: Network = ARCHS.build(name, options)
    except ValueError as error:
        raise OptionError(f"network {name}", [str(error)]) from error
    net.block = dict(block)
    return net


def network_class(name: str) -> type[Network]:
    """The class registered under a name.

    Raises:
        OptionError: if there is none, or it does not meet the contract.
    """
    entry = ARCHS[name]
    if not (isinstance(entry, type) and issubclass(entry, Network)):
        what = f"'{name}' of {entry.__module__} is not a Network"
        hint = "derive it from RestorationNetwork of basicsr.archs.base"
        raise OptionError("network", [f"network: {what}; {hint}"])
    return entry


def require_restoring(net: Network, where: str) -> RestorationNetwork:
    """Return the network if it restores images.

    Args:
        where: file or option that it comes from, for the error.

    Raises:
        UserError: if it returns something else.
    """
    if not isinstance(net, RestorationNetwork):
        what = f"{type(net).__name__} does not restore images"
        raise UserError(f"{where}: {what}; use the weights of a network that does")
    return net


def recognizable() -> Iterator[type[Network]]:
    """The classes that can recognize their weights, in the order of their names."""
    for name in ARCHS.names():
        entry = network_class(name)
        if "recognize" in vars(entry):
            yield entry


def recognize(state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
    """The block of the network with these weights; None if no network recognizes them.

    Args:
        extra_channel: see `Network.recognize`.
    """
    for entry in recognizable():
        options = entry.recognize(state, extra_channel)
        if options is not None:
            return {"type": entry.__name__, **options}
    return None


def changed(block: Block, changes: Mapping[str, Any]) -> Block:
    """A block with some options changed; those of an inner network are changed one by one.

    Args:
        block: with its ``type``.
        changes: by name.
    """
    inside = network_class(block["type"]).wraps
    merged = block | dict(changes)
    if inside is not None and isinstance(changes.get(inside), Mapping):
        merged[inside] = changed(block[inside], changes[inside])
    return merged


def innermost(block: Block) -> Block:
    """The block of the network inside all wrappers; for a network that wraps nothing, its own."""
    inside = network_class(block["type"]).wraps
    return block if inside is None else innermost(block[inside])


def changed_inside(block: Block, changes: Mapping[str, Any]) -> Block:
    """A block with some options of its `innermost` network changed."""
    inside = network_class(block["type"]).wraps
    if inside is None:
        return block | dict(changes)
    return block | {inside: changed_inside(block[inside], changes)}


def pooled(block: Block, local: bool) -> Block | None:
    """The block of the same network with local or global pooling; for a wrapper, that of the inner network.

    None if there is no such network.
    """
    name, options = split_type(block)
    entry = network_class(name)
    if entry.wraps is None:
        return entry.with_pooling(options, local)
    inner = pooled(options[entry.wraps], local)
    return inner and block | {entry.wraps: inner}
