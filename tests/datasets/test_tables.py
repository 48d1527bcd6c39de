"""Tables become float32 columns; what cannot is named."""

from __future__ import annotations

import gzip
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from selftaught.datasets import load
from selftaught.errors import DataError, InputError

N = 30
FRAME = pl.DataFrame(
    {
        "key": [f"k{i}" for i in range(N)],
        "size": [float(i) for i in range(N)],
        "colour": [("red", "green", "blue")[i % 3] for i in range(N)],
        "old": [i % 4 == 0 for i in range(N)],
        "town": [f"t{i % 25:02d}" for i in range(N)],
        "kind": [("yes", "no")[i % 2] for i in range(N)],
    }
)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet"])
def test_every_form_of_one_table_gives_the_same_examples(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"things{ending}"
    if ending == ".parquet":
        FRAME.write_parquet(path)
    else:
        text = FRAME.write_csv(separator="\t" if ".tsv" in ending else ",").encode()
        path.write_bytes(gzip.compress(text) if ending.endswith(".gz") else text)
    read, direct = load(path, "kind", id_column="key"), load(FRAME, "kind", id_column="key")
    assert read.name == "things"
    assert read.inputs.tolist() == direct.inputs.tolist()
    assert read.labels is not None
    assert direct.labels is not None
    assert read.labels.tolist() == direct.labels.tolist() == [1, 0] * 15
    assert read.ids.tolist() == FRAME["key"].to_list()


def test_columns_are_encoded_by_their_kind() -> None:
    examples = load(FRAME, "kind", drop=["key"])
    assert examples.feature_names == ("size", "colour=blue", "colour=green", "colour=red", "old", "town")
    assert examples.class_names == ("no", "yes")
    assert examples.inputs.dtype == np.float32
    assert examples.inputs[4].tolist() == [4.0, 0.0, 1.0, 0.0, 1.0, 4.0]
    assert examples.inputs[29].tolist() == [29.0, 1.0, 0.0, 0.0, 0.0, 4.0]


@pytest.mark.parametrize(("levels", "width"), [(20, 20), (21, 1), (1000, 1)])
def test_the_number_of_levels_decides_the_encoding(levels: int, width: int) -> None:
    texts = [f"{i % levels:04d}" for i in range(2000)]
    inputs = load(pl.DataFrame({"a": texts, "y": [0, 1] * 1000}), "y").inputs
    assert inputs.shape == (2000, width)
    expected = np.arange(2000) % levels
    assert (inputs.argmax(1) if width > 1 else inputs[:, 0]).tolist() == expected.tolist()


def test_more_than_a_thousand_levels_are_an_error_that_says_how_to_drop_them() -> None:
    frame = pl.DataFrame({"a": [f"t{i}" for i in range(1001)], "b": range(1001), "y": [i % 2 for i in range(1001)]})
    with pytest.raises(DataError, match=r"column 'a' has 1001 different texts.*leave it out with drop \(--drop\)"):
        load(frame, "y")
    assert load(frame, "y", drop=["a"]).feature_names == ("b",)


def test_missing_values_are_imputed_on_request() -> None:
    frame = pl.DataFrame(
        {
            "a": [1.0, None, 3.0, float("nan"), 10.0],
            "b": [1, None, 2, 4, 5],
            "c": ["u", "v", None, "v", "u"],
            "d": [True, None, True, False, True],
            "y": [0.5, 1.5, 2.5, 3.5, 4.5],
        }
    )
    with pytest.raises(
        DataError, match="column 'a' has 2 missing values, the first in row 2; fill them in with missing='impute'"
    ):
        load(frame)
    examples = load(frame, missing="impute")
    assert examples.feature_names == ("a", "b", "c=u", "c=v", "d")
    assert examples.inputs[:, 0].tolist() == [1, 3, 3, 3, 10]
    assert examples.inputs[:, 1].tolist() == [1, 3, 2, 4, 5]
    assert examples.inputs[:, 2].tolist() == [1, 0, 1, 0, 1]  # of u and v, equally frequent, the first
    assert examples.inputs[:, 4].tolist() == [1, 1, 1, 0, 1]


def test_a_missing_target_is_never_imputed() -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0], "y": [0.5, None, 1.0]})
    with pytest.raises(DataError, match="column 'y' has 1 missing value, in row 2; a target is never imputed"):
        load(frame, missing="impute")


