"""Where alike examples are near: principal components of the inputs, and the columns that rules speak of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.examples import Examples

__all__ = ["columns_of", "principal_components"]


def principal_components(inputs: NDArray[Any], *, components: int = 32) -> NDArray[np.float64]:
    """Return the examples' places along the directions in which their inputs vary most, (n, at most `components`).

    Columns of tables are brought to one deviation first; pixels have one unit already.

    Args:
        inputs: (n, ...).
        components: the most to keep.

    >>> principal_components(np.eye(4)).shape
    (4, 3)
    """
    flat = np.asarray(inputs, np.float64).reshape(len(inputs), -1)
    flat = flat - flat.mean(axis=0)
    if np.ndim(inputs) == 2:
        flat = flat / np.where(flat.std(axis=0) > 0, flat.std(axis=0), 1)
    kept = min(components, len(flat) - 1, flat.shape[1])
    if kept < 1:
        return np.zeros((len(flat), 1))
    if len(flat) > flat.shape[1]:
        values, directions = np.linalg.eigh(flat.T @ flat)
        directions = directions[:, np.argsort(-values)[:kept]]
    else:
        directions = np.linalg.svd(flat, full_matrices=False)[2][:kept].T
    # Of either sign, that in which the largest entry is positive: the same everywhere.
    signs = np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    return np.asarray(flat @ (directions * np.where(signs == 0, 1, signs)))


def columns_of(examples: Examples) -> dict[str, NDArray[Any]]:
    """Return what rules may speak of: a table's columns by name, the groups, and the class of labelled examples.

    Columns such as "region=north" and "region=south", which stand for one column of texts, become that again.
    """
    found: dict[str, NDArray[Any]] = {}
    texts: dict[str, list[tuple[str, NDArray[np.bool_]]]] = {}
    if examples.inputs.ndim == 2:
        for k, name in enumerate(examples.feature_names):
            column, stands_for, value = name.rpartition("=")
            if stands_for and np.isin(examples.inputs[:, k], (0, 1)).all():
                texts.setdefault(column, []).append((value, examples.inputs[:, k] == 1))
            else:
                found[name] = examples.inputs[:, k]
    for column, values in texts.items():
        other = f"not {values[0][0]}" if len(values) == 1 else "other"
        found[column] = np.select([rows for _, rows in values], [value for value, _ in values], other)
    found |= {name: np.asarray(values) for name, values in examples.groups.items()}
    if examples.labels is not None and examples.num_classes:
        found["class"] = np.array(examples.class_names)[examples.labels.astype(np.int64)]
    return found
