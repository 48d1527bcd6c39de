"""Uneven treatment: training that spends more on the examples that are uncertain, as the ledger of examples says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from selftaught.errors import DataError, InputError, require_one_of
from selftaught.ledger import Axis, Ledger
from selftaught.seeds import rng_for
from selftaught.training.batches import Batch, InMemory
from selftaught.training.callbacks import Callback
from selftaught.training.outcomes import RecordOutcomes

if TYPE_CHECKING:
    from selftaught.training.run import Run

__all__ = ["Spent", "Uneven", "drawn_rows", "emphasis"]

How = Literal["weights", "passes", "skip"]
#: name -> the recorded measure it is made of
_MEASURES = {
    "confidence": "confidence", "loss": "loss", "error_norm": "error_norm", "closeness": "confidence",
    "variability": "confidence",
}  # fmt: skip


def emphasis(
    difficulty: NDArray[Any], *, strength: float = 1.0, cap: float = 3.0, guard: float = 0.0
) -> NDArray[np.float64]:
    """Return how much each example counts, 1 in the mean: min(cap, 1 - strength + strength d / mean(d) + rest).

    What the cap and the guard take away is the rest, spread evenly over all examples below the cap.

    Args:
        difficulty: (n,), not negative, high = hard; NaN, where nothing is known, counts as the mean.
        strength: 0 treats all alike, 1 in proportion to the difficulty.
        cap: the most that one example may count, 1 at least. Wrong labels are the hardest examples of all.
        guard: share of the hardest examples that are lowered to 1 before the rest is spread.

    Returns:
        (n,), between 0 and cap.

    Raises:
        InputError: an option is out of its range, or a difficulty is negative or infinite.

    >>> emphasis(np.array([0.0, 1.0, 3.0]), cap=2.0).tolist()
    [0.125, 0.875, 2.0]
    """
    if not 0 <= strength <= 1:
        raise InputError(f"strength must be from 0 to 1, got {strength}")
    if not cap >= 1:
        raise InputError(f"cap must be at least 1, got {cap}")
    if not 0 <= guard < 1:
        raise InputError(f"guard must be a share from 0 to below 1, got {guard}")
    hard = np.asarray(difficulty, np.float64)
    if np.isinf(hard).any() or (hard < 0).any():
        raise InputError("difficulty must be finite and not negative")
    mean = float(np.nanmean(hard)) if np.isfinite(hard).any() else 0.0
    if mean == 0:
        return np.ones(len(hard))
    raw = 1 - strength + strength * np.where(np.isnan(hard), mean, hard) / mean
    hardest = np.argsort(-raw, kind="stable")[: round(guard * len(raw))]
    raw[hardest] = np.minimum(raw[hardest], 1.0)
    return _lifted(raw, cap)


def _lifted(raw: NDArray[np.float64], cap: float) -> NDArray[np.float64]:
    """Return min(cap, raw + rest), rest being what makes the mean 1: its largest k values are at the cap."""
    ordered = np.sort(raw)[::-1]
    below = np.cumsum(ordered[::-1])[::-1]  # the sum of value k and all smaller ones
    count = len(raw)
    for capped in range(count):
        rest = (count - cap * capped - below[capped]) / (count - capped)
        if ordered[capped] + rest <= cap:
            return np.asarray(np.clip(raw + rest, 0.0, cap), np.float64)  # rounding must not make it negative
    return np.full(count, cap)


def drawn_rows(expected: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return row numbers in a random order, each as often as expected or at most one time more or less.

    Systematic sampling (Madow, 1949): row i comes floor or ceil of `expected[i]` times, and `expected[i]` in the mean.

    Args:
        expected: (n,) times that each row is to be drawn; the sum is rounded.
        rng: what draws.

    >>> sorted(drawn_rows(np.array([1.0, 0.0, 2.0]), rng_for(0, "rows")).tolist())
    [0, 2, 2]
    """
    order = rng.permutation(len(expected))
    ends = np.cumsum(expected[order])
    ends[-1] = round(ends[-1])  # so that their number is exact
    counts = np.diff(np.floor(np.minimum(ends, ends[-1]) + rng.uniform()), prepend=0.0).astype(np.int64)
    return np.asarray(rng.permutation(np.repeat(order, counts)), np.int64)


@dataclass(frozen=True)
class Spent:
    """What a run spent, in examples.

    Args:
        trained: forward and backward passes.
        recorded: forward passes for the record of the same run; what an earlier run cost is not in it.
        even: forward and backward passes of a run of as many steps that treats all alike.
    """

    trained: int
    recorded: int
    even: int

    def multiply_adds(self, forward: int) -> int:
        """Return all multiply-adds, given those of one example's forward pass; a backward pass takes twice as many."""
        return forward * (3 * self.trained + self.recorded)

    @property
    def share(self) -> float:
        """Multiply-adds over those of the even run."""
        return self.multiply_adds(1) / (3 * self.even) if self.even else 1.0


