"""The ledger: joined by id, one file a measure, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from selftaught.errors import DataError, InputError
from selftaught.ledger import Ledger


def test_values_follow_the_ids_and_not_the_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new")
    ledger.record("loss", ["a", "b", "c"], np.array([1.0, 2.0, 3.0]), model="m", epoch=1)
    ledger.record("loss", ["c", "a"], np.array([30.0, 10.0]), model="m", epoch=2)
    assert ledger.values("loss", ["c", "a"], epoch=1).tolist() == [3.0, 1.0]
    found = ledger.values("loss", ["b", "a", "a"], epoch=2)
    assert np.isnan(found[0])
    assert found[1:].tolist() == [10.0, 10.0]
    assert ledger.measures == ["loss"]
    assert ledger.read("loss").columns == ["id", "model", "epoch", "value"]


def test_the_same_axes_replace_and_others_add(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for value in (1.0, 2.0):
        ledger.record("loss", ["a", "b"], np.full(2, value), epoch=1)
    ledger.record("loss", ["a"], np.array([5.0]), epoch=2)
    assert sorted(ledger.read("loss").rows()) == [("a", 1, 2.0), ("a", 2, 5.0), ("b", 1, 2.0)]
    ledger.record("size", ["a", "b"], np.array([1, 2]))
    ledger.record("size", ["b", "c"], np.array([3, 4]))
    assert dict(ledger.read("size").rows()) == {"a": 1, "b": 3, "c": 4}


def test_axes_may_differ_from_row_to_row(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record("correct", ["a", "a"], np.array([False, True]), epoch=np.array([1, 2]), seed=0)
    assert ledger.values("correct", ["a"], epoch=2).tolist() == [1.0]
    assert ledger.read("correct")["value"].dtype == pl.Boolean
    with pytest.raises(InputError, match="several rows of correct; say which by epoch"):
        ledger.values("correct", ["a"], seed=0)


def test_anyone_can_read_the_file(tmp_path: Path) -> None:
    Ledger(tmp_path).record("loss", ["a"], np.array([0.5], np.float32), epoch=3)
    assert pl.read_parquet(tmp_path / "loss.parquet").rows() == [("a", 3, 0.5)]
    assert [path.name for path in tmp_path.iterdir()] == ["loss.parquet"], "nothing temporary is left"


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record("loss", ["a"], np.array([0.5]), epoch=3)
    with pytest.raises(InputError, match="did you mean 'loss'"):
        ledger.read("los")
    with pytest.raises(InputError, match="no axis 'epochs'; did you mean 'epoch'"):
        ledger.values("loss", ["a"], epochs=3)
    with pytest.raises(InputError, match="has the axes epoch"):
        ledger.record("loss", ["a"], np.array([0.5]), seed=3)
    with pytest.raises(InputError, match=r"values must have shape \(2,\)"):
        ledger.record("loss", ["a", "b"], np.array([0.5]), epoch=3)
    with pytest.raises(InputError, match=r"'\.\./x' cannot name"):
        ledger.record("../x", ["a"], np.array([0.5]))
    (tmp_path / "loss.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match="cannot be read as a measure"):
        ledger.read("loss")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Ledger(tmp_path / "file").record("loss", ["a"], np.array([0.5]))
