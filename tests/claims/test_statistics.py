"""Intervals and tests against closed forms and known values; rules at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selftaught.claims import Verdict, combine, fisher, gain, mean_interval, more_often, sign_flip, wilson
from selftaught.errors import InputError


@pytest.mark.parametrize(("k", "n"), [(0, 5), (4, 5), (5, 10), (30, 30)])
def test_wilsons_interval_is_the_closed_form(k: int, n: int) -> None:
    z = 1.959964
    centre = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    assert wilson(k, n) == pytest.approx((centre - half, centre + half), abs=1e-6)


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_fishers_p_is_the_sum_over_tables(n: int, o: int, data: st.DataObject) -> None:
    k, m = data.draw(st.integers(0, n)), data.draw(st.integers(0, o))
    ways = math.comb(n + o, k + m)
    most = min(n, k + m)
    expected = sum(math.comb(n, i) * math.comb(o, k + m - i) for i in range(k, most + 1)) / ways
    assert fisher(k, n, m, o) == pytest.approx(expected)


def test_the_bootstrap_interval_has_the_width_of_the_normal_one() -> None:
    values = [0.0, 1.0] * 50
    low, high = mean_interval(values)
    assert low < 0.5 < high
    assert high - low == pytest.approx(2 * 1.96 * 0.05, rel=0.15)
    assert mean_interval(values) == (low, high)
    assert mean_interval([0.25]) == (0.25, 0.25)
    with pytest.raises(InputError, match="at least one"):
        mean_interval([])


@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=7))
def test_the_sign_flip_test_counts_all_flips(values: list[float]) -> None:
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(values))).reshape(len(values), -1)
    means = (signs * np.array(values)[:, None]).mean(axis=0)
    assert sign_flip(values) == pytest.approx(float((means >= np.mean(values) - 1e-9).mean()))


def test_many_values_are_flipped_by_draws() -> None:
    assert sign_flip([0.5] * 20) < 0.001
    assert sign_flip([0.5, -0.5] * 10) > 0.4


T, F = True, False


@pytest.mark.parametrize(
    ("found", "control", "claimed", "status"),
    [
        ([T] * 4, [F] * 4, 1.0, "reproduced"),  # p = 1/70
        ([T] * 3, [F] * 3, 1.0, "inconclusive"),  # p = 1/20, not below
        ([F] * 4, [F] * 4, 1.0, "refuted"),  # at most 0.49 where 1 is claimed
        ([F] * 4, [F] * 4, 0.5, "inconclusive"),  # 0.49 is not below 0.25
        ([F] * 30, [F] * 30, 8 / 30, "refuted"),
        ([F] * 5, [T] * 5, 0.01, "refuted"),  # the control has it
        ([T, T, T, F], [T, F, F, F], 1.0, "inconclusive"),
        ([T] * 40, [F] * 2, 1.0, "inconclusive"),  # two runs are no control
        ([F] * 40, [F] * 2, 1.0, "inconclusive"),
        ([], [F] * 4, 1.0, "inconclusive"),
    ],
)
def test_counts_give_the_status_that_the_rule_says(
    found: list[bool], control: list[bool], claimed: float, status: str
) -> None:
    verdict = more_often("it works", found, control, claimed=claimed)
    assert verdict.status == status
    assert len(verdict.findings) == 1
    if found:
        assert f"{sum(found)} of {len(found)}" in verdict.findings[0]


@pytest.mark.parametrize(
    ("differences", "margin", "status"),
    [
        ([0.1, 0.2, 0.1, 0.2, 0.1], 0.0, "reproduced"),  # p = 1/32
        ([0.1, 0.2, 0.1, 0.2], 0.0, "inconclusive"),  # p = 1/16, though the bootstrap interval is above 0
        ([-0.1, -0.2, -0.1, -0.2, -0.1], 0.0, "refuted"),
        ([0.1, 0.2, 0.1, 0.2, 0.1], 0.15, "inconclusive"),
        ([0.1, 0.2, 0.1, 0.2, 0.1], 0.3, "refuted"),
        ([0.1, -0.2, 0.1, -0.2, 0.1], 0.0, "inconclusive"),
        ([0.0] * 6, 0.0, "inconclusive"),
        ([5.0, 5.0], 0.0, "inconclusive"),
        ([], 0.0, "inconclusive"),
    ],
)
def test_differences_give_the_status_that_the_rule_says(differences: list[float], margin: float, status: str) -> None:
    assert gain("it gains", differences, margin=margin).status == status


def test_a_gain_by_chance_alone_is_seldom_reproduced() -> None:
    rng = np.random.default_rng(0)
    found = [gain("noise", rng.standard_normal(6).tolist()).status for _ in range(200)]
    assert found.count("reproduced") <= 20  # 10 expected at most, at the 5 % level
    assert found.count("refuted") <= 20


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (["reproduced", "reproduced"], "reproduced"),
        (["reproduced", "inconclusive"], "inconclusive"),
        (["reproduced", "refuted"], "refuted"),
        (["inconclusive", "refuted"], "refuted"),
        ([], "inconclusive"),
    ],
)
def test_every_comparison_of_a_claim_must_hold(states: list[str], status: str) -> None:
    verdict = combine([Verdict(one, (one,)) for one in states])  # type: ignore[arg-type]
    assert verdict.status == status
    assert verdict.findings == tuple(states)