class Uneven(Callback):
    """Spend more on what is uncertain: by weights, by more passes, or by leaving out what is sure.

    How hard an example is comes from the outcomes that a `RecordOutcomes` of the same run records (give it before this
    one, with the training examples; until its first record all are treated alike), from a ledger of an earlier run, or
    from a mapping of ids. `emphasis` makes of it how much each example counts. Wrong labels are what is hardest of all:
    `cap` limits what one of them can do, `guard` leaves out the hardest, and `by="closeness"` looks for doubt instead
    of error.

    Args:
        source: a `RecordOutcomes`, a ledger or its folder, or ids -> difficulty (finite, not negative, high = hard).
        by: "confidence" (1 - p, p the label's probability), "loss", "error_norm" (EL2N), "closeness" (p (1 - p)) and
            "variability" (standard deviation of p over records), both of arXiv 1704.07433; or any other measure of a
            ledger, as it is. Not used for a mapping.
        how: "weights" multiplies losses; "passes" draws examples that often in an epoch (by systematic sampling), as
            many as there are in all; "skip" leaves examples out of an epoch's forward and backward passes, the surer
            the more often, so that `share` of them stay (selective backpropagation by stale outcomes, arXiv
            1910.00762), in as many, smaller steps.
        strength, cap, guard: see `emphasis`; with "skip", cap is at most 1 / share.
        share: of the examples that an epoch trains, for "skip".
        memory: how many of the last records count, their mean; "variability" takes at least 3.
        axes: which rows of a ledger, such as {"model": "mlp", "seed": 0}; their mean where there are several.
        shuffled: the control: every example has the emphasis of another, drawn anew at every record.

    Raises:
        InputError: an option is out of its range or unknown; in `fit`, the data come from a loader, or the recorder is
            not before this in the list.
        DataError: in `fit`, nothing is known of any training example.

    >>> import tempfile
    >>> from selftaught import load
    >>> from selftaught.training import TrainConfig, fit, linear
    >>> iris = load("iris")
    >>> record = RecordOutcomes(tempfile.mkdtemp(), iris)
    >>> uneven = Uneven(record, how="skip", share=0.5)
    >>> found = fit(linear(iris), iris, TrainConfig(epochs=3, batch_size=30), callbacks=[record, uneven])
    >>> uneven.spent.trained, uneven.spent.even
    (300, 450)
    """

    def __init__(
        self,
        source: RecordOutcomes | Ledger | str | os.PathLike[str] | Mapping[str, float],
        *,
        by: str = "confidence",
        how: How = "weights",
        strength: float = 1.0,
        cap: float = 3.0,
        guard: float = 0.0,
        share: float = 0.5,
        memory: int = 1,
        axes: Mapping[str, Axis] | None = None,
        shuffled: bool = False,
    ) -> None:
        require_one_of("how", how, get_args(How))
        if isinstance(source, RecordOutcomes):
            require_one_of("by", by, _MEASURES)
        if not 0 < share <= 1:
            raise InputError(f"share must be above 0 and at most 1, got {share}")
        if memory < 1:
            raise InputError(f"memory must be at least 1, got {memory}")
        emphasis(np.ones(1), strength=strength, cap=cap, guard=guard)  # checks them
        self.source = Ledger(source) if isinstance(source, str | os.PathLike) else source
        self.by = by
        self.how = how
        self.strength = strength
        self.cap = min(cap, 1 / share) if how == "skip" else cap
        self.guard = guard
        self.share = share
        self.memory = max(memory, 3) if by == "variability" else memory
        self.axes = dict(axes or {})
        self.shuffled = shuffled
        #: (n,) how much each training example counts, in their order; empty while all are treated alike.
        self.emphasis: NDArray[np.float64] = np.zeros(0)
        self._trained = self._recorded = self._even = 0
        self._records = 0
        self._order: tuple[int, tuple[torch.Tensor, ...]] = (-1, ())

    @property
    def spent(self) -> Spent:
        """What the run has spent so far."""
        return Spent(self._trained, self._recorded, self._even)

    def on_start(self, run: Run) -> None:
        memory = run.source
        if not isinstance(memory, InMemory):
            raise InputError("uneven treatment joins examples by id, which a data loader does not have; give examples")
        if self.how == "skip" and round(self.share * memory.examples) < 2 * memory.batches:
            raise InputError(
                f"a share of {self.share} leaves {round(self.share * memory.examples)} examples for {memory.batches} "
                "steps; raise share or batch_size"
            )
        if isinstance(self.source, RecordOutcomes):
            before = run.callbacks[: next(place for place, one in enumerate(run.callbacks) if one is self)]
            if not any(one is self.source for one in before):
                raise InputError("the RecordOutcomes that says what is uncertain must be in callbacks, before Uneven")
            if not np.isin(memory.ids, self.source.examples.ids).any():
                raise DataError("no training example is among those that are recorded; record the training examples")
        else:
            self._take(run, _of_ledger(self.source, self.by, self.memory, self.axes))

    def _take(self, run: Run, known: Mapping[str, float]) -> None:
        """Set the emphasis from difficulties under ids."""
        memory = run.source
        if not isinstance(memory, InMemory):
            return
        hard = np.array([known.get(str(one), np.nan) for one in memory.ids])
        if np.isnan(hard).all():
            raise DataError(f"nothing is known of any of the {len(hard)} training examples; their ids are others")
        found = emphasis(hard, strength=self.strength, cap=self.cap, guard=self.guard)
        if self.shuffled:
            found = rng_for(run.config.seed, "uneven, shuffled", run.epoch).permutation(found)
        self.emphasis = found

    def change_batch(self, run: Run, batch: Batch) -> Batch:
        self._even += batch.size
        memory = run.source
        if len(self.emphasis) and batch.rows is not None and isinstance(memory, InMemory):
            if self.how == "weights":
                own = torch.from_numpy(self.emphasis.astype(np.float32)).to(batch.rows.device)[batch.rows]
                batch = replace(batch, weights=own if batch.weights is None else own * batch.weights)
            else:
                batch = memory.batch(self._rows(run, memory)[run.place])
        self._trained += batch.size
        return batch

    def _rows(self, run: Run, memory: InMemory) -> tuple[torch.Tensor, ...]:
        """Return the row numbers of the epoch's batches; they depend on the seed, the epoch and the emphasis alone."""
        if self._order[0] != run.epoch:
            rng = rng_for(run.config.seed, "uneven", run.epoch)
            if self.how == "passes":
                rows = torch.from_numpy(drawn_rows(self.emphasis, rng)).to(memory.device)
                parts = rows.split(memory.batch_size)[: memory.batches]
            else:
                rows = torch.from_numpy(drawn_rows(self.emphasis * self.share, rng)).to(memory.device)
                parts = rows.tensor_split(memory.batches)
            self._order = (run.epoch, tuple(parts))
        return self._order[1]

    def after_epoch(self, run: Run) -> None:
        self._order = (-1, ())
        if not isinstance(self.source, RecordOutcomes):
            return
        records = self.source.recorded(_MEASURES[self.by])
        if len(records) > self._records:
            self._count(len(records))
            values = [records[epoch] for epoch in sorted(records)[-self.memory :]]
            hard = _difficulty(self.by, np.mean(values, axis=0), np.std(values, axis=0))
            self._take(run, dict(zip(map(str, self.source.examples.ids), hard.tolist(), strict=True)))

    def on_end(self, run: Run) -> None:
        if isinstance(self.source, RecordOutcomes):  # which may have recorded once more, at the end
            self._count(len(self.source.recorded(_MEASURES[self.by])))

    def _count(self, records: int) -> None:
        """Take how many records there are."""
        if isinstance(self.source, RecordOutcomes):
            self._recorded += (records - self._records) * len(self.source.examples)
            self._records = records

    def state(self) -> dict[str, torch.Tensor]:
        numbers = torch.tensor([self._trained, self._recorded, self._even, self._records])
        return {"emphasis": torch.from_numpy(self.emphasis.copy()), "numbers": numbers}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.emphasis = state["emphasis"].cpu().numpy().copy()
        self._trained, self._recorded, self._even, self._records = (int(one) for one in state["numbers"].tolist())


