"""NumPy arrays and .npz files as `Examples`."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.datasets.identity import content_ids
from selftaught.datasets.reading import file_bytes, listed, reading
from selftaught.datasets.targets import TargetKind, encode_target
from selftaught.errors import DataError, did_you_mean
from selftaught.examples import Examples

__all__ = ["examples_from_arrays", "read_npz", "tidy_inputs"]

_KEY_PAIRS = (("inputs", "labels"), ("x", "y"), ("X", "y"))


def tidy_inputs(inputs: NDArray[Any], *, what: str) -> NDArray[Any]:
    """Return inputs as uint8 (when they are) or finite float32, shape (n, ...).

    Raises:
        DataError: no rows, no columns, not numbers, or a value that is missing or not finite.
    """
    if inputs.dtype.kind not in "biuf":
        advice = "object arrays are never unpickled" if inputs.dtype.kind == "O" else "text columns belong in a table"
        raise DataError(f"{what}: inputs must be numbers, not dtype {inputs.dtype} ({advice}); save them as float32")
    if inputs.ndim < 2:
        raise DataError(f"{what}: inputs must have one row an example, shape (n, columns), got shape {inputs.shape}")
    if inputs.size == 0:
        raise DataError(f"{what}: inputs are empty, shape {inputs.shape}")
    if inputs.dtype == np.uint8:
        return np.array(inputs, order="C")
    with np.errstate(over="ignore"):
        numbers = np.array(inputs, dtype=np.float32, order="C")
    if not np.isfinite(numbers).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
        where = ", ".join(map(str, place))
        raise DataError(
            f"{what}: inputs[{where}] is {inputs[place]} (row {place[0]}, column {place[1]}, counted from 0): "
            "every value must be finite in float32; mend or remove the row"
        )
    return numbers


def examples_from_arrays(
    inputs: NDArray[Any],
    labels: NDArray[Any] | None,
    *,
    name: str,
    task: TargetKind | None = None,
    class_names: tuple[str, ...] | None = None,
    feature_names: tuple[str, ...] | None = None,
) -> Examples:
    """Return `Examples` of inputs (n, ...) and labels (n,), both copied.

    Raises:
        DataError: lengths differ, or inputs or labels do not fit.
    """
    tidy = tidy_inputs(inputs, what=name)
    if labels is not None and (labels.ndim == 0 or len(labels) != len(tidy)):
        size = 0 if labels.ndim == 0 else len(labels)
        raise DataError(f"{name}: {len(tidy)} inputs but {size} labels; both need one entry an example")
    encoded, names = None, ()  # type: tuple[NDArray[Any] | None, tuple[str, ...]]
    if labels is not None:
        encoded, names = encode_target(labels, name="labels", task=task, class_names=class_names)
    if feature_names is None:
        feature_names = tuple(f"x{i}" for i in range(tidy.shape[1])) if tidy.ndim == 2 else ()
    return Examples(tidy, encoded, content_ids(tidy), class_names=names, feature_names=feature_names, name=name)


def read_npz(path: Path, *, target: str | None = None, task: TargetKind | None = None) -> Examples:
    """Read an .npz file with inputs/labels, x/y or X/y; without labels the examples are unlabelled.

    Args:
        path: the file.
        target: key of the labels when it is none of the usual ones.
        task: force "classification" or "regression".

    Raises:
        DataError: the file is damaged, holds objects (never unpickled), or lacks the arrays.
    """
    data = file_bytes(path)
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise DataError(f"{path} is not a readable .npz file: it is no zip archive (truncated or damaged?)")
    with reading(path, ".npz file"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of old headers; the arrays are checked below
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            keys = list(archive.files)
            x_key, y_key = _keys(keys, target, path)
            inputs = archive[x_key]
            labels = None if y_key is None else archive[y_key]
    if not isinstance(inputs, np.ndarray) or not isinstance(labels, np.ndarray | None):
        raise DataError(f"{path} must hold NumPy arrays (.npy) under its keys {listed(keys)}")
    return examples_from_arrays(inputs, labels, name=path.stem, task=task)


def _keys(keys: list[str], target: str | None, path: Path) -> tuple[str, str | None]:
    if target is not None and target not in keys:
        raise DataError(f"{path} has no array {target!r}{did_you_mean(target, keys)} (it has {listed(keys)})")
    for x_key, y_key in _KEY_PAIRS:
        if x_key in keys and (y_key in keys or target is not None):
            return x_key, target or y_key
    for x_key, _ in _KEY_PAIRS:
        if x_key in keys:
            return x_key, None
    raise DataError(
        f"{path} must hold the arrays inputs and labels (or x and y, or X and y); it has {listed(keys) or 'none'}"
    )
