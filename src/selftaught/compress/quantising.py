"""`quantise`: a trained model with 8-bit integer layers, and how far its outputs are from before."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx, nn

from selftaught.compress.calibration import CLIPPING, Range, affine_of
from selftaught.compress.folding import folded_graph, operation, tensor_of
from selftaught.compress.integer_graph import Rewriting, layer_name, layers_of, wanted_ranges
from selftaught.compress.onnx_runtime import first_line
from selftaught.compress.tracing import check_finite
from selftaught.errors import InputError, did_you_mean, require_one_of
from selftaught.examples import Examples, Task
from selftaught.training.batches import source_of
from selftaught.training.random_state import own_random_state

__all__ = ["Quantised", "integer_weights", "quantise"]

HOW = ("static", "dynamic", "bf16")
#: A bias is kept below this many steps, so that sums stay within 32 bits.
LARGEST_BIAS = 2.0**30


@dataclass(frozen=True, eq=False)
class Quantised:
    """A model in few bits beside the one it came from.

    Args:
        model: the new module. It computes in torch, exactly, what its ONNX form computes in integers; that is much
            slower in torch than in onnxruntime.
        how: "static", "dynamic" or "bf16".
        layers: names of the weights that are held in few bits.
        left_float: name of a weight -> why it is not.
        worst, mean: largest and mean difference of an output to the float model's.
        relative: `worst` over the largest output of the float model.
        agreement: share of the rows whose largest output stays the same; NaN for outputs of one column.
        accuracy: before and after, where the data have classes; else NaN.
        examples: how many it was judged on.
        bytes: of all parameters and buffers, before and after.
        fixed_batch: why it takes batches of one size only, or "".
        cautions: what is unusual about the calibration data.
    """

    model: nn.Module
    how: Literal["static", "dynamic", "bf16"]
    layers: tuple[str, ...]
    left_float: Mapping[str, str]
    worst: float
    mean: float
    relative: float
    agreement: float
    accuracy: tuple[float, float]
    examples: int
    bytes: tuple[int, int]
    fixed_batch: str
    cautions: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.how}: {len(self.layers)} layers in few bits, {len(self.left_float)} left in float; "
            f"{self.bytes[0]:,} bytes became {self.bytes[1]:,}",
            f"on {self.examples} examples: worst difference {self.worst:.3g} ({100 * self.relative:.2g} % of the "
            f"largest output), mean {self.mean:.3g}, the same answer on {100 * self.agreement:.1f} %",
        ]
        if self.accuracy[0] == self.accuracy[0]:
            lines.append(f"accuracy {self.accuracy[0]:.4f} became {self.accuracy[1]:.4f}")
        lines += [f"{name} stays float: {why}" for name, why in self.left_float.items()]
        return "\n".join([*lines, *self.cautions])


def quantise(
    model: nn.Module,
    data: Task | Examples | torch.Tensor | Iterable[Any],
    *,
    how: Literal["static", "dynamic", "bf16"] = "static",
    valid: Examples | Iterable[Any] | None = None,
    calibration: Literal["mse", "percentile", "min-max"] = "mse",
    weight_bits: int = 7,
    power_of_two: bool = True,
    exact: bool = True,
    ignore: Iterable[str] = (),
    batches: int = 10,
    batch_size: int = 32,
    seed: int = 0,
) -> Quantised:
    """Hold a trained model's weights, and its layers' inputs and outputs, in 8 bits (Jacob et al., arXiv 1712.05877).

    Batch normalisations are folded first. Weights are symmetric with a scale an output channel, activations affine with
    a scale a tensor. "static" takes the ranges of activations from a few batches, and linear layers and convolutions
    run in integers from end to end; "dynamic" takes them anew from every batch, of linear layers only; "bf16" only
    stores weights in 16 bits and computes in float32.

    The module that comes back computes in integers what onnxruntime computes from the file that `export_onnx` makes of
    it. So that no rounding falls on the other side there, scales of activations are powers of two, which costs up to
    one of the 8 bits, and what lies between integer layers (softmax, layer normalisation, means) is computed in
    float64; `power_of_two=False` and `exact=False` give both up.

    Args:
        model: any module of one input that torch.export takes; left as it was.
        data: to calibrate on: a task (its training part), examples, a data loader, a tensor, or a list of tensors.
        how: see above.
        valid: what to judge on; the calibration batches by default.
        calibration: "mse": the range with the least squared error; "percentile": without one value in 10,000 at either
            end; "min-max".
        weight_bits: 2 to 8, each weight in a byte. 7 fits onnxruntime's fastest kernels on every processor; 8 is stored
            as uint8, which is exact everywhere and slower on processors with AVX2 and without VNNI.
        power_of_two: let the scales of activations be powers of two.
        exact: compute in float64 between integer layers.
        ignore: names of weights or modules that stay float.
        batches: to calibrate on, at most.
        batch_size: of examples or of a tensor; others bring their own.
        seed: of the examples' order.

    Raises:
        InputError: an option is out of its range, torch.export cannot take the model, it has no layer that can be held
            in few bits, a weight or activation is not a number, or the data do not fit the model.
        DataError: the data have no labels or no examples.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> found = quantise(model, torch.rand(64, 4))
    >>> found.layers, found.relative < 0.1
    (('0.weight', '2.weight'), True)
    """
    require_one_of("how", how, HOW)
    require_one_of("calibration", calibration, CLIPPING)
    if not 2 <= weight_bits <= 8:
        raise InputError(f"weight_bits must be from 2 to 8, got {weight_bits}")
    if batches < 1 or batch_size < 1:
        raise InputError(f"batches and batch_size must be at least 1, got {batches} and {batch_size}")
    check_finite(model)
    rows = _rows(data, batches, batch_size, seed)
    shown = rows[0][0]
    graph, fixed = folded_graph(model, (shown,))
    layers = set(layers_of(graph))
    left = _left_float(graph, layers, model, tuple(ignore), how)
    layers = {node for node in layers if layer_name(node) not in left}
    if not layers:
        raise InputError("the model has no linear layer or convolution whose weights could be held in few bits")
    if how == "bf16":
        made: nn.Module = _in_bf16(graph, layers)
    else:
        ranges = {}
        if how == "static":
            seen = _seen(graph, wanted_ranges(graph, layers), [inputs for inputs, _ in rows])
            ranges = {node: affine_of(one, calibration, power_of_two=power_of_two) for node, one in seen.items()}
        limit = 2 ** (weight_bits - 1) - 1
        made = Rewriting(
            graph, layers, how, ranges, lambda weight, bias, scale: integer_weights(weight, limit, bias, scale),
            unsigned=weight_bits == 8, exact=exact,
        ).done()  # fmt: skip
    cautions = _cautions(rows)
    for one in cautions:
        warnings.warn(one, stacklevel=2)
    judged = rows if valid is None else _rows(valid, None, batch_size, seed)
    names = tuple(dict.fromkeys(layer_name(node) for node in graph.graph.nodes if node in layers))
    found = _compared(graph, made, judged)
    nothing = float("nan")
    accuracy = (found.right / found.labelled, found.right_after / found.labelled) if found.labelled else (nothing,) * 2
    return Quantised(
        model=made, how=how, layers=names, left_float=left, worst=found.worst, mean=found.total / max(found.count, 1),
        relative=found.worst / found.largest if found.largest else 0.0,
        agreement=found.same / found.answers if found.answers else nothing, accuracy=(accuracy[0], accuracy[1]),
        examples=found.examples, bytes=_stored(model, made), fixed_batch=fixed, cautions=cautions,
    )  # fmt: skip


def integer_weights(
    weight: torch.Tensor, limit: int, bias: torch.Tensor | None = None, scale: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights as integers from -limit to limit, and the scale of each output channel (float32).

    Args:
        weight: (out, ...).
        limit: 63 for 7 bits, 127 for 8.
        bias: (out,), which must fit 32 bits in steps of `scale` times a channel's scale.
        scale: of the inputs.

    >>> whole, scales = integer_weights(torch.tensor([[0.5, -1.0], [0.0, 0.0]]), 127)
    >>> whole.tolist(), scales[1].item()
    ([[64.0, -127.0], [0.0, 0.0]], 1.0)
    """
    largest = weight.detach().double().reshape(len(weight), -1).abs().amax(dim=1)
    scales = torch.where(largest > 0, largest / limit, torch.ones_like(largest))
    if bias is not None:
        scales = torch.maximum(scales, bias.detach().double().abs() / (scale * LARGEST_BIAS))
    scales = scales.clamp(min=1e-30).float()
    shaped = scales.double().reshape(-1, *[1] * (weight.ndim - 1))
    return torch.clamp(torch.round(weight.detach().double() / shaped), -limit, limit), scales


