"""A model's exported graph with its batch normalisations folded into the layers before them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from selftaught.compress.tracing import own_copy, quiet, traced_program, untraceable
from selftaught.errors import InputError

__all__ = ["convolution_of", "folded_graph", "operation", "tensor_of"]

CONVOLUTIONS = {"conv1d": 1, "conv2d": 2, "conv3d": 3}
_NORMALISATION = "_native_batch_norm_legit_no_training"


def folded_graph(model: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[Any, str]:
    """Return a model as a graph of functional operations, and why it takes batches of one size only, or "".

    A normalisation behind a layer that nothing else reads goes into the layer's weights; any other becomes a product
    and a sum. What random layers do in training is left out.

    Raises:
        InputError: torch.export cannot take the model.
    """
    try:
        program, fixed = traced_program(own_copy(model), arguments)
        with quiet():
            graph = program.run_decompositions({}).module(check_guards=False)
    except InputError:
        raise
    except Exception as error:
        raise untraceable(error) from None
    for node in list(graph.graph.nodes):
        if operation(node) == _NORMALISATION:
            _fold(graph, node)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph, fixed


def operation(node: Any) -> str:
    """Return the name of a node's ATen operation without its overload, or ""."""
    parts = str(node.target).split(".")
    return parts[1] if node.op == "call_function" and parts[0] == "aten" else ""


def tensor_of(graph: Any, node: Any) -> torch.Tensor | None:
    """Return the parameter or buffer that a node stands for, or None."""
    if getattr(node, "op", "") != "get_attr":
        return None
    held: Any = graph
    for part in node.target.split("."):
        held = getattr(held, part)
    return held.detach() if isinstance(held, torch.Tensor) else None


def convolution_of(graph: Any, node: Any) -> dict[str, Any] | None:
    """Return a convolution's weight, bias and settings; None if it is none or its weight is no parameter."""
    axes = CONVOLUTIONS.get(operation(node), 0)
    weight = tensor_of(graph, node.args[1]) if axes else None
    if weight is None:
        return None
    given = list(node.args) + [None] * (7 - len(node.args))
    stride, padding, dilation, groups = (
        node.kwargs.get(name, one)
        for name, one in zip(("stride", "padding", "dilation", "groups"), given[3:], strict=True)
    )
    dilation = _numbers(dilation, axes)
    if isinstance(padding, str):
        totals = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, weight.shape[2:], strict=True)]
        pads = [(total // 2, total - total // 2) for total in totals]
    else:
        pads = [(one, one) for one in _numbers(padding, axes, 0)]
    return {
        "weight": weight, "bias": tensor_of(graph, given[2]), "stride": _numbers(stride, axes), "pads": pads,
        "dilation": dilation, "groups": groups or 1,
    }  # fmt: skip


def _numbers(values: Any, axes: int, default: int = 1) -> list[int]:
    given = list(values) if isinstance(values, list | tuple) else [default if values is None else values]
    return [int(one) for one in (given * axes)[:axes]]


def _fold(graph: Any, node: Any) -> None:
    given, *names = node.args[:5]
    weight, bias, mean, variance = (tensor_of(graph, one) for one in names)
    if mean is None or variance is None:
        return
    factor = torch.rsqrt(variance.double() + float(node.args[6]))
    factor = factor if weight is None else factor * weight.double()
    shift = -mean.double() * factor
    shift = shift if bias is None else shift + bias.double()
    outputs = [one for one in node.users if operation(one) == "" and one.args[1:] == (0,)]
    result = outputs[0] if outputs else node
    layer = _weighted(graph, given)
    with graph.graph.inserting_before(node):
        if layer is None:
            axes = node.args[0].meta["val"].ndim - 2
            parts = [_new(graph, node, name, one.reshape(-1, *[1] * axes)) for name, one in
                     (("factor", factor), ("shift", shift))]  # fmt: skip
            scaled = graph.graph.call_function(torch.ops.aten.mul.Tensor, (given, parts[0]))
            made = graph.graph.call_function(torch.ops.aten.add.Tensor, (scaled, parts[1]))
            scaled.meta["val"] = made.meta["val"] = given.meta["val"]
        else:
            old, old_bias = layer
            weights = old.double() * factor.reshape(-1, *[1] * (old.ndim - 1))
            biases = shift if old_bias is None else shift + old_bias.double() * factor
            name = given.args[1].target
            # Named for the use too: a layer that is used twice may have another normalisation behind each.
            held = [_new(graph, node, f"{name}_{given.name}_{part}", one)
                    for part, one in (("folded", weights), ("shift", biases))]  # fmt: skip
            arguments = (given.args[0], *held, *given.args[3:])
            made = graph.graph.call_function(given.target, arguments, dict(given.kwargs))
            made.meta.update(given.meta)
            made.meta["layer"] = name
    result.replace_all_uses_with(made)


def _weighted(graph: Any, node: Any) -> tuple[torch.Tensor, torch.Tensor | None] | None:
    """Return weight and bias of a layer whose output channels are the second axis, and which nothing else reads."""
    flat = operation(node) == "linear" and node.meta["val"].ndim == 2
    if len(node.users) != 1 or not (flat or operation(node) in CONVOLUTIONS):
        return None
    weight = tensor_of(graph, node.args[1])
    bias_node = node.args[2] if len(node.args) > 2 else node.kwargs.get("bias")
    bias = tensor_of(graph, bias_node)
    return None if weight is None or (bias is None and bias_node is not None) else (weight, bias)


def _new(graph: Any, node: Any, name: str, values: torch.Tensor) -> Any:
    flat = name.replace(".", "_")
    flat = flat if name not in ("factor", "shift") else f"{node.name}_{flat}"
    graph.register_buffer(flat, values.float())
    made = graph.graph.get_attr(flat)
    made.meta["val"] = values.float()
    return made
