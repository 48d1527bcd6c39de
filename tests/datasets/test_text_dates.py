"""Dates in a text table: ISO 8601 becomes days and seconds since 1970, everything else stays what it was."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selftaught import load


def column(folder: Path, texts: list[str], **options: str) -> np.ndarray:
    lines = [f"{text},{number % 2}\n" for number, text in enumerate(texts)]
    (folder / "a.csv").write_text("when,target\n" + "".join(lines), encoding="utf-8")
    examples = load(folder / "a.csv", **options)
    if examples.feature_names != ("when",):
        return np.array([])
    return examples.inputs[:, 0]


def test_dates_are_days_and_times_are_seconds(tmp_path: Path) -> None:
    assert column(tmp_path, ["1970-01-02", "1969-12-31", "2024-02-29", "1970-01-01"] * 10)[:4].tolist() == [
        1,
        -1,
        19782,
        0,
    ]
    times = ["1970-01-01T00:01", "1970-01-01 01:00:00", "1970-01-02T00:00:00Z", "1970-01-01T00:00:00.5"]
    assert column(tmp_path, times * 10)[:4].tolist() == [60, 3600, 86400, 0.5]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.dates(), min_size=4, max_size=40), st.booleans())
def test_any_date_is_its_number_of_days(
    tmp_path_factory: pytest.TempPathFactory, days: list[date], timed: bool
) -> None:
    texts = [f"{day.isoformat()}T06:30" if timed else day.isoformat() for day in days]
    found = column(tmp_path_factory.mktemp("dates"), texts)
    since = [(datetime(one.year, one.month, one.day) - datetime(1970, 1, 1)).days for one in days]
    wanted = [86400.0 * one + 23400 if timed else float(one) for one in since]
    assert found.tolist() == np.float32(wanted).tolist()


def test_missing_dates_are_imputed_with_the_median(tmp_path: Path) -> None:
    texts = ["1970-01-02", "", "1970-01-04", "1970-01-03", "NA"] * 4
    assert column(tmp_path, texts, missing="impute")[:5].tolist() == [1, 2, 3, 2, 2]


@pytest.mark.parametrize(
    "odd",
    ["2024-02-31", "31.03.2024", "2024-3-1", "2024-03-31T25:00", "20240331x", "yesterday", "2024-03-31T10:00+02:00"],
)
def test_one_value_that_is_no_such_date_leaves_the_column_text(tmp_path: Path, odd: str) -> None:
    assert column(tmp_path, ["2024-03-30", odd, "2024-03-30", odd] * 5).size == 0
