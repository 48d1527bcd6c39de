"""A model before and after, on the same examples and the same clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from selftaught.audit import Audit, Population, audit, change_of_means
from selftaught.audit.impact import named
from selftaught.compress import Gains, measure_gains, sparsity
from selftaught.examples import Examples
from selftaught.plans.runtimes import InRuntime
from selftaught.training import Evaluation

__all__ = ["Change", "Comparison", "compare", "largest_drop", "rates", "time_models", "worst"]


@dataclass(frozen=True)
class Change:
    """A rate before and after, on the same examples.

    Args:
        name: of a class or group; "accuracy" over all.
        n: examples.
        before, after: the rate.
        interval: 95 % of after less before, over the examples.
    """

    name: str
    n: int
    before: float
    after: float
    interval: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What compression changed.

    Args:
        accuracy: over all test examples.
        classes: recall of each class.
        groups: accuracy of each value of the columns asked for, as "column value".
        gains: one a batch size: counted and measured.
        parameters: before and after.
        nonzero: parameters that are not zero, before and after.
        audit: of the change, with a single model on each side.
        wrong_before, wrong_after: (n,) of the test examples in their order.
    """

    accuracy: Change
    classes: tuple[Change, ...]
    groups: tuple[Change, ...]
    gains: tuple[Gains, ...]
    parameters: tuple[int, int]
    nonzero: tuple[int, int]
    audit: Audit
    wrong_before: NDArray[np.bool_]
    wrong_after: NDArray[np.bool_]

    @property
    def realised(self) -> bool:
        """Whether a gain of time was measured at any batch size."""
        return any(self.gained_at(gains) for gains in self.gains)

    @staticmethod
    def gained_at(gains: Gains) -> bool:
        """Return whether a gain of time was measured at a batch size, beyond the noise there."""
        return gains.rows[-1].realised > max(1.1, gains.noise)

    @property
    def drop(self) -> Change:
        """The class or group that lost most."""
        return min((*self.classes, *self.groups), key=lambda one: one.after - one.before)

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's own types."""
        return {
            "accuracy": asdict(self.accuracy),
            "classes": [asdict(one) for one in self.classes],
            "groups": [asdict(one) for one in self.groups],
            "largest_drop": asdict(self.drop),
            "worst_class": {"before": worst(self.classes, "before"), "after": worst(self.classes, "after")},
            "parameters": list(self.parameters),
            "nonzero": list(self.nonzero),
            "realised": self.realised,
            "latency": [
                {"batch": one.batch, "threads": one.threads, "noise": one.noise, "rounds": one.rounds,
                 "rows": [asdict(row) for row in one.rows]}
                for one in self.gains
            ],
        }  # fmt: skip


def worst(changes: Sequence[Change], side: str) -> float:
    """Return the lowest rate before or after; NaN without any."""
    return min((float(getattr(one, side)) for one in changes), default=float("nan"))


def rates(right: NDArray[np.bool_], examples: Examples, columns: Sequence[str] = ()) -> dict[str, tuple[float, int]]:
    """Return the share of right answers and the number of examples, for each class, then each value of each column.

    Args:
        right: (n,).
        examples: with classes.
        columns: of groups.
    """
    found = {}
    for name, rows in _rows_of(examples, columns).items():
        found[name] = (float(right[rows].mean()), int(rows.sum()))
    return found


def largest_drop(before: Mapping[str, tuple[float, int]], after: Mapping[str, tuple[float, int]]) -> float:
    """Return by how much the rate fell that fell most.

    >>> largest_drop({"a": (0.9, 10), "b": (0.5, 10)}, {"a": (0.8, 10), "b": (0.6, 10)}) == 0.9 - 0.8
    True
    """
    return max(before[name][0] - after[name][0] for name in before)


def _rows_of(examples: Examples, columns: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    labels = np.asarray(examples.labels)
    found = {str(name): labels == place for place, name in enumerate(examples.class_names)}
    for column in columns:
        values, known = np.array([str(one) for one in examples.groups[column]]), named(examples.groups[column])
        found |= {f"{column} {value}": known & (values == value) for value in sorted({*values[known].tolist()})}
    return {name: rows for name, rows in found.items() if rows.any()}


def time_models(
    models: Mapping[str, nn.Module], sample: torch.Tensor, batches: Sequence[int], *, rounds: int, threads: int
) -> tuple[Gains, ...]:
    """Return what is gained at each batch size, the models in turns; the first is what others are compared with."""
    shown = {name: one.runnable(sample) if isinstance(one, InRuntime) else one for name, one in models.items()}
    return tuple(measure_gains(shown, sample, batch=batch, rounds=rounds, threads=threads) for batch in batches)


def compare(
    before: nn.Module,
    after: nn.Module,
    evaluations: tuple[Evaluation, Evaluation],
    test: Examples,
    *,
    sample: torch.Tensor,
    columns: Sequence[str] = (),
    batches: Sequence[int] = (1, 32),
    rounds: int = 30,
    threads: int = 1,
) -> Comparison:
    """Compare a model before and after on test examples, and time both in turns.

    Args:
        before, after: the models.
        evaluations: of both on `test`.
        test: labelled examples.
        sample: (n, ...) inputs as the models take them, for the clock.
        columns: of groups to look at.
        batches: sizes to time.
        rounds: of timing.
        threads: of torch, while it is timed.
    """
    old, new = (one.correct for one in evaluations)
    listed = _rows_of(test, columns)
    changes = {name: _change(name, old, new, rows) for name, rows in listed.items()}
    classes = [str(one) for one in test.class_names]
    both = [
        Population.from_logits(one.scores, test.ids, name)
        for one, name in zip(evaluations, ("before", "after"), strict=True)
    ]
    counted = after.float_module if isinstance(after, InRuntime) else after
    counts = [_parameters(one) for one in (before, counted)]
    return Comparison(
        accuracy=_change("accuracy", old, new, np.ones(len(old), np.bool_)),
        classes=tuple(one for name, one in changes.items() if name in classes),
        groups=tuple(one for name, one in changes.items() if name not in classes),
        gains=time_models({"before": before, "after": after}, sample, batches, rounds=rounds, threads=threads),
        parameters=(counts[0][0], counts[1][0]),
        nonzero=(counts[0][1], counts[1][1]),
        audit=audit(both[0], both[1], test, groups=columns),
        wrong_before=~old,
        wrong_after=~new,
    )


def _parameters(model: nn.Module) -> tuple[int, int]:
    held = {id(one): one for one in model.parameters()}.values()
    try:
        return sum(one.numel() for one in held), sparsity(model).nonzero
    except ValueError:  # nothing to prune
        return sum(one.numel() for one in held), sum(int(torch.count_nonzero(one)) for one in held)


def _change(name: str, old: NDArray[np.bool_], new: NDArray[np.bool_], rows: NDArray[np.bool_]) -> Change:
    found = change_of_means(old[None].astype(np.float64), new[None].astype(np.float64), rows)
    return Change(name, int(rows.sum()), found.before, found.after, found.interval)
