"""Map-style data sets, recognised by their methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from selftaught.datasets import load
from selftaught.errors import DataError


class Pairs:
    """A data set of the kind torch calls map style."""

    def __init__(self, items: list[Any], classes: list[str] | None = None) -> None:
        self.items = items
        if classes is not None:
            self.classes = classes

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Any:
        return self.items[row]


class Tensor:
    """What NumPy sees of a tensor."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.values


def test_pairs_become_examples() -> None:
    images = np.arange(12 * 4, dtype=np.uint8).reshape(12, 2, 2)
    items = [(Tensor(image), Tensor(row % 2)) for row, image in enumerate(images)]
    examples = load(Pairs(items, classes=["cat", "dog"]))
    assert examples.inputs.dtype == np.uint8
    assert examples.inputs.tolist() == images.tolist()
    assert examples.class_names == ("cat", "dog")
    assert examples.labels is not None
    assert examples.labels.tolist() == [0, 1] * 6
    assert examples.ids.tolist() == load((images, np.arange(12) % 2)).ids.tolist()


def test_numbers_text_labels_and_targets_are_taken() -> None:
    assert load(Pairs([(float(i), "ab"[i % 2]) for i in range(4)])).class_names == ("a", "b")
    assert load(Pairs([([1.0, i], i / 3) for i in range(4)])).num_classes == 0
    labels = [(np.ones(2, np.float64), np.array([i % 2])) for i in range(20)]
    assert load(Pairs(labels)).class_names == ("0", "1")
    assert load(Pairs(labels), task="regression").num_classes == 0


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([], "no rows"),
        ([1, 2], "item 0 of Pairs must be a pair"),
        ([(1, 0), (1, 0, 0)], "item 1 of Pairs must be a pair"),
        ([([1, 2], 0), ([1], 1)], r"item 0 has \(2,\) and item 1 has \(1,\)"),
        ([("text", 0)], "must have numbers"),
        ([([1], [0, 1])], "one label"),
        ([([1], 0), ([np.nan], 1)], r"inputs\[1, 0\] is nan"),
        ([([[1], [2, 3]], 0)], "item 0 of Pairs is not a readable"),
    ],
)
def test_items_that_do_not_fit_are_named(items: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(Pairs(items))


def test_an_item_that_fails_is_named_in_one_line() -> None:
    class Failing(Pairs):
        def __getitem__(self, row: int) -> Any:
            if row == 2:
                raise RuntimeError("worker\ndied")
            return super().__getitem__(row)

    with pytest.raises(DataError, match=r"item 2 of Failing is not a readable .* pair: worker died"):
        load(Failing([([1.0], 0)] * 4))