class _Seeing(fx.Interpreter):
    """Runs a graph and counts the values of some of its nodes."""

    def __init__(self, graph: Any, wanted: set[Any]) -> None:
        super().__init__(graph)
        self.seen = {node: Range() for node in wanted}

    def run_node(self, node: Any) -> Any:
        result = super().run_node(node)
        if node in self.seen:
            try:
                self.seen[node].add(result)
            except InputError:
                told = f"the calibration data give values that are NaN or infinite at {node.name}"
                raise InputError(f"{told}; check the data and the model") from None
        return result


def _seen(graph: Any, wanted: set[Any], batches: list[torch.Tensor]) -> dict[Any, Range]:
    seeing = _Seeing(graph, wanted)
    with torch.no_grad(), own_random_state(torch.device("cpu")):
        for inputs in batches:
            try:
                seeing.run(inputs)
            except InputError:
                raise
            except Exception as error:
                raise InputError(
                    f"calibration data of shape {tuple(inputs.shape)} do not fit the model: {first_line(error)}"
                ) from None
    return seeing.seen


def _rows(data: Any, batches: int | None, batch_size: int, seed: int) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """Return batches of inputs and labels, on the CPU."""
    if isinstance(data, torch.Tensor):
        data = list(data.split(batch_size))
    found: list[tuple[torch.Tensor, torch.Tensor | None]] = []
    if isinstance(data, list | tuple) and data and all(isinstance(one, torch.Tensor) for one in data):
        found = [(one.detach().cpu(), None) for one in data[:batches]]
    else:
        with own_random_state(torch.device("cpu"), seed):
            source = source_of(data, batch_size=batch_size, device=torch.device("cpu"))
            for _, batch in zip(range(batches or 2**62), source.epoch(seed, 0, 0), strict=False):
                if not isinstance(batch.inputs, torch.Tensor):
                    raise InputError("only models of one input can be quantised; the batches hold several")
                found.append((batch.inputs, batch.targets))
    if not found or any(one.ndim == 0 or len(one) == 0 for one, _ in found):
        raise InputError("calibration needs at least one example in every batch")
    return found


