"""The run's folder: history without half lines or duplicates."""

from __future__ import annotations

from pathlib import Path

from selftaught.programs.baselines import linear_learner
from selftaught.programs.folder import RunFolder
from selftaught.programs.search import Event
from selftaught.programs.settings import resolve_settings


def event(island: int, number: int) -> Event:
    return Event(island, number, 10 * number, 0.1 * number, -1, 2, linear_learner(0.01 * (1 + number)))


def test_history_after_the_checkpoint_is_dropped(tmp_path: Path) -> None:
    """What a checkpoint does not know will be found again, and must not be there twice."""
    settings = resolve_settings("linear_regression", "", {"preset": "demo"})
    folder = RunFolder(settings, tmp_path / "run", resume=None)
    told = folder.append_history([event(k, n) for n in range(5) for k in (0, 1)], 1.5, "regression")
    folder.close()
    path = tmp_path / "run" / "history.jsonl"
    whole = path.read_bytes()
    with open(path, "ab") as stream:
        stream.write(b'{"programs": 50, "fitn')
    folder = RunFolder(settings, tmp_path / "run", resume=None)
    assert folder.read_history() == told
    assert path.read_bytes() == whole
    kept = folder.read_history({0: 5, 1: 2})
    assert [(i.island, i.programs) for i in kept] == [(0, 0), (1, 0), (0, 10), (1, 10), (0, 20), (0, 30), (0, 40)]
    assert len(path.read_bytes().splitlines()) == 7
    folder.append_history([event(1, 2)], 2.0, "regression")
    assert [i.programs for i in folder.read_history()][-1] == 20
    assert folder.read_history({}) == []
    folder.close()
