"""The median filter is undone exactly; the oracle applies it pixel by pixel as its description says."""

from __future__ import annotations

import io
import lzma
import os
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from selftaught.datasets.median_filter import read_med, undo_median_filter
from selftaught.errors import DataError
from selftaught.seeds import rng_for


def apply_filter(images: np.ndarray) -> np.ndarray:
    """Filter RGB images (n, h, w, 3) into residuals (3, n, h, w), slowly."""
    count, height, width, _ = images.shape
    residuals = np.zeros((3, count, height, width), np.uint8)
    for n in range(count):
        red, green, blue = (images[n, :, :, c].astype(int) for c in range(3))
        for c, plane in enumerate(((red - green) % 256, green, (blue - green) % 256)):
            for i in range(height):
                for j in range(width):
                    if i and j:
                        left, up, corner = plane[i, j - 1], plane[i - 1, j], plane[i - 1, j - 1]
                        guess = int(median([left, up, left + up - corner]))
                    elif j:
                        guess = plane[i, j - 1]
                    else:
                        guess = plane[i - 1, j] if i else 0
                    residuals[c, n, i, j] = (plane[i, j] - guess) % 256
    return residuals


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 7), (2, 7, 1), (5, 8, 6)])
def test_filtered_images_come_back_exactly(shape: tuple[int, int, int]) -> None:
    images = rng_for(0, "median", *shape).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert np.array_equal(undo_median_filter(apply_filter(images)), images)
    smooth = (np.indices(shape).sum(0)[..., None] * np.array([3, 5, 7])).astype(np.uint8)
    assert np.array_equal(undo_median_filter(apply_filter(smooth)), smooth)


def test_batches_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    images = rng_for(1, "median").integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)
    monkeypatch.setattr("selftaught.datasets.median_filter._BATCH", 3)
    assert np.array_equal(undo_median_filter(apply_filter(images)), images)


@pytest.mark.parametrize(
    "array", [np.zeros((3, 2, 2), np.uint8), np.zeros((4, 1, 2, 2), np.uint8), np.zeros((3, 1, 2, 2)), np.array([{}])]
)
def test_other_arrays_are_an_error(tmp_path: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    (tmp_path / "x.med.npy.xz").write_bytes(lzma.compress(buffer.getvalue()))
    with pytest.raises(DataError, match=r"x\.med\.npy\.xz"):
        read_med(tmp_path / "x.med.npy.xz")


@pytest.mark.skipif("SELFTAUGHT_DATA" not in os.environ, reason="set SELFTAUGHT_DATA to a folder with cifar10/")
def test_the_real_subset_filters_back_to_its_residuals() -> None:
    path = Path(os.environ["SELFTAUGHT_DATA"]) / "cifar10" / "sub_test_x.med.npy.xz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    residuals = np.load(io.BytesIO(lzma.decompress(path.read_bytes())))
    images = read_med(path)
    assert np.array_equal(apply_filter(images[:6]), residuals[:, :6])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)
