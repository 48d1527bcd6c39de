"""Frames of pandas and polars as one polars frame; pandas is recognised, never imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from selftaught.datasets.reading import one_line, reading
from selftaught.datasets.text_tables import check_names
from selftaught.errors import DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["is_frame", "to_polars"]


def is_frame(source: object) -> bool:
    """Tell whether a source is a pandas or polars frame.

    >>> is_frame([1, 2])
    False
    """
    libraries = {base.__module__.partition(".")[0] for base in type(source).__mro__}
    return bool(libraries & {"pandas", "polars"}) and hasattr(type(source), "columns")


def to_polars(frame: Any) -> pl.DataFrame:
    """Return a pandas or polars frame (lazy ones collected) as a polars frame; a pandas index is left out.

    Raises:
        DataError: a column name occurs twice, a column holds mixed or unknown types, or no rows.
    """
    import polars as pl

    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        with reading("the frame", "polars frame"):
            table: pl.DataFrame = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    else:
        names = [str(name) for name in frame.columns]
        check_names(names, what="the frame")
        columns = [_column(name, frame.iloc[:, i]) for i, name in enumerate(names)]
        table = pl.DataFrame(columns)
    check_names(table.columns, what="the frame")
    if table.height == 0:
        raise DataError("the frame has no rows")
    return table


def _column(name: str, series: Any) -> pl.Series:
    """Return a pandas series as a polars one, without pyarrow."""
    import polars as pl

    kind = getattr(series.dtype, "kind", "O")
    missing = np.asarray(series.isna())
    if kind in "iufb" and not missing.any():
        return pl.Series(
            name, series.to_numpy(dtype=bool) if kind == "b" else series.to_numpy(dtype=_number_dtype(series))
        )
    if kind in "iuf":
        return pl.Series(name, series.to_numpy(dtype=np.float64, na_value=np.nan))
    if kind == "M":
        naive = series.dt.tz_convert(None) if getattr(series.dtype, "tz", None) is not None else series
        return pl.Series(name, naive.to_numpy(dtype="datetime64[us]"))
    values = [None if gone else value for value, gone in zip(series.tolist(), missing.tolist(), strict=True)]
    present = [value for value in values if value is not None]
    if all(isinstance(value, bool | np.bool_) for value in present):
        return pl.Series(name, [None if value is None else bool(value) for value in values], dtype=pl.Boolean)
    if all(isinstance(value, str) for value in present):
        return pl.Series(name, values, dtype=pl.String)
    if all(isinstance(value, int | float | np.number) for value in present):
        with reading(f"column {name!r} of the frame", "column of numbers"):
            return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    kinds = sorted({type(value).__name__ for value in present})
    raise DataError(
        f"column {one_line(name, limit=60)!r} must hold numbers, text or booleans of one kind, but holds "
        f"{', '.join(kinds[:4])}; "
        "convert it or leave it out with drop (--drop)"
    )


def _number_dtype(series: Any) -> Any:
    return {"i": np.int64, "u": np.uint64, "f": np.float64}[series.dtype.kind]
