"""Where batches come from: examples in memory, or a data loader of the user's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from selftaught.errors import DataError, InputError
from selftaught.examples import Examples, Task
from selftaught.seeds import rng_for, seed_for
from selftaught.training.random_state import seed_torch

__all__ = ["Batch", "InMemory", "Source", "as_inputs", "loader_batches", "source_of"]

_TARGETS = ("labels", "label", "targets", "target", "y")
_WEIGHTS = ("weights", "weight")
_INPUTS = ("inputs", "input", "x")
Inputs = Any


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step sees.

    Args:
        inputs: a tensor (n, ...) or a mapping of the model's keyword arguments.
        targets: (n,) class numbers or numbers, or (n, classes) shares.
        weights: (n,) weight of each example's loss, or None.
        size: n.
        rows: (n,) row numbers of examples in memory; None for a loader's batch.
    """

    inputs: Inputs
    targets: torch.Tensor
    weights: torch.Tensor | None
    size: int
    rows: torch.Tensor | None = None


class Source(Protocol):
    """What `fit` draws from: epochs that depend on nothing but the seed and their number."""

    @property
    def batches(self) -> int | None:
        """Batches an epoch, or None where nobody knows before its end."""

    @property
    def examples(self) -> int | None:
        """Examples an epoch, or None."""

    @property
    def kind(self) -> Literal["cross_entropy", "squared"]:
        """The usual loss for the targets."""

    @property
    def classes(self) -> int:
        """Number of classes, or 0 where it is not known or there are none."""

    @property
    def spread(self) -> float:
        """Variance of the targets of a regression, else 1."""

    @property
    def signature(self) -> str:
        """Tells other data apart, as far as that can be known without reading all of them."""

    def epoch(self, seed: int, number: int, start: int) -> Iterator[Batch]:
        """Give the batches of an epoch from batch `start` on."""
        ...


class InMemory:
    """Examples as tensors on the device where the model is; batches are gathered there.

    Inputs stay as they are stored (images as uint8) and become float32 a batch at a time: images from 0 to 1 and
    (n, channels, height, width), tables as they are.

    Args:
        examples: labelled examples.
        batch_size: examples a batch.
        device: where the model is.
        weights: (n,) weight of each example's loss, or a mapping from ids; missing ids weigh 1.
        soft_targets: (n, classes) shares instead of labels.

    Raises:
        DataError: there are no labels, or weights or soft targets do not fit.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        batch_size: int,
        device: torch.device | str = "cpu",
        weights: NDArray[Any] | Mapping[str, float] | None = None,
        soft_targets: NDArray[Any] | None = None,
    ) -> None:
        if examples.labels is None and soft_targets is None:
            raise DataError(f"{examples.name!r} has no labels; training needs a target")
        if len(examples) == 0:
            raise DataError(f"{examples.name!r} has no examples; training needs at least one")
        self.examples: int = len(examples)
        self.ids = examples.ids
        self.batch_size = min(batch_size, self.examples)
        self.device = torch.device(device)
        self.classes = examples.num_classes
        self.kind: Literal["cross_entropy", "squared"] = (
            "cross_entropy" if examples.num_classes or soft_targets is not None else "squared"
        )
        self.spread = 1.0
        if self.kind == "squared" and examples.labels is not None:
            self.spread = float(np.var(examples.labels.astype(np.float64))) or 1.0
        self._inputs = _as_tensor(examples.inputs).to(self.device)
        self._targets = _targets(examples, self.kind, soft_targets).to(self.device)
        if soft_targets is not None:
            self.classes = int(self._targets.shape[1])
        found = _weights(examples, weights)
        self._weights = None if found is None else found.to(self.device)
        self.signature = _signature(examples, self._targets, self._weights)
        full, rest = divmod(self.examples, self.batch_size)
        # A last batch of one example is left out: nothing can be normalised over it.
        self.batches: int = full + (rest > 1)

    def epoch(self, seed: int, number: int, start: int) -> Iterator[Batch]:
        """Give the batches of an epoch from batch `start` on, in an order of its own."""
        for rows in self.rows(seed, number, start):
            yield self.batch(rows)

    def rows(self, seed: int, number: int, start: int = 0) -> Iterator[torch.Tensor]:
        """Give the row numbers of an epoch's batches from batch `start` on."""
        order = torch.from_numpy(rng_for(seed, "order", number).permutation(self.examples)).to(self.device)
        yield from order.split(self.batch_size)[start : self.batches]

    def in_order(self, size: int) -> Iterator[Batch]:
        """Give all examples in their stored order, so many at a time."""
        for first in range(0, self.examples, size):
            yield self.batch(torch.arange(first, min(first + size, self.examples), device=self.device))

    def batch(self, rows: torch.Tensor) -> Batch:
        """Return the examples of these row numbers (n,); of row numbers (members, n), with one more axis."""
        weights = None if self._weights is None else self._weights[rows]
        if rows.ndim == 1:
            inputs = as_inputs(self._inputs[rows])
        else:
            inputs = as_inputs(self._inputs[rows.reshape(-1)]).unflatten(0, rows.shape)
        return Batch(inputs, self._targets[rows], weights, rows.shape[-1], rows)


