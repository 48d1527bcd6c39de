"""What a smaller model gains here: counted multiply-adds and bytes beside measured time and its noise."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from selftaught.compress.onnx_runtime import OnnxModel
from selftaught.compress.prunable_weights import prunable
from selftaught.compress.replaced_layers import ReplacedLayer, densify
from selftaught.errors import InputError
from selftaught.training.costs import cost, count_flops, time_in_turns
from selftaught.training.devices import in_evaluation, limited_threads, model_device
from selftaught.training.evaluation import run_model
from selftaught.training.losses import as_scores
from selftaught.training.random_state import own_random_state

__all__ = ["Gain", "Gains", "Runnable", "count_multiply_adds", "measure_gains"]

#: A gain below this factor is taken for nothing, however quiet the control was.
LEAST_GAIN = 1.1
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True, eq=False)
class Runnable:
    """A model that another runtime runs, with what cannot be counted from outside.

    Args:
        call: from inputs (n, ...) to outputs, tensors on the CPU; an `OnnxModel`, for instance.
        bytes: as it is stored.
        multiply_adds: of one example, without those with a weight of zero; see `count_multiply_adds`.
        packed_bytes: with weights that hold zeros as their other values and one bit a place; `bytes` by default.
        activation_bytes: of all layers' outputs for one example; 0 where it is not known.
    """

    call: Callable[[torch.Tensor], torch.Tensor]
    bytes: int
    multiply_adds: int
    packed_bytes: int | None = None
    activation_bytes: int = 0


@dataclass(frozen=True)
class Gain:
    """One model beside the first one.

    Args:
        name: of the model.
        multiply_adds: of one example's forward pass; those with a weight of zero are not counted.
        theoretical: times fewer multiply-adds than the first model.
        seconds: of a forward pass of the batch: the least over all rounds.
        median: seconds, over all rounds.
        realised: times faster than the first model, least against least.
        share: of the theoretical gain that is realised, (realised - 1) / (theoretical - 1); 0 where `realised` is not
            beyond the noise, and where there is nothing to gain.
        bytes: of parameters and buffers as they are stored.
        packed_bytes: the same, with weights that hold zeros as their other values and one bit a place.
        activation_bytes: of all layers' outputs for one example.
        difference: largest difference of an output to the first model's.
        verdict: a line in words.
    """

    name: str
    multiply_adds: int
    theoretical: float
    seconds: float
    median: float
    realised: float
    share: float
    bytes: int
    packed_bytes: int
    activation_bytes: int
    difference: float
    verdict: str


@dataclass(frozen=True)
class Gains:
    """A table of gains.

    Args:
        rows: one a model, the first model's first.
        noise: the first model against itself, timed in the same rounds; no gain below it, or below 1.1, is believed.
        batch: examples a forward pass.
        threads: of torch.
        rounds: measured.
    """

    rows: tuple[Gain, ...]
    noise: float
    batch: int
    threads: int
    rounds: int

    def __str__(self) -> str:
        lines = [f"{self.batch} examples, {self.threads} thread(s), {self.rounds} rounds; noise {self.noise:.2f} x"]
        width = max(len(row.name) for row in self.rows)
        lines += [
            f"{row.name:<{width}}  {row.seconds * 1e3:9.3f} ms  {row.bytes:>11,} bytes  {row.verdict}"
            for row in self.rows
        ]
        return "\n".join(lines)


def measure_gains(
    models: Mapping[str, nn.Module | Runnable],
    inputs: torch.Tensor,
    *,
    batch: int = 32,
    rounds: int = 30,
    threads: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Gains:
    """Count what models should gain over the first of them, and measure what they do gain on this machine.

    All are timed in turns, in evaluation mode, and the first model twice: what differs between its two times is noise.

    Args:
        models: name -> module, all on one device, or what another runtime runs on the CPU; the first is what the others
            are compared with.
        inputs: (n, ...) example inputs; repeated to fill a batch.
        batch: examples a forward pass.
        rounds: of timing, after two that are not measured; 30 at least for a statement.
        threads: of torch, while it measures.
        clock: in seconds.

    Raises:
        InputError: there is no model or input, or a number is below 1.

    >>> dense, masked = (nn.Linear(64, 64).requires_grad_(False) for _ in range(2))
    >>> _ = masked.load_state_dict(dense.state_dict()), masked.weight[:32].zero_()
    >>> gains = measure_gains({"dense": dense, "masked": masked}, torch.zeros(1, 64), rounds=2)
    >>> [(row.name, row.multiply_adds, row.theoretical) for row in gains.rows]
    [('dense', 4096, 1.0), ('masked', 2048, 2.0)]
    """
    if not models or len(inputs) == 0:
        raise InputError("gains need at least one model and one example input")
    if min(batch, rounds, threads) < 1:
        raise InputError(f"batch, rounds and threads must be at least 1, got {batch}, {rounds} and {threads}")
    held = list(models.items())
    modules = [one for _, one in held if isinstance(one, nn.Module)]
    devices = {str(model_device(one)) for one in modules} | ({"cpu"} if len(modules) < len(held) else set())
    if len(devices) > 1:
        raise InputError(f"models to compare must be on one device, got {', '.join(sorted(devices))}")
    _check_threads(held, threads)
    inputs = inputs.to(devices.pop())
    filled = inputs[torch.arange(batch, device=inputs.device) % len(inputs)]
    with limited_threads(threads), in_evaluation(*modules), own_random_state(inputs.device):
        calls = [_pass(model, filled) for _, model in (*held, held[0])]
        with torch.inference_mode():
            outputs = [call() for call in calls[:-1]]
            timed = time_in_turns(
                {str(place): call for place, call in enumerate(calls)}, rounds=rounds, device=inputs.device, clock=clock
            )
    times = list(timed.values())
    least = [max(min(one), 1e-12) for one in times]
    noise = max(least[0] / least[-1], least[-1] / least[0])
    counted = [_counted(model, inputs[:1]) for _, model in held]
    counts = [one.multiply_adds for one in counted]
    rows = []
    for place, (name, _) in enumerate(held):
        stored, packed = counted[place].bytes, counted[place].packed_bytes
        theoretical = counts[0] / counts[place] if counts[place] else float("inf")
        realised = least[0] / least[place]
        share = _share(theoretical, realised, noise)
        rows.append(
            Gain(
                name=name, multiply_adds=counts[place], theoretical=theoretical, seconds=least[place],
                median=statistics.median(times[place]), realised=realised, share=share, bytes=stored,
                packed_bytes=stored if packed is None else packed, activation_bytes=counted[place].activation_bytes,
                difference=_difference(outputs[place], outputs[0]),
                verdict="the baseline" if place == 0 else _verdict(theoretical, realised, share, noise),
            )
        )  # fmt: skip
    return Gains(tuple(rows), noise, batch, threads, rounds)


@torch.no_grad()
def count_multiply_adds(model: nn.Module, inputs: torch.Tensor) -> int:
    """Count the multiply-adds of a forward pass that a perfect machine would need: none with a weight of zero.

    Zeros are taken off for linear layers and convolutions; attention and products without a layer count whole. A layer
    that stands for another one, such as `SparseLinear`, counts like the plain one.

    Args:
        model: any module; left as it was.
        inputs: (n, ...).

    >>> layer = nn.Conv2d(1, 2, 3, bias=False)
    >>> with torch.no_grad():
    ...     _ = layer.weight[0].zero_()
    >>> count_multiply_adds(layer, torch.zeros(1, 1, 5, 5))
    81
    """
    if any(isinstance(one, ReplacedLayer) for one in model.modules()):
        model = densify(model)
    saved = 0

    def take_off(layer: Any, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal saved
        if isinstance(layer, _TRANSPOSED):
            places = given[0].numel() // layer.in_channels
        else:
            places = output.numel() // layer.weight.shape[0]
        saved += places * (layer.weight.numel() - int(torch.count_nonzero(layer.weight)))

    layers = [one for one in model.modules() if isinstance(one, (nn.Linear, *_CONVOLUTIONS, *_TRANSPOSED))]
    hooks = [one.register_forward_hook(take_off) for one in layers]
    try:
        dense = count_flops(model, inputs) // 2
    finally:
        for hook in hooks:
            hook.remove()
    return dense - saved


def _share(theoretical: float, realised: float, noise: float) -> float:
    if theoretical <= 1 or realised < max(LEAST_GAIN, noise):
        return 0.0
    return 0.0 if theoretical == float("inf") else (realised - 1) / (theoretical - 1)


def _verdict(theoretical: float, realised: float, share: float, noise: float) -> str:
    believed = max(LEAST_GAIN, noise)
    counted = f"{theoretical:.2f} x fewer multiply-adds, {realised:.2f} x the speed"
    if realised < 1 / believed:
        return f"{1 / realised:.2f} x slower, with {theoretical:.2f} x fewer multiply-adds"
    if theoretical <= 1:
        return f"no fewer multiply-adds, {realised:.2f} x the speed"
    if share == 0:
        return f"0 % realised: {counted}: nothing is gained here"
    return f"{100 * share:.0f} % realised: {counted}"


def _counted(model: nn.Module | Runnable, inputs: torch.Tensor) -> Runnable:
    if isinstance(model, Runnable):
        return model
    found = cost(model, inputs, batches=())
    packed = _packed_bytes(model, found.bytes)
    return Runnable(model, found.bytes, count_multiply_adds(model, inputs), packed, found.activation_bytes)


def _check_threads(held: list[tuple[str, nn.Module | Runnable]], threads: int) -> None:
    for name, one in held:
        if isinstance(one, Runnable) and isinstance(one.call, OnnxModel) and one.call.threads != threads:
            told = f"{name} runs on {one.call.threads} threads of onnxruntime, to be measured on {threads}"
            raise InputError(f"{told}; open it with load_onnx(path, threads={threads})")


def _packed_bytes(model: nn.Module, stored: int) -> int:
    """Return the bytes of a model whose weights with zeros are kept as their other values and one bit a place."""
    try:
        weights = prunable(model)
    except InputError:  # nothing to pack
        return stored
    for one in weights.values():
        packed = int(torch.count_nonzero(one)) * one.element_size() + (one.numel() + 7) // 8
        stored -= max(one.numel() * one.element_size() - packed, 0)
    return stored


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    if one.shape != other.shape:
        shapes = f"{tuple(other.shape)} and {tuple(one.shape)}"
        raise InputError(f"models to compare must give outputs of one shape, got {shapes}")
    return float((one.double() - other.double()).abs().max()) if one.numel() else 0.0


def _pass(model: nn.Module | Runnable, rows: torch.Tensor) -> Callable[[], torch.Tensor]:
    if isinstance(model, Runnable):
        call = model.call
        return lambda: as_scores(call(rows))
    return lambda: run_model(model, rows)
