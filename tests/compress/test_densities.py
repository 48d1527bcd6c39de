"""Densities of layers and schedules, against numbers computed by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selftaught.compress.densities import cubic_density, erk_densities, kept_counts
from selftaught.errors import InputError

MLP = {"a": (300, 64), "b": (100, 300), "c": (10, 100)}


def test_erk_by_hand() -> None:
    # raw (300+64)/19200, 400/30000, 110/1000; sizes 19200, 30000, 1000; factor .1 * 50200 / (364 + 400 + 110)
    factor = 0.1 * 50200 / 874
    found = erk_densities(MLP, 0.1)
    assert found == pytest.approx({"a": factor * 364 / 19200, "b": factor * 400 / 30000, "c": factor * 0.11})


def test_erk_makes_layers_dense_that_would_pass_one_and_solves_again() -> None:
    # At .2 the factor is 11.49, and c would have 1.26: it is dense, and the others share .2 * 50200 - 1000 = 9040.
    factor = 9040 / 764
    expected = {"a": factor * 364 / 19200, "b": factor * 400 / 30000, "c": 1.0}
    assert erk_densities(MLP, 0.2) == pytest.approx(expected)


def test_erk_of_a_convolution_adds_its_kernel() -> None:
    found = erk_densities({"conv": (8, 4, 3, 3), "last": (10, 8)}, 0.3)
    factor = 0.3 * (288 + 80) / (18 + 18)
    assert found == pytest.approx({"conv": factor * 18 / 288, "last": factor * 18 / 80})


@given(
    st.lists(st.tuples(st.integers(2, 40), st.integers(2, 40)), min_size=1, max_size=5), st.floats(0.2, 1.0)
)
def test_erk_keeps_the_number_to_one_weight_and_no_layer_more_than_it_has(
    shapes: list[tuple[int, int]], density: float
) -> None:
    named = {str(place): shape for place, shape in enumerate(shapes)}
    total = sum(math.prod(shape) for shape in shapes)
    shares = erk_densities(named, density)
    assert sum(shares[name] * math.prod(shape) for name, shape in named.items()) == pytest.approx(density * total)
    counts = kept_counts(named, density, "erk")
    assert sum(counts.values()) == round(density * total)
    assert all(1 <= counts[name] <= math.prod(shape) for name, shape in named.items())


def test_a_layer_that_would_keep_nothing_is_named() -> None:
    with pytest.raises(InputError, match="less than one of the 10 weights of small"):
        kept_counts({"small": (2, 5), "large": (100, 100)}, 0.01)


@pytest.mark.parametrize("density", [0.0, -0.1, 1.1, math.nan])
def test_a_density_out_of_range_is_refused(density: float) -> None:
    with pytest.raises(InputError, match="density must be above 0 and at most 1"):
        kept_counts(MLP, density)


def test_the_cubic_schedule_by_hand() -> None:
    # s_i = 0, s_f = .9: s = .9 (1 - (1 - share)^3)
    at = {100: 0.0, 125: 0.9 * (1 - 0.421875), 150: 0.9 * 0.875, 175: 0.9 * 0.984375, 200: 0.9}
    for step, sparsity in {0: 0.0, **at, 900: 0.9}.items():
        found = cubic_density(step, begin=100, every=25, cuts=4, first=1.0, last=0.1)
        assert found == pytest.approx(1 - sparsity)
