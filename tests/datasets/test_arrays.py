"""Arrays and .npz files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selftaught.datasets import load
from selftaught.errors import DataError, InputError

X = np.arange(60, dtype=np.float64).reshape(20, 3)
Y = np.arange(20) % 2


@pytest.mark.parametrize("keys", [("inputs", "labels"), ("x", "y"), ("X", "y")])
def test_the_usual_keys_are_found(tmp_path: Path, keys: tuple[str, str]) -> None:
    np.savez(tmp_path / "set.npz", **{keys[0]: X, keys[1]: Y})
    examples = load(tmp_path / "set.npz")
    assert (examples.name, examples.class_names) == ("set", ("0", "1"))
    assert examples.inputs.dtype == np.float32
    assert examples.inputs.tolist() == X.tolist()
    assert examples.labels is not None
    assert examples.labels.tolist() == Y.tolist()
    assert examples.ids.tolist() == load((X, Y)).ids.tolist()


def test_other_labels_are_taken_by_their_key(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x=X, y=Y, fine=np.arange(20) % 4)
    assert load(tmp_path / "set.npz", "fine").num_classes == 4
    with pytest.raises(DataError, match="no array 'fin'; did you mean 'fine'"):
        load(tmp_path / "set.npz", "fin")


def test_inputs_alone_are_unlabelled(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x=X)
    assert load(tmp_path / "set.npz").labels is None


def test_bytes_stay_bytes_and_the_users_arrays_are_not_shared() -> None:
    images = np.arange(20 * 16, dtype=np.uint16).astype(np.uint8).reshape(20, 4, 4)
    examples = load((images, Y))
    assert examples.inputs.dtype == np.uint8
    images[:] = 0
    assert examples.inputs.any()
    assert examples.feature_names == ()


def test_lists_and_text_labels_are_taken() -> None:
    examples = load(([[1, 2], [3, 4], [5, 6], [7, 8]], ["b", "a", "b", "a"]))
    assert examples.class_names == ("a", "b")
    assert examples.feature_names == ("x0", "x1")


@pytest.mark.parametrize("pair", [([[1, 2], [3]], [0, 1]), ([["a"]], [0]), (object(), object()), (None, None)])
def test_pairs_that_are_no_arrays_are_an_error(pair: tuple[object, object]) -> None:
    with pytest.raises(DataError):
        load(pair)


def test_sources_of_no_known_kind_are_an_error() -> None:
    for source in (3, None, [1, 2], {"x": X}, (X, Y, Y), X, b"digits"):
        with pytest.raises(InputError, match="source must be"):
            load(source)
    assert load(load("iris")).name == "iris"
