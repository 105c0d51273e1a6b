"""Weights of MAXIM from its graph: which constant belongs to which parameter, found by walking the graph.

Nodes carry the path of the modules that they come from (``stage_0_encoder_block_1/Conv_0/Conv2D``); constants
often do not. So layers are found by their operations, take the constants that flow into them, and are named
by the paths of the operations. Layers that resize features are numbered there as they were called; they are
named by what they take and what takes them.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from basicsr.archs.maxim import MAXIM
from basicsr.checkpoints.tfjs_package import Graph, Node
from basicsr.utils.errors import UserError

# A segment of a path, our name of it, and the segments below; none below a layer.
Names = Mapping[str, tuple[str, "Names | None"]]

_LAYER = None
_PROJECTIONS: Names = {"in_project": ("project_in", _LAYER), "out_project": ("project_out", _LAYER)}
_GATED_MLP: Names = {
    "LayerNorm": ("norm", _LAYER),
    "(?:Block|Grid)GatingUnit": (
        "",
        {"Dense_0": ("gate.dense", _LAYER), "intermediate_layernorm": ("gate_norm", _LAYER)},
    ),
    **_PROJECTIONS,
}
_MULTI_AXIS_MLP: Names = {
    "LayerNorm_in": ("norm", _LAYER),
    "GridGmlpLayer": ("grid", _GATED_MLP),
    "BlockGmlpLayer": ("block", _GATED_MLP),
    **_PROJECTIONS,
}
_MULTI_AXIS_GATE: Names = {
    "LayerNorm_in": ("norm", _LAYER),
    "Dense_0": ("grid.dense", _LAYER),
    "Dense_1": ("block.dense", _LAYER),
    **_PROJECTIONS,
}
_CROSS_GATING: Names = {
    "Conv_0": ("conv_x", _LAYER),
    "Conv_1": ("conv_y", _LAYER),
    "LayerNorm_([xy])": (r"norm_\1", _LAYER),
    "in_project_([xy])": (r"project_in_\1", _LAYER),
    "out_project_([xy])": (r"project_out_\1", _LAYER),
    "SplitHeadMultiAxisGating_([xy])": (r"gate_\1", _MULTI_AXIS_GATE),
}
_CHANNEL_ATTENTION: Names = {"Conv_0": ("squeeze", _LAYER), "Conv_1": ("excite", _LAYER)}
_CONV_ATTENTION: Names = {
    "LayerNorm": ("norm", _LAYER),
    "(conv[12])": (r"\1", _LAYER),
    "channel_attention": ("attention", _CHANNEL_ATTENTION),
}
_DENSE_ATTENTION: Names = {
    "LayerNorm": ("norm", _LAYER),
    "channel_mixing": ("", {"Dense_0": ("dense1", _LAYER), "Dense_1": ("dense2", _LAYER)}),
    "channel_attention": ("attention", _CHANNEL_ATTENTION),
}
_LEVEL_BLOCK: Names = {
    r"SplitHeadMultiAxisGmlpLayer_(\d+)": (r"mlps.\1", _MULTI_AXIS_MLP),
    r"channel_attention_block_1(\d+)": (r"attentions.\1", _CONV_ATTENTION),
}
_BOTTLENECK: Names = {
    "input_proj": ("conv", _LAYER),
    r"SplitHeadMultiAxisGmlpLayer_(\d+)": (r"mlps.\1", _MULTI_AXIS_MLP),
    r"channel_attention_block_1_(\d+)": (r"attentions.\1", _DENSE_ATTENTION),
}
_ENCODER: Names = {
    "Conv_0": ("block.conv", _LAYER),
    "Conv_1": ("down", _LAYER),
    "cross_gating_block": ("cross", _CROSS_GATING),
    **{pattern: (f"block.{name}", below) for pattern, (name, below) in _LEVEL_BLOCK.items()},
}
_DECODER: Names = {
    "ConvTranspose_0": ("up", _LAYER),
    "UNetEncoderBlock_0": ("block", {"Conv_0": ("conv", _LAYER), **_LEVEL_BLOCK}),
}
_SKIP: Names = {
    "ConvTranspose_0": ("up", _LAYER),
    **{pattern: (f"cross.{name}", below) for pattern, (name, below) in _CROSS_GATING.items()},
}
_SUPERVISED: Names = {
    "Conv_0": ("conv", _LAYER),
    "Conv_1": ("to_image", _LAYER),
    "Conv_2": ("from_image", _LAYER),
}
_NETWORK: Names = {
    r"stage_(\d+)_input_conv_(\d+)": (r"unets.\1.inputs.\2", _LAYER),
    r"stage_(\d+)_input_fuse_sam_(\d+)": (r"unets.\1.fuses.\2", _CROSS_GATING),
    r"stage_(\d+)_encoder_block_(\d+)": (r"unets.\1.encoders.\2", _ENCODER),
    r"stage_(\d+)_global_block_(\d+)": (r"unets.\1.bottlenecks.\2", _BOTTLENECK),
    r"stage_(\d+)_cross_gating_block_(\d+)": (r"unets.\1.skips.\2", _SKIP),
    r"stage_(\d+)_decoder_block_(\d+)": (r"unets.\1.decoders.\2", _DECODER),
    r"stage_(\d+)_supervised_attention_module_(\d+)": (r"unets.\1.supervised.\2", _SUPERVISED),
    r"stage_(\d+)_output_conv_(\d+)": (r"unets.\1.outputs.\2", _LAYER),
}

_ROOT = "/backbone/"
_RESIZE = "UpSampleRatio_"
_STAGE = re.compile(r"stage_(\d+)_(encoder|decoder|cross_gating)_block_(\d+)")
# What is resized, and for what: our name of the module, and whether it joins coarse features first.
_RESIZED = {("encoder", "cross_gating"): ("skips", False), ("cross_gating", "decoder"): ("decoders", True)}
_DENSE = "abcg,gf->abcf"
_KERNELS = {"Conv2D": 4, "Conv2DBackpropInput": 4, "Einsum": 2}  # dimensions
_CLOSE = 1e-3  # relative; constants of the graph are float32 of those in the paper


@dataclass(frozen=True)
class Layer:
    """A layer of the graph.

    Args:
        node: takes its weight.
        scope: path of its modules below the network's.
        weight: name of the constant.
        bias: name of the constant.
        end: node whose result is the layer's.
    """

    node: Node
    scope: str
    weight: str
    bias: str
    end: Node


def maxim_of(graph: Graph, where: str) -> MAXIM:
    """The network of a graph, with its weights.

    Args:
        where: name of the file, for errors.

    Raises:
        UserError: one line: not the graph of MAXIM, or a part of it was not understood.
    """
    return _Walk(graph, where).network()


class _Walk:
    def __init__(self, graph: Graph, where: str) -> None:
        self._where = where
        self._constants = graph.constants
        self._nodes = graph.nodes
        self._reachable = graph.reachable()
        self._users: defaultdict[str, list[Node]] = defaultdict(list)
        for node in self._reachable:
            for name in node.input:
                self._users[name].append(node)

    def network(self) -> MAXIM:
        layers = [*self._kernel_layers(), *self._norms()]
        self._require_all_used(layers)
        self._require_slopes()
        state: dict[str, Tensor] = {}
        kinds: dict[str, Layer] = {}
        for layer in layers:
            name = self._name(layer)
            if name in kinds:
                raise self._error(f"two layers are {name}: {layer.scope} and {kinds[name].scope}")
            kinds[name] = layer
            state[f"{name}.weight"] = self._weight(layer)
            state[f"{name}.bias"] = torch.from_numpy(self._constants[layer.bias].reshape(-1).copy())
        block = MAXIM.recognize(state)
        if block is None:
            raise self._error("its layers are not those of MAXIM")
        net = MAXIM(**block)
        self._require_fit(net, state, kinds)
        net.load_state_dict(state)
        net.block = {"type": "MAXIM", **block}
        return net.eval()

    def _kernel_layers(self) -> Iterator[Layer]:
        """Dense layers and convolutions, each with the bias that is added behind it."""
        for node in self._reachable:
            if node.op not in _KERNELS:
                continue
            kernels = [name for name in node.input if self._is_weight(name)]
            if not kernels:
                continue  # computed from sizes, as in resizing
            if len(kernels) > 1 or self._constants[kernels[0]].ndim != _KERNELS[node.op]:
                raise self._error(f"{node.name} takes weights of an unknown form")
            if node.op == "Einsum" and node.text("equation") != _DENSE:
                raise self._error(
                    f"{node.name} is not a dense layer over the last axis: {node.text('equation')!r}"
                )
            bias, end = self._added(node)
            yield Layer(node, self._scope(node.name), kernels[0], bias, end)

    def _norms(self) -> Iterator[Layer]:
        """Layer norms: (x - mean) * (rsqrt(variance + eps) * weight) + bias."""
        eps = nn.LayerNorm(1, eps=1e-6).eps
        for root in self._reachable:
            if root.op != "Rsqrt":
                continue
            self._require_constant(self._nodes[root.input[0]], eps, "eps of a layer norm")
            scaled = self._only_user(root, "Mul")
            weights = [name for name in scaled.input if self._is_weight(name)]
            if len(weights) != 1:
                raise self._error(f"{root.name} is not part of a layer norm with one weight")
            bias, end = self._added(self._only_user(scaled, "Mul"))
            yield Layer(root, self._scope(root.name), weights[0], bias, end)

    def _added(self, node: Node) -> tuple[str, Node]:
        """The constant that is added to a result, and the sum."""
        total = self._only_user(node, "AddV2")
        biases = [name for name in total.input if self._is_weight(name)]
        if len(biases) != 1 or self._scope(total.name) != self._scope(node.name):
            raise self._error(f"{node.name} has no separate bias")
        return biases[0], total

    def _only_user(self, node: Node, op: str) -> Node:
        users = self._users[node.name]
        if len(users) != 1 or users[0].op != op:
            raise self._error(f"{node.name} is not followed by one {op}")
        return users[0]

    def _is_weight(self, name: str) -> bool:
        """Whether a constant belongs to a layer, unlike the numbers of activations and resizing."""
        value = self._constants.get(name)
        return value is not None and value.dtype.kind == "f" and (value.size > 1 or value.ndim == 4)

    def _require_constant(self, node: Node, expected: float, what: str) -> None:
        found = [float(self._constants[name].item()) for name in node.input if self._is_scalar(name)]
        if len(found) != 1 or not math.isclose(found[0], expected, rel_tol=_CLOSE):
            raise self._error(f"{node.name}: {what} is {found}; expected {expected}")

    def _is_scalar(self, name: str) -> bool:
        return name in self._constants and self._constants[name].size == 1

    def _require_slopes(self) -> None:
        for node in self._reachable:
            if node.op == "Mul" and "leaky_relu" in node.name:
                self._require_constant(node, 0.2, "slope of a leaky ReLU")

    def _require_all_used(self, layers: list[Layer]) -> None:
        """Each weight that the output depends on belongs to one layer and is used there alone."""
        taken = {name for layer in layers for name in (layer.weight, layer.bias)}
        for node in self._reachable:
            if self._is_weight(node.name) and (node.name not in taken or len(self._users[node.name]) != 1):
                raise self._error(f"the weight {node.name} belongs to no layer, or to several")

    def _scope(self, name: str) -> str:
        """Path of the modules of a node, below the network's."""
        below = name.partition(_ROOT)[2]
        return re.sub(r"(/(einsum|jit_\w+))*/\w+$", "", below)

    def _name(self, layer: Layer) -> str:
        if layer.scope.startswith(_RESIZE):
            return self._name_of_resize(layer)
        parts: list[str] = []
        names: Names | None = _NETWORK
        for segment in layer.scope.split("/"):
            found = [
                (match.expand(name), below)
                for pattern, (name, below) in (names or {}).items()
                if (match := re.fullmatch(pattern, segment))
            ]
            if not found:
                raise self._error(f"no layer of MAXIM is called {layer.scope}")
            part, names = found[0]
            parts.append(part)
        if names is not None:
            raise self._error(f"no layer of MAXIM is called {layer.scope}")
        return ".".join(filter(None, parts))

    def _name_of_resize(self, layer: Layer) -> str:
        """By the block whose features it resizes and the block that takes them."""
        own = layer.scope.partition("/")[0]
        joined = self._only_user(layer.end, "ConcatV2")
        target = joined if _STAGE.match(self._scope(joined.name)) else self._only_user(joined, "Conv2D")
        sources = {self._stage(name) for name in self._taken_by(own, layer.node)} - {None}
        source, taker = sources.pop() if len(sources) == 1 else None, self._stage(target.name)
        if source is None or taker is None or source[0] != taker[0] or (source[1], taker[1]) not in _RESIZED:
            raise self._error(f"{own} does not lie between two blocks of MAXIM")
        module, from_the_end = _RESIZED[source[1], taker[1]]
        level = int(source[2])
        features = joined.input[:-1]  # the last input is the axis
        if features.index(layer.end.name) != (len(features) - 1 - level if from_the_end else level):
            raise self._error(f"{joined.name} joins features in another order")
        return f"unets.{taker[0]}.{module}.{taker[2]}.resizes.{level}.conv"

    def _stage(self, name: str) -> tuple[str, str, str] | None:
        """Stage, kind and level of the block that a node belongs to."""
        match = _STAGE.match(self._scope(name))
        return match and (match[1], match[2], match[3])

    def _taken_by(self, own: str, node: Node) -> set[str]:
        """Nodes outside the scope ``own`` whose results its nodes take on the path to ``node``."""
        outside: set[str] = set()
        inside = {node.name}
        waiting = [node]
        while waiting:
            for name in waiting.pop().input:
                if self._scope(name).partition("/")[0] != own:
                    outside.add(name)
                elif name not in inside:
                    inside.add(name)
                    waiting.append(self._nodes[name])
        return outside

    def _weight(self, layer: Layer) -> Tensor:
        """The weight as PyTorch has it."""
        value: NDArray[Any] = self._constants[layer.weight]
        match layer.node.op:
            case "Conv2D" | "Conv2DBackpropInput":
                value = value.transpose(3, 2, 0, 1)
            case "Einsum":
                value = value.T
            case _:
                value = value.reshape(-1)
        return torch.from_numpy(value.copy())

    def _require_fit(self, net: MAXIM, state: Mapping[str, Tensor], layers: Mapping[str, Layer]) -> None:
        """Names, shapes and strides are those of the network, none missing, none left over."""
        expected = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
        found = {name: tuple(tensor.shape) for name, tensor in state.items()}
        wrong = sorted(expected.items() ^ found.items())
        if wrong:
            name = wrong[0][0]
            shapes = f"{found.get(name, 'nothing')} in the file, {expected.get(name, 'nothing')} in MAXIM"
            raise self._error(f"{name}: {shapes}")
        for name, layer in layers.items():
            module = net.get_submodule(name)
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                stride = [1, *module.stride, 1]
                dilations = layer.node.numbers("dilations") or [1] * 4
                if layer.node.numbers("strides") != stride or dilations != [1] * 4:
                    raise self._error(f"{layer.node.name}: strides or dilations are not those of MAXIM")

    def _error(self, what: str) -> UserError:
        return UserError(f"{self._where}: {what}")
