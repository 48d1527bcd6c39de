"""Follow channels through the graph of an exported model, operation by operation."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from selftaught.compress.coupling import FIXED, Coupling, Labels, Places, reshaped
from selftaught.compress.tracing import quiet, untraceable

__all__ = ["Walk", "walk"]



POINTWISE = frozenset(  # one value out for one value in
    """relu relu6 gelu silu sigmoid tanh elu selu celu leaky_relu hardtanh hardswish hardsigmoid mish softplus softsign
    logsigmoid abs neg exp log sqrt rsqrt square reciprocal sin cos erf clamp clamp_min clamp_max sign pow add sub rsub
    mul div maximum minimum where addcmul addcdiv lerp dropout feature_dropout alpha_dropout clone contiguous alias
    detach detach_ to _to_copy type_as float double half bfloat16 eq ne lt le gt ge logical_not logical_and logical_or
    zeros_like ones_like full_like nan_to_num threshold tanhshrink softshrink hardshrink""".split()  # noqa: SIM905
)
POOLS = ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "upsample")
RESHAPES = ("flatten", "view", "reshape", "_unsafe_view", "unflatten", "squeeze", "unsqueeze")
REDUCTIONS = ("mean", "sum", "amax", "amin", "prod")


class Walk:
    """What is known after the graph was walked.

    Attributes:
        held: the sets of places.
        tensors: name of each parameter and buffer -> its labels.
        producers: (name of a weight, axis of its outputs), in the order of the graph.
    """

    def __init__(self) -> None:
        self.held = Coupling()
        self.tensors: dict[str, Labels] = {}
        self.producers: list[tuple[str, int]] = []
        self._labels: dict[Any, Any] = {}
        self._names: dict[Any, str] = {}

    def own(self, node: Any, name: str, tensor: torch.Tensor) -> None:
        """Give a parameter or buffer numbers, once for all its uses."""
        if name not in self.tensors:
            self.tensors[name] = [self.held.fresh(size) for size in tensor.shape]
        self._labels[node], self._names[node] = self.tensors[name], name

    def outside(self, node: Any, shape: Sequence[int]) -> None:
        """Take in a tensor that no layer owns."""
        self._labels[node] = [self.held.fixed(size) for size in shape]

    def of(self, node: Any) -> Labels:
        """Return the labels of a node's output."""
        found: Labels = self._labels[node]
        return found

    def produces(self, node: Any, axis: int) -> None:
        """Note that an axis of a weight is a layer's outputs."""
        entry = (self._names.get(node, ""), axis)
        if entry[0] and entry not in self.producers:
            self.producers.append(entry)

    def step(self, node: Any) -> None:
        """Follow one operation."""
        name = _name(node)
        value = node.meta.get("val")
        if name == "getitem" and isinstance(self._labels.get(node.args[0]), tuple):
            self._labels[node] = self._labels[node.args[0]][node.args[1]]
        elif isinstance(value, torch.Tensor):
            handler = _handler(name)
            found = None if handler is None else handler(self, node, name)
            self._labels[node] = self._unknown(node, name) if found is None else found
        elif isinstance(value, tuple | list):
            self._not_followed(node, name)
            self._labels[node] = tuple(
                [self.held.fixed(size) for size in one.shape] if isinstance(one, torch.Tensor) else [] for one in value
            )

    def _not_followed(self, node: Any, name: str) -> None:
        for one in node.all_input_nodes:
            self.fix(one, f"{name} is not followed")

    def _unknown(self, node: Any, name: str) -> Labels:
        self._not_followed(node, name)
        return [self.held.fixed(size) for size in node.meta["val"].shape]

    def given_up(self, places: Places, size: int, reason: str) -> Places:
        """Fix the places of an axis that mix in an operation; return those of the axis that comes of it."""
        self.held.fix(places[places != FIXED], reason)
        return self.held.fixed(size)

    def fix(self, node: Any, reason: str) -> None:
        """Fix all places of a node's output."""
        labels = self._labels.get(node)
        for places in labels if isinstance(labels, list) else ():
            self.held.fix(places[places != FIXED], reason)


def walk(model: nn.Module, inputs: tuple[Any, ...]) -> Walk:
    """Export a model in evaluation mode and follow its channels.

    Args:
        model: any module that torch.export takes; left as it was.
        inputs: its arguments.

    Raises:
        InputError: torch.export cannot take the model.
    """
    own = copy.deepcopy(model).eval()
    try:
        with quiet():  # of recurrent layers, whose weights the export moves about; of code that it cannot follow
            program = torch.export.export(own, inputs)
    except Exception as error:
        raise untraceable(error, instead="prune its weights instead of its channels") from None
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    held = {**dict(own.named_parameters(remove_duplicate=False)), **dict(own.named_buffers(remove_duplicate=False))}
    first_names = {id(one): name for name, one in (*own.named_parameters(), *own.named_buffers())}
    found = Walk()
    for node in program.graph.nodes:
        if node.op == "placeholder":
            name = names.get(node.name)
            if name in held:
                found.own(node, first_names[id(held[name])], held[name])
            elif isinstance(node.meta.get("val"), torch.Tensor):
                found.outside(node, node.meta["val"].shape)
        elif node.op == "call_function":
            found.step(node)
        elif node.op == "output":
            for one in node.all_input_nodes:
                found.fix(one, "the model's output")
    return found


