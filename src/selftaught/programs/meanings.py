"""What every operator computes, in NumPy, over all lanes at once: the definition of the language.

A lane is one task; it is the last axis of every array. Shapes: scalars (D,), vectors (F, D), matrices
(F, F, D). Everything is computed in the dtype of the memory, float32 or float64; only transcendental
functions go through float64 and are rounded once. The rules are those of the language: summation in
four partial sums, exclusive step, first operand on ties and nan, two-pass standard deviations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LARGEST_ANGLE",
    "Array",
    "Streams",
    "arccos",
    "arcsin",
    "arctan",
    "column_norms",
    "constant",
    "cos",
    "exp",
    "gaussian",
    "index_of",
    "log",
    "matrix_mean",
    "matrix_norm",
    "matrix_product",
    "matrix_std",
    "matrix_vector_product",
    "maximum",
    "minimum",
    "norm",
    "reciprocal",
    "row_means",
    "row_norms",
    "row_stds",
    "set_matrix_element",
    "set_vector_element",
    "sin",
    "step",
    "sum_in_four",
    "tan",
    "transpose",
    "uniform",
    "vector_dot",
    "vector_mean",
    "vector_outer",
    "vector_std",
    "vector_to_columns",
    "vector_to_rows",
]

Array = NDArray[Any]

LARGEST_ANGLE = 1e6  # sin, cos and tan take an angle of this size or more as 0


class Streams:
    """One xorshift32 stream a lane.

    Args:
        states: (D,) uint32, the first state of every lane; 0 is not allowed.
    """

    def __init__(self, states: Array) -> None:
        self.states: NDArray[np.uint32] = np.array(states, dtype=np.uint32)
        if self.states.ndim != 1 or not self.states.all():
            raise ValueError("stream states are one non-zero uint32 a lane, shape (D,)")

    def draw(self) -> NDArray[np.uint32]:
        """Step every stream once and return 24 random bits a lane, shape (D,)."""
        x = self.states
        x = x ^ (x << np.uint32(13))
        x = x ^ (x >> np.uint32(17))
        x = x ^ (x << np.uint32(5))
        self.states = x
        return x >> np.uint32(8)


# Elementwise


def _rounded_once(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Compute in float64 and round to the dtype that came in."""

    def rounded(a: Array) -> Array:
        return function(a.astype(np.float64)).astype(a.dtype)

    return rounded


def _angle(a: Array) -> Array:
    """Replace angles of size 1e6 and more by 0; infinities stay, so that they give nan."""
    return np.where((np.abs(a) >= LARGEST_ANGLE) & np.isfinite(a), 0.0, a)


sin = _rounded_once(lambda a: np.sin(_angle(a)))
cos = _rounded_once(lambda a: np.cos(_angle(a)))
tan = _rounded_once(lambda a: np.tan(_angle(a)))
arcsin = _rounded_once(np.arcsin)
arccos = _rounded_once(np.arccos)
arctan = _rounded_once(np.arctan)
exp = _rounded_once(np.exp)
log = _rounded_once(np.log)


def step(a: Array) -> Array:
    """Where a > 0 one, else zero: of 0 and nan it is 0."""
    positive: NDArray[np.bool_] = a > 0
    return positive.astype(a.dtype)


def reciprocal(a: Array) -> Array:
    """1 / a."""
    result: Array = np.divide(a.dtype.type(1), a)
    return result


def minimum(a: Array, b: Array) -> Array:
    """Take b where b < a, else a."""
    return np.where(b < a, b, a)


def maximum(a: Array, b: Array) -> Array:
    """Take b where b > a, else a."""
    return np.where(b > a, b, a)


# Sums


def sum_in_four(terms: Array) -> Array:
    """Sum over the first axis: term i to partial sum i mod 4, ascending; then (p0 + p1) + (p2 + p3)."""
    partial = np.zeros((4, *terms.shape[1:]), dtype=terms.dtype)
    for start in range(0, len(terms), 4):
        chunk = terms[start : start + 4]
        partial[: len(chunk)] += chunk
    result: Array = (partial[0] + partial[1]) + (partial[2] + partial[3])
    return result


def _sum_in_order(terms: Array) -> Array:
    """Sum over the first axis in one partial sum, ascending."""
    total = np.zeros(terms.shape[1:], dtype=terms.dtype)
    for term in terms:
        total += term
    return total


def _mean(a: Array) -> Array:
    """Mean over the first axis: the sum times the rounded 1 / n."""
    mean: Array = sum_in_four(a) * a.dtype.type(1 / len(a))
    return mean


def _std(a: Array) -> Array:
    """Population standard deviation over the first axis, in two passes."""
    difference = a - _mean(a)
    return np.sqrt(_mean(difference * difference))


