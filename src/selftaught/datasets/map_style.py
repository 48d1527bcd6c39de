"""A map-style data set, such as a torch `Dataset`, as `Examples`; recognised by its methods, torch is not imported."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.datasets.arrays import examples_from_arrays
from selftaught.datasets.reading import reading
from selftaught.datasets.targets import TargetKind
from selftaught.errors import DataError
from selftaught.examples import Examples

__all__ = ["examples_from_map_style", "is_map_style"]


def is_map_style(source: object) -> bool:
    """Tell whether a source has a length and rows by number, without being a plain container.

    >>> is_map_style([1, 2])
    False
    """
    plain = isinstance(source, str | bytes | list | tuple | dict | np.ndarray)
    return not plain and hasattr(source, "__len__") and hasattr(source, "__getitem__")


def examples_from_map_style(source: Any, *, task: TargetKind | None = None, name: str | None = None) -> Examples:
    """Read every (input, label) pair of a map-style data set into memory.

    Inputs may be arrays, CPU tensors, images or numbers; uint8 stays, all else becomes float32. The names in
    `source.classes`, when there, name the classes.

    Raises:
        DataError: no rows, an item that cannot be read or is no pair, inputs of different shapes, bad labels.
    """
    name = name or type(source).__name__
    with reading(name, "data set"):
        length = len(source)
    if length == 0:
        raise DataError(f"{name} has no rows")
    inputs: list[NDArray[Any]] = []
    labels: list[Any] = []
    for row in range(length):
        with reading(f"item {row} of {name}", "(input, label) pair"):
            item = source[row]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(f"item {row} of {name} must be a pair (input, label), not {type(item).__name__}")
        with reading(f"item {row} of {name}", "(input, label) pair"):
            array = np.atleast_1d(np.asarray(item[0]))
            label = item[1] if isinstance(item[1], str) else np.asarray(item[1])
        if array.dtype.kind not in "biuf":
            raise DataError(f"item {row} of {name} must have numbers as its input, not {array.dtype}")
        if inputs and array.shape != inputs[0].shape:
            raise DataError(
                f"{name}: inputs must have one shape, but item 0 has {inputs[0].shape} and item {row} has {array.shape}"
            )
        if not isinstance(label, str):
            if label.size != 1:
                raise DataError(f"item {row} of {name} must have one label, not an array of shape {label.shape}")
            label = label.reshape(())[()]
        inputs.append(array)
        labels.append(label)
    values = np.array(labels)
    return examples_from_arrays(
        np.stack(inputs), values, name=name, task=task, class_names=_class_names(source, values, task)
    )


def _class_names(source: Any, labels: NDArray[Any], task: TargetKind | None) -> tuple[str, ...] | None:
    names = getattr(source, "classes", None)
    if task == "regression" or not isinstance(names, list | tuple) or labels.dtype.kind not in "iu":
        return None
    if len(names) < 2 or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)