def _left_float(graph: Any, layers: set[Any], model: nn.Module, ignore: tuple[str, ...], how: str) -> dict[str, str]:
    """Return why weights stay float; a shared weight does when one of its uses has no integer kernel."""
    known = {name for name, _ in model.named_modules(remove_duplicate=False)}
    known |= {name for name, _ in model.named_parameters(remove_duplicate=False)}
    for name in ignore:
        if name not in known:
            raise InputError(f"there is no module or weight {name!r} to ignore{did_you_mean(name, known)}")
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    left: dict[str, str] = {}
    for node in graph.graph.nodes:
        if node in layers:
            name = layer_name(node)
            if any(name == other or name.startswith(f"{other}.") for other in ignore):
                left[name] = "it is to be ignored"
            elif how == "dynamic" and operation(node) != "linear":
                left[name] = "scales found in every call are for linear layers only"
            continue
        for one in node.all_input_nodes:
            tensor = tensor_of(graph, one)
            if tensor is not None and tensor.ndim > 1 and one.target in parameters:
                left.setdefault(str(one.target), f"{operation(node) or node.name} has no kernel for 8-bit integers")
    return left


class _Stored(nn.Module):
    """A weight that is stored in bfloat16 and read as float32."""

    held: torch.Tensor

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("held", weight.to(torch.bfloat16))

    def forward(self) -> torch.Tensor:
        return self.held.float()


