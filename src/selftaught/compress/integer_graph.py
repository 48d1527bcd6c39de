"""Rewrite a model's graph so that its layers compute in 8-bit integers, and all else in floating point as before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import fx, nn

from selftaught.compress.folding import CONVOLUTIONS, convolution_of, operation, tensor_of
from selftaught.compress.integer_layers import (
    Affine,
    Clip,
    Dequantise,
    DynamicLinear,
    IntegerLayer,
    Lookup,
    MaxPool,
    Quantise,
)

__all__ = ["LAYERS", "Rewriting", "layer_name", "layers_of", "wanted_ranges"]

LAYERS = (*CONVOLUTIONS, "linear")
#: Operations that move values or choose among them: they are done on the 8-bit values themselves.
MOVES = frozenset(
    """view reshape _unsafe_view flatten unflatten squeeze unsqueeze permute transpose t clone contiguous alias detach
    slice select expand dropout""".split()  # noqa: SIM905
)
POOLS = {"max_pool1d": 1, "max_pool2d": 2, "max_pool3d": 3}
#: Activations that end at zero below: the 8-bit range does that by itself.
RECTIFIERS = frozenset(["relu", "relu6", "hardtanh", "clamp", "clamp_min"])
#: Functions of one value: a table of 256 results.
TABLES = frozenset(
    """gelu silu sigmoid tanh hardswish hardsigmoid elu selu celu leaky_relu mish softplus softsign logsigmoid
    tanhshrink softshrink hardshrink threshold erf""".split()  # noqa: SIM905
)
#: Sums and functions whose last digits depend on who computes them. In float64 the digits that differ are far behind
#: those that decide a rounding. A product is exact in float32 too, but onnxruntime would fuse one of 8-bit values into
#: its QLinearMul, which rounds in another way.
IN_FLOAT64 = frozenset(
    """mul layer_norm softmax _softmax _safe_softmax log_softmax _log_softmax scaled_dot_product_attention mean sum
    matmul bmm mm addmm baddbmm linear exp log pow tanh sigmoid var logsumexp rms_norm""".split()  # noqa: SIM905
)


def layer_name(node: Any) -> str:
    """Return the name of a layer's weight in the user's module."""
    name: str = node.meta.get("layer") or str(node.args[1].target)
    return name


def layers_of(graph: Any) -> list[Any]:
    """Return the nodes of linear layers and convolutions whose weights are parameters or buffers."""
    return [
        node for node in graph.graph.nodes
        if operation(node) in LAYERS and tensor_of(graph, node.args[1]) is not None
    ]  # fmt: skip


@dataclass
class Rewriting:
    """What the rewriting decides by, and what it leaves behind.

    Args:
        graph: the graph with folded normalisations.
        layers: nodes that become integer layers.
        how: "static": activations by `ranges`; "dynamic": linear layers only, their scales found in every call.
        ranges: node -> how its values are held.
        integers: a layer's float weight, (out, ...), to integers and their scales.
        exact: compute in float64 what would else differ between runtimes by its last digits.
    """

    graph: Any
    layers: set[Any]
    how: Literal["static", "dynamic"]
    ranges: Mapping[Any, Affine]
    integers: Callable[[torch.Tensor, torch.Tensor | None, float], tuple[torch.Tensor, torch.Tensor]]
    unsigned: bool
    exact: bool
    _floats: dict[Any, Any] = field(default_factory=dict)
    _bytes: dict[Any, tuple[Any, Affine]] = field(default_factory=dict)
    _doubles: dict[Any, Any] = field(default_factory=dict)
    _parts: int = 0

    def done(self) -> fx.GraphModule:
        """Return the new module."""
        old = self.graph.graph
        self._new = fx.Graph()
        self._root = nn.Module()
        self._before = self._ancestors() if self.exact else set()
        done: set[Any] = set()
        for node in old.nodes:
            if node in done:
                continue
            if node.op == "output":
                self._new.output(self._result(node))
            elif node in self.layers:
                done.add(self._layer(node))
            elif not self._on_bytes(node):
                self._as_float(node)
        for node in reversed(list(self._new.nodes)):
            if not node.users and node.op not in ("placeholder", "output"):
                self._new.erase_node(node)
        return fx.GraphModule(self._held(), self._new).eval()

    def _result(self, node: Any) -> Any:
        result = fx.map_arg(node.args[0], self._float)
        inputs = sum(one.op == "placeholder" for one in self.graph.graph.nodes)
        if inputs == len(result) == 1 and self.graph._out_spec.is_leaf():
            return result[0]
        self._new.set_codegen(self.graph.graph._codegen)  # what the model takes and gives, however nested
        return result

    def _held(self) -> nn.Module:
        """Return a module with the new parts, and those tensors of the old one that are still read."""
        for node in self._new.nodes:
            tensor = tensor_of(self.graph, node) if node.op == "get_attr" else None
            if tensor is not None:
                flat = "held_" + node.target.replace(".", "_")
                if not hasattr(self._root, flat):
                    self._root.register_buffer(flat, tensor)
                node.target = flat
        return self._root

    def _ancestors(self) -> set[Any]:
        """Return the nodes that an integer layer's inputs depend on."""
        found: set[Any] = set()
        waiting = [one.args[0] for one in self.layers]
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting += node.all_input_nodes
        return found

    def _float(self, node: Any) -> Any:
        """Return the new node with a node's values as they were; 8-bit ones are turned back."""
        if node not in self._floats:
            held, affine = self._bytes[node]
            self._floats[node] = self._call(Dequantise(affine), held, node)
        return self._floats[node]

    def _held_in_bytes(self, node: Any) -> tuple[Any, Affine]:
        if node not in self._bytes:
            affine = self.ranges[node]
            self._bytes[node] = (self._call(Quantise(affine), self._floats[node], node), affine)
        return self._bytes[node]

    def _call(self, part: nn.Module, given: Any, node: Any) -> Any:
        self._parts += 1
        name = f"{type(part).__name__.lower()}_{self._parts}"
        self._root.add_module(name, part)
        return self._new.call_module(name, (given,))

    def _layer(self, node: Any) -> Any:
        """Put an integer layer in a layer's place, with the activation behind it; return that activation's node."""
        settings = convolution_of(self.graph, node) or {
            "weight": tensor_of(self.graph, node.args[1]), "bias": tensor_of(self.graph, _bias(node)), "pads": None,
        }  # fmt: skip
        weight, bias = settings.pop("weight"), settings.pop("bias")
        if self.how == "dynamic":
            whole, scales = self.integers(weight, None, 1.0)
            part: nn.Module = DynamicLinear(whole, scales, bias, unsigned=self.unsigned)
            self._floats[node] = self._call(part, self._float(node.args[0]), node)
            return node
        given, affine = self._held_in_bytes(node.args[0])
        last = rectified(node)
        gives = self.ranges[last] if gives_bytes(node) else None
        whole, scales = self.integers(weight, bias, affine.scale)
        shift = torch.zeros(len(weight)) if bias is None else bias
        steps = torch.round(shift.double() / (affine.scale * scales.double()))
        part = IntegerLayer(whole, scales, steps, affine, gives, unsigned=self.unsigned, **settings)
        made = self._call(part, given, node)
        if gives is None:
            self._floats[node] = made
            return node
        limit = _upper_limit(last)
        if last is not node and limit is not None and round(limit / gives.scale) + gives.zero < 255:
            made = self._call(Clip(round(limit / gives.scale) + gives.zero), made, last)
        self._bytes[last] = (made, gives)
        return last

    def _on_bytes(self, node: Any) -> bool:
        """Do an operation on 8-bit values, where they are there and somebody wants the result so."""
        name = operation(node)
        given = node.args[0] if node.args else None
        if given not in self._bytes or not (name in MOVES or name in POOLS or name in TABLES):
            return False
        held, affine = self._bytes[given]
        if name in TABLES:
            if node not in self.ranges:
                return False
            result = self.ranges[node]
            values = (torch.arange(256).double() - affine.zero) * affine.scale
            mapped = node.target(values, *node.args[1:], **node.kwargs)
            table = torch.clamp(torch.round(mapped / result.scale) + result.zero, 0, 255)
            self._bytes[node] = (self._call(Lookup(table), held, node), result)
            return True
        if not wants_bytes(node):
            return False
        if name in POOLS:
            self._bytes[node] = (self._call(_pool(node, POOLS[name]), held, node), affine)
        else:
            rest = fx.map_arg(node.args[1:], self._plain)
            self._bytes[node] = (self._new.call_function(node.target, (held, *rest), dict(node.kwargs)), affine)
        return True

    def _plain(self, node: Any) -> Any:
        """Return the new node for a size, or whatever else is no tensor of values."""
        return self._bytes[node][0] if node in self._bytes else self._float(node)

    def _as_float(self, node: Any) -> None:
        name = operation(node)
        pick = self._plain if name == "sym_size" else self._float
        if node.op in ("placeholder", "get_attr"):
            made = self._new.node_copy(node)
        elif name == "adaptive_avg_pool2d" and list(node.args[1]) == [1, 1]:
            made = self._in_float64(node, torch.ops.aten.mean.dim, (self._float(node.args[0]), [-2, -1], True), {})
        elif name in IN_FLOAT64 and node in self._before:
            made = self._in_float64(node, node.target, fx.map_arg(node.args, pick), fx.map_arg(dict(node.kwargs), pick))
        else:
            made = self._new.node_copy(node, pick)
        made.meta = dict(node.meta)
        self._floats[node] = made

    def _in_float64(self, node: Any, target: Any, arguments: Any, options: Any) -> Any:
        if node not in self._before:
            return self._new.call_function(target, tuple(arguments), options)
        floats = {self._floats[one] for one in node.all_input_nodes if _is_float32(one) and one in self._floats}

        def widened(one: Any) -> Any:
            if one not in floats:
                return one
            if one not in self._doubles:
                self._doubles[one] = self._new.call_function(
                    torch.ops.aten._to_copy.default, (one,), {"dtype": torch.float64}
                )
            return self._doubles[one]

        arguments, options = fx.map_arg(tuple(arguments), widened), fx.map_arg(options, widened)
        made = self._new.call_function(target, arguments, options)
        return self._new.call_function(torch.ops.aten._to_copy.default, (made,), {"dtype": torch.float32})


