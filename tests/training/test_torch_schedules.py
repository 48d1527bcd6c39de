"""Learning rates over time, against torch's own schedulers and by hand."""

from __future__ import annotations

import pytest
import torch

from selftaught.training import Constant, Cosine, OneCycle


def rates(make: object, steps: int) -> list[float]:
    """The rates that a scheduler of torch gives, as factors of 0.5."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = make(optimiser)  # type: ignore[operator]
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"] / 0.5)
        optimiser.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("last", [0.0, 0.1])
def test_cosine_is_that_of_torch(last: float) -> None:
    wanted = rates(lambda one: torch.optim.lr_scheduler.CosineAnnealingLR(one, 17, eta_min=0.5 * last), 17)
    assert [Cosine(last=last).factor(step, 17) for step in range(17)] == pytest.approx(wanted, abs=1e-9)


def test_one_cycle_is_that_of_torch() -> None:
    wanted = rates(
        lambda one: torch.optim.lr_scheduler.OneCycleLR(one, 0.5, total_steps=40, cycle_momentum=False), 40
    )
    assert [OneCycle().factor(step, 40) for step in range(40)] == pytest.approx(wanted, abs=1e-6)


def test_warm_up_rises_in_a_line_and_then_the_rest_follows() -> None:
    found = [Cosine(warmup=0.2).factor(step, 10) for step in range(10)]
    assert found[:2] == [0.5, 1.0]
    assert found[2:] == pytest.approx([Cosine().factor(step, 8) for step in range(8)])
    assert [Constant(warmup=0.5).factor(step, 4) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("schedule", [Constant(warmup=0.1), Cosine(warmup=0.3), OneCycle(peak=0.01), OneCycle()])
@pytest.mark.parametrize("total", [1, 2, 3, 1000])
def test_factors_stay_between_nothing_and_all(schedule: Cosine, total: int) -> None:
    assert all(0 <= schedule.factor(step, total) <= 1 for step in range(total))
