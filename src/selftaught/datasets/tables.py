"""A table as `Examples`: its target, its columns as float32, its missing values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.datasets.identity import content_ids, own_ids
from selftaught.datasets.reading import listed, one_line
from selftaught.datasets.targets import TargetKind, encode_target, find_target
from selftaught.errors import DataError, did_you_mean
from selftaught.examples import Examples

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MAX_LEVELS", "MAX_ONE_HOT", "TableOptions", "examples_from_frame"]

MAX_ONE_HOT = 20
MAX_LEVELS = 1000
_DATE = re.compile(r"\d{1,4}[./ -]\w{1,9}[./ -]\d{2,4}([ T].*)?")


@dataclass(frozen=True)
class TableOptions:
    """How to read a table.

    Args:
        target: name of the target column; None takes the only one called target, label, class or y.
        task: force "classification" or "regression".
        missing: "error" names a missing value, "impute" fills it (median, or the most frequent text).
        drop: columns to leave out of the inputs.
        id_column: column with the user's own ids, left out of the inputs.
        group_columns: columns kept as groups; they stay inputs unless named in `drop` too.
    """

    target: str | None = None
    task: TargetKind | None = None
    missing: Literal["error", "impute"] = "error"
    drop: Sequence[str] = ()
    id_column: str | None = None
    group_columns: Sequence[str] = ()


def examples_from_frame(
    frame: pl.DataFrame, options: TableOptions, *, name: str, class_names: tuple[str, ...] | None = None
) -> Examples:
    """Return a table as `Examples` with float32 inputs (n, columns).

    Booleans become 0 and 1, dates days and times seconds since 1970, text of at most 20 levels one 0/1
    column a level (`colour=red`), text of at most 1,000 levels the ordinal of the level in sorted order.

    Raises:
        DataError: an unknown column, a missing or infinite value, a column of too many levels or of an
            unknown type, no inputs left, or a target that cannot be learnt.
    """
    target = find_target(frame.columns, options.target, what=name)
    for option, columns in (("drop", options.drop), ("group_columns", options.group_columns)):
        for column in columns:
            _check_known(frame.columns, column, option, name)
    if options.id_column is not None:
        _check_known(frame.columns, options.id_column, "id_column", name)
    left_out = {*options.drop, options.id_column, target}
    if target in {*options.drop, options.id_column}:
        raise DataError(f"{name}: the target {target!r} cannot be named in drop or id_column too")
    inputs = [column for column in frame.columns if column not in left_out]
    if not inputs:
        raise DataError(f"{name} has no input columns beside the target {target!r}")
    _check_present(frame[target], name, "a target is never imputed: remove those rows")
    filled = {
        column: _filled(_plain(frame[column], name), options.missing, name)
        for column in inputs
    }
    encoded = [_encoded(filled[column], name) for column in inputs]
    matrix = np.concatenate([block for _, block in encoded], axis=1)
    labels, classes = encode_target(
        _values(_plain(frame[target], name)), name=target, task=options.task, class_names=class_names
    )
    if options.id_column is None:
        ids = content_ids(matrix)
    else:
        _check_present(frame[options.id_column], name, "every row needs its id")
        ids = own_ids(frame[options.id_column].to_list(), column=options.id_column)
    return Examples(
        inputs=matrix,
        labels=labels,
        ids=ids,
        groups={
            column: _grouped(_plain(frame[column], name), options.missing, name) for column in options.group_columns
        },
        class_names=classes,
        feature_names=tuple(label for names, _ in encoded for label in names),
        name=name,
    )


def _check_known(columns: list[str], column: str, option: str, name: str) -> None:
    if column not in columns:
        hint = did_you_mean(column, columns) or f"; it has {listed(columns)}"
        raise DataError(f"{name} has no column {column!r}, named in {option}{hint}")


def _plain(series: pl.Series, name: str) -> pl.Series:
    """Return a column as text, booleans or numbers."""
    import polars as pl

    dtype = series.dtype
    if dtype in (pl.Categorical, pl.Enum):
        return series.cast(pl.String)
    if dtype in (pl.Date, pl.Time):
        return series.to_physical().cast(pl.Float64)
    if dtype in (pl.Datetime, pl.Duration):
        unit = {"ms": 1e3, "us": 1e6, "ns": 1e9}[dtype.time_unit or "us"]  # type: ignore[attr-defined]
        return series.to_physical().cast(pl.Float64) / unit
    if dtype == pl.Decimal:
        return series.cast(pl.Float64)
    if dtype == pl.Null:
        return series.cast(pl.String)
    if dtype in (pl.String, pl.Boolean) or dtype.is_numeric():
        return series
    raise DataError(
        f"{name}: column {_short(series.name)} must hold numbers, text or booleans, not {one_line(dtype, limit=60)}; "
        f"leave it out with drop (--drop)"
    )


def _missing_mask(series: pl.Series) -> NDArray[np.bool_]:
    mask = series.is_null()
    if series.dtype.is_float():
        mask = mask | series.is_nan().fill_null(False)
    gone: NDArray[np.bool_] = mask.to_numpy()
    return gone


def _check_present(series: pl.Series, name: str, advice: str) -> None:
    gone = np.flatnonzero(_missing_mask(series))
    if len(gone):
        values = "1 missing value," if len(gone) == 1 else f"{len(gone)} missing values, the first"
        raise DataError(f"{name}: column {_short(series.name)} has {values} in row {gone[0] + 1}; {advice}")


def _filled(series: pl.Series, missing: str, name: str) -> pl.Series:
    if missing == "error":
        _check_present(
            series,
            name,
            "fill them in with missing='impute' (--missing impute), leave the column out with drop (--drop), "
            "or remove the rows",
        )
        return series
    gone = _missing_mask(series)
    if not gone.any():
        return series
    if gone.all():
        raise DataError(
            f"{name}: column {_short(series.name)} has no value at all, so nothing to impute; "
            "leave it out with drop (--drop)"
        )
    present = series.filter(~gone)
    # The most frequent value, the first in sorted order among equals; numbers take the median.
    common = present.median() if series.dtype.is_numeric() else present.mode().sort()[0]
    if series.dtype.is_float():
        series = series.fill_nan(None)
    elif series.dtype.is_numeric():
        import polars as pl

        series = series.cast(pl.Float64)
    return series.fill_null(common)


def _grouped(series: pl.Series, missing: str, name: str) -> NDArray[Any]:
    """Return the values of a group column; a missing one is "", or NaN among numbers: it stands for no group.

    To fill it in would put an example into the most frequent group.
    """
    import polars as pl

    gone = _missing_mask(series)
    if missing == "error" or not gone.any():
        return _values(_filled(series, missing, name))
    if series.dtype.is_numeric():
        return _values(series.cast(pl.Float64).fill_null(float("nan")))
    texts = series.cast(pl.String)
    return _values((texts.str.to_titlecase() if series.dtype == pl.Boolean else texts).fill_null(""))


def _encoded(series: pl.Series, name: str) -> tuple[list[str], NDArray[np.float32]]:
    """Return the names and the float32 values (n, names) of one input column."""
    import polars as pl

    if series.dtype == pl.String:
        return _encoded_text(_values(series), series.name, name)
    with np.errstate(over="ignore"):
        numbers = series.cast(pl.Float64).to_numpy().astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise DataError(
            f"{name}: column {_short(series.name)} is {series[int(bad[0])]} in row {bad[0] + 1}, but "
            "every value must be finite "
            "in float32; mend or rescale it"
        )
    return [series.name], numbers[:, None]


def _encoded_text(values: NDArray[Any], column: str, name: str) -> tuple[list[str], NDArray[np.float32]]:
    levels, codes = np.unique(values, return_inverse=True)
    if len(levels) > MAX_LEVELS:
        raise DataError(
            f"{name}: column {_short(column)} has {len(levels)} different texts (such as "
            f"{_short(str(levels[0]))}), more than "
            f"{MAX_LEVELS}; leave it out with drop (--drop), or name it as id_column (--id-column) if it tells rows "
            "apart" + _written_otherwise(levels)
        )
    if len(levels) > MAX_ONE_HOT:
        return [column], codes.astype(np.float32)[:, None]
    return [f"{column}={level}" for level in levels], (codes[:, None] == np.arange(len(levels))).astype(np.float32)


def _written_otherwise(levels: NDArray[Any]) -> str:
    """Return how a column might be written instead, where its texts look like dates or numbers."""
    if all(_DATE.fullmatch(str(level)) for level in levels):
        return "; dates are read when written as 2024-03-31 or 2024-03-31T18:05"
    return ", or make it numbers" if _almost_numbers(levels) else ""


def _almost_numbers(levels: NDArray[Any]) -> bool:
    return (
        sum(any(c.isdigit() for c in str(level)) and not any(c.isalpha() for c in str(level)) for level in levels)
        > len(levels) / 2
    )


def _values(series: pl.Series) -> NDArray[Any]:
    import polars as pl

    if series.dtype == pl.String:
        return np.array(series.to_list(), dtype=np.str_)
    values: NDArray[Any] = series.to_numpy()
    return values


def _short(text: str) -> str:
    return repr(one_line(text, limit=60))
