"""Checkpoints: whole or not there, and nothing in them is executed."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from selftaught.errors import ResumeError
from selftaught.programs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


def example() -> Checkpoint:
    islands = [{"rows": np.arange(6).reshape(2, 3) + k, "numbers": np.array([0.1, np.nan, np.inf])} for k in range(2)]
    return Checkpoint({"seed": 1}, islands, {"round": 3, "elapsed": 1.5})


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    assert load_checkpoint(path) is None
    save_checkpoint(path, example())
    loaded = load_checkpoint(path)
    assert loaded is not None
    assert loaded.settings == {"seed": 1}
    assert loaded.about == {"round": 3, "elapsed": 1.5}
    for mine, theirs in zip(example().islands, loaded.islands, strict=True):
        assert mine.keys() == theirs.keys()
        assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.npz"]


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_half_a_file_is_one_line(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, example())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ResumeError, match="--fresh") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_pickles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(pickle.dumps({"head": "x"}))
    with pytest.raises(ResumeError, match="cannot be read"):
        load_checkpoint(path)
    np.savez(path, head=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ResumeError, match="cannot be read"):
        load_checkpoint(path)