class _Loader:
    """A data loader, or anything that can be iterated over again and again, with batches of pairs or mappings."""

    def __init__(self, loader: Iterable[Any], device: torch.device) -> None:
        if isinstance(loader, Iterator):
            raise InputError("the data can be gone through once only; give a DataLoader or a list of batches")
        self._loader = loader
        self._device = device
        length = getattr(loader, "__len__", None)
        self.batches = None
        if length is not None:
            try:
                self.batches = int(length())
            except TypeError:  # of an iterable data set without a length
                self.batches = None
        self.examples = None
        first = next(loader_batches(loader, device), None)
        if first is None:
            raise DataError("the data loader gives no batch")
        self.kind: Literal["cross_entropy", "squared"] = "squared"
        if not first.targets.is_floating_point() or (first.targets.ndim > 1 and first.targets.shape[-1] > 1):
            self.kind = "cross_entropy"
        self.classes = 0
        self.spread = 1.0
        self.signature = f"loader of {self.batches} batches"

    def epoch(self, seed: int, number: int, start: int) -> Iterator[Batch]:
        # Torch's generator is set before every batch, so that an epoch that goes on in its middle is the same: the
        # batches before it are drawn again and passed over.
        seed_torch(seed_for(seed, "loader", number, 0), self._device)
        for place, batch in enumerate(loader_batches(self._loader, self._device), start=1):
            if place > start:
                yield batch
            seed_torch(seed_for(seed, "loader", number, place), self._device)


def source_of(
    data: Task | Examples | InMemory | Iterable[Any],
    *,
    batch_size: int,
    device: torch.device,
    weights: NDArray[Any] | Mapping[str, float] | None = None,
    soft_targets: NDArray[Any] | None = None,
) -> Source:
    """Return where batches come from.

    Args:
        data: a task (its training part), examples, or a data loader of (inputs, labels), (inputs, labels, weights) or
            mappings.
        batch_size: for examples.
        device: where the model is.
        weights, soft_targets: for examples; see `InMemory`.

    Raises:
        InputError: the data are of no such kind, or a loader comes with weights or soft targets beside it.
        DataError: they do not fit.
    """
    if isinstance(data, Task):
        data = data.train
    if isinstance(data, Examples):
        return InMemory(data, batch_size=batch_size, device=device, weights=weights, soft_targets=soft_targets)
    if weights is not None or soft_targets is not None:
        raise InputError("weights and soft_targets go with examples; a loader gives them in its batches")
    if not isinstance(data, Iterable):
        raise InputError(f"data must be a task, examples or a data loader, not {type(data).__name__}")
    return _Loader(data, device)


