"""Data of a population whose members each learn from examples of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from selftaught.errors import DataError
from selftaught.examples import Examples
from selftaught.training.batches import Batch, InMemory

__all__ = ["MemberData"]


class MemberData:
    """Examples of each member, read as `InMemory` reads those that all share; what several share is kept once.

    Args:
        data: one a member, alike in shape, number and kind of targets.
        batch_size: examples a batch.
        device: where the models are.
        weights: as for `InMemory`, the same for all.

    Raises:
        DataError: they are not alike.
    """

    def __init__(
        self,
        data: Sequence[Examples],
        batch_size: int,
        device: torch.device,
        weights: NDArray[Any] | Mapping[str, float] | None,
    ) -> None:
        different = {id(one): one for one in data}
        read = {
            key: InMemory(one, batch_size=batch_size, device=device, weights=weights) for key, one in different.items()
        }
        self._sources = [read[id(one)] for one in data]
        first = self._sources[0]
        for number, (one, source) in enumerate(zip(data, self._sources, strict=True)):
            alike = one.inputs.shape, source.classes
            wanted = data[0].inputs.shape, first.classes
            if alike != wanted:
                raise DataError(
                    f"data of member {number} have shape {alike[0]} and {alike[1]} classes, those of member 0 "
                    f"{wanted[0]} and {wanted[1]}; all must be alike"
                )
            if source.spread != first.spread:  # by which the loss of numbers is divided
                raise DataError(f"data of member {number} have other numbers to predict than member 0; give the same")
        self.batch_size, self.batches, self.device = first.batch_size, first.batches, first.device
        self.kind, self.classes = first.kind, first.classes
        self.spread = first.spread

    def rows(self, seed: int, number: int) -> Iterator[torch.Tensor]:
        """Give the row numbers of an epoch's batches; they depend on the seed and how many examples there are."""
        return self._sources[0].rows(seed, number)

    def batch(self, rows: torch.Tensor, member: int = 0) -> Batch:
        """Return the examples of a member, (n,) row numbers, or of all of them, (members, n)."""
        if rows.ndim == 1:
            return self._sources[member].batch(rows)
        parts = [source.batch(own) for source, own in zip(self._sources, rows, strict=True)]
        weights = None if parts[0].weights is None else torch.stack([one.weights for one in parts])
        return Batch(
            torch.stack([one.inputs for one in parts]), torch.stack([one.targets for one in parts]), weights,
            rows.shape[-1],
        )  # fmt: skip
