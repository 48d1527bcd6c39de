"""Sets of tasks that share their sizes, packed so that one lane is one task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import DataError
from selftaught.examples import Metric, Task
from selftaught.seeds import seed_for

__all__ = ["PackedTasks", "TaskSet", "aligned"]

VALIDATION_BLOCK = 1024  # squared errors are summed in float32 within a block, blocks in float64


def aligned(shape: tuple[int, ...], dtype: Any = np.float32) -> NDArray[Any]:
    """Return zeros whose first element lies on a 64-byte boundary, as vector loads want."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    result: NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    return result


@dataclass(frozen=True, eq=False)
class PackedTasks:
    """Tasks laid out for the kernel: `[block][example][feature or label][lane]`.

    Args:
        train: float32 (blocks, n_train, rows, lanes); rows are F features, then 1 label (or F one-hot labels).
        valid: the same of the validation examples.
        seeds: uint32 (blocks, lanes), the lanes' random streams; never 0.
        alive: int32 (blocks, lanes), -1 for a task, 0 for padding.
        orders: int64 (epochs, n_train + 1) byte offsets of the examples, then -1.
        valid_order: int64, byte offsets with -1 after every block of 1,024 examples.
    """

    train: NDArray[np.float32]
    valid: NDArray[np.float32]
    seeds: NDArray[np.uint32]
    alive: NDArray[np.int32]
    orders: NDArray[np.int64]
    valid_order: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TaskSet:
    """Tasks of one shape, which a program is scored on.

    Args:
        train_x: float32 (D, n_train, F).
        train_y: float32 (D, n_train): targets, or 0/1, or class numbers.
        valid_x: float32 (D, n_valid, F).
        valid_y: float32 (D, n_valid).
        metric: "rmse", "accuracy" or "cross_entropy".
        num_classes: K above 2 for programs that write a score a class, else 0.
        seed: seeds the random streams inside programs and the order of later epochs.
        num_epochs: passes over the training examples.
        names: what each task is called.

    Raises:
        DataError: empty sets, values that are not finite, or shapes that do not go together.
    """

    train_x: NDArray[np.float32]
    train_y: NDArray[np.float32]
    valid_x: NDArray[np.float32]
    valid_y: NDArray[np.float32]
    metric: Metric
    num_classes: int = 0
    seed: int = 0
    num_epochs: int = 1
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        tasks, rows, features = self.train_x.shape
        if not tasks or not rows or not self.valid_x.shape[1]:
            raise DataError(
                f"a task set needs tasks, training and validation examples; got {tasks} tasks, {rows} and "
                f"{self.valid_x.shape[1]} examples"
            )
        if self.train_y.shape != (tasks, rows) or self.valid_x.shape[::2] != (tasks, features):
            raise DataError("inputs and labels of a task set have shapes that do not go together")
        if self.num_classes > features:
            raise DataError(
                f"{self.num_classes} classes need at least {self.num_classes} features; "
                f"project to features={self.num_classes} or more"
            )
        for name in ("train_x", "train_y", "valid_x", "valid_y"):
            values = getattr(self, name)
            if not np.isfinite(values).all():
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
                raise DataError(f"{name} of task {where[0]} holds a value that is not finite in row {where[1]}")

    @property
    def count(self) -> int:
        """D, the number of tasks."""
        return len(self.train_x)

    @property
    def features(self) -> int:
        """F, the number of features."""
        return int(self.train_x.shape[2])

    @classmethod
    def stack(cls, tasks: Sequence[Task], *, seed: int = 0, num_epochs: int = 1) -> TaskSet:
        """Stack tasks of equal sizes into one set.

        Raises:
            DataError: there is no task, or they differ in sizes, features or metric.
        """
        if not tasks:
            raise DataError("a task set needs at least one task, got none")
        shapes = {(t.train.inputs.shape, t.valid.inputs.shape, t.metric) for t in tasks}
        if len(shapes) > 1:
            listed = "; ".join(f"{train} and {valid}, {metric}" for train, valid, metric in sorted(shapes))
            raise DataError(f"tasks of one set must share sizes, features and metric; got {listed}")
        for task in tasks:
            if task.train.labels is None or task.valid.labels is None:
                raise DataError(f"{task.name} has no labels; programs learn from labelled examples")
        classes = max((t.train.num_classes for t in tasks), default=0)

        def column(part: str, what: str) -> NDArray[np.float32]:
            return np.stack([np.asarray(getattr(getattr(t, part), what), np.float32) for t in tasks])

        return cls(
            train_x=column("train", "inputs"),
            train_y=column("train", "labels"),
            valid_x=column("valid", "inputs"),
            valid_y=column("valid", "labels"),
            metric=tasks[0].metric,
            num_classes=classes if classes > 2 else 0,
            seed=seed,
            num_epochs=num_epochs,
            names=tuple(t.name for t in tasks),
        )

    @cached_property
    def stream_seeds(self) -> NDArray[np.uint32]:
        """Initial xorshift32 states, one a task, never 0."""
        values = [seed_for(self.seed, "stream", number) & 0xFFFFFFFF for number in range(self.count)]
        return np.array([value or 1 for value in values], np.uint32)

    @cached_property
    def epoch_orders(self) -> tuple[NDArray[np.int64], ...]:
        """Order of the training examples in each epoch: as stored, then permuted, the same for all tasks."""
        from selftaught.seeds import rng_for

        rows = self.train_x.shape[1]
        later = [rng_for(self.seed, "epoch", e).permutation(rows) for e in range(1, self.num_epochs)]
        return (np.arange(rows), *later)

    def packed(self, lanes: int) -> PackedTasks:
        """Return the tasks laid out for a kernel of `lanes` lanes, padded with copies of task 0."""
        count, rows, features = self.train_x.shape
        blocks = -(-count // lanes)
        chosen = np.arange(blocks * lanes)
        chosen[count:] = 0
        width = features + (features if self.num_classes else 1)

        def lay_out(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
            result = aligned((blocks, x.shape[1], width, lanes))
            for block in range(blocks):
                members = chosen[block * lanes : (block + 1) * lanes]
                result[block, :, :features] = x[members].transpose(1, 2, 0)
                if self.num_classes:
                    one_hot = np.zeros((lanes, x.shape[1], features), np.float32)
                    np.put_along_axis(one_hot, y[members].astype(np.int64)[:, :, None], 1.0, axis=2)
                    result[block, :, features:] = one_hot.transpose(1, 2, 0)
                else:
                    result[block, :, features] = y[members].T
            return result

        stride = width * lanes * 4
        orders = np.full((self.num_epochs, rows + 1), -1, np.int64)
        for epoch, order in enumerate(self.epoch_orders):
            orders[epoch, :rows] = order * stride
        held = np.arange(self.valid_x.shape[1], dtype=np.int64) * stride
        pieces = [held[i : i + VALIDATION_BLOCK] for i in range(0, len(held), VALIDATION_BLOCK)]
        end = np.array([-1], np.int64)
        alive = np.zeros(blocks * lanes, np.int32)
        alive[:count] = -1
        return PackedTasks(
            train=lay_out(self.train_x, self.train_y),
            valid=lay_out(self.valid_x, self.valid_y),
            seeds=np.ascontiguousarray(self.stream_seeds[chosen].reshape(blocks, lanes)),
            alive=alive.reshape(blocks, lanes),
            orders=orders,
            valid_order=np.concatenate([part for piece in pieces for part in (piece, end)]),
        )
