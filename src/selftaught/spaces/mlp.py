"""Multi-layer perceptrons for tables."""

from __future__ import annotations

from collections.abc import Sequence

from selftaught.errors import InputError
from selftaught.spaces.choices import ChoiceSpace
from selftaught.spaces.parameter import Parameter

__all__ = ["mlp"]


def mlp(
    max_depth: int = 4,
    *,
    widths: Sequence[int] = (16, 32, 64, 128, 256),
    dropout: Sequence[float] = (0.0, 0.1, 0.2, 0.4),
) -> ChoiceSpace:
    """Return multi-layer perceptrons of up to `max_depth` hidden layers, each with a width of its own.

    The width of a layer is active where the network is deep enough to have it. Activation, normalisation, dropout
    and whether layers of equal width add their input are chosen once for all layers.

    Args:
        max_depth: hidden layers at most.
        widths: choices of a layer's units.
        dropout: choices of the rate.

    Raises:
        InputError: max_depth below 1, or no choices.

    >>> mlp(1, widths=(8, 16), dropout=(0.0,)).size() == 2 * 4 * 3 * 2
    True
    """
    if max_depth < 1:
        raise InputError(f"max_depth must be at least 1, got {max_depth}")
    depths = tuple(range(1, max_depth + 1))
    layers = (
        Parameter(f"layer {k} width", tuple(widths), when={"depth": depths[k - 1 :]}, group="width", ordered=True)
        for k in depths
    )
    return ChoiceSpace(
        f"mlp of {max_depth}",
        (
            Parameter("depth", depths, ordered=True),
            *layers,
            Parameter("activation", ("relu", "gelu", "silu", "tanh")),
            Parameter("normalisation", ("none", "batch", "layer")),
            Parameter("dropout", tuple(dropout), ordered=True),
            Parameter("residual", (False, True)),
        ),
    )
