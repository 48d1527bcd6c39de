"""The search for layers: replay, duplicates, budgets in trained steps, and what a wrong folder says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import selftaught
from selftaught.errors import InputError, ResumeError
from selftaught.layers import Judgement, Judging, LayerStudy, image_task, search_layer
from selftaught.layers.judging import StoppedEarly
from selftaught.layers.layer_search import reason_of
from selftaught.spaces import PUBLISHED_LAYERS, layer_fingerprint, layer_space

SPACE = layer_space()
TASK = image_task(selftaught.load("digits"), num_train=200, num_valid=60)


class MakeBelieve:
    """Judges at once: two accuracies that pull apart, by the operations that reach the output; long layers fail."""

    calls = 0

    def __init__(self, task: Any, config: Judging, *, masks: Any = None) -> None:
        self.config = config

    def __call__(self, candidate: Any, *, stop: Any = None) -> Judgement:
        type(self).calls += 1
        if stop is not None and stop():
            raise StoppedEarly
        graph = SPACE.graph(candidate)
        kinds = [graph.nodes[value - 4].operation for value in graph.live if value >= 4]
        if len(kinds) > 6 or not graph.depends("output", "x"):
            return Judgement({}, 100, "quality", f"{len(kinds)} operations")
        left = sum(kind in ("sigmoid", "tanh", "multiply") for kind in kinds) / 6
        right = sum(kind.startswith("std") or kind == "divide" for kind in kinds) / 6
        return Judgement({"preactivation": left, "inverted": right}, 900)


class Rejecting(MakeBelieve):
    def __call__(self, candidate: Any, *, stop: Any = None) -> Judgement:
        return Judgement({}, 1, "quality", "never good enough")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selftaught.layers.layer_search.Judge", MakeBelieve)
    MakeBelieve.calls = 0


def told(study: LayerStudy) -> list[Any]:
    return [(t.number, SPACE.encode(t.candidate), t.parent, t.score, t.cost, t.error) for t in study.trials]


def test_a_search_in_pieces_is_the_same(tmp_path: Path) -> None:
    """Stopped after every few trials, one at work given up each time, as a kill does."""
    whole = search_layer(TASK, trials=40, population=8)
    pieces: LayerStudy | None = None
    for _ in range(60):
        seen: list[Any] = []
        pieces = search_layer(
            TASK, trials=40, population=8, folder=tmp_path, on_trial=seen.append, stop=lambda seen=seen: len(seen) >= 3
        )
        if pieces.finished:
            break
    assert pieces is not None
    assert pieces.finished
    assert told(pieces) == told(whole)
    again = search_layer(TASK, trials=40, population=8, folder=tmp_path, resume=True)
    assert told(again) == told(whole)


def test_seeds_and_searchers_differ() -> None:
    searches = [
        search_layer(TASK, trials=20, seed=0), search_layer(TASK, trials=20, seed=1),
        search_layer(TASK, trials=20, searcher="random"),
    ]  # fmt: skip
    assert len({str(told(one)) for one in searches}) == 3
    assert told(search_layer(TASK, trials=20)) == told(searches[0])
    assert {trial.parent for trial in searches[2].trials} == {None}


def test_what_computes_the_same_is_not_trained_again() -> None:
    twice = SPACE.candidate({"a": ("tanh", "x"), "y": ("add", "a", "a")})
    other = SPACE.candidate(
        {"a": ("tanh", "x"), "m": ("negative", "a"), "n": ("negative", "m"), "y": ("add", "n", "a")}
    )
    bad = SPACE.candidate({"y": ("tanh", "v0")})
    worse = SPACE.candidate({"m": ("negative", "v0"), "n": ("negative", "m"), "y": ("tanh", "n")})
    found = search_layer(TASK, trials=4, start=[twice, other, bad, worse])
    assert MakeBelieve.calls == 2
    first, second, third, fourth = found.trials
    assert first.score is not None
    assert second.score is not None
    assert second.score.metrics == {**first.score.metrics, "duplicate_of": 0.0}
    assert (second.cost, fourth.cost) == (0, 0)
    assert fourth.error == f"duplicate: of trial 2, {third.error}"
    assert (len(found.passed), found.rejected, found.duplicates) == (1, {"quality": 1}, 2)


def test_trained_steps_are_a_budget() -> None:
    """Rejected layers included, and what is at work is finished."""
    for searcher in ("evolution", "random"):
        found = search_layer(TASK, trials=10**6, steps=20_000, searcher=searcher)  # type: ignore[arg-type]
        assert found.finished
        assert found.steps == sum(trial.cost for trial in found.trials)
        assert 20_000 <= found.steps < 20_900


def test_evolution_is_better_than_random_search_at_equal_steps() -> None:
    """From nothing, on the made-up landscape, means over seeds."""
    ends: dict[str, list[float]] = {"evolution": [], "random": []}
    for seed in range(3):
        for searcher, values in ends.items():
            found = search_layer(
                TASK, trials=10**6, steps=60_000, searcher=searcher, start=(), population=12, seed=seed  # type: ignore[arg-type]
            )  # fmt: skip
            assert found.best.score is not None
            values.append(found.best.score.value)
    assert sum(ends["evolution"]) > 1.15 * sum(ends["random"])


def test_the_start_is_never_lost() -> None:
    """The report is elitist: what left the population by its age is still the best."""
    found = search_layer(TASK, trials=60, population=3, start=["evonorm-s0", "bn-relu"])
    assert [SPACE.key(trial.candidate) for trial in found.trials[:2]] == [
        SPACE.key(PUBLISHED_LAYERS[name]) for name in ("evonorm-s0", "bn-relu")
    ]
    assert found.best.score is not None
    assert found.trials[0].score is not None
    assert found.best.score.value >= found.trials[0].score.value
    assert found.trials[2].parent in (0, 1)
    values = [tuple(t.score.metrics[name] for name in ("preactivation", "inverted")) for t in found.passed if t.score]
    front = {t.number for t in found.front}
    brute = {
        t.number
        for t, mine in zip(found.passed, values, strict=True)
        if not any(other != mine and all(o >= m for o, m in zip(other, mine, strict=True)) for other in values)
    }
    assert front == brute


def test_a_population_that_never_comes_about_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selftaught.layers.layer_search.Judge", Rejecting)
    with pytest.raises(InputError, match=r"1000 layers were rejected and none passed: quality \d+, duplicate \d+"):
        search_layer(TASK, trials=2000, start=())
    found = search_layer(TASK, trials=3, start=())
    with pytest.raises(InputError, match="no layer passed: quality 3"):
        _ = found.best


def test_no_time_at_all_is_told() -> None:
    found = search_layer(TASK, trials=3, seconds=1e-9)
    assert found.trials == []
    with pytest.raises(InputError, match="before one layer was judged"):
        _ = found.best


def test_a_ledger_of_another_search_is_refused(tmp_path: Path) -> None:
    search_layer(TASK, trials=3, folder=tmp_path)
    for options, name in (
        ({"seed": 1}, "seed"),
        ({"judging": Judging(lr=0.2)}, "judging.lr"),
        ({"start": ()}, "start"),
    ):
        with pytest.raises(ResumeError, match=f"holds a search with {name} .* instead of .*start over"):
            search_layer(TASK, trials=3, folder=tmp_path, **options)
    assert len(search_layer(TASK, trials=3, folder=tmp_path, judging=Judging(threads=2)).trials) == 3
    fresh = search_layer(TASK, trials=2, folder=tmp_path, seed=1, resume=False)
    assert len(fresh.trials) == 2
    with pytest.raises(ResumeError, match="no search to go on with"):
        search_layer(TASK, trials=3, folder=tmp_path / "other", resume=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"trials": 0}, "trials must be"), ({"steps": 0}, "steps must be"), ({"seconds": 0.0}, "seconds must be"),
     ({"searcher": "tpe"}, "searcher must be one of evolution, random"),
     ({"start": ["bn-rely"]}, "did you mean 'bn-relu'"), ({"nodes": 5}, "'bn-relu' has 10 nodes")],
)  # fmt: skip
def test_wrong_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        search_layer(TASK, **options)


def test_reasons_and_fingerprints_are_what_the_ledger_counts() -> None:
    found = search_layer(TASK, trials=60)
    assert len(found.passed) + sum(found.rejected.values()) + found.duplicates == 60
    marks = [layer_fingerprint(SPACE.graph(trial.candidate)) for trial in found.passed]
    assert len(set(marks)) == len(marks)
    assert {reason_of(trial) for trial in found.trials if trial.error} <= {"quality", "duplicate"}
    assert "layers" in str(found)