def _in_bf16(graph: Any, layers: set[Any]) -> nn.Module:
    stored: dict[str, str] = {}
    for node in layers:
        name = str(node.args[1].target)
        if name not in stored:
            stored[name] = f"stored_{len(stored)}"
            graph.add_module(stored[name], _Stored(tensor_of(graph, node.args[1])))
        with graph.graph.inserting_before(node):
            node.update_arg(1, graph.graph.call_module(stored[name], ()))
    graph.graph.eliminate_dead_code()
    held = fx.GraphModule(graph, graph.graph)  # only what the graph still reads
    held.recompile()
    return held.eval()


def _cautions(rows: list[tuple[torch.Tensor, torch.Tensor | None]]) -> tuple[str, ...]:
    labels = [one for _, one in rows if one is not None and one.ndim == 1 and not one.is_floating_point()]
    if labels and len(torch.unique(torch.cat(labels))) == 1:
        count = sum(map(len, labels))
        return (f"all {count} calibration examples have one label; ranges may be too narrow for others",)
    return ()


@dataclass
class _Judged:
    """What two models' outputs have in common, summed over batches."""

    worst: float = 0.0
    total: float = 0.0
    count: int = 0
    largest: float = 0.0
    same: int = 0
    answers: int = 0
    right: int = 0
    right_after: int = 0
    labelled: int = 0
    examples: int = 0

    def add(self, one: torch.Tensor, other: torch.Tensor) -> None:
        """Count an output."""
        apart = (one.double() - other.double()).abs()
        self.worst, self.largest = max(self.worst, float(apart.max())), max(self.largest, float(one.abs().max()))
        self.total, self.count = self.total + float(apart.sum()), self.count + apart.numel()

    def add_answers(self, one: torch.Tensor, other: torch.Tensor, labels: torch.Tensor | None) -> None:
        """Count the largest outputs of each row."""
        answer, other_answer = one.argmax(-1), other.argmax(-1)
        self.same, self.answers = self.same + int((answer == other_answer).sum()), self.answers + answer.numel()
        if labels is not None and not labels.is_floating_point() and labels.shape == answer.shape:
            self.right += int((answer == labels).sum())
            self.right_after += int((other_answer == labels).sum())
            self.labelled += labels.numel()


@torch.no_grad()
def _compared(before: nn.Module, after: nn.Module, rows: list[tuple[torch.Tensor, torch.Tensor | None]]) -> _Judged:
    from torch.utils._pytree import tree_leaves

    judged = _Judged()
    for inputs, labels in rows:
        judged.examples += len(inputs)
        outputs = zip(tree_leaves(before(inputs)), tree_leaves(after(inputs)), strict=True)
        for place, (one, other) in enumerate(outputs):
            if not isinstance(one, torch.Tensor) or not one.is_floating_point() or not one.numel():
                continue
            judged.add(one, other)
            if place == 0 and one.ndim > 1 and one.shape[-1] > 1:
                judged.add_answers(one, other, labels)
    return judged


def _stored(before: nn.Module, after: nn.Module) -> tuple[int, int]:
    sizes = []
    for model in (before, after):
        held = {id(one): one for one in (*model.parameters(), *model.buffers())}.values()
        sizes.append(sum(one.numel() * one.element_size() for one in held))
    return sizes[0], sizes[1]
