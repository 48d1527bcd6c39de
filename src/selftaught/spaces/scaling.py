"""Make a network larger until a budget is used, which is met by measuring what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from selftaught.errors import InputError
from selftaught.spaces.network import Network
from selftaught.spaces.rule import Rule

__all__ = ["Scaled", "scale", "scale_to"]

_LARGEST = 64.0  # phi; a cost that has not grown past the budget by then does not grow
_HALVINGS = 30
_FINEST = 1e-4  # of phi
_STEP_DOWN = 0.02


@dataclass(frozen=True)
class Scaled:
    """A scaled network and how it came about.

    Args:
        network: what came out.
        phi: the compound coefficient.
        rule: how compute was split.
        depth, width, resolution: the factors, before rounding; resolution is 1 where there is none.
        cost: measured, in the budget's unit.
        base: of the network that was scaled, likewise.
        budget: that was not to be passed.
        remarks: what is worth knowing, one sentence each.
    """

    network: Any
    phi: float
    rule: Rule
    depth: float
    width: float
    resolution: float
    cost: float
    base: float
    budget: float
    remarks: tuple[str, ...] = ()


def scale(network: Any, rule: Rule, phi: float) -> Any:
    """Return a network scaled by a rule; the resolution stays where the network has none.

    Raises:
        InputError: the network is no stack of stages.

    >>> from selftaught.spaces import efficientnet
    >>> scale(efficientnet("b0"), Rule(), 1.0).cost().macs
    992629472
    """
    method = getattr(network, "scaled", None)
    if method is None:
        raise InputError(
            f"a network of kind {getattr(network, 'kind', type(network).__name__)!r} is no stack of stages; declare "
            "repeats and widths by a method scaled(depth=, width=, resolution=), as selftaught.spaces.Stack has"
        )
    factors = rule.factors(phi)
    if not _has_resolution(network):
        del factors["resolution"]
    return method(**factors)


def scale_to(
    network: Network,
    budget: float,
    *,
    cost: Callable[[Any], float],
    rule: Rule | None = None,
    unit: str = "MACs",
    shrink: bool = False,
) -> Scaled:
    """Scale a network until its measured cost is as large as the budget allows.

    phi is bisected on the cost of the rounded network, not on the power that the rule promises, then measured again
    and stepped down, by twice as much each time, while it is above the budget.

    Args:
        network: what to scale.
        budget: largest cost.
        cost: network -> its cost, counted or measured on a device.
        rule: how to split compute; the published one by default.
        unit: of the cost, for messages.
        shrink: whether a budget below the network's own cost is meant: phi is negative then.

    Raises:
        InputError: the budget is below the network's cost and `shrink` is False, or cannot be met, or the network is no
            stack of stages.

    >>> from selftaught.spaces import efficientnet
    >>> found = scale_to(efficientnet("b0"), 1e9, cost=lambda stack: stack.cost().macs)
    >>> found.network.resolution, found.cost <= 1e9
    (259, True)
    """
    if not (math.isfinite(budget) and budget > 0):
        raise InputError(f"the budget must be above 0 {unit}, got {budget}")
    rule = rule or Rule()
    remarks: tuple[str, ...] = ()
    if not _has_resolution(network):
        remarks = ("a table has no resolution: depth and width are scaled, and gamma plays no part",)
        rule = replace(rule, gamma=1.0)
    seen: dict[str, float] = {}

    def at(phi: float) -> float:
        scaled = scale(network, rule, phi) if phi else network
        key = repr(scaled)
        if key not in seen:
            seen[key] = float(cost(scaled))
        return seen[key]

    base = at(0.0)
    if budget < base and not shrink:
        raise InputError(
            f"the budget of {budget:,.6g} {unit} is below the network's own {base:,.6g}; give more, or shrink it "
            "(shrink=True, --shrink)"
        )
    low, high = _bracket(at, budget, unit, down=budget < base)
    for _ in range(_HALVINGS):
        if repr(scale(network, rule, low)) == repr(scale(network, rule, high)) or high - low < _FINEST:
            break
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle) <= budget else (low, middle)
    chosen, measured = _fitting(network, rule, low, budget, cost)
    factors = rule.factors(chosen)
    if measured > budget:
        raise InputError(f"no scaled network stays within {budget:,.6g} {unit} when it is measured again; give more")
    found = scale(network, rule, chosen) if chosen else network
    return Scaled(found, chosen, rule, **factors, cost=measured, base=base, budget=budget, remarks=remarks)


def _bracket(at: Callable[[float], float], budget: float, unit: str, *, down: bool) -> tuple[float, float]:
    """Return (phi within the budget, phi above it)."""
    inside, outside = (-1.0, 0.0) if down else (0.0, 1.0)
    while down and at(inside) > budget:
        inside, outside = 2 * inside, inside
        if -inside > _LARGEST:
            raise InputError(
                f"the budget of {budget:,.6g} {unit} is below the smallest network's {at(-_LARGEST):,.6g}; give more"
            )
    while not down and at(outside) <= budget:
        inside, outside = outside, 2 * outside
        if outside > _LARGEST:
            raise InputError(f"the cost stays at {at(inside):,.6g} {unit} however far the network is scaled")
    return inside, outside


def _fitting(
    network: Any, rule: Rule, phi: float, budget: float, cost: Callable[[Any], float]
) -> tuple[float, float]:
    """Measure again, and step down, further each time, while a measured cost is above the budget."""
    step = _STEP_DOWN
    while (measured := float(cost(scale(network, rule, phi) if phi else network))) > budget:
        if phi == 0 or phi < -_LARGEST:
            break
        phi = max(0.0, phi - step) if phi > 0 else phi - step
        step *= 2  # a device that has turned much slower is soon within the budget again
    return phi, measured


def _has_resolution(network: Any) -> bool:
    return len(network.input_shape) > 1
