"""Hub data sets, with a stand-in for the optional library."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from selftaught.datasets import load
from selftaught.errors import DataError, InputError, MissingExtraError


class ClassLabel:
    names = ("cat", "dog")


class Image:
    pass


class Rows:
    def __init__(self, columns: dict[str, list[Any]], features: dict[str, Any]) -> None:
        self.columns, self.features = columns, features
        self.column_names = list(columns)

    def __getitem__(self, column: str) -> list[Any]:
        return self.columns[column]

    def to_pandas(self) -> pd.DataFrame:
        return pd.DataFrame(self.columns)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], Rows]:
    """Put sets by (name, split) here; the stand-in library serves them."""
    served: dict[tuple[str, str], Rows] = {}
    module = ModuleType("datasets")

    def load_dataset(name: str, split: str) -> Rows:
        if (name, split) not in served:
            raise FileNotFoundError(f"no {name}\nwith {split}")
        return served[name, split]

    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    return served


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"selftaught\[hub\]"):
        load("hub:someone/things")


def test_a_table_of_the_hub(hub: dict[tuple[str, str], Rows]) -> None:
    columns = {"size": [1.0, 2.0, 3.0, 4.0], "label": [0, 1, 1, 0]}
    hub["someone/things", "test"] = Rows(columns, {"size": object(), "label": ClassLabel()})
    examples = load("hub:someone/things", split="test")
    assert examples.class_names == ("cat", "dog")
    assert examples.feature_names == ("size",)
    assert examples.name == "someone/things"


def test_images_of_the_hub(hub: dict[tuple[str, str], Rows]) -> None:
    pictures = [np.full((2, 3, 3), i, np.uint8) for i in range(4)]
    hub["someone/pets", "train"] = Rows(
        {"img": pictures, "label": [0, 1, 1, 0]}, {"img": Image(), "label": ClassLabel()}
    )
    examples = load("hub:someone/pets")
    assert examples.inputs.shape == (4, 2, 3, 3)
    assert examples.class_names == ("cat", "dog")
    pictures[2] = np.zeros((5, 3, 3), np.uint8)
    with pytest.raises(DataError, match="one shape, but have 2"):
        load("hub:someone/pets")


def test_what_the_library_raises_becomes_one_line(hub: dict[tuple[str, str], Rows]) -> None:
    with pytest.raises(DataError, match="no someone/none with train"):
        load("hub:someone/none")
    for name in ("hub:", "hub:name", "hub:a/b/c", "hub:/b"):
        with pytest.raises(InputError, match="hub:owner/name"):
            load(name)
