"""Update rules: equal to the optimisers they are named for, to their definition, alone in a file; and the search."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import selftaught
from selftaught.errors import InputError
from selftaught.layers import RuleJudge, image_task, rule_file, rule_optimiser, search_rule
from selftaught.seeds import rng_for
from selftaught.spaces import KNOWN_RULES, apply_rule, layer_space, rule_formula, rule_space
from selftaught.testing import check_space
from selftaught.training import LionOptimizer

SPACE = rule_space()


class Normalised(torch.optim.Optimizer):
    """The oracle of the normalised gradient."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for one in group["params"]:
                one -= group["lr"] * one.grad / (one.grad.norm() + 1e-8)


class Signs(Normalised):
    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for one in group["params"]:
                one -= group["lr"] * one.grad.sign()


REFERENCES: dict[str, Any] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "signsgd": lambda p: Signs(p, lr=0.01),
    "lion": lambda p: LionOptimizer(p, lr=0.01, betas=(0.9, 0.99)),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.99),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.01),
    "normalised-gradient": lambda p: Normalised(p, lr=0.01),
}


def test_every_known_rule_has_a_reference() -> None:
    assert set(REFERENCES) == set(KNOWN_RULES)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_known_rule_is_the_optimiser_it_is_named_for(name: str) -> None:
    """100 steps on two parameters of a network, float64."""
    starts = [torch.as_tensor(rng_for(0, "start", k).normal(size=(3, 4))) for k in range(2)]
    mine = [torch.nn.Parameter(start.clone()) for start in starts]
    theirs = [torch.nn.Parameter(start.clone()) for start in starts]
    rule, reference = rule_optimiser(KNOWN_RULES[name])(mine, lr=0.01), REFERENCES[name](theirs)
    x = torch.as_tensor(rng_for(0, "x").normal(size=(5, 3)))
    for step in range(100):
        for optimiser, (first, second) in ((rule, mine), (reference, theirs)):
            optimiser.zero_grad()
            (((x @ first).tanh() * (x @ second)).sum() * np.cos(step)).backward()
            optimiser.step()
        for one, other in zip(mine, theirs, strict=True):
            assert torch.allclose(one, other, rtol=1e-7, atol=1e-7), step


@pytest.mark.parametrize("seed", range(30))
def test_any_rule_is_its_definition(seed: int) -> None:
    """Five steps with random gradients, float64: the weight, also where a memory keeps the weight itself."""
    candidate = SPACE.sample(rng_for(seed, "rule"))
    if seed % 4 == 0:
        candidate |= {"next m": 1, "step": 2}  # m keeps the weight, the step is m
    graph = SPACE.graph(candidate)
    w = rng_for(seed, "w").normal(size=(2, 3))
    parameter = torch.nn.Parameter(torch.tensor(w))
    optimiser = rule_optimiser(candidate)([parameter], lr=0.1)
    memories = {"m": np.zeros((2, 3)), "v": np.zeros((2, 3))}
    for t in range(1, 6):
        g = rng_for(seed, "g", t).normal(size=(2, 3))
        parameter.grad = torch.as_tensor(g)
        optimiser.step()
        w, memories = apply_rule(graph, w, g, memories, lr=0.1, t=t)
        np.testing.assert_allclose(parameter.detach().numpy(), w, rtol=1e-6, atol=1e-9)


def test_the_space_keeps_the_contract() -> None:
    check_space(SPACE, samples=4)


def test_memories_that_nothing_reads_do_not_count() -> None:
    plain = SPACE.candidate({"s": ("sign", "g")}, {"step": "s", "next m": "m", "next v": "v"})
    other = SPACE.candidate({"s": ("sign", "g"), "n": ("norm", "w")}, {"step": "s", "next m": "n", "next v": "m"})
    read = SPACE.candidate({"s": ("sign", "m")}, {"step": "s", "next m": "v", "next v": "g"})
    assert SPACE.key(plain) == SPACE.key(other)
    assert rule_formula(other) == "w ← w - lr·(sign(g))"
    assert rule_formula(read) == "w ← w - lr·(sign(m))\nm ← v\nv ← g"
    assert 'memory["' not in rule_file(other)


def test_the_file_runs_alone(tmp_path: Path) -> None:
    (tmp_path / "rule.py").write_text(rule_file(KNOWN_RULES["adamw"], lr=0.25), encoding="utf-8")
    code = (
        "import sys, torch; sys.path.insert(0, '.'); import rule\n"
        "w = torch.nn.Parameter(torch.ones(2)); optimiser = rule.UpdateRule([w])\n"
        "w.sum().backward(); optimiser.step(); optimiser.load_state_dict(optimiser.state_dict()); optimiser.step()\n"
        "assert not any(name.startswith('selftaught') for name in sys.modules); print(*w.tolist())\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    weight = torch.nn.Parameter(torch.ones(2))
    reference = torch.optim.AdamW([weight], lr=0.25)
    for _ in range(2):
        weight.grad = torch.ones(2)
        reference.step()
    assert [float(word) for word in done.stdout.split()] == pytest.approx(weight.tolist(), rel=1e-5), done.stderr


# ---- the search


def test_a_search_finds_a_rule_that_trains(tmp_path: Path) -> None:
    """From the bare gradient; the trials are kept, and the best rule is no worse than where it began."""
    task = image_task(selftaught.load("digits"), num_train=300, num_valid=200)
    judge = RuleJudge(task, steps=15, rates=(1e-2, 1e-1), hidden=(8,))
    found = search_rule(judge, trials=6, start=("sgd",), population=4, folder=tmp_path)
    assert found.best_value >= found.trials[0].score.value  # type: ignore[union-attr]
    assert found.trials[1].parent == 0
    again = search_rule(judge, trials=6, start=("sgd",), population=4, folder=tmp_path)
    assert [SPACE.encode(t.candidate) for t in again.trials] == [SPACE.encode(t.candidate) for t in found.trials]
    signs = judge(KNOWN_RULES["signsgd"])
    assert signs.value == max(signs.metrics.values())
    assert signs.value > 0.3


def test_rules_that_cannot_learn_are_refused() -> None:
    judge = RuleJudge(image_task(selftaught.load("digits"), num_train=100, num_valid=50), steps=2, rates=(1.0,))
    constant = SPACE.candidate({"s": ("sign", "w")}, {"step": "s", "next m": "g", "next v": "v"})
    with pytest.raises(InputError, match="structure: the step does not depend on the gradient"):
        judge(constant)
    late = SPACE.candidate({"s": ("sign", "m")}, {"step": "s", "next m": "g", "next v": "v"})
    assert judge(late).value >= 0
    bad = SPACE.candidate({"z": ("negative", "g"), "n": ("add", "g", "z"), "s": ("divide", "g", "n")},
                          {"step": "s", "next m": "m", "next v": "v"})  # fmt: skip
    with pytest.raises(InputError, match="non-finite: training diverged at every learning rate"):
        judge(bad)


def test_wrong_use() -> None:
    task = image_task(selftaught.load("digits"), num_train=100, num_valid=50)
    with pytest.raises(InputError, match="start must be one of sgd"):
        search_rule(RuleJudge(task), start=("adams",))
    with pytest.raises(InputError, match="searcher must be one of evolution, random"):
        search_rule(RuleJudge(task), searcher="tpe")  # type: ignore[arg-type]
    with pytest.raises(InputError):
        rule_file(layer_space().sample(rng_for(0)))
