"""Detectors of what a program predicts with: its model, its non-linearities, clipping and noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from selftaught.programs.explain.dataflow import Flow, Value
from selftaught.programs.explain.experiments import SMALL, Experiments
from selftaught.programs.explain.patterns import NONLINEAR, adds_up, places_of, products, update_places
from selftaught.programs.explain.techniques import Sighting
from selftaught.programs.explain.trained import Array

__all__ = [
    "bias",
    "bilinear_interaction",
    "clipping",
    "input_noise",
    "linear_model",
    "non_linearity",
    "two_layer_network",
]

SHARE = 0.005  # of the values seen, on either side: a kink or a bound that matters
_SIDED = ("step", "abs", "min", "max")  # operators with a kink, which may never be reached


def linear_model(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name a score that is linear in the features (plus a constant), with slopes that are learned."""
    shape = seen.shape
    if not (shape.additive and shape.slope_moves and flow.learned):
        return None
    if not any(seen.slope_depends_on(slot) for slot in sorted(flow.states(flow.score) & flow.learned)):
        return None
    simple = flow.score.name == "vector_dot" and any(i.source == "features" for i in flow.score.inputs)
    return Sighting(
        "both" if simple else "behaviour",
        places_of([v for v in flow.score.walk() if flow.reads(v, "features")]),
        "f(x + z) - f(x) - f(z) + f(0) is 0 on all probes, and training changed the slopes",
    )


