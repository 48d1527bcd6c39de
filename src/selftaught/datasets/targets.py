"""What kind of label a column holds: classes or a number to predict."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.datasets.reading import listed
from selftaught.errors import DataError, InputError, did_you_mean

__all__ = ["TARGET_NAMES", "TargetKind", "check_kind", "encode_target", "find_target"]

TargetKind = Literal["classification", "regression"]
TARGET_NAMES = ("target", "label", "class", "y")
MAX_INTEGER_CLASSES = 20
_KINDS = ("classification", "regression")


def check_kind(task: str | None) -> None:
    """Check the `task` option.

    Raises:
        InputError: it is not "classification", "regression" or None.
    """
    if task is not None and task not in _KINDS:
        raise InputError(
            f"task must be 'classification' or 'regression', got {task!r}{did_you_mean(str(task), _KINDS)}"
        )


def find_target(columns: list[str], target: str | None, *, what: str) -> str:
    """Return the name of the target column: the one asked for, else the only one with a usual name.

    Raises:
        DataError: the column is unknown, or none was asked for and none (or several) has a usual name.
    """
    if target is not None:
        if target not in columns:
            hint = did_you_mean(target, columns)
            raise DataError(
                f"{what} has no column {target!r}{hint or '; it has'} {'' if hint else listed(columns)}".strip()
            )
        return target
    usual = [name for name in columns if name.lower() in TARGET_NAMES]
    if len(usual) == 1:
        return usual[0]
    wanted = (
        f"more than one column looks like the target ({listed(usual)})" if usual else "the target column is not named"
    )
    raise DataError(f"{what}: {wanted}; give target (--target), one of {listed(columns)}")


def encode_target(
    values: NDArray[Any], *, name: str, task: TargetKind | None = None, class_names: tuple[str, ...] | None = None
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return labels and class names of a target.

    Text and booleans are classes; whole numbers with at most 20 different values (and at least 5 rows a
    value) are classes; anything else is regression. `task` overrides. Class names are sorted (numbers by
    size, text by code point).

    Args:
        values: (n,) text, booleans or numbers.
        name: what to call the target in an error.
        task: force "classification" or "regression".
        class_names: names already known; the values are then class numbers 0..K-1.

    Returns:
        (n,) int64 class numbers and their names, or (n,) float32 targets and ().

    Raises:
        DataError: no rows, one class only, a constant target, text for a regression, values not finite.

    >>> encode_target(np.array(["b", "a", "b"]), name="kind")
    (array([1, 0, 1]), ('a', 'b'))
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(f"labels must be one a row, shape (n,), but {name!r} has shape {values.shape}")
    if len(values) == 0:
        raise DataError(f"the target {name!r} has no rows")
    kind = values.dtype.kind
    if kind not in "UbiufO" or (kind == "O" and not all(isinstance(value, str) for value in values)):
        raise DataError(f"the target {name!r} must hold numbers, text or booleans, not {values.dtype}")
    if kind == "O":
        values, kind = values.astype(np.str_), "U"
    if kind == "f":
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise DataError(
                f"the target {name!r} is {values[bad[0]]} in row {bad[0] + 1}; remove the row or mend the value"
            )
    if class_names is not None:
        return _class_numbers(values, class_names, name), class_names
    chosen = task or ("classification" if _looks_like_classes(values) else "regression")
    if chosen == "regression":
        return _targets(values, name), ()
    return _classes(values, name)


def _looks_like_classes(values: NDArray[Any]) -> bool:
    if values.dtype.kind in "Ub":
        return True
    if values.dtype.kind == "f" and not np.array_equal(values, np.round(values)):
        return False
    return len(np.unique(values)) <= min(MAX_INTEGER_CLASSES, len(values) / 5)


def _targets(values: NDArray[Any], name: str) -> NDArray[np.float32]:
    if values.dtype.kind == "U":
        raise DataError(
            f"a regression target must hold numbers, but {name!r} holds text such as {str(values[0])[:40]!r}"
        )
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise DataError(
            f"the target {name!r} is {values[bad[0]]} in row {bad[0] + 1}, too large for float32; rescale it"
        )
    if numbers.min() == numbers.max():
        raise DataError(f"the target {name!r} is constant ({values[0]} in all {len(values)} rows): nothing to learn")
    return numbers


def _classes(values: NDArray[Any], name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    levels, labels = np.unique(values, return_inverse=True)
    if len(levels) == 1:
        raise DataError(
            f"the target {name!r} has one class only ({str(levels[0])[:40]!r} in all {len(values)} "
            "rows): nothing to learn"
        )
    if len(levels) > len(values) / 2 and len(levels) > 2:
        raise DataError(
            f"the target {name!r} has {len(levels)} different values in {len(values)} rows: too many to be classes; "
            "choose another target"
            + ("" if values.dtype.kind == "U" else " or read it as a number (--task regression)")
        )
    whole = values.dtype.kind == "f" and np.array_equal(levels, np.round(levels)) and bool(np.abs(levels).max() < 2**53)
    names = tuple(str(int(level)) if whole else str(level) for level in levels)
    return labels.astype(np.int64), names


def _class_numbers(values: NDArray[Any], class_names: tuple[str, ...], name: str) -> NDArray[np.int64]:
    if values.dtype.kind not in "biu":
        raise DataError(f"{name!r} must hold class numbers, not {values.dtype}")
    labels = values.astype(np.int64)
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise DataError(
            f"{name!r} holds class numbers {labels.min()}..{labels.max()}, but there are {len(class_names)} classes"
        )
    if labels.min() == labels.max():
        raise DataError(f"{name!r} has one class only ({class_names[labels[0]]!r}): nothing to learn")
    return labels
