"""Predictions in a file: one `.npz` for each population, from whatever trained it."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.population import Population
from selftaught.errors import DataError, InputError
from selftaught.writing import write_atomically

__all__ = ["load_predictions", "save_predictions"]

_KINDS = ("logits", "probabilities", "predicted")


def save_predictions(path: str | os.PathLike[str], population: Population) -> None:
    """Write a population's probabilities and ids as one `.npz` file, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    stream = io.BytesIO()
    np.savez_compressed(stream, probabilities=population.probabilities.astype(np.float32), ids=population.ids)
    try:
        write_atomically(Path(path), stream.getvalue())
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose another file") from None


def load_predictions(path: str | os.PathLike[str], *, ids: NDArray[np.str_], classes: int) -> Population:
    """Read a population from an `.npz` file; nothing in it is run.

    It holds one of `logits` or `probabilities`, (K, n, C), or `predicted`, (K, n) class numbers; without the first axis
    for a single model. `ids`, (n,), say which examples; without them there must be all of the data, in order.

    Args:
        path: the file.
        ids: (N,) of the data.
        classes: their number in the data.

    Raises:
        InputError: there is no such file, or what it holds does not fit the data.
        DataError: it cannot be read, or a value is not a number.
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise InputError(f"there is no file {place}; give predictions as .npz, or the folder of a `selftaught train`")
    try:
        stored = np.load(place, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array, as numpy.save writes it")
        with stored:
            held = {name: stored[name] for name in stored.files if name in (*_KINDS, "ids")}
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{place} cannot be read as .npz ({told}); save it with numpy.savez, without objects") from None
    kinds = [name for name in _KINDS if name in held]
    if len(kinds) != 1:
        raise InputError(f"{place} must hold one of {', '.join(_KINDS)}, and has {' and '.join(kinds) or 'none'}")
    values = held[kinds[0]]
    wanted = 2 if kinds[0] == "predicted" else 3
    if values.ndim not in (wanted - 1, wanted) or values.dtype.kind not in "fiub":
        raise InputError(f"{place}: {kinds[0]} must be numbers of shape (models, examples"
                         f"{', classes' if wanted == 3 else ''}), got {values.dtype} {values.shape}")  # fmt: skip
    n = values.shape[-1] if wanted == 2 else values.shape[-2]
    if "ids" not in held and n != len(ids):
        raise InputError(f"{place} has {n} examples without ids, and the data {len(ids)}; save their ids with them")
    own = held["ids"].astype(np.str_) if "ids" in held else ids
    if kinds[0] == "predicted":
        return Population.from_labels(values, own, classes=classes, name=place.name)
    if values.shape[-1] != classes:
        raise InputError(f"{place} has {values.shape[-1]} classes, and the data {classes}; give those of the data")
    if kinds[0] == "logits":
        return Population.from_logits(values, own, place.name)
    return Population.from_probabilities(values, own, place.name)