def bias(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name a learned value, added on the way to the score, that does not depend on the features."""
    for total, added in _added(flow):
        for slot in sorted(flow.states(added) & flow.learned):
            response = None if _is_output(flow, slot) or not adds_up(flow, slot) else seen.response(slot)
            if response is None or not response.neutral or response.rate <= 0:
                continue
            change = max(seen.change_of_score(slot, 0.0), seen.change_of_score(slot, 2.0))
            if change > SMALL:
                alone = tuple(place for place in update_places(flow, slot) if _alone(flow, place))
                return Sighting(
                    "both" if seen.shape.offset_moves else "structure",
                    places_of([total] if total.source == "operation" else []) + alone,
                    f"{slot[0]}{slot[1]} is learned and added; without it the score moves by {change:.2g} spreads",
                )  # fmt: skip
    shape = seen.shape
    noisy = any(value.is_random for value in flow.score.walk())
    carried = any(_is_output(flow, s) or _written_by_predict(flow, s) for s in flow.states(flow.score))
    weights = flow.states(flow.score) & flow.learned
    learned = any(seen.slope_depends_on(slot) and adds_up(flow, slot) for slot in sorted(weights))
    if shape.additive and shape.offset_moves and learned and not (noisy or carried):
        return Sighting("behaviour", places_of(flow.score.walk()), "f(0) is not 0 and moved while it learned")
    return None


def _added(flow: Flow) -> Iterator[tuple[Value, Value]]:
    """Yield (sum, term without features) on the way to the score; a score without features is such a term itself."""
    if not flow.reads(flow.score, "features"):
        yield flow.score, flow.score
        return
    for value in flow.score.walk():
        if value.name.endswith(("_add", "_subtract")):
            for added, other in (value.inputs, value.inputs[::-1]):
                if flow.reads(other, "features") and not flow.reads(added, "features"):
                    yield value, added


def non_linearity(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name operators that bend on the way from the features to the score, where they do bend."""
    if not seen.shape.third:
        return None
    bent = [v for v in flow.score.walk() if v.name in NONLINEAR and _bends(v, flow, seen)]
    if not bent:
        return None
    words = ", ".join(sorted({v.name.partition("_")[2] for v in bent}))
    return Sighting(
        "both", places_of(bent), f"third differences of the score along lines are not 0; on the way to it: {words}"
    )


def two_layer_network(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name a matrix times the features, something that bends, then a product with something learned."""
    if not seen.shape.second:
        return None
    for layer, matrix, vector in products([v for v in flow.score.walk() if v.name == "matrix_vector_product"]):
        if matrix.kind != "m" or not flow.reads(vector, "features") or matrix.source == "zero":
            continue
        for kink in _above(flow, layer):
            if kink.name not in NONLINEAR or not _bends(kink, flow, seen):
                continue
            for out, hidden, weights in products(_above(flow, kink)):
                learned = flow.states(weights) & flow.learned and not flow.reads(weights, "features")
                if learned and kink in hidden.walk():
                    both = flow.states(matrix) & flow.learned
                    return Sighting(
                        "both", places_of([layer, kink, out]),
                        f"matrix, {kink.name.partition('_')[2]}, learned weights; "
                        f"{'both layers learn' if both else 'the first layer stays as drawn'}",
                    )  # fmt: skip
    return None


def bilinear_interaction(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name a product of two values that are both linear in the features."""
    if not seen.shape.second or not flow.learned:
        return None
    found = [
        value
        for value, a, b in products(flow.score.walk())
        if all(flow.reads(side, "features") and not _bent(side, flow) for side in (a, b))
    ]
    if not found:
        return None
    third = "not 0" if seen.shape.third else "0"
    return Sighting(
        "both", places_of(found), f"a product of two values linear in the features; third differences are {third}"
    )


def clipping(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name a minimum or maximum with a fixed bound other than 0 that is reached sometimes, but not always."""
    found, shares = [], []
    _, slots = flow.ever(flow.score)
    every = {id(v): v for root in (flow.score, *(flow.updates[s] for s in slots)) for v in root.walk()}
    for value in every.values():
        if not value.name.endswith(("_min", "_max")) or value.place is None or value.place[0] == "setup":
            continue
        for side, bound in ((0, value.inputs[1]), (1, value.inputs[0])):
            if not flow.is_constant(bound) or flow.is_constant(value.inputs[side]):
                continue
            values, bounds = (seen_at[side], seen_at[1 - side]) if (seen_at := _seen(value, seen)) else (None, None)
            if values is None or bounds is None or not np.any(bounds):
                continue
            reached = float(np.mean(values > bounds if value.name.endswith("_min") else values < bounds))
            if SHARE < reached < 1 - SHARE:
                found.append(value)
                shares.append(reached)
    if not found:
        return None
    return Sighting("both", places_of(found), f"the bound is reached in {max(shares):.0%} of the examples")


def input_noise(flow: Flow, seen: Experiments) -> Sighting | None:
    """Name random numbers drawn for every example that change what is predicted or learned."""
    _, slots = flow.ever(flow.score)
    drawn = {id(v): v for root in (flow.score, *(flow.updates[s] for s in slots)) for v in root.walk() if v.is_random}
    if not drawn or not seen.is_noisy():
        return None
    places = places_of(list(drawn.values()))
    where = " and ".join(sorted({place[0].capitalize() for place in places}))
    return Sighting("both", places, f"drawn for every example in {where}; other random streams change the outcome")


# ---- parts of the above


def _seen(value: Value, seen: Experiments) -> tuple[Array, ...] | None:
    """Return what an operation read over real examples, early and late in training."""
    return seen.operands.get(value.place) if value.place is not None else None


def _bends(value: Value, flow: Flow, seen: Experiments) -> bool:
    """Whether an operation of a value that reads the features is bent there, and is no clipping."""
    reading = [i for i in value.inputs if flow.reads(i, "features")]
    if not reading:
        return False
    word = value.name.partition("_")[2]
    if word == "divide" and not flow.reads(value.inputs[1], "features"):
        return False
    if word not in _SIDED:
        return True
    operands = _seen(value, seen)
    if operands is None:
        return False
    if word in ("min", "max"):
        bound = [i for i, one in enumerate(value.inputs) if flow.is_constant(one)]
        if bound and np.any(operands[bound[0]]):
            return False  # a fixed bound other than 0
        side = operands[0] > operands[1]
    else:
        side = operands[0] > 0
    return SHARE < float(np.mean(side)) < 1 - SHARE


def _bent(value: Value, flow: Flow) -> bool:
    return any(v.name in NONLINEAR and any(flow.reads(i, "features") for i in v.inputs) for v in value.walk())


def _above(flow: Flow, value: Value) -> list[Value]:
    """Return the values on the way from a value to the score, itself left out."""
    return [v for v in flow.score.walk() if v is not value and value in list(v.walk())]


def _is_output(flow: Flow, slot: tuple[str, int]) -> bool:
    return flow.updates[slot] is flow.score or flow.updates[slot] is flow.prediction


def _written_by_predict(flow: Flow, slot: tuple[str, int]) -> bool:
    place = flow.updates[slot].place
    return place is not None and place[0] == "predict"


def _alone(flow: Flow, place: tuple[str, int]) -> bool:
    """Whether an instruction serves one slot's update only."""
    value = flow.operations[place]
    return sum(value in list(update.walk()) for update in flow.updates.values()) == 1
