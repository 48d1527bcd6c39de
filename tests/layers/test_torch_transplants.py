"""Transplants: the bilinear term against a loop, the rule against its formula, and what is trained."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import selftaught
from selftaught.errors import InputError
from selftaught.layers import BilinearTerm, image_task, transplanted
from selftaught.layers.transplants import TRANSPLANTS
from selftaught.seeds import rng_for
from selftaught.spaces import KNOWN_RULES

TASK = image_task(selftaught.load("digits"), num_train=300, num_valid=150)


def test_the_bilinear_term_is_a_sum_over_pairs() -> None:
    plain = nn.Linear(3, 2).double()
    term = BilinearTerm(plain, 3, 2).double()
    with torch.no_grad():
        term.matrices.copy_(torch.as_tensor(rng_for(0).normal(size=(2, 3, 3))))
    x = torch.as_tensor(rng_for(1).normal(size=(4, 3)))
    wanted = plain(x).clone()
    for n in range(4):
        for k in range(2):
            for i in range(3):
                for j in range(3):
                    wanted[n, k] = wanted[n, k] + x[n, i] * term.matrices[k, i, j] * x[n, j] / 3**0.5
    assert torch.allclose(term(x), wanted)


def test_the_rule_of_the_program_normalises_the_gradient() -> None:
    """The step of the exported program has the length of its rate, against the gradient; `fit` finds its rate."""
    weight = nn.Parameter(torch.zeros(2, 2))
    optimiser = TRANSPLANTS["normalised"][1](0.25)([weight])
    weight.grad = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    optimiser.step()
    assert torch.allclose(weight, -0.25 * weight.grad / 5)
    assert optimiser.param_groups[0]["lr"] == 0.25
    assert "normalised-gradient" in KNOWN_RULES


@pytest.mark.parametrize("what", TRANSPLANTS)
def test_each_learns(what: str) -> None:
    """Far above chance after 60 steps, the same again, and nothing at all where it diverges."""
    rate = 0.03 if what == "normalised" else 0.1
    found = transplanted(TASK, what, rate, steps=60)  # type: ignore[arg-type]
    assert found["test"] > 0.5
    assert found == transplanted(TASK, what, rate, steps=60)  # type: ignore[arg-type]


def test_divergence_is_a_zero_and_wrong_names_are_told() -> None:
    assert transplanted(TASK, "bilinear", 1e30, steps=5) == {"valid": 0.0, "test": 0.0}
    with pytest.raises(InputError, match="what must be one of plain, bilinear, normalised"):
        transplanted(TASK, "linear", 0.1, steps=1)  # type: ignore[arg-type]