def _difficulty(by: str, mean: NDArray[Any], deviation: NDArray[Any]) -> NDArray[np.float64]:
    """Return a column, high = hard, of a measure's mean and standard deviation over records."""
    columns = {"confidence": 1 - mean, "closeness": mean * (1 - mean), "variability": deviation}
    return np.maximum(np.asarray(columns.get(by, mean), np.float64), 0.0)


def _of_ledger(
    source: Ledger | Mapping[str, float], by: str, memory: int, axes: Mapping[str, Axis]
) -> Mapping[str, float]:
    """Return ids -> difficulty.

    Raises:
        InputError: there is no such measure or axis.
    """
    if not isinstance(source, Ledger):
        return {str(one): float(value) for one, value in source.items()}
    import polars as pl

    frame = source.read(_MEASURES.get(by, by))
    for name in axes:
        require_one_of("axes", name, frame.columns[1:-1])
    frame = frame.filter(*(pl.col(name) == axis for name, axis in axes.items())) if axes else frame
    if "epoch" in frame.columns:
        last = frame["epoch"].unique().sort().tail(memory)
        frame = frame.filter(pl.col("epoch").is_in(last.implode()))
    value = pl.col("value").cast(pl.Float64)
    told = frame.group_by("id").agg(value.mean().alias("mean"), value.std(ddof=0).alias("deviation"))
    hard = _difficulty(by, told["mean"].to_numpy(), told["deviation"].to_numpy())
    return dict(zip(told["id"].to_list(), hard.tolist(), strict=True))