def _name(node: Any) -> str:
    parts = str(node.target).split(".")
    name = parts[1] if parts[0] == "aten" else getattr(node.target, "__name__", parts[-1])
    return name if name.startswith("_") else name.rstrip("_")


def _handler(name: str) -> Callable[[Walk, Any, str], Labels | None] | None:
    if name in POINTWISE:
        return _pointwise
    if name in RESHAPES:
        return _reshape
    if name in REDUCTIONS:
        return _reduction
    if name.startswith(POOLS):
        return _pool
    return _HANDLERS.get(name)


def _shape(node: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in node.meta["val"].shape)


def _argument(node: Any, place: int, default: Any = None) -> Any:
    return node.args[place] if len(node.args) > place else default


def _pointwise(found: Walk, node: Any, name: str) -> Labels:
    shape = _shape(node)
    labels: Labels = [found.held.fixed(size) for size in shape]
    taken = [False] * len(shape)
    for one in node.all_input_nodes:
        if not isinstance(one.meta.get("val"), torch.Tensor):
            continue
        given = found.of(one)
        for axis, places in enumerate(given, start=len(shape) - len(given)):
            if len(places) != shape[axis]:
                continue  # one value for all places
            if taken[axis]:
                found.held.join(labels[axis], places, f"{name} puts it beside what no layer owns")
            if not taken[axis] or (labels[axis] == FIXED).all():
                labels[axis], taken[axis] = places, True
    return labels


