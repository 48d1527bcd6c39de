"""Examples for a person to look at: the furthest moved first, as pictures or rows, with what the models said."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.exemplars import taxicab
from selftaught.audit.picture import png, shown_channels
from selftaught.audit.population import Population, join, modal_labels
from selftaught.errors import InputError
from selftaught.examples import Examples

__all__ = ["example_sheet"]

MOST_COLUMNS = 40
LEAST_SHOWN = 12  # letters of an id


def example_sheet(before: Population, after: Population, examples: Examples, *, top: int = 48) -> list[dict[str, Any]]:
    """Return the examples whose mean probabilities moved furthest, in JSON's own types; neither labels nor groups rank.

    Args:
        before, after: joined with each other and the examples by id.
        examples: their inputs, and labels where there are some.
        top: how many.

    Returns:
        For each: `id`, `short` (its beginning, of twelve letters or more, that no other id has), `rank` from 1,
        `taxicab`, `changed` (the modal label is another), `given` (its label, or None), `before` and `after` (the modal
        class and its mean probability over the models), and either `image`, a PNG in base64 of one or three channels,
        or `row`, the columns' values.

    Raises:
        InputError: no id is in common.
    """
    place = {str(one): k for k, one in enumerate(examples.ids)}
    joined = join(before, after)
    there = np.array([str(one) in place for one in joined.before.ids])
    if not there.any():
        raise InputError(f"no id of {before.name} is in {examples.name!r}; give the data that was predicted")
    old, new = joined.before.take(there), joined.after.take(there)
    moved = taxicab(old, new)
    names = examples.class_names or tuple(str(c) for c in range(old.probabilities.shape[2]))
    sides = [(modal_labels(one.probabilities)[0], one.probabilities.mean(axis=0)) for one in (old, new)]
    brightest = _brightest(examples)
    every = np.unique(np.concatenate([before.ids, after.ids, examples.ids]))
    found = []
    for rank, row in enumerate(np.argsort(-moved, kind="stable")[:top], start=1):
        own = place[str(old.ids[row])]
        name = str(old.ids[row])
        told: dict[str, Any] = {
            "id": name, "short": _short(name, every), "rank": rank, "taxicab": round(float(moved[row]), 4),
            "changed": bool(sides[0][0][row] != sides[1][0][row]),
            "given": None if examples.labels is None else names[int(examples.labels[own])],
        }  # fmt: skip
        for side, (modal, mean) in zip(("before", "after"), sides, strict=True):
            told[side] = {"class": names[modal[row]], "probability": round(float(mean[row, modal[row]]), 4)}
        values = examples.inputs[own]
        if values.ndim >= 2:
            told["image"] = base64.b64encode(png(shown_channels(values / brightest if brightest else values))).decode()
        else:
            columns = examples.feature_names or tuple(str(k) for k in range(len(values)))
            pairs = list(zip(columns, values.tolist(), strict=True))[:MOST_COLUMNS]
            told["row"] = [[name, round(float(value), 6)] for name, value in pairs]
        found.append(told)
    return found


def _short(one: str, every: NDArray[np.str_]) -> str:
    """Return the beginning of an id that tells it from its neighbours among the sorted ones; the id where none does."""
    place = int(np.searchsorted(every, one))
    beside = [str(every[k]) for k in (place - 1, place + 1) if 0 <= k < len(every)]
    lengths = range(LEAST_SHOWN, len(one))
    return next((one[:k] for k in lengths if not any(other.startswith(one[:k]) for other in beside)), one)


def _brightest(examples: Examples) -> float | None:
    """Return the largest value of images in whole numbers that leave most of a byte's range unused, such as 0 to 16."""
    inputs = examples.inputs
    if inputs.ndim < 3 or inputs.dtype != np.uint8:
        return None
    largest = float(inputs.max(initial=0))
    return largest if 0 < largest < 128 else None
