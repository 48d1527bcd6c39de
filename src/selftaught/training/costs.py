"""What a model costs: parameters, multiply-adds, measured time and memory."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from selftaught.errors import InputError
from selftaught.training.devices import in_evaluation, model_device
from selftaught.training.evaluation import run_model
from selftaught.training.random_state import own_random_state

__all__ = ["Cost", "Latency", "count_flops", "cost", "latency", "time_in_turns"]

WARM_UPS = 2
NEAR = 0.002  # seconds of calls before a call that is timed
MOST_AHEAD = 200


@dataclass(frozen=True)
class Latency:
    """Seconds of one forward pass, over some rounds.

    Args:
        batch: examples a pass.
        median, low, high: median and quartiles.
        least: the fastest round, which a busy machine disturbs least.
        rounds: how many were measured.
    """

    batch: int
    median: float
    low: float
    high: float
    least: float
    rounds: int


@dataclass(frozen=True)
class Cost:
    """What a model costs.

    Args:
        parameters: all that are trained, each once, shared ones too.
        nonzero: those of them that are not zero.
        flops: floating-point operations of one example's forward pass; a multiply-add counts 2. Convolutions, matrix
            products and attention are counted; zeros count as much as any weight.
        bytes: parameters and buffers.
        activation_bytes: of all layers' outputs for one example, which is what training keeps; a forward pass alone
            needs less.
        latencies: one a batch size.
    """

    parameters: int
    nonzero: int
    flops: int
    bytes: int
    activation_bytes: int
    latencies: tuple[Latency, ...]


def cost(
    model: torch.nn.Module, inputs: torch.Tensor, *, batches: Sequence[int] = (1, 32), rounds: int = 30
) -> Cost:
    """Count and measure what a model costs, in evaluation mode, where it is.

    Args:
        model: any module; left as it was.
        inputs: (n, ...) example inputs as the model takes them; repeated to fill a batch.
        batches: batch sizes to time; none for no timing.
        rounds: of timing; the batch sizes take turns.

    Raises:
        InputError: there is no example input, or a batch size or the rounds are below 1.

    >>> from selftaught import load
    >>> from selftaught.training import linear
    >>> found = cost(linear(load("iris")), torch.zeros(1, 4), batches=())
    >>> found.parameters, found.flops
    (15, 24)
    """
    if len(inputs) == 0:
        raise InputError("cost needs at least one example input, got none")
    if rounds < 1 or any(one < 1 for one in batches):
        raise InputError(f"batches and rounds must be at least 1, got {tuple(batches)} and {rounds}")
    inputs = inputs.to(model_device(model))
    trained = [one for one in model.parameters() if one.requires_grad]
    held = {id(one): one for one in (*model.parameters(), *model.buffers())}.values()
    return Cost(
        parameters=sum(one.numel() for one in trained),
        nonzero=sum(int(torch.count_nonzero(one)) for one in trained),
        flops=count_flops(model, inputs[:1]),
        bytes=sum(one.numel() * one.element_size() for one in held),
        activation_bytes=_activation_bytes(model, inputs[:1]),
        latencies=latency(model, inputs, batches=batches, rounds=rounds),
    )


def count_flops(model: torch.nn.Module, inputs: Any) -> int:
    """Return the floating-point operations of a forward pass of these inputs, in evaluation mode.

    A multiply-add counts 2. Counted by torch's `FlopCounterMode`, which knows convolutions, matrix products and
    attention; what torch computes in one piece on the CPU (LSTMs, attention) counts like its parts.
    """
    from torch.utils.flop_counter import FlopCounterMode

    whole: dict[Any, Any] = {
        torch.ops.aten.mkldnn_rnn_layer: _flops_of_lstm,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _flops_of_attention,
    }
    fast = torch.backends.mha.get_fastpath_enabled()  # one operation that no counter looks into
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _evaluating(model), FlopCounterMode(display=False, custom_mapping=whole) as counter:
            run_model(model, inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops())


def _flops_of_lstm(inputs: Sequence[int], weight: Sequence[int], hidden: Sequence[int], *_: Any, **__: Any) -> int:
    """Count a layer in one direction: inputs (time, n, width), weights (4 units, width) and (4 units, units)."""
    return 2 * inputs[0] * inputs[1] * (math.prod(weight) + math.prod(hidden))


def _flops_of_attention(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    """Count both products of queries (n, heads, tokens, width) with as many heads of keys and values."""
    return 2 * math.prod(query[:3]) * key[2] * (query[3] + value[3])


def latency(
    model: torch.nn.Module, inputs: torch.Tensor, *, batches: Sequence[int] = (1, 32), rounds: int = 30
) -> tuple[Latency, ...]:
    """Time a model's forward pass at some batch sizes, which take turns.

    Args:
        model: any module; left as it was.
        inputs: (n, ...); repeated to fill a batch.
        batches: batch sizes.
        rounds: turns that are measured, after two that are not.
    """
    filled = [inputs[torch.arange(size, device=inputs.device) % len(inputs)] for size in batches]

    def passing(rows: torch.Tensor) -> Callable[[], object]:
        return lambda: run_model(model, rows)

    with _evaluating(model):
        seconds = time_in_turns(
            {str(place): passing(rows) for place, rows in enumerate(filled)}, rounds=rounds, device=model_device(model)
        )
    found = []
    for size, times in zip(batches, seconds.values(), strict=True):
        low, median, high = statistics.quantiles(times, n=4) if len(times) > 1 else times * 3
        found.append(Latency(size, median, low, high, min(times), rounds))
    return tuple(found)


def time_in_turns(
    cases: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 30,
    device: torch.device | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time several things turn by turn, so that a slow moment of the machine hits all of them.

    Each begins with its own data in the caches: what takes less than two milliseconds is called for about so long
    before the call that is timed. Otherwise what follows itself in the next round, as a control at both ends of a round
    does, is ahead of all others.

    Args:
        cases: name -> what to call.
        rounds: turns of each, after two that are not measured.
        device: waited for before and after each call, when it is no CPU.
        clock: in seconds.

    Returns:
        Name -> seconds of each round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    ahead = dict.fromkeys(cases, 0)
    for turn in range(-WARM_UPS, rounds):
        for name, call in cases.items():
            for _ in range(ahead[name]):
                call()
            _wait(device)
            start = clock()
            call()
            _wait(device)
            took = clock() - start
            if turn >= 0:
                seconds[name].append(took)
            else:
                ahead[name] = min(int(NEAR / max(took, 1e-9)), MOST_AHEAD)
    return seconds


def _wait(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def _activation_bytes(model: torch.nn.Module, inputs: torch.Tensor) -> int:
    """Return the bytes of all layers' outputs, of modules without parts."""
    total = 0

    def add(_: torch.nn.Module, __: Any, output: Any) -> None:
        nonlocal total
        if isinstance(output, torch.Tensor):
            total += output.numel() * output.element_size()

    leaves = [one for one in model.modules() if not list(one.children())]
    hooks = [one.register_forward_hook(add) for one in leaves]
    try:
        with _evaluating(model):
            run_model(model, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return total


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Have a model in evaluation mode, without gradients, and torch's random numbers left alone."""
    with in_evaluation(model), own_random_state(model_device(model)), torch.inference_mode():
        yield