def test_a_column_without_any_value_cannot_be_imputed() -> None:
    frame = pl.DataFrame({"a": [None, None], "b": [1, 2], "y": [0.5, 1.0]}, schema_overrides={"a": pl.Float64})
    with pytest.raises(DataError, match="column 'a' has no value at all"):
        load(frame, missing="impute")


def test_a_missing_group_is_none_and_not_the_most_frequent() -> None:
    frame = pl.DataFrame(
        {"x": [1.0, 2.0, 3.0, 4.0], "sex": ["f", "f", None, "m"], "old": [True, None, True, False],
         "age": [30, 30, 50, None], "y": ["a", "b", "a", "b"]}
    )  # fmt: skip
    found = load(frame, "y", missing="impute", group_columns=["sex", "old", "age"])
    assert found.groups["sex"].tolist() == ["f", "f", "", "m"]
    assert found.groups["old"].tolist() == ["True", "", "True", "False"]
    assert found.groups["age"][:3].tolist() == [30.0, 30.0, 50.0]
    assert np.isnan(found.groups["age"][3])
    assert np.isfinite(found.inputs).all(), "as inputs they are filled in"
    with pytest.raises(DataError, match="column 'sex' has 1 missing value"):
        load(frame, "y", drop=["sex", "old", "age"], group_columns=["sex"])


def test_groups_are_kept_and_stay_inputs_unless_dropped() -> None:
    kept = load(FRAME, "kind", drop=["key"], group_columns=["colour", "old"])
    assert kept.groups["colour"].tolist() == FRAME["colour"].to_list()
    assert kept.groups["old"].tolist() == FRAME["old"].to_list()
    assert "old" in kept.feature_names
    dropped = load(FRAME, "kind", drop=["key", "old"], group_columns=["old"])
    assert "old" not in dropped.feature_names
    assert dropped.groups["old"].tolist() == FRAME["old"].to_list()


def test_dates_times_categories_and_decimals_become_numbers() -> None:
    frame = pl.DataFrame(
        {
            "day": [date(1970, 1, 2), date(1970, 1, 11)] * 10,
            "when": [datetime(1970, 1, 1, 0, 1), datetime(1970, 1, 1, 1, 0)] * 10,
            "level": pl.Series(["lo", "hi"] * 10, dtype=pl.Enum(["lo", "hi"])),
            "price": pl.Series(["1.25", "2.50"] * 10).cast(pl.Decimal(10, 2)),
            "y": [0.5, 1.5] * 10,
        }
    )
    examples = load(frame)
    assert examples.feature_names == ("day", "when", "level=hi", "level=lo", "price")
    assert examples.inputs[:2].tolist() == [[1, 60, 0, 1, 1.25], [10, 3600, 1, 0, 2.5]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"drop": ["colur"]}, "no column 'colur', named in drop; did you mean 'colour'"),
        ({"group_columns": ["zzz"]}, "named in group_columns; it has"),
        ({"id_column": "zzz"}, "named in id_column"),
        ({"id_column": "kind"}, "cannot be named in drop or id_column"),
        ({"drop": ["kind"]}, "cannot be named in drop or id_column"),
        ({"id_column": "colour"}, "'red' is in rows 1 and 4"),
        ({"drop": ["key", "size", "colour", "old", "town"]}, "no input columns"),
    ],
)
def test_options_that_do_not_fit_the_columns(options: dict[str, object], words: str) -> None:
    with pytest.raises(DataError) as caught:
        load(FRAME, "kind", **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"missing": "fill"}, "missing must be"),
        ({"task": "ranking"}, "task must be"),
        ({"drop": "key"}, r"write \['key'\]"),
        ({"resize": (2, 2)}, "resize does not apply to a frame"),
        ({"split": "test"}, "split does not apply to a frame"),
    ],
)
def test_options_that_do_not_exist_or_apply(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(FRAME, "kind", **options)


def test_ids_come_from_the_content_without_an_id_column() -> None:
    examples = load(FRAME, "kind", drop=["key"])
    halves = load(FRAME.tail(15), "kind", drop=["key", "town"]), load(FRAME, "kind", drop=["key", "town"])
    assert len(set(examples.ids.tolist())) == N
    assert halves[0].ids.tolist() == halves[1].ids[15:].tolist()
