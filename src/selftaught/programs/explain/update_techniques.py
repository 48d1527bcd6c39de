"""Detectors of how a program learns: gradient steps and what is done to them and to the weights."""

from __future__ import annotations

from functools import partial
from operator import is_

import numpy as np

from selftaught.programs.explain.dataflow import Flow, Slot, Value
from selftaught.programs.explain.experiments import Experiments, Response
from selftaught.programs.explain.patterns import (
    PRODUCTS,
    adds_up,
    carries,
    divisions,
    learning_values,
    normed,
    places_of,
    products,
    update_places,
)
from selftaught.programs.explain.techniques import Sighting
from selftaught.programs.explain.trained import Array

__all__ = [
    "gradient_normalisation",
    "gradient_step",
    "learning_rate",
    "learning_rate_decay",
    "multiplicative_update",
    "weight_averaging",
    "weight_normalisation",
]

KEEPS = 0.995  # of a small change is still there one step later: a slot that adds up and does not forget


def gradient_step(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name an update along the negative gradient of the squared error that grows in proportion with the error."""
    steps = _steps(flow, seen)
    if not steps:
        return None
    response = steps[0][1]
    names = ", ".join(f"{kind}{number}" for (kind, number), _ in steps)
    return Sighting(
        "behaviour", tuple(dict.fromkeys(p for s, _ in steps for p in update_places(flow, s))),
        f"{names}: cosine with the negative gradient at least 0.99 in {response.aligned:.0%} of the probes, "
        f"twice the error gives {2**response.elasticity:.2f} times the step",
    )  # fmt: skip


def learning_rate(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name a factor of a gradient step that depends on neither features nor label."""
    for slot, response in _directions(flow, seen):
        factors = _factors(flow, slot)
        if factors and abs(response.rate - 1.0) > 0.02:
            return Sighting(
                "both", places_of([v for product, factor in factors for v in (product, *factor.walk())]),
                f"the step of {slot[0]}{slot[1]} is {response.rate:.3g} times error times gradient",
            )  # fmt: skip
    return None


def learning_rate_decay(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name a rate that falls over time and is changed by nothing but itself and constants."""
    averages = {average for average, _ in _averages(flow, seen)}
    for slot, _ in _directions(flow, seen):
        if slot in averages:
            continue
        changing = [(product, factor) for product, factor in _factors(flow, slot) if flow.states(factor)]
        if not changing:
            continue
        times, rates = [], []
        for step in seen.trained.memories:
            response = seen.response(slot, step) if step > 0 else None
            if response is not None and response.rate > 0:
                times.append(np.log(step))
                rates.append(np.log(response.rate))
        if len(times) < 4:
            continue
        slope, error = _fit(np.array(times), np.array(rates))
        if slope < -0.05 and slope + 2 * error < 0:
            places = [v for _, factor in changing for v in factor.walk()]
            places += [v for _, factor in changing for s in flow.states(factor) for v in flow.updates[s].walk()]
            return Sighting(
                "both", places_of(places),
                f"the rate falls from {np.exp(rates[0]):.3g} to {np.exp(rates[-1]):.3g} over {seen.trained.last} steps",
            )  # fmt: skip
    return None


def gradient_normalisation(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name a step along the gradient that is divided by a norm of it, or of the features."""
    for slot, response in _directions(flow, seen):
        if response.elasticity > 0.5 and response.growth > 0.5:
            continue
        for quotient, _, under in divisions(learning_values(flow, slot)):
            if any(
                (flow.reads(inner, "features") or flow.reads(inner, "label")) and not carries(inner, slot)
                for inner in normed(under)
            ):
                return Sighting(
                    "both", places_of([quotient, *(v for v in under.walk() if v.place and v.place[0] == "learn")]),
                    f"a norm divides the step of {slot[0]}{slot[1]}: twice the error gives "
                    f"{2**response.elasticity:.2f} times the step",
                )  # fmt: skip
    return None


def weight_normalisation(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name weights divided by their own norm, where they are used or where they are updated."""
    reached = flow.ever(flow.score)[1]
    for slot in sorted(reached & flow.learned):
        for quotient, over, under in divisions(flow.score.walk()):
            own = slot in flow.states(over) and any(carries(inner, slot) for inner in normed(under))
            if own and seen.change_of_score(slot, 2.0) < 1e-3 < seen.change_of_score(slot, -1.0):
                return Sighting(
                    "both", places_of([quotient, *_norms_in(under)]),
                    f"the score is the same with {slot[0]}{slot[1]} twice as long",
                )  # fmt: skip
        update = flow.updates[slot]
        for quotient, over, under in divisions(update.walk()):
            own = any(carries(inner, slot) for inner in normed(under))
            if own and carries(over, slot) and carries(update, slot, through=partial(is_, quotient)):
                growth = seen.scaled(slot)[1]
                if growth < 1.2:
                    return Sighting(
                        "both", places_of([quotient, *_norms_in(under)]),
                        f"{slot[0]}{slot[1]} twice as long is {growth:.2f} times as long after one step",
                    )  # fmt: skip
    return None


def weight_averaging(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name a slot that is predicted with and accumulates other weights, which follow the gradient themselves."""
    for average, weights in _averages(flow, seen):
        kept = seen.carried(average, average)
        return Sighting(
            "both", update_places(flow, average),
            f"{average[0]}{average[1]} accumulates {weights[0]}{weights[1]}, which learns; "
            f"it keeps {kept:.3g} of itself",
        )  # fmt: skip
    return None


def multiplicative_update(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name weights that are multiplied by something that depends on the label."""
    for slot in sorted(flow.states(flow.score) & flow.learned):
        factors = [
            value
            for value, weights, factor in products(flow.updates[slot].walk())
            if carries(weights, slot) and flow.reads(factor, "label")
            and carries(flow.updates[slot], slot, through=partial(is_, value))
        ]  # fmt: skip
        factors += [
            value
            for value, weights, under in divisions(flow.updates[slot].walk())
            if carries(weights, slot) and flow.reads(under, "label")
            and not any(carries(inner, slot) for inner in normed(under))
            and carries(flow.updates[slot], slot, through=partial(is_, value))
        ]  # fmt: skip
        if not factors:
            continue
        growth = seen.scaled(slot)[0]
        if growth > 1.8:
            return Sighting(
                "both", places_of(factors),
                f"{slot[0]}{slot[1]} is multiplied: twice the weights give {growth:.2f} times the change",
            )  # fmt: skip
    return None


# ---- parts of the above


def _directions(flow: Flow, seen: Experiments) -> list[tuple[Slot, Response]]:
    """Return the learned slots that go along the negative gradient, whatever the length of the step.

    Of weights that are divided by their own norm only the direction counts, so there the parts along the weights
    are left out.
    """
    found = []
    for slot in sorted(flow.learned):
        if not adds_up(flow, slot):
            continue
        response = seen.response(slot)
        if response is None or response.rate <= 0:
            continue
        if response.follows_gradient or (slot[0] != "s" and response.follows_across and _own_norm(flow, slot)):
            found.append((slot, response))
    return found


def _own_norm(flow: Flow, slot: Slot) -> bool:
    """Whether a slot is divided by its own norm somewhere."""
    values = [*flow.score.walk(), *flow.updates[slot].walk()]
    return any(carries(inner, slot) for _, _, under in divisions(values) for inner in normed(under))


def _steps(flow: Flow, seen: Experiments) -> list[tuple[Slot, Response]]:
    """Return those of `_directions` whose changes are proportional to the error."""
    return [(slot, response) for slot, response in _directions(flow, seen) if 0.9 < response.elasticity < 1.1]


def _factors(flow: Flow, slot: Slot) -> list[tuple[Value, Value]]:
    """Return (product, factor) of a slot's update, the factor the same for all examples, the rest not."""
    values = learning_values(flow, slot)
    found = [
        (product, factor)
        for product, rest, factor in products(values)
        if product.name in PRODUCTS and flow.is_constant(factor) and factor.source != "zero"
        and (flow.reads(rest, "label") or flow.reads(rest, "features"))
    ]  # fmt: skip
    found += [
        (quotient, under)
        for quotient, over, under in divisions(values)
        if quotient.name.endswith("_divide") and flow.is_constant(under) and flow.reads(over, "label")
    ]
    return found


def _averages(flow: Flow, seen: Experiments) -> list[tuple[Slot, Slot]]:
    """Return (average, weights): the first accumulates the second, is predicted with, and the second learns alone."""
    found = []
    for average in sorted(flow.states(flow.score) & flow.learned):
        if not carries(flow.updates[average], average):
            continue
        for weights in sorted(flow.learned - {average}):
            if weights[0] != average[0] or not carries(flow.updates[average], weights):
                continue
            alone = carries(flow.updates[weights], weights) and not carries(flow.updates[weights], average)
            if not alone or seen.carried(weights, weights) < KEEPS or abs(seen.carried(weights, average)) < 1e-6:
                continue
            found.append((average, weights))
    return found


def _norms_in(value: Value) -> list[Value]:
    norms = ("norm", "norms", "dot")
    return [v for v in value.walk() if v.place is not None and (v.name.endswith(norms) or v is value)]


def _fit(x: Array, y: Array) -> tuple[float, float]:
    """Return the least-squares slope and its standard error."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - slope * centred
    return slope, float(np.sqrt(rest @ rest / max(len(x) - 2, 1) / (centred @ centred)))
