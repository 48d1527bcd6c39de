"""The film of a run: in order, complete, at the pace that was asked for."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selftaught.errors import InputError
from selftaught.report import Scene, playback, read_run, recording, recordings
from selftaught.report.progress_chart import best_so_far
from tests.report.made_run import write_run


def film(folder: Path, **pace: float) -> list[Scene]:
    return list(playback(read_run(folder), **pace))


def test_every_improvement_and_technique_is_shown_once_in_order(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    scenes = film(folder, seconds=10.0)
    assert [one.programs for scene in scenes for one in scene.new] == [1, 40, 90, 700]
    assert [one.name for scene in scenes for one in scene.named] == ["linear model", "gradient step"]
    assert scenes[0].at == 0.0
    assert scenes[-1].at == pytest.approx(10.0)
    assert scenes[-1].elapsed == 12.0
    assert scenes[-1].left == 0.0
    assert scenes[-1].programs == 2000
    for before, after in itertools.pairwise(scenes):
        assert before.at < after.at
        assert before.elapsed <= after.elapsed
        assert before.programs <= after.programs
    for scene in scenes:
        assert all(one.elapsed <= scene.elapsed for one in (*scene.new, *scene.named))
        if scene.new:
            assert scene.best == scene.new[-1]


def test_improvements_get_their_time(tmp_path: Path) -> None:
    """Three quarters go to the start and four improvements by their weights, and the clock of the run has the rest."""
    scenes = film(write_run(tmp_path / "run"), seconds=40.0)
    shown = [scene.at for scene in scenes for _ in scene.new]
    weights = [1, 1, 1 + 6 + 12 * 0.5**0.5, 1 + 6 + 12, 1 + 12 * 0.75**0.5]  # gains of 0.1, 0.2 and 0.15; two names
    seen = [sum(weights[: number + 1]) / sum(weights) for number in range(4)]
    wanted = [40 * (0.25 * elapsed / 12 + 0.75 * share) for elapsed, share in zip([1, 2, 4, 9], seen, strict=True)]
    assert shown == pytest.approx(wanted, abs=0.126)


def test_a_speed_plays_in_proportion(tmp_path: Path) -> None:
    scenes = film(write_run(tmp_path / "run"), speed=2.0)
    assert scenes[-1].at == pytest.approx(6.0)
    assert [scene.at for scene in scenes for _ in scene.new] == pytest.approx([0.5, 1.0, 2.0, 4.5], abs=0.126)
    assert all(scene.elapsed == pytest.approx(2 * scene.at) for scene in scenes)


@settings(deadline=None, max_examples=25)
@given(seconds=st.floats(0.01, 60.0), speed=st.none() | st.floats(0.5, 1e6))
@pytest.mark.parametrize("name", recordings())
def test_a_recording_plays_at_any_pace(name: str, seconds: float, speed: float | None) -> None:
    run = read_run(recording(name))
    scenes = list(playback(run, seconds=seconds, speed=speed))
    assert [one for scene in scenes for one in scene.new] == best_so_far(run.history)
    assert scenes[-1].at == pytest.approx(seconds if speed is None else run.elapsed / speed)
    assert scenes[-1].programs == run.programs


@pytest.mark.parametrize("pace", [{"seconds": 0.0}, {"seconds": -1.0}, {"seconds": float("nan")}, {"speed": 0.0},
                                  {"speed": float("inf")}, {"seconds": 1e9}])  # fmt: skip
def test_a_pace_out_of_range_is_one_line(tmp_path: Path, pace: dict[str, float]) -> None:
    with pytest.raises(InputError, match="is a number above 0"):
        film(write_run(tmp_path / "run"), **pace)


def test_without_history_there_is_nothing_to_play(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "history.jsonl").unlink()
    with pytest.raises(InputError, match="nothing to replay"):
        film(folder)
