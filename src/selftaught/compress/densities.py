"""How many weights each layer keeps: the same share everywhere, or Erdős-Rényi-Kernel shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from selftaught.errors import InputError, require_one_of

__all__ = ["Distribution", "check_density", "cubic_density", "erk_densities", "kept_counts"]

Distribution = Literal["per_layer", "erk"]
Shapes = Mapping[str, Sequence[int]]


def check_density(density: float) -> None:
    """Check that a density is above 0 and at most 1.

    Raises:
        InputError: it is not.
    """
    if not 0 < density <= 1:
        raise InputError(f"density must be above 0 and at most 1 (the share of weights kept), got {density}")


def erk_densities(shapes: Shapes, density: float) -> dict[str, float]:
    """Return Erdős-Rényi-Kernel densities (Evci et al., RigL, arXiv 1911.11134, section 3).

    A layer's density is proportional to the sum of its weight's sides over their product: for a linear layer
    (n_in + n_out) / (n_in n_out); a convolution adds its kernel's sides to both. Layers that would pass 1 become dense,
    and the factor is solved again over the others, until none passes.

    Args:
        shapes: name -> shape of the weight.
        density: of all weights together.

    Raises:
        InputError: the density is out of its range.

    >>> found = erk_densities({"a": (10, 10), "b": (10, 40)}, 0.2)
    >>> round(found["a"], 4), round(found["b"], 4)
    (0.2857, 0.1786)
    """
    check_density(density)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    raw = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    dense: set[str] = set()
    while True:
        left = density * sum(sizes.values()) - sum(sizes[name] for name in dense)
        others = [name for name in shapes if name not in dense]
        if not others:
            return dict.fromkeys(shapes, 1.0)
        factor = left / sum(raw[name] * sizes[name] for name in others)
        passing = {name for name in others if factor * raw[name] > 1}
        if not passing:
            return {name: 1.0 if name in dense else factor * raw[name] for name in shapes}
        dense |= passing


def kept_counts(shapes: Shapes, density: float, distribution: Distribution = "per_layer") -> dict[str, int]:
    """Return how many weights each layer keeps.

    With "per_layer" each layer rounds for itself. With "erk" the parts left over go to the layers with the largest
    remainders, so that all layers together keep the wanted number to one weight.

    Args:
        shapes: name -> shape of the weight.
        density: above 0, at most 1.
        distribution: "per_layer" or "erk".

    Raises:
        InputError: an option is out of its range, or a layer would keep less than one weight.

    >>> kept_counts({"a": (10, 10), "b": (10, 40)}, 0.2, "erk")
    {'a': 29, 'b': 71}
    """
    check_density(density)
    require_one_of("distribution", distribution, ("per_layer", "erk"))
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    if distribution == "per_layer":
        wanted = {name: density * size for name, size in sizes.items()}
        counts = {name: round(number) for name, number in wanted.items()}
    else:
        wanted = {name: share * sizes[name] for name, share in erk_densities(shapes, density).items()}
        # Sums of fractions may come out a hair below a whole number.
        counts = {name: min(math.floor(number + 1e-9), sizes[name]) for name, number in wanted.items()}
        missing = round(density * sum(sizes.values())) - sum(counts.values())
        open_layers = [name for name in shapes if counts[name] < sizes[name]]
        for name in sorted(open_layers, key=lambda one: counts[one] - wanted[one])[:missing]:
            counts[name] += 1
    for name, count in counts.items():
        if count < 1:
            raise InputError(
                f"density {density:g} leaves less than one of the {sizes[name]} weights of {name}; "
                "take a higher density, or ignore this layer"
            )
    return counts


def cubic_density(step: int, *, begin: int, every: int, cuts: int, first: float, last: float) -> float:
    """Return the density of gradual pruning at a step (Zhu and Gupta, arXiv 1710.01878, equation 1).

    With sparsity s = 1 - density: s_t = s_f + (s_i - s_f) (1 - (t - t0) / (n dt))^3 for t from t0 to t0 + n dt.

    Args:
        step: t, steps done.
        begin: t0.
        every: dt, steps between cuts.
        cuts: n.
        first, last: densities before t0 and from t0 + n dt on.

    >>> round(cubic_density(50, begin=0, every=10, cuts=10, first=1.0, last=0.2), 6)
    0.3
    """
    share = min(max((step - begin) / (cuts * every), 0.0), 1.0)
    return last + (first - last) * (1 - share) ** 3
