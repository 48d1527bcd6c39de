"""The whole of a search on a small table: what it leaves, how it goes on, what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selftaught.errors import InputError, ResumeError
from selftaught.objectives import (
    Advance,
    NetworkObjective,
    SearchSettings,
    load_model,
    named_network,
    repeat_trial,
    search_networks,
    search_task,
)
from selftaught.spaces import find_space
from selftaught.training import evaluate

pytest.importorskip("torch")

SMALL = SearchSettings("iris", "mlp", searcher="regularized-evolution", epochs=2, top=2, seeds=2, control=True)


class StopError(Exception):
    """What a Ctrl-C stands for."""


def result_of(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())


def test_a_search_leaves_the_winner_beside_its_controls(tmp_path: Path) -> None:
    told: list[Advance] = []
    found = search_networks(SMALL, trials=5, out=tmp_path, on_trial=told.append)
    stages = [advance.stage for advance in told]
    assert stages[:10] == ["search"] * 5 + ["control"] * 5
    assert set(stages[10:]) == {"retraining"}
    assert told[4].done == told[4].total == 5
    assert found.control is not None

    # The winner is the one with the best mean on validation, and its files say what it is worth.
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["study"] for line in lines] == ["found"] * 5 + ["control"] * 5
    again = [a.trial for a in told if a.stage == "retraining" and a.trial.candidate["entrant"].startswith("found")]
    means: dict[str, list[float]] = {}
    for trial in again:
        means.setdefault(trial.candidate["entrant"], []).append(trial.score.value)  # type: ignore[union-attr]
    assert found.winner.name == max(means, key=lambda name: float(np.mean(means[name])))
    model = load_model(tmp_path / "model.safetensors")
    task = search_task("iris")
    assert task.test is not None
    best = int(np.argmax(found.winner.valid))
    assert 100 * evaluate(model, task.test).score == found.winner.test[best]
    assert named_network(str(tmp_path)) == found.winner.network
    candidate = json.loads((tmp_path / "candidate.json").read_text())
    find_space(candidate["space"]).validate(candidate["candidate"])
    assert abs(found.hand_designed.cost.macs / found.winner.cost.macs - 1) < 0.2

    # Points between two networks are paired over test examples.
    mean, low, high = found.winner.difference(found.hand_designed)
    assert mean == pytest.approx(np.mean(found.winner.test) - np.mean(found.hand_designed.test))
    assert low <= mean <= high
    assert result_of(tmp_path)["better_than"]["hand-designed"]["points"] == pytest.approx(mean)

    # The same call again trains nothing and says the same.
    more: list[Advance] = []
    same = search_networks(SMALL, trials=5, out=tmp_path, on_trial=more.append)
    assert more == []
    assert same.result == found.result
    assert repeat_trial(SMALL, 3, out=tmp_path).value == found.study.trials[3].score.value  # type: ignore[union-attr]
    with pytest.raises(InputError, match="has no trial 9"):
        repeat_trial(SMALL, 9, out=tmp_path)
    with pytest.raises(ResumeError, match="epochs 2, not 3"):
        search_networks(replace(SMALL, epochs=3), trials=5, out=tmp_path)


def test_a_search_that_was_stopped_anywhere_ends_as_one_that_was_not(tmp_path: Path) -> None:
    settings = replace(SMALL, control=False, seed=4)
    whole = search_networks(settings, trials=4, out=tmp_path / "whole")
    for limit in (1, 2, 2, 1):
        seen: list[Advance] = []

        def stop(advance: Advance, seen: list[Advance] = seen, limit: int = limit) -> None:
            seen.append(advance)
            if len(seen) == limit:
                raise StopError

        with pytest.raises(StopError):
            search_networks(settings, trials=4, out=tmp_path / "pieces", on_trial=stop)
        assert not (tmp_path / "pieces" / "result.json").exists()
    pieces = search_networks(settings, trials=4, out=tmp_path / "pieces")
    told = dict(result_of(tmp_path / "pieces"))
    wanted = dict(result_of(tmp_path / "whole"))
    assert told.pop("summary").splitlines()[1:] == wanted.pop("summary").splitlines()[1:]  # all but the seconds
    assert told == wanted
    assert pieces.winner.test == whole.winner.test


def test_schedules_are_searched_for_one_network(tmp_path: Path) -> None:
    settings = SearchSettings("iris", "training", searcher="random", epochs=1, final_epochs=2, top=2, seeds=1)
    found = search_networks(settings, trials=3, out=tmp_path)
    assert found.winner.network.kind == found.hand_designed.network.kind == "mlp"
    assert found.winner.cost == found.hand_designed.cost


def test_what_is_found_small_is_used_large(tmp_path: Path) -> None:
    settings = SearchSettings(
        "digits", "cells", searcher="random", epochs=1, width=2, cells=1, examples=100, final_epochs=1, final_width=4,
        final_cells=2, top=1, seeds=1,
    )  # fmt: skip
    found = search_networks(settings, trials=1, out=tmp_path)
    network: Any = found.winner.network
    assert (network.width, network.cells) == (4, 2)
    small = NetworkObjective("nb201", search_task("digits"), width=2, cells=1)
    assert small.network_for(found.study.best.candidate).cell == network.cell  # type: ignore[attr-defined]


def test_wrong_settings_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'cells'"):
        SearchSettings("digits", "cels")
    with pytest.raises(InputError, match="top must be at least 1"):
        SearchSettings("digits", top=0)
    with pytest.raises(InputError, match="take the space mlp"):
        search_networks(SearchSettings("iris", "cells"), trials=2, out=tmp_path / "table")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        search_networks(SMALL, trials=1, out=tmp_path / "file" / "folder")
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(ResumeError, match="cannot be read"):
        search_networks(SMALL, trials=1, out=tmp_path)