def _convolution(found: Walk, node: Any, name: str) -> Labels | None:
    source, weight, bias = node.args[0], node.args[1], _argument(node, 2)
    groups = int(_argument(node, 6, 1))
    held, inputs, kernel = found.held, found.of(source), found.of(weight)
    shape = _shape(node)
    axis = len(shape) - len(kernel) + 1  # of channels; without a batch it is the first
    places, outputs, within = inputs[axis], kernel[0], kernel[1]
    if groups > 1 and len(within) == 1:  # depthwise: a channel and its outputs stand alone
        held.join(places.repeat(len(outputs) // groups), outputs, f"{name} takes what no layer owns")
    elif groups > 1:  # each group keeps as many as any other
        for group in range(groups):
            part = places[group * len(within) : (group + 1) * len(within)]
            held.join(within, part, f"{name} takes what no layer owns")
        size = len(outputs) // groups
        for group in range(1, groups):
            held.join(outputs[:size], outputs[group * size : (group + 1) * size], name)
    else:
        held.join(places, within, f"{name} takes what no layer owns")
    if bias is not None:
        held.join(outputs, found.of(bias)[0], name)
    found.produces(weight, 0)
    return [*inputs[:axis], outputs, *_mixed(found, inputs[axis + 1 :], shape[axis + 1 :], name)]


def _transposed(found: Walk, node: Any, name: str) -> Labels | None:
    source, weight, bias = node.args[0], node.args[1], _argument(node, 2)
    if int(_argument(node, 6, 1)) != 1:
        return None
    held, inputs, kernel, shape = found.held, found.of(source), found.of(weight), _shape(node)
    axis = len(shape) - len(kernel) + 1
    held.join(inputs[axis], kernel[0], f"{name} takes what no layer owns")
    if bias is not None:
        held.join(kernel[1], found.of(bias)[0], name)
    found.produces(weight, 1)
    return [*inputs[:axis], kernel[1], *_mixed(found, inputs[axis + 1 :], shape[axis + 1 :], name)]


def _mixed(found: Walk, labels: Labels, sizes: Sequence[int], name: str) -> Labels:
    """Follow axes along which neighbours are taken together."""
    return [found.given_up(one, size, f"{name} runs along it") for one, size in zip(labels, sizes, strict=True)]


def _linear(found: Walk, node: Any, name: str) -> Labels | None:
    source, weight, bias = node.args[0], node.args[1], _argument(node, 2)
    held, inputs, matrix = found.held, found.of(source), found.of(weight)
    if weight not in found._names:
        return None
    held.join(inputs[-1], matrix[1], f"{name} takes what no layer owns")
    if bias is not None:
        held.join(matrix[0], found.of(bias)[0], name)
    found.produces(weight, 0)
    return [*inputs[:-1], matrix[0]]


def _product(found: Walk, node: Any, name: str) -> Labels | None:
    """Follow a matrix product with a parameter (in, out) on the right; between activations zeros may not stay zeros."""
    source, weight = node.args[0], node.args[1]
    if weight not in found._names or len(found.of(weight)) != 2:
        return None
    inputs, matrix = found.of(source), found.of(weight)
    found.held.join(inputs[-1], matrix[0], f"{name} takes what no layer owns")
    found.produces(weight, 1)
    return [*inputs[:-1], matrix[1]]


def _batch_norm(found: Walk, node: Any, name: str) -> Labels:
    labels = found.of(node.args[0])
    for one in node.args[1:5]:
        if one is not None:
            found.held.join(labels[1], found.of(one)[0], f"{name} takes what no layer owns")
    return labels


def _prelu(found: Walk, node: Any, name: str) -> Labels:
    labels, slopes = found.of(node.args[0]), found.of(node.args[1])[0]
    if len(slopes) > 1:
        found.held.join(labels[1], slopes, f"{name} takes what no layer owns")
    return labels


def _embedding(found: Walk, node: Any, name: str) -> Labels:
    table = found.of(node.args[0])
    found.held.fix(table[0], "rows of an embedding are its words")
    found.produces(node.args[0], 1)
    return [*found.of(node.args[1]), table[1]]


def _reshape(found: Walk, node: Any, name: str) -> Labels:
    return reshaped(found.held, found.of(node.args[0]), _shape(node), name)


def _reduction(found: Walk, node: Any, name: str) -> Labels | None:
    labels, axes = found.of(node.args[0]), _argument(node, 1)
    if not isinstance(axes, list | tuple) or not axes:
        return None
    reduced = {axis % len(labels) for axis in axes}
    for axis in reduced:
        places = labels[axis]
        found.held.fix(places[places != FIXED], f"{name} is taken over it")
    if len(_shape(node)) == len(labels):
        return [found.held.fixed(1) if axis in reduced else places for axis, places in enumerate(labels)]
    return [places for axis, places in enumerate(labels) if axis not in reduced]


def _pool(found: Walk, node: Any, name: str) -> Labels | None:
    labels, shape = found.of(node.args[0]), _shape(node)
    pooled = re.search(r"pool(\d)d", name)
    sides = int(pooled[1]) if pooled else len(shape) - 2
    return [*labels[:-sides], *_mixed(found, labels[-sides:], shape[-sides:], name)]


def _pad(found: Walk, node: Any, name: str) -> Labels:
    labels = list(found.of(node.args[0]))
    amounts = node.args[1]
    for number in range(len(amounts) // 2):
        axis = len(labels) - 1 - number
        if amounts[2 * number] or amounts[2 * number + 1]:
            labels[axis] = found.given_up(labels[axis], _shape(node)[axis], f"{name} lengthens it")
    return labels


def _permute(found: Walk, node: Any, name: str) -> Labels:
    labels = found.of(node.args[0])
    if name in ("transpose", "swapaxes"):
        order = list(range(len(labels)))
        one, two = node.args[1] % len(labels), node.args[2] % len(labels)
        order[one], order[two] = order[two], order[one]
    elif name == "permute":
        order = [axis % len(labels) for axis in node.args[1]]
    else:
        order = list(range(len(labels)))[::-1]
    return [labels[axis] for axis in order]


def _cat(found: Walk, node: Any, name: str) -> Labels:
    parts = [found.of(one) for one in node.args[0]]
    axis = int(_argument(node, 1, 0)) % len(parts[0])
    labels = list(parts[0])
    for part in parts[1:]:
        for place, places in enumerate(part):
            if place != axis:
                found.held.join(labels[place], places, f"{name} puts it beside what no layer owns")
    labels[axis] = np.concatenate([part[axis] for part in parts])
    return labels


def _slice(found: Walk, node: Any, name: str) -> Labels:
    labels = list(found.of(node.args[0]))
    for axis, (places, size) in enumerate(zip(labels, _shape(node), strict=True)):
        if len(places) != size:
            labels[axis] = found.given_up(places, size, f"{name} takes a part of it")
    return labels


def _select(found: Walk, node: Any, name: str) -> Labels:
    labels = list(found.of(node.args[0]))
    gone = labels.pop(node.args[1])
    found.held.fix(gone[gone != FIXED], f"{name} takes a part of it")
    return labels


def _expand(found: Walk, node: Any, name: str) -> Labels:
    labels, shape = found.of(node.args[0]), _shape(node)
    new = len(shape) - len(labels)
    kept = [one if len(one) == size else found.held.fixed(size) for one, size in zip(labels, shape[new:], strict=True)]
    return [*(found.held.fixed(size) for size in shape[:new]), *kept]


_HANDLERS: dict[str, Callable[[Walk, Any, str], Labels | None]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed),
    "linear": _linear,
    **dict.fromkeys(("matmul", "mm"), _product),
    "batch_norm": _batch_norm,
    "prelu": _prelu,
    "embedding": _embedding,
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    **dict.fromkeys(("permute", "transpose", "swapaxes", "t", "numpy_T"), _permute),
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    "slice": _slice,
    "select": _select,
    "expand": _expand,
}
