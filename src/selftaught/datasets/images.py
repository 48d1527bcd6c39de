"""A folder of images with one sub-folder a class, as `Examples`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.datasets.arrays import examples_from_arrays
from selftaught.datasets.reading import one_line, reading
from selftaught.errors import DataError, InputError, MissingExtraError
from selftaught.examples import Examples

__all__ = ["image_folder", "open_image", "pillow"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_MAX_SIDE = 8192
_LITTER = frozenset({"thumbs.db", "desktop.ini"})
_EIGHT_BIT = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "La", "RGBa"})
_GREY = frozenset({"1", "L", "LA", "La"})


def pillow() -> Any:
    """Return Pillow's Image module.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("Pillow", "data", "reading images") from None
    return Image


def open_image(path: Path, *, resize: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Return an image upright as uint8, (height, width) when grey, else (height, width, 3); transparency is dropped.

    Args:
        path: any format Pillow reads; of several frames the first.
        resize: wanted (height, width), bilinear.

    Raises:
        DataError: the file cannot be read, or has more than 8 bits a channel.
    """
    image_module = pillow()
    from PIL import ImageOps

    with reading(path, "image"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", image_module.DecompressionBombWarning)
        with image_module.open(path) as stored:
            if stored.mode not in _EIGHT_BIT:
                raise DataError(
                    f"{path} has pixels of mode {stored.mode!r}; 8 bits a channel are wanted: convert it first"
                )
            image = ImageOps.exif_transpose(stored)
            image = image.convert("L" if image.mode in _GREY else "RGB")
            if resize is not None:
                image = image.resize((resize[1], resize[0]), image_module.Resampling.BILINEAR)
            pixels: NDArray[np.uint8] = np.asarray(image, dtype=np.uint8)
    return pixels


def image_folder(folder: Path, *, resize: tuple[int, int] | None = None) -> Examples:
    """Read a folder with one sub-folder of images a class; class names are the sub-folders' names, sorted.

    Images are uint8 (n, height, width) when all are grey, else (n, height, width, 3). All must have one
    size, or `resize=(height, width)` gives it.

    Raises:
        DataError: no classes, an empty class, deeper folders, files that are no images, mixed sizes.
        MissingExtraError: Pillow is not installed.
    """
    _check_resize(resize)
    with reading(folder, "folder"):
        classes = _class_files(folder)
    names = tuple(sorted(classes))
    arrays: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    first = next(iter(classes[names[0]]))
    for number, name in enumerate(names):
        for path in classes[name]:
            pixels = open_image(path, resize=resize)
            if arrays and pixels.shape[:2] != arrays[0].shape[:2]:
                raise DataError(
                    f"images must have one size, but {one_line(first)} is {_size(arrays[0])} and {one_line(path)} is "
                    f"{_size(pixels)} (height x width); give resize, such as resize=(32, 32) or --resize 32x32"
                )
            arrays.append(pixels)
            labels.append(number)
    if any(array.ndim == 3 for array in arrays):
        arrays = [array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2) for array in arrays]
    return examples_from_arrays(np.stack(arrays), np.array(labels), name=folder.name or "images", class_names=names)


def _check_resize(resize: object) -> None:
    if resize is None:
        return
    sides = resize if isinstance(resize, tuple | list) else ()
    if len(sides) != 2 or not all(isinstance(side, int) and 1 <= side <= _MAX_SIDE for side in sides):
        raise InputError(f"resize must be (height, width) in pixels, 1 to {_MAX_SIDE} each, got {resize!r}")


def _size(pixels: NDArray[Any]) -> str:
    return f"{pixels.shape[0]} x {pixels.shape[1]}"


def _class_files(folder: Path) -> dict[str, list[Path]]:
    entries = sorted(entry for entry in folder.iterdir() if not _is_litter(entry))
    classes = {entry.name: _image_files(entry) for entry in entries if entry.is_dir()}
    loose = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in SUFFIXES]
    if loose or not classes:
        beside = (
            f"{one_line(loose[0])} lies outside any class folder"
            if loose
            else f"{one_line(folder)} has no class folders"
        )
        raise DataError(f"{beside}; put the images in one sub-folder a class, as in {one_line(folder)}/cat/1.png")
    if len(classes) == 1:
        raise DataError(
            f"{one_line(folder)} has one class folder only ({next(iter(classes))!r}); at least two are wanted"
        )
    return classes


def _image_files(folder: Path) -> list[Path]:
    files = sorted(entry for entry in folder.iterdir() if not _is_litter(entry))
    if not files:
        raise DataError(f"the class folder {one_line(folder)} holds no images; fill or remove it")
    for path in files:
        if path.is_dir():
            raise DataError(
                f"the class folder {one_line(folder)} holds a folder ({path.name!r}); images must lie one level deep"
            )
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{one_line(path)} is not an image ({', '.join(SUFFIXES[:4])}, ...); remove it")
    return files


def _is_litter(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in _LITTER
