"""The rules that tell classes from a number to predict."""

from __future__ import annotations

import numpy as np
import pytest

from selftaught.datasets.targets import encode_target, find_target
from selftaught.errors import DataError


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (np.array(["b", "a", "b", "a"]), ("a", "b")),
        (np.array([True, False, True]), ("False", "True")),
        (np.array([10, 9, 2] * 5), ("2", "9", "10")),
        (np.array([1.0, 0.0] * 5), ("0", "1")),
        (np.array([-1, 1] * 5, dtype=np.int8), ("-1", "1")),
        (np.arange(20).repeat(5), tuple(str(i) for i in range(20))),
    ],
)
def test_text_booleans_and_few_whole_numbers_are_classes(values: np.ndarray, names: tuple[str, ...]) -> None:
    labels, found = encode_target(values, name="t")
    assert found == names
    assert labels.dtype == np.int64
    decoded = np.array(found)[labels]
    expected = values.astype(int).astype(str) if values.dtype.kind == "f" else values.astype(str)
    assert decoded.tolist() == expected.tolist()


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.5, 1.0] * 10),  # not whole
        np.arange(21).repeat(10),  # 21 different values
        np.array([0, 1] * 4 + [2]),  # 3 values in 9 rows: fewer than 5 rows a value
    ],
)
def test_other_numbers_are_a_regression_target(values: np.ndarray) -> None:
    labels, names = encode_target(values, name="t")
    assert names == ()
    assert labels.dtype == np.float32
    assert labels.tolist() == values.tolist()


def test_task_overrides_the_rule() -> None:
    values = np.array([0, 1] * 10)
    assert encode_target(values, name="t", task="regression")[1] == ()
    assert encode_target(values + 0.5, name="t", task="classification")[1] == ("0.5", "1.5")
    with pytest.raises(DataError, match="must hold numbers, but 't' holds text such as 'a'"):
        encode_target(np.array(["a", "b"]), name="t", task="regression")


def test_class_numbers_beyond_the_names_are_an_error() -> None:
    with pytest.raises(DataError, match=r"class numbers 0\.\.2, but there are 2 classes"):
        encode_target(np.array([0, 1, 2]), name="t", class_names=("a", "b"))


def test_the_usual_target_names_are_found() -> None:
    assert find_target(["a", "Class"], None, what="x") == "Class"
    assert find_target(["a", "target"], "a", what="x") == "a"
    with pytest.raises(DataError, match="no column 'prise'; did you mean 'price'"):
        find_target(["size", "price"], "prise", what="x")
    with pytest.raises(DataError, match="give target \\(--target\\), one of 'a', 'b'"):
        find_target(["a", "b"], None, what="x")
    with pytest.raises(DataError, match=r"no column 'zzz'; it has 'size', 'price'"):
        find_target(["size", "price"], "zzz", what="x")
