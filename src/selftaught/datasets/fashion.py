"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017) from local idx files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.datasets.arrays import examples_from_arrays
from selftaught.datasets.local_files import DATA_VARIABLE, candidate_folders
from selftaught.datasets.reading import file_bytes, gunzip
from selftaught.errors import DataError
from selftaught.examples import Examples

__all__ = ["FASHION_CLASSES", "fashion_mnist", "read_idx"]

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_FOLDERS = ("fashion-mnist", "fashion_mnist", "usr/share/datasets/fashion-mnist", ".")
_SYSTEM = ("/usr/share/datasets/fashion-mnist",)
_PREFIX = {"train": "train", "test": "t10k"}


def fashion_mnist(split: Literal["train", "test", "all"] = "train") -> Examples:
    """Read Fashion-MNIST: uint8 images (n, 28, 28), 10 classes, 60,000 to train and 10,000 to test.

    The idx files, packed with gzip or not, are looked for below the folder SELFTAUGHT_DATA (also in an
    unpacked Debian package), then in /usr/share/datasets/fashion-mnist.

    Raises:
        DataError: the files are missing or damaged.
    """
    how = "install the Debian package dataset-fashion-mnist, or put the four idx files in a folder fashion-mnist"
    for folder in candidate_folders(_FOLDERS, system=_SYSTEM, name="fashion-mnist", how=how):
        if _idx_path(folder, "train-images-idx3-ubyte") is None:
            continue
        images, labels = [], []
        for part in ("train", "test") if split == "all" else (split,):
            images.append(_read(folder, f"{_PREFIX[part]}-images-idx3-ubyte", 3))
            labels.append(_read(folder, f"{_PREFIX[part]}-labels-idx1-ubyte", 1))
        return examples_from_arrays(
            np.concatenate(images), np.concatenate(labels), name="fashion-mnist", class_names=FASHION_CLASSES
        )
    raise DataError(f"no Fashion-MNIST files below the folder {DATA_VARIABLE} names; {how}")


def _idx_path(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _read(folder: Path, name: str, axes: int) -> NDArray[np.uint8]:
    path = _idx_path(folder, name)
    if path is None:
        raise DataError(f"{folder} lacks {name}.gz")
    return read_idx(path, axes)


def read_idx(path: Path, axes: int) -> NDArray[Any]:
    """Return the uint8 array of an idx file, packed with gzip or not.

    The form: two zero bytes, the type (8: uint8), the number of axes, their sizes as big-endian 32-bit
    numbers, then the values.

    Raises:
        DataError: the file is damaged, or has another type, number of axes or size.
    """
    data = file_bytes(path)
    if path.suffix == ".gz":
        data = gunzip(data, path)
    start = 4 + 4 * axes
    if len(data) < start or data[:4] != bytes([0, 0, 8, axes]):
        raise DataError(f"{path} is not an idx file of uint8 with {axes} axes")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", axes, 4))
    wanted = int(np.prod([int(size) for size in shape], dtype=object))
    if len(data) - start != wanted:
        raise DataError(f"{path} must hold {wanted} values (shape {shape}), but has {len(data) - start} (truncated?)")
    return np.frombuffer(data, np.uint8, wanted, start).reshape(shape)