def rectified(node: Any) -> Any:
    """Return the node of the activation that a layer's 8-bit range brings about, if nothing else reads the layer."""
    users = list(node.users)
    if len(users) == 1 and operation(users[0]) in RECTIFIERS and users[0].args[0] is node and _ends_at_zero(users[0]):
        return users[0]
    return node


def gives_bytes(node: Any) -> bool:
    """Return whether a layer's outputs are wanted in 8 bits: a convolution's always, but for the model's outputs."""
    last = rectified(node)
    if operation(node) in CONVOLUTIONS:
        return any(one.op != "output" for one in last.users)
    return any(_takes_bytes(one, last) for one in last.users)


def wants_bytes(node: Any) -> bool:
    """Return whether something that reads a node's output takes 8-bit values."""
    return any(_takes_bytes(one, node) for one in node.users)


def _takes_bytes(user: Any, given: Any) -> bool:
    name = operation(user)
    if not user.args or user.args[0] is not given:
        return False
    if user.meta.get("integer") or name in TABLES:
        return True
    return (name in MOVES or name in POOLS) and wants_bytes(user)


def wanted_ranges(graph: Any, layers: set[Any]) -> set[Any]:
    """Return the nodes whose values may be held in 8 bits, and mark the layers for that."""
    for node in layers:
        node.meta["integer"] = True
    found = set()
    for node in layers:
        found |= {node.args[0], rectified(node)}
    found |= {node for node in graph.graph.nodes if operation(node) in TABLES}
    return found


def _bias(node: Any) -> Any:
    return node.args[2] if len(node.args) > 2 else node.kwargs.get("bias")


def _is_float32(node: Any) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32


def _ends_at_zero(node: Any) -> bool:
    name, rest = operation(node), node.args[1:]
    return name in ("relu", "relu6") or (bool(rest) and isinstance(rest[0], int | float) and rest[0] == 0)


def _upper_limit(node: Any) -> float | None:
    name, rest = operation(node), node.args[1:]
    if name == "relu6":
        return 6.0
    return float(rest[1]) if name in ("hardtanh", "clamp") and len(rest) > 1 and rest[1] is not None else None


def _pool(node: Any, axes: int) -> MaxPool:
    given = list(node.args[1:]) + [None] * (5 - len(node.args[1:]))
    numbers = [[int(x) for x in (list(one) * axes)[:axes]] if isinstance(one, list | tuple) and one else None
               for one in given[:4]]  # fmt: skip
    kernel = numbers[0] or [int(given[0])] * axes
    return MaxPool(
        kernel, numbers[1] or kernel, numbers[2] or [0] * axes, numbers[3] or [1] * axes, ceil_mode=bool(given[4])
    )
