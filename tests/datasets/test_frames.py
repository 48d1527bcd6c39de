"""Frames of pandas give what the same frame of polars gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from selftaught.datasets import load
from selftaught.errors import DataError

COLUMNS = {
    "a": [1.5, 2.5, -1.0, 4.0],
    "b": [1, 2, 3, 4],
    "c": ["u", "v", "u", "v"],
    "d": [True, False, True, True],
    "y": [0.5, 1.0, 1.5, 2.0],
}


@pytest.mark.parametrize("backing", ["plain", "object", "nullable", "category", "late"])
def test_pandas_and_polars_agree(backing: str) -> None:
    frame = pd.DataFrame(COLUMNS, index=[7, 7, 8, 9])
    if backing == "object":
        frame = frame.astype(object)
    elif backing == "nullable":
        frame = frame.convert_dtypes()
    elif backing == "category":
        frame = frame.astype({"c": "category"})
    elif backing == "late":
        frame = frame.iloc[::-1].iloc[::-1]
    expected = load(pl.DataFrame(COLUMNS))
    for found in (load(frame), load(pl.DataFrame(COLUMNS).lazy())):
        assert found.feature_names == expected.feature_names == ("a", "b", "c=u", "c=v", "d")
        assert found.inputs.tolist() == expected.inputs.tolist()
        assert found.ids.tolist() == expected.ids.tolist()
        assert found.labels is not None
        assert found.labels.tolist() == COLUMNS["y"]


def test_missing_values_of_pandas_are_found() -> None:
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0], "c": ["u", None, "v"], "y": [0.5, 1.0, 2.0]})
    with pytest.raises(DataError, match="column 'a' has 1 missing value, in row 2"):
        load(frame)
    with pytest.raises(DataError, match="column 'c' has 1 missing value, in row 2"):
        load(frame, drop=["a"])
    assert load(frame, missing="impute").inputs.tolist() == [[1, 1, 0], [2, 1, 0], [3, 0, 1]]
    nullable = pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64"), "y": [0.5, 1.0, 2.0]})
    assert load(nullable, missing="impute").inputs[:, 0].tolist() == [1, 2, 3]


def test_times_of_pandas_become_seconds() -> None:
    times = pd.to_datetime(["1970-01-01 00:01", "1970-01-01 01:00"])
    for index in (times, times.tz_localize("UTC")):
        assert load(pd.DataFrame({"a": index, "y": [0.5, 1.0]})).inputs[:, 0].tolist() == [60, 3600]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame([[1, 2, 0.5]], columns=["a", "a", "y"]), "two columns named 'a'"),
        (pd.DataFrame({"a": [1, "x"], "y": [0.5, 1]}), "column 'a' must hold .* holds int, str"),
        (pd.DataFrame({"a": [[1], [2]], "y": [0.5, 1]}), "column 'a' must hold .* holds list"),
        (pd.DataFrame({"a": [1 + 2j, 2], "y": [0.5, 1]}), "column 'a' must hold .* holds complex"),
        (pd.DataFrame({"a": [], "y": []}), "no rows"),
        (pd.DataFrame(), "no columns"),
        (pl.DataFrame(), "no columns"),
        (pl.DataFrame({"a": [1], "y": [0.5]}).head(0), "no rows"),
    ],
)
def test_frames_that_do_not_fit(frame: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(frame)


def test_a_pair_of_a_frame_and_labels_is_a_table() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "target": [1.0, 2.0, 3.0, 4.0]})
    examples = load((frame, ["u", "v", "u", "v"]))
    assert examples.feature_names == ("a", "target")
    assert examples.class_names == ("u", "v")
    assert load((frame, pd.Series([0.5, 1, 1.5, 2], name="price"))).inputs.shape == (4, 2)
    with pytest.raises(DataError, match=r"X has 4 rows but y has shape \(3,\)"):
        load((frame, [0, 1, 0]))


def test_whole_column_numbers_are_names() -> None:
    examples = load(pd.DataFrame({0: [1.0, 2.0], 1: [0.5, 1.5]}), "1")
    assert examples.feature_names == ("0",)
