"""Examples and tasks: the data every part of selftaught takes and gives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Examples", "Metric", "Task"]

Metric = Literal["rmse", "accuracy", "cross_entropy"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs, labels, ids and groups of a data set; never mutated.

    Args:
        inputs: float32 or uint8, shape (n, ...): one row an example (a table) or one image an example.
        labels: (n,) int64 class numbers 0..K-1, or (n,) float32 targets, or None when unlabelled.
        ids: (n,) str; the content's hash plus an ordinal among identical rows, or the user's own.
        groups: column name -> (n,) values, for audits by sub-group.
        class_names: names of the classes, in the order of the class numbers; empty for regression.
        feature_names: names of the columns of a table; empty for images.
        name: what the data set is called in reports.
    """

    inputs: NDArray[Any]
    labels: NDArray[Any] | None
    ids: NDArray[np.str_]
    groups: dict[str, NDArray[Any]] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    name: str = "data"

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 for a regression target or unlabelled examples."""
        return len(self.class_names)

    def take(self, rows: NDArray[Any]) -> Examples:
        """Return the examples at these row numbers (or under this boolean mask), ids kept."""
        return Examples(
            inputs=self.inputs[rows],
            labels=None if self.labels is None else self.labels[rows],
            ids=self.ids[rows],
            groups={name: values[rows] for name, values in self.groups.items()},
            class_names=self.class_names,
            feature_names=self.feature_names,
            name=self.name,
        )

    def digest(self) -> str:
        """Return 16 hexadecimal digits of ids, inputs and labels: work on other examples is other work.

        >>> one = Examples(np.zeros((2, 3), np.float32), np.array([0, 1]), np.array(["a", "b"]))
        >>> len(one.digest()), one.digest() == one.take(np.array([1, 0])).digest()
        (16, False)
        """
        found = hashlib.blake2b("\n".join(self.ids.tolist()).encode(), digest_size=8)
        for one in (self.inputs, self.labels):
            held = None if one is None else np.ascontiguousarray(one)
            found.update(b"none" if held is None else repr((held.shape, held.dtype)).encode() + held.tobytes())
        return found.hexdigest()

    def __repr__(self) -> str:
        kind = (
            "unlabelled" if self.labels is None
            else f"{self.num_classes} classes" if self.num_classes
            else "regression"
        )  # fmt: skip
        return f"Examples({self.name!r}, n={len(self)}, shape={self.inputs.shape[1:]}, {kind})"

    def _repr_html_(self) -> str:
        import html

        return f"<code>{html.escape(repr(self))}</code>"


@dataclass(frozen=True, eq=False)
class Task:
    """One small learning problem: what to train on, what to judge by, and what only the end may see.

    Search looks at `valid`, never at `test`; `test` may be None where another set of tasks plays that part.
    """

    train: Examples
    valid: Examples
    test: Examples | None
    metric: Metric
    name: str = "task"
