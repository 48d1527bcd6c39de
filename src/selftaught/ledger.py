"""The ledger of examples: measures under an example's id, which never changes; joined by id, never by position."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import DataError, InputError, did_you_mean
from selftaught.writing import write_atomically

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Axis", "Ledger"]

#: What tells rows of one example apart: the model, the epoch, the seed ...
Axis = str | int | float
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = ("id", "value")


class Ledger:
    """A folder with one Parquet file a measure, in long form: id, the measure's own axes, value.

    Args:
        folder: made at the first record.

    >>> import tempfile
    >>> ledger = Ledger(tempfile.mkdtemp())
    >>> ledger.record("loss", ["a", "b"], np.array([0.5, 0.25]), epoch=1)
    >>> ledger.values("loss", ["b", "c", "a"], epoch=1)
    array([0.25,  nan, 0.5 ])
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).expanduser()

    @property
    def measures(self) -> list[str]:
        """Names of the measures that are there, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.parquet"))

    def record(
        self, measure: str, ids: Any, values: NDArray[Any], **axes: Axis | NDArray[Any]
    ) -> None:
        """Add a row an example; rows with the same axes that were there before give way. Whole or not at all.

        Args:
            measure: lower-case letters, digits and underscores.
            ids: (n,) ids of examples.
            values: (n,) numbers or truths.
            axes: each one value for all rows or (n,) values; the same names at every record of a measure.

        Raises:
            InputError: a name is no name, lengths differ, the axes are new ones, or the file cannot be written.
            DataError: the file that is there cannot be read.
        """
        import polars as pl

        for name in (measure, *axes):
            if not _NAME.fullmatch(name) or name in _RESERVED:
                raise InputError(f"{name!r} cannot name a measure or an axis; take lower-case letters, digits and _")
        texts = [str(one) for one in ids]
        columns = {name: axis for name, axis in axes.items() if isinstance(axis, np.ndarray)}
        for name, column in {"values": np.asarray(values), **columns}.items():
            if column.shape != (len(texts),):
                raise InputError(f"{name} must have shape ({len(texts)},) like the ids, got {column.shape}")
        frame = pl.DataFrame({"id": texts, **columns, "value": np.asarray(values)})
        constants = [pl.lit(axis).alias(name) for name, axis in axes.items() if name not in columns]
        frame = frame.with_columns(constants).select("id", *axes, "value")
        before = self._read(measure)
        if before is not None:
            if before.columns != frame.columns:
                known = ", ".join(before.columns[1:-1]) or "none"
                raise InputError(f"{measure} has the axes {known}; give these, and in this order")
            if axes:
                before = before.join(frame.select(list(axes)).unique(), on=list(axes), how="anti")
            else:
                before = before.join(frame.select("id"), on="id", how="anti")
            frame = pl.concat([before, frame], how="vertical_relaxed")
        stream = io.BytesIO()
        frame.write_parquet(stream, compression="zstd")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path(measure), stream.getvalue())
        except OSError as error:
            raise InputError(f"{self._path(measure)} cannot be written ({error.strerror}); choose another") from None

    def read(self, measure: str) -> pl.DataFrame:
        """Return all rows of a measure.

        Raises:
            InputError: there is no such measure.
            DataError: its file cannot be read.
        """
        found = self._read(measure)
        if found is None:
            raise InputError(
                f"the ledger in {self.folder} has no measure {measure!r}{did_you_mean(measure, self.measures)}; "
                f"it has {', '.join(self.measures) or 'none'}"
            )
        return found

    def values(self, measure: str, ids: Any, **axes: Axis) -> NDArray[np.float64]:
        """Return the values of these examples, in the order of the ids; NaN where there is none.

        Args:
            measure: its name.
            ids: (n,).
            axes: which rows; they must leave at most one an example.

        Raises:
            InputError: there is no such measure or axis, or an example has several such rows.
        """
        import polars as pl

        frame = self.read(measure)
        for name in axes:
            if name not in frame.columns[1:-1]:
                raise InputError(f"{measure} has no axis {name!r}{did_you_mean(name, frame.columns[1:-1])}")
        chosen = frame.filter(*(pl.col(name) == axis for name, axis in axes.items()))
        if chosen["id"].n_unique() < chosen.height:
            left = [name for name in frame.columns[1:-1] if name not in axes]
            raise InputError(f"an example has several rows of {measure}; say which by {', '.join(left)}")
        asked = pl.DataFrame({"id": [str(one) for one in ids]}, schema={"id": pl.String})
        joined = asked.join(chosen, on="id", how="left", maintain_order="left")
        return joined["value"].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def _path(self, measure: str) -> Path:
        return self.folder / f"{measure}.parquet"

    def _read(self, measure: str) -> pl.DataFrame | None:
        import polars as pl

        path = self._path(measure)
        if not path.exists():
            return None
        try:
            return pl.read_parquet(io.BytesIO(path.read_bytes()))
        except (OSError, pl.exceptions.PolarsError) as error:
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{path} cannot be read as a measure of a ledger ({told})") from None
