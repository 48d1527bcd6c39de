"""Load anything into `Examples`: one function that finds the right reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from selftaught.datasets.arrays import examples_from_arrays, read_npz
from selftaught.datasets.bundled import NAMES, bundled
from selftaught.datasets.cifar import Split, cifar10
from selftaught.datasets.fashion import fashion_mnist
from selftaught.datasets.frames import is_frame, to_polars
from selftaught.datasets.hub import HUB_PREFIX, read_hub
from selftaught.datasets.images import image_folder
from selftaught.datasets.map_style import examples_from_map_style, is_map_style
from selftaught.datasets.parquet import read_parquet
from selftaught.datasets.reading import one_line, reading
from selftaught.datasets.tables import TableOptions, examples_from_frame
from selftaught.datasets.targets import TargetKind, check_kind
from selftaught.datasets.text_tables import read_text_table
from selftaught.errors import DataError, InputError, did_you_mean
from selftaught.examples import Examples

__all__ = ["load"]

_LOCAL_SETS = {"cifar10": cifar10, "fashion-mnist": fashion_mnist}
_SEPARATORS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}
_SUFFIXES = (*_SEPARATORS, ".parquet", ".npz")
_SPLITS = ("train", "test", "all")
_TABLE_ONLY = ("missing", "drop", "id_column", "group_columns")


@dataclass(frozen=True)
class _Options:
    """The options of `load`; a reader names those it knows, and the others must have their default."""

    target: str | None = None
    task: TargetKind | None = None
    missing: Literal["error", "impute"] = "error"
    drop: tuple[str, ...] = ()
    id_column: str | None = None
    group_columns: tuple[str, ...] = ()
    resize: tuple[int, int] | None = None
    split: str = "train"

    def allow(self, what: str, *known: str) -> None:
        """Check that only options that mean something for a source are given."""
        for option, default in vars(_Options()).items():
            if getattr(self, option) != default and option not in known:
                fits = f"it takes {', '.join(known)}" if known else "it takes no options"
                raise InputError(f"{option} does not apply to {what}; {fits}")

    def table(self) -> TableOptions:
        return TableOptions(self.target, self.task, self.missing, self.drop, self.id_column, self.group_columns)


def load(
    source: Any = "digits",
    target: str | None = None,
    *,
    task: TargetKind | None = None,
    missing: Literal["error", "impute"] = "error",
    drop: Sequence[str] = (),
    id_column: str | None = None,
    group_columns: Sequence[str] = (),
    resize: tuple[int, int] | None = None,
    split: Split = "train",
) -> Examples:
    """Load a data set from a name, a file, a folder, a frame, arrays or a torch `Dataset`.

    Args:
        source: one of
            a name: "digits", "iris", "wine", "breast_cancer", "diabetes"; "cifar10" or "fashion-mnist" from
            local files (environment variable SELFTAUGHT_DATA); "hub:owner/name" (extra [hub]);
            a file: .csv, .tsv (both also .gz), .parquet, .npz (inputs/labels, x/y or X/y);
            a folder with one sub-folder of images a class (Pillow, extra [data]);
            a pandas or polars frame; a pair (X, y) of arrays; a map-style data set of (input, label) pairs.
        target: the target column of a table, or the key of the labels in an .npz file. Without it the only column
            called target, label, class or y is taken.
        task: "classification" or "regression"; by default text, booleans and whole numbers of at most 20 different
            values (and at least 5 rows a value) are classes.
        missing: "error" names missing values (column, count, first row); "impute" fills them (median, most frequent).
        drop: columns of a table to leave out of the inputs.
        id_column: column of a table with the user's own ids.
        group_columns: columns of a table to keep as groups; they stay inputs unless dropped.
        resize: (height, width) for a folder of images.
        split: "train", "test" or "all", for "cifar10" and "fashion-mnist"; the split's name on the hub.

    Returns:
        Inputs (n, ...), uint8 or float32, labels and ids; rows in stored order. Rows of a table are counted
        from 1 in errors, without the header; indices into arrays from 0.

    Raises:
        DataError: the data cannot be read or do not fit.
        InputError: an option is unknown or does not apply to this source.
        MissingExtraError: an optional dependency is needed.

    >>> load("iris")
    Examples('iris', n=150, shape=(4,), 3 classes)
    """
    check_kind(task)
    if missing not in ("error", "impute"):
        raise InputError(f"missing must be 'error' or 'impute', got {missing!r}")
    for option, columns in (("drop", drop), ("group_columns", group_columns)):
        if isinstance(columns, str):
            raise InputError(f"{option} must be a list of column names, got the text {columns!r}; write [{columns!r}]")
    options = _Options(target, task, missing, tuple(drop), id_column, tuple(group_columns), resize, split)
    if isinstance(source, Examples):
        options.allow("examples already loaded")
        return source
    if isinstance(source, Path):
        return _load_path(source.expanduser(), options)
    if isinstance(source, str):
        return _load_text(source, options)
    if is_frame(source):
        options.allow("a frame", "target", "task", *_TABLE_ONLY)
        return examples_from_frame(to_polars(source), options.table(), name="frame")
    if isinstance(source, tuple) and len(source) == 2:
        return _load_pair(source[0], source[1], options)
    if is_map_style(source):
        options.allow("a map-style data set", "task")
        return examples_from_map_style(source, task=task)
    raise InputError(
        f"source must be a name, a path, a frame, a pair (X, y) or a data set of (input, label) pairs, "
        f"not {type(source).__name__}"
    )


def _load_text(source: str, options: _Options) -> Examples:
    if source in NAMES:
        options.allow(f"the bundled set {source!r}")
        return bundled(source)
    if source in _LOCAL_SETS:
        options.allow(f"{source!r}", "split")
        if options.split not in _SPLITS:
            raise InputError(f"split must be 'train', 'test' or 'all', got {options.split!r}")
        return _LOCAL_SETS[source](options.split)  # type: ignore[arg-type]
    if source.startswith(HUB_PREFIX):
        options.allow("a hub data set", "target", "task", "split", *_TABLE_ONLY)
        return read_hub(source, options.table(), split=options.split)
    if not source or "\0" in source:
        raise InputError(f"source must be a name or a path, got {source!r}")
    if "://" in source:
        raise InputError(f"{one_line(source)} is an address; download what it leads to, and give the file's path")
    path = Path(source)
    with reading(source, "path"):
        path = path.expanduser()
        known = path.exists() or bool(path.suffix) or "/" in source or "\\" in source
    if not known:
        names = (*NAMES, *_LOCAL_SETS)
        hint = did_you_mean(source, names) or f"; known names: {', '.join(names)}"
        raise DataError(f"there is no data set or file {one_line(source)!r}{hint}")
    return _load_path(path, options)


def _load_path(path: Path, options: _Options) -> Examples:
    if not str(path).isprintable():
        raise InputError(f"a path must be of printable characters, got {str(path)!r}")
    with reading(path, "path"):
        exists, is_folder = path.exists(), path.is_dir()
    if not exists:
        raise DataError(f"there is no file {one_line(path)}")
    if is_folder:
        options.allow("a folder of images", "resize")
        return image_folder(path, resize=options.resize)
    suffix = next((end for end in reversed(_SUFFIXES) if path.name.lower().endswith(end)), None)
    if suffix is None:
        raise DataError(f"{one_line(path)} has an unknown ending; readable are {', '.join(_SUFFIXES)}")
    if suffix == ".npz":
        options.allow("an .npz file", "target", "task")
        return read_npz(path, target=options.target, task=options.task)
    options.allow("a table", "target", "task", *_TABLE_ONLY)
    frame = read_parquet(path) if suffix == ".parquet" else read_text_table(path, separator=_SEPARATORS[suffix])
    if frame.height == 0:
        raise DataError(f"{one_line(path)} has no rows")
    return examples_from_frame(frame, options.table(), name=path.name[: -len(suffix)] or path.name)


def _load_pair(inputs: Any, labels: Any, options: _Options) -> Examples:
    if is_frame(inputs):
        options.allow("a pair of a frame and labels", "task", *_TABLE_ONLY)
        table = to_polars(inputs)
        name = str(getattr(labels, "name", None) or "target")
        if name in table.columns:
            name = next(f"{name}_{i}" for i in range(len(table.columns) + 1) if f"{name}_{i}" not in table.columns)
        values = _as_array(labels, "y")
        if values.ndim != 1 or len(values) != table.height:
            raise DataError(f"X has {table.height} rows but y has shape {values.shape}; both need one entry an example")
        import polars as pl

        with reading("y", "column of labels"):
            column = pl.Series(name, values.tolist())
        return examples_from_frame(table.with_columns(column), replace(options, target=name).table(), name="frame")
    options.allow("a pair (X, y)", "task")
    return examples_from_arrays(_as_array(inputs, "X"), _as_array(labels, "y"), name="arrays", task=options.task)


def _as_array(values: Any, what: str) -> np.ndarray[Any, Any]:
    with reading(what, "array"):
        return np.asarray(values)
