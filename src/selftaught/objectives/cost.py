"""What a network costs on a device: milliseconds that were measured, and memory, beside what can be counted."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial

import torch

from selftaught.errors import InputError
from selftaught.spaces import Network
from selftaught.spaces.build import build, cost_of
from selftaught.training.costs import latency, time_in_turns
from selftaught.training.devices import in_evaluation, pick_device
from selftaught.training.evaluation import run_model

__all__ = ["Measured", "kept_bytes", "latency_ms", "latency_ratio", "measure"]

_FEWEST_ROUNDS, _MOST_ROUNDS = 5, 200


@dataclass(frozen=True)
class Measured:
    """Counted and measured costs of a network.

    Args:
        macs: multiply-accumulates of one example.
        parameters: trainable ones.
        milliseconds: median time of a forward pass of one batch.
        memory_bytes: of one training step of one batch: weights, gradients and what the backward pass needs.
        batch_size: examples in that batch.
        device: where, with the number of threads on a CPU.
    """

    macs: int
    parameters: int
    milliseconds: float
    memory_bytes: int
    batch_size: int
    device: str


def measure(network: Network, *, batch_size: int = 1, device: str = "cpu", seconds: float = 0.5) -> Measured:
    """Count a network's cost and measure its time on a device.

    Args:
        network: what to build.
        batch_size: examples a pass.
        device: a name of torch's; "auto" takes CUDA where there is one.
        seconds: how long to measure at least; five passes at least.

    Raises:
        InputError: the device is not there, or the batch is below 1.

    >>> from selftaught.spaces import PerceptronNetwork
    >>> measure(PerceptronNetwork((8,), features=2, outputs=2), seconds=0.01).memory_bytes > 0
    True
    """
    place = pick_device(device)
    cost = cost_of(network)
    threads = torch.get_num_threads()
    name = f"cpu, {threads} thread{'s' * (threads > 1)}" if place.type == "cpu" else torch.cuda.get_device_name(place)
    return Measured(
        cost.macs, cost.parameters, latency_ms(network, batch_size=batch_size, device=device, seconds=seconds),
        kept_bytes(network, batch_size=batch_size), batch_size, name,
    )  # fmt: skip


def latency_ms(network: Network, *, batch_size: int = 1, device: str = "cpu", seconds: float = 0.5) -> float:
    """Return the median time of a forward pass of one batch, in milliseconds.

    Raises:
        InputError: the device is not there, or the batch is below 1.
    """
    if batch_size < 1:
        raise InputError(f"a batch wants at least 1 example, got {batch_size}")
    place = pick_device(device)
    module = build(network).to(place)
    example = torch.zeros(1, *network.input_shape, device=place)
    (first,) = latency(module, example, batches=(batch_size,), rounds=1)
    rounds = min(max(int(seconds / max(first.median, 1e-6)), _FEWEST_ROUNDS), _MOST_ROUNDS)
    (found,) = latency(module, example, batches=(batch_size,), rounds=rounds)
    return 1000 * found.median


def latency_ratio(
    network: Network, base: Network, *, batch_size: int = 1, device: str = "cpu", rounds: int = 15
) -> float:
    """Return how many times as long as a base a network's forward pass takes: the median over rounds.

    Both are timed in turns, so that a machine that turns slow in between changes neither's share of it, as it does of
    two calls of `latency_ms`.

    Raises:
        InputError: the device is not there, or the batch is below 1.

    >>> from selftaught.spaces import PerceptronNetwork
    >>> small, large = (PerceptronNetwork((width,), features=64, outputs=2) for width in (8, 4096))
    >>> latency_ratio(large, small, batch_size=64) > 1
    True
    """
    if batch_size < 1:
        raise InputError(f"a batch wants at least 1 example, got {batch_size}")
    place = pick_device(device)
    modules = [build(one).to(place) for one in (network, base)]
    batches = [torch.zeros(batch_size, *one.input_shape, device=place) for one in (network, base)]
    with in_evaluation(*modules), torch.inference_mode():
        seconds = time_in_turns(
            {str(k): partial(run_model, *pair) for k, pair in enumerate(zip(modules, batches, strict=True))},
            rounds=rounds, device=place,
        )  # fmt: skip
    return statistics.median(ours / theirs for ours, theirs in zip(seconds["0"], seconds["1"], strict=True))


def kept_bytes(network: Network, *, batch_size: int = 1) -> int:
    """Return the bytes of weights, gradients and all that a forward pass keeps for the backward pass, in float32.

    Counted on the meta device, so that nothing is allocated. Activations such as SiLU keep their input, which
    multiply-accumulates do not show.

    >>> from selftaught.spaces import PerceptronNetwork
    >>> kept_bytes(PerceptronNetwork((8,), features=2, outputs=2))  # 42 weights twice, input, hidden layer
    376
    """
    with torch.device("meta"):
        module = build(network).train()
        batch = torch.empty(max(batch_size, 2), *network.input_shape)  # BatchNorm wants two
    weights = {parameter.untyped_storage()._cdata for parameter in module.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage()._cdata not in weights:
            kept[tensor.untyped_storage()._cdata] = tensor  # held, so that no other one takes its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        module(batch)
    activations: int = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    own: int = sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())
    return 2 * own + activations * batch_size // len(batch)
