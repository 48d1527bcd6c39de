"""Which examples train, which are chosen by, and which are looked at once: by what the model was trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from selftaught.audit import seen_ids
from selftaught.datasets.set_apart import draw_rows, strata
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.plans.sources import Source
from selftaught.seeds import rng_for
from selftaught.training.training_run import training_parts

__all__ = ["Parts", "divide"]

LEAST_VALID = 10  # examples to choose by
LEAST_TEST = 30  # examples to look at
VALID_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Parts:
    """Three parts of the examples that have none in common.

    Args:
        train: for fine-tuning and for statistics.
        valid: for every choice.
        test: looked at once, at the end.
        told: a line about where they come from.
        warning: what a reader must know, or "".
    """

    train: Examples
    valid: Examples
    test: Examples
    told: str
    warning: str = ""


def divide(source: Source, examples: Examples, *, test: Examples | None = None, seed: int = 0) -> Parts:
    """Divide examples so that the model is chosen and judged by what it was not trained on, as far as is known.

    Where a ledger beside the model says what it was trained on, its own parts are used where they can be made again,
    and otherwise the other examples are divided for choices and for the test.

    Args:
        source: the model.
        examples: labelled.
        test: kept apart by the user; all of `examples` are for training and choices then.
        seed: of what is drawn.

    Raises:
        InputError: too few examples are left to choose by or to look at.
    """
    if test is not None:
        test = _read_alike(test, examples)
        known = np.isin(test.ids, examples.ids)
        if known.all():
            raise InputError("the test examples are all among the others; give a file that was kept apart")
        train, valid = _two(examples, VALID_SHARE, seed)
        kept = test.take(~known)
        told = "test examples from their own file"
        return _checked(Parts(train, valid, kept, told, f"{known.sum()} were in both" if known.any() else ""))
    seen = None if source.folder is None else seen_ids([source.folder])
    if seen is None or not len(seen):
        parts = training_parts(examples, seed)
        warning = (
            "what the model was trained on is not known: if it was on these examples, its figures before are too good; "
            "give --test a file that was kept apart"
        )
        return _checked(Parts(parts["train"], parts["valid"], parts["test"], "divided anew", warning))
    parts = training_parts(examples, int(source.result.get("split_seed", seed)))
    own = np.concatenate([parts["train"].ids, parts["valid"].ids])
    if len(own) == len(seen) and np.isin(own, seen).all():
        return _checked(Parts(parts["train"], parts["valid"], parts["test"], "the parts of the model's own training"))
    there = np.isin(examples.ids, seen)
    if not there.any():
        parts = training_parts(examples, seed)
        return _checked(Parts(parts["train"], parts["valid"], parts["test"], "the model has seen none of the examples"))
    unseen = examples.take(~there)
    if len(unseen) < 1.5 * LEAST_TEST:
        raise InputError(
            f"the model was trained on all but {len(unseen)} of these {len(examples)} examples; "
            "give --test a file that was kept apart"
        )
    judged, chosen = _two(unseen, 1 / 3, seed)
    return _checked(Parts(examples.take(there), chosen, judged, f"{len(unseen)} examples that the model has not seen"))


def _read_alike(test: Examples, examples: Examples) -> Examples:
    """Return test examples with the class numbers of the others: a class that none of them has shifts no other.

    Raises:
        InputError: they have a class that the others lack, other columns or another shape.
    """
    if test.inputs.shape[1:] != examples.inputs.shape[1:]:
        shapes = f"{test.inputs.shape[1:]} instead of {examples.inputs.shape[1:]}"
        raise InputError(f"the test examples have inputs of shape {shapes}; give --test a file with the same columns")
    if test.feature_names != examples.feature_names:
        pairs = zip(test.feature_names, examples.feature_names, strict=False)
        told = next((f": {one!r} instead of {other!r}" for one, other in pairs if one != other), "")
        raise InputError(f"the test examples have other columns{told}; give --test a file with the same ones")
    if test.labels is None or not test.num_classes:
        raise InputError("the test examples have no classes; give --test a file with the column that is predicted")
    if test.class_names == examples.class_names:
        return test
    numbers = {str(name): place for place, name in enumerate(examples.class_names)}
    for name in test.class_names:
        if str(name) not in numbers:
            raise InputError(f"the test examples have a class {str(name)!r} that the others do not have")
    places = np.array([numbers[str(name)] for name in test.class_names])
    return replace(test, labels=places[np.asarray(test.labels, np.int64)], class_names=examples.class_names)


def _two(examples: Examples, share: float, seed: int) -> tuple[Examples, Examples]:
    """Return the rest and a share, every class in proportion."""
    rows = np.arange(len(examples))
    size = max(int(share * len(examples)), 1)
    drawn = np.sort(draw_rows(rng_for(seed, "compress", "parts"), rows, strata(examples), size))
    return examples.take(np.setdiff1d(rows, drawn, assume_unique=True)), examples.take(drawn)


def _checked(parts: Parts) -> Parts:
    for name, one, least in (("to choose by", parts.valid, LEAST_VALID), ("to judge by", parts.test, LEAST_TEST)):
        if len(one) < least:
            raise InputError(f"only {len(one)} examples are left {name}, and {least} are needed; give more data")
    return parts
