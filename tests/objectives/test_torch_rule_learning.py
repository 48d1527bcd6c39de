"""Learning how to split compute, on scores whose best rule is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from selftaught.errors import InputError
from selftaught.objectives import learn_rule, rule_points, search_task
from selftaught.objectives.rule_learning import SINGLE, NetworkScorer
from selftaught.spaces import PerceptronNetwork, Rule, Stack, Stage, network_of, rule_grid
from selftaught.spaces.chain import chain_with_skips

pytest.importorskip("torch")

BASE = Stack(
    (Stage(4, 3, 1, 3, 32), Stage(4, 3, 2, 3, 64)), stem=32, head=128, stem_stride=1, resolution=64, outputs=10
)
COARSE = rule_grid(step=0.2)


class Known:
    """A score that is best where the factors are those of a rule; no training."""

    def __init__(self, best: Rule, noise: float = 0.0) -> None:
        self.best, self.noise = best, noise

    def __call__(self, network: Any, seed: int) -> float:
        depth = sum(stage.blocks for stage in network.stages) / 8
        width = network.stages[-1].channels / 64
        pixels = network.resolution / 64
        wanted = self.best.alpha, self.best.beta, self.best.gamma
        wrong = sum(abs(math.log(a / b)) for a, b in zip((depth, width, pixels), wanted, strict=True))
        return 90 - 10 * wrong + self.noise * math.sin(1000 * seed + 7919 * network.cost().macs)


def test_all_points_cost_the_same_within_the_tolerance() -> None:
    macs = 2 * BASE.cost().macs
    points, missed = rule_points(BASE, macs, rules=COARSE)
    assert len(points) + len(missed) == len({*COARSE, *SINGLE.values()})
    assert all(abs(point.macs / macs - 1) <= 0.05 for point in points)
    assert all(point.macs == point.network.cost().macs for point in points)
    assert len(points) > 5


def test_the_known_best_rule_is_found() -> None:
    found = learn_rule(BASE, Known(Rule(1.2, 1.2, 1.0)), rules=COARSE)
    assert found.best.rule == found.rule
    assert found.gain[1] > 0
    assert found.best.mean == max(point.mean for point in found.points)


def test_a_single_dimension_is_returned_where_no_split_beats_it() -> None:
    assert learn_rule(BASE, Known(SINGLE["width"]), rules=COARSE).rule == SINGLE["width"]
    noisy = learn_rule(BASE, Known(SINGLE["width"], noise=30.0), rules=COARSE)
    if noisy.best.rule not in SINGLE.values():
        assert noisy.gain[1] <= 0
        assert "does not beat the best single dimension" in noisy.remarks[0]
    assert noisy.rule in SINGLE.values()


def test_points_go_on_after_a_stop_and_any_searcher_may_choose_them(tmp_path: Path) -> None:
    seen: list[int] = []
    store = str(tmp_path / "rules.db")
    first = learn_rule(BASE, Known(Rule()), rules=COARSE, store=store)
    again = learn_rule(BASE, Known(Rule()), rules=COARSE, store=store, on_trial=lambda trial: seen.append(trial.number))
    assert seen == []
    assert again == first
    fewer = learn_rule(BASE, Known(Rule()), rules=COARSE, searcher="random", trials=5)
    assert 3 <= len(fewer.points) <= 5


def test_a_table_learns_depth_against_width() -> None:
    table = PerceptronNetwork((64, 64), features=64, outputs=10)
    found = learn_rule(table, lambda network, seed: len(network.widths) + 0.01 * seed)
    assert found.rule == SINGLE["depth"]
    assert all(point.rule.gamma == 1 for point in found.points)
    assert "depth and width only" in found.remarks[-1]


def test_wrong_use_is_one_line() -> None:
    with pytest.raises(InputError, match="three different seeds"):
        learn_rule(BASE, Known(Rule()), seeds=(1, 1, 2))
    candidate = chain_with_skips(1).decode("0000")
    chain: Any = network_of("chain", candidate, input_shape=(3, 8, 8), outputs=2)
    with pytest.raises(InputError, match="declare repeats and widths"):
        rule_points(chain, 1e9)


def test_a_network_is_scored_by_training_it() -> None:
    scorer = NetworkScorer(search_task("iris"), epochs=3)
    small = PerceptronNetwork((8,), features=4, outputs=3)
    assert scorer(small, 1) == scorer(small, 1)
    assert 0 <= scorer(small, 2) <= 100
