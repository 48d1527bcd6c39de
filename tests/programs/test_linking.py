"""Functions compiled as one: what Python computes, each lowered once, and kept between processes."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from selftaught.programs.linking import engine_function

OPTIONS = {"nogil": True, "error_model": "numpy"}


def _double(x, times):
    total = x
    for _ in range(times):
        total = total + total
    return total


double = engine_function(_double, OPTIONS)


def _left(x):
    return double(x, 2) + 1.0


def _right(x, times):
    return double(x, times) / 0.0 if x == 0.0 else double(x, times)


left, right = engine_function(_left, OPTIONS), engine_function(_right, OPTIONS)


def _both(values, out):
    for i in range(values.shape[0]):
        out[i] = left(values[i]) * right(values[i], i)


both = engine_function(_both, OPTIONS)


def test_functions_that_share_a_function_compute_what_python_computes() -> None:
    values, out = np.array([1.5, -2.0, 3.25, 8.0]), np.zeros(4)
    both(values, out)
    assert out.tolist() == [(4.0 * x + 1.0) * x * 2**i for i, x in enumerate(values.tolist())]
    # What only compiled code calls has one version, for a literal as for any number, and no machine code of its own.
    assert len(double._part.overloads) == 1
    assert [len(function.overloads) for function in (double, left, right, both)] == [0, 0, 0, 1]


def test_a_function_that_others_call_can_be_called_from_python_too() -> None:
    assert double(3.0, 4) == 48.0
    assert double(3, 4) == 48
    assert np.isnan(right(0.0, 1))  # error_model numpy: 0 / 0 raises nothing


def test_a_mistake_is_told_with_its_line() -> None:
    import numba

    def wrong(x):
        return left(x, x)

    with pytest.raises(numba.TypingError, match=r"test_linking\.py"):
        engine_function(wrong, OPTIONS)(1.0)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        assert engine_function(lambda x: x + 1, OPTIONS)(2) == 3
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


MODULE = """
from selftaught.programs.linking import engine_function
def _part(x): return x * 3
part = engine_function(_part, {})
def _whole(x): return part(x) + 1
whole = engine_function(_whole, {})
whole.enable_caching()
print(whole(5), sum(whole.stats.cache_hits.values()), sum(whole.stats.cache_misses.values()), len(part._part.overloads))
"""


def test_another_process_loads_what_was_compiled(tmp_path: Path) -> None:
    path = tmp_path / "kept.py"
    path.write_text(MODULE, encoding="utf-8")
    said = [subprocess.check_output([sys.executable, str(path)], text=True).split() for _ in range(2)]
    assert said == [["16", "0", "1", "1"], ["16", "1", "0", "0"]]
