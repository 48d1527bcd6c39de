"""Chains of convolutions with skip connections, deeper as the search goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from selftaught.errors import InputError
from selftaught.spaces.choices import ChoiceSpace
from selftaught.spaces.parameter import Parameter

__all__ = ["chain_depth", "chain_with_skips"]

_SIZES = (1, 3, 5, 7)
_FILTERS = (24, 36, 48, 64)


def chain_with_skips(depth: int = 6, *, strides: Sequence[int] = (1,)) -> ChoiceSpace:
    """Return chains of `depth` convolutions ("Neural Architecture Search with Reinforcement Learning", 1611.01578).

    A layer chooses filter height and width of 1, 3, 5, 7, the number of filters of 24, 36, 48, 64, its stride, and for
    each earlier layer whether that one's output is concatenated to its input.

    Args:
        depth: layers.
        strides: choices of a layer's stride; (1, 2, 3) in the variant that predicts them.

    Raises:
        InputError: depth below 1.

    >>> chain_with_skips(2).size() == (4 * 4 * 4) ** 2 * 2
    True
    """
    if depth < 1:
        raise InputError(f"depth must be at least 1, got {depth}")
    return ChoiceSpace(f"chain of {depth}", tuple(_parameters(depth, tuple(strides))))


def _parameters(depth: int, strides: tuple[int, ...]) -> Iterator[Parameter]:
    for k in range(1, depth + 1):
        layer = f"layer {k}"
        yield Parameter(f"{layer} height", _SIZES, group=layer, ordered=True)
        yield Parameter(f"{layer} width", _SIZES, group=layer, ordered=True)
        yield Parameter(f"{layer} filters", _FILTERS, group=layer, ordered=True)
        yield Parameter(f"{layer} stride", strides, group=layer, ordered=True)
        for earlier in range(1, k):
            yield Parameter(f"{layer} skip from {earlier}", (False, True), group=layer)


def chain_depth(samples: int, *, first: int = 6, step: int = 2, every: int = 1600) -> int:
    """Return the depth of the chains after so many samples: 6 at first, and 2 more every 1,600 (1611.01578).

    >>> [chain_depth(samples) for samples in (0, 1599, 1600, 3200)]
    [6, 6, 8, 10]
    """
    return first + step * (samples // every)