def _norm(a: Array) -> Array:
    """Root of the sum of squares over the first axis, without rescaling."""
    return np.sqrt(sum_in_four(a * a))


def _flat(m: Array) -> Array:
    """(F, F, D) to (F * F, D), row-major."""
    return m.reshape(-1, m.shape[-1])


def _rows_last(m: Array) -> Array:
    """(i, j, D) to (j, i, D), so that a sum over the first axis runs along each row."""
    return m.swapaxes(0, 1)


norm, vector_mean, vector_std = _norm, _mean, _std


def matrix_norm(m: Array) -> Array:
    """Frobenius norm."""
    return _norm(_flat(m))


def matrix_mean(m: Array) -> Array:
    """Mean of all elements."""
    return _mean(_flat(m))


def matrix_std(m: Array) -> Array:
    """Population standard deviation of all elements."""
    return _std(_flat(m))


def row_norms(m: Array) -> Array:
    """o[i] = norm of row i."""
    return _norm(_rows_last(m))


def row_means(m: Array) -> Array:
    """o[i] = mean of row i."""
    return _mean(_rows_last(m))


def row_stds(m: Array) -> Array:
    """o[i] = population standard deviation of row i."""
    return _std(_rows_last(m))


def column_norms(m: Array) -> Array:
    """o[j] = norm of column j, one partial sum."""
    return np.sqrt(_sum_in_order(m * m))


def vector_dot(a: Array, b: Array) -> Array:
    """Sum of a[i] b[i]."""
    return sum_in_four(a * b)


def vector_outer(a: Array, b: Array) -> Array:
    """o[i][j] = a[i] b[j]."""
    return a[:, None] * b[None, :]


def vector_to_columns(a: Array) -> Array:
    """o[i][j] = a[i]: every column is a."""
    return a[:, None]


def vector_to_rows(a: Array) -> Array:
    """o[i][j] = a[j]: every row is a."""
    return a[None, :]


def transpose(m: Array) -> Array:
    """o[i][j] = m[j][i]."""
    return m.swapaxes(0, 1).copy()


def matrix_vector_product(m: Array, v: Array) -> Array:
    """o[i] = sum over j of m[i][j] v[j]."""
    return sum_in_four(_rows_last(m) * v[:, None])


def matrix_product(a: Array, b: Array) -> Array:
    """o[i][j] = sum over k of a[i][k] b[k][j], one partial sum."""
    return _sum_in_order(a.swapaxes(0, 1)[:, :, None] * b[:, None])


# Constants and random fills: from the old value of the output slot, the constants and the streams


def index_of(fraction: float, num_features: int) -> int:
    """Return the element a fraction in [0, 1) names: int(float32(F) * float32(f)), at most F - 1."""
    return min(int(np.float32(num_features) * np.float32(fraction)), num_features - 1)


def constant(old: Array, c: tuple[float, ...]) -> Array:
    """Fill with c0 in every lane."""
    return np.full_like(old, c[0])


def set_vector_element(old: Array, c: tuple[float, ...]) -> Array:
    """The old vector with element c0 set to c1."""
    new = old.copy()
    new[index_of(c[0], len(old))] = c[1]
    return new


def set_matrix_element(old: Array, c: tuple[float, ...]) -> Array:
    """The old matrix with element (c0, c1) set to c2."""
    new = old.copy()
    new[index_of(c[0], len(old)), index_of(c[1], len(old))] = c[2]
    return new


def uniform(old: Array, c: tuple[float, ...], streams: Streams) -> Array:
    """Fill with low + u (high - low), elements in row-major order, u = k 2^-24."""
    real = old.dtype.type
    low, high = real(c[0]), real(c[1])
    new = np.empty_like(old)
    for element in new.reshape(-1, old.shape[-1]):  # views: one row of lanes an element
        element[:] = low + streams.draw().astype(real) * real(2**-24) * (high - low)
    return new


def gaussian(old: Array, c: tuple[float, ...], streams: Streams) -> Array:
    """Fill with mean + std z by Box-Muller: even elements take the cosine of a pair, odd ones its sine."""
    real = old.dtype.type
    mean, std = real(c[0]), real(c[1])
    new = np.empty_like(old)
    elements = new.reshape(-1, old.shape[-1])
    for i in range(0, len(elements), 2):
        u1 = streams.draw().astype(real) * real(2**-24) + real(2**-25)
        u2 = streams.draw().astype(real) * real(2**-24)
        radius = np.sqrt(real(-2) * log(u1))
        angle = real(2 * np.pi) * u2
        elements[i] = mean + std * (radius * cos(angle))
        if i + 1 < len(elements):
            elements[i + 1] = mean + std * (radius * sin(angle))
    return new
