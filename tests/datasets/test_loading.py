"""One function finds the right reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from selftaught.datasets import NAMES, load
from selftaught.errors import DataError, InputError, SelftaughtError


@pytest.mark.parametrize("name", NAMES)
def test_bundled_sets_equal_their_source(name: str) -> None:
    source = getattr(datasets, f"load_{name}")()
    examples = load(name)
    assert np.array_equal(examples.inputs.reshape(len(examples), -1), source.data.astype(np.float32))
    assert examples.labels is not None
    assert np.array_equal(examples.labels, source.target.astype(examples.labels.dtype))
    if name == "diabetes":
        assert examples.num_classes == 0
    else:
        assert list(examples.class_names) == [str(label) for label in source.target_names]
    assert name == "digits" or list(examples.feature_names) == [str(feature) for feature in source.feature_names]


def test_digits_are_the_default() -> None:
    examples = load()
    assert (examples.name, examples.inputs.shape, examples.inputs.dtype) == ("digits", (1797, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("digit", "did you mean 'digits'"),
        ("cifar-10", "did you mean 'cifar10'"),
        ("zzzzzz", "known names: digits"),
        ("none/at/all.csv", "there is no file"),
        ("none.xlsx", "there is no file"),
        ("x" * 5000 + ".csv", "is not a readable path"),
    ],
)
def test_sources_that_are_not_there(source: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        load(source)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("source", ["", "a\0b.csv", "line\nbreak.csv"])
def test_paths_that_cannot_be(source: str) -> None:
    with pytest.raises(InputError) as caught:
        load(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.xlsx", "a.txt", "a", "a.json", ".csvx", "a.gz"])
def test_unknown_endings_list_the_known_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=r"readable are \.csv"):
        load(tmp_path / name)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("digits", {"target": "x"}),
        ("digits", {"split": "test"}),
        ("iris", {"missing": "impute"}),
        ("cifar10", {"target": "x"}),
        ("hub:a/b", {"resize": (2, 2)}),
        ((np.ones((2, 2)), np.arange(2)), {"drop": ["a"]}),
    ],
)
def test_options_that_mean_nothing_for_a_source_are_an_error(source: object, options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="does not apply to"):
        load(source, **options)


def test_endings_are_read_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "DATA.CSV").write_text("a,y\n1,0.5\n2,1.5\n")
    assert load(str(tmp_path / "DATA.CSV")).name == "DATA"


def test_a_file_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "a.csv")
    with pytest.raises(SelftaughtError):
        load(tmp_path / "a.csv")


def test_the_import_is_light() -> None:
    heavy = "{'polars', 'pandas', 'sklearn', 'PIL', 'scipy'}"
    code = f"import sys, selftaught.datasets; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