def as_inputs(stored: torch.Tensor) -> torch.Tensor:
    """Return float32 inputs: uint8 divided by 255, images as (n, channels, height, width).

    Args:
        stored: (n, columns), (n, height, width), (n, height, width, channels), or any other shape, which is kept.

    >>> as_inputs(torch.zeros(2, 8, 8, 3, dtype=torch.uint8)).shape
    torch.Size([2, 3, 8, 8])
    """
    images = stored.permute(0, 3, 1, 2) if stored.ndim == 4 else stored[:, None] if stored.ndim == 3 else stored
    if images.dtype == torch.uint8:
        return images.to(torch.float32).div_(255)
    return images.to(torch.float32)


def loader_batches(loader: Iterable[Any], device: torch.device) -> Iterator[Batch]:
    """Read a data loader's batches: (inputs, labels), (inputs, labels, weights), or mappings with labels in them."""
    for one in loader:
        yield _read(one, device)


def _read(one: Any, device: torch.device) -> Batch:
    if isinstance(one, Mapping):
        return _read_mapping(dict(one), device)
    if not isinstance(one, Sequence) or len(one) not in (2, 3):
        raise InputError(
            f"a batch must be (inputs, labels), (inputs, labels, weights) or a mapping, not {type(one).__name__}"
            + (f" of {len(one)}" if isinstance(one, Sequence) else "")
        )
    targets = _moved(one[1], device)
    return Batch(_moved(one[0], device), targets, _moved(one[2], device) if len(one) == 3 else None, len(targets))


def _read_mapping(one: dict[Any, Any], device: torch.device) -> Batch:
    key = next((name for name in _TARGETS if name in one), None)
    if key is None:
        raise InputError(f"a batch must hold one of {', '.join(_TARGETS)}; it holds {', '.join(map(str, one))}")
    targets = _moved(one.pop(key), device)
    weight_key = next((name for name in _WEIGHTS if name in one), None)
    weights = None if weight_key is None else _moved(one.pop(weight_key), device)
    inputs: Inputs = {name: _moved(value, device) for name, value in one.items()}
    if len(inputs) == 1 and next(iter(inputs)) in _INPUTS:
        inputs = next(iter(inputs.values()))
    return Batch(inputs, targets, weights, len(targets))


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    return value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value


def _as_tensor(values: NDArray[Any]) -> torch.Tensor:
    # Read-only arrays are copied: torch would warn of them, and nobody writes into either.
    return torch.from_numpy(np.require(values, requirements=["C"]) if values.flags.writeable else values.copy())


def _targets(
    examples: Examples, kind: Literal["cross_entropy", "squared"], soft_targets: NDArray[Any] | None
) -> torch.Tensor:
    if soft_targets is None:
        labels = np.asarray(examples.labels)
        return torch.from_numpy(labels.astype(np.int64 if kind == "cross_entropy" else np.float32))
    shares = np.asarray(soft_targets, np.float32)
    if shares.ndim != 2 or len(shares) != len(examples):
        raise DataError(f"soft_targets must have shape ({len(examples)}, classes), got {shares.shape}")
    return torch.from_numpy(shares.copy())


def _weights(examples: Examples, weights: NDArray[Any] | Mapping[str, float] | None) -> torch.Tensor | None:
    if weights is None:
        return None
    if isinstance(weights, Mapping):
        numbers = np.array([weights.get(str(one), 1.0) for one in examples.ids], np.float32)
    else:
        numbers = np.array(weights, np.float32)
    if numbers.shape != (len(examples),):
        raise DataError(f"weights must have shape ({len(examples)},), got {numbers.shape}")
    if not np.isfinite(numbers).all() or (numbers < 0).any():
        raise DataError("weights must be finite and not negative")
    return torch.from_numpy(numbers)


def _signature(examples: Examples, targets: torch.Tensor, weights: torch.Tensor | None) -> str:
    """Return a digest of ids, shape, targets and weights; an id is a digest of an example's content itself."""
    digest = hashlib.blake2b(repr((examples.inputs.shape, examples.inputs.dtype)).encode(), digest_size=8)
    digest.update("\n".join(examples.ids.tolist()).encode())
    for tensor in (targets, weights):
        if tensor is not None:
            digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
