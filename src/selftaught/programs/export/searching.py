"""A search on the rows that an estimator was given."""

from __future__ import annotations

import inspect
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError, did_you_mean
from selftaught.programs.export.given import given_program
from selftaught.programs.parse import ParsedProgram
from selftaught.programs.program import Program
from selftaught.programs.text import format_program

__all__ = ["Budget", "hand_written", "search_program"]

LEARNING_RATE, INITIAL_SCALE = 0.01, 0.1  # of the programs that a search begins with
MAX_FEATURES = 64


@dataclass(frozen=True)
class Budget:
    """How long to search, and from where.

    Args:
        programs: programs to propose, or None.
        seconds: time for everything, or None.
        workers: processes.
        start: "linear", "network", "empty", or a program's file.
        options: further options of `evolve`.
    """

    programs: int | None
    seconds: float | None
    workers: int
    start: str
    options: Mapping[str, Any]


def search_program(
    x: NDArray[np.float32], y: NDArray[Any], *, num_classes: int, budget: Budget, seed: int
) -> tuple[ParsedProgram, str]:
    """Evolve a program on features (n, F) and labels.

    With too few rows to judge programs by, the program that the search would begin with is returned, with a warning.

    Args:
        x: (n, F) float32.
        y: (n,) class numbers, or float targets.
        num_classes: K, or 0 for regression. Above 64 classes the search is on pairs of classes.
        budget: how long.
        seed: of the search.

    Returns:
        The program and the table that compares it with the baselines, "" when nothing was compared.
    """
    from selftaught.datasets.identity import content_ids
    from selftaught.datasets.set_apart import MIN_EXAMPLES
    from selftaught.examples import Examples
    from selftaught.programs.evolution import evolve

    known = inspect.signature(evolve).parameters
    for name in budget.options:
        if name not in known or name in ("examples", "target", "task"):
            raise InputError(f"evolve_options: {name!r} is no option of evolve here{did_you_mean(str(name), known)}")
    pairs = num_classes > MAX_FEATURES
    scored = 0 if pairs or num_classes == 2 else num_classes
    data = Examples(
        inputs=x, labels=y, ids=content_ids(x), class_names=tuple(f"class {k}" for k in range(num_classes)),
        feature_names=tuple(f"x{k}" for k in range(x.shape[1])), name="fit",
    )  # fmt: skip
    task = "pairs" if pairs else "classes" if num_classes else "regression"
    kind = f"classes {scored}" if scored else "binary" if num_classes else "regression"
    if len(x) < MIN_EXAMPLES:
        warnings.warn(
            f"{len(x)} rows are too few to judge programs by, {MIN_EXAMPLES} are needed; "
            f"the hand-written {_known(budget.start)} learner is fitted instead",
            UserWarning,
            stacklevel=4,
        )
        return given_program(_first(_known(budget.start), scored), task=kind), ""
    with tempfile.TemporaryDirectory(prefix="selftaught-") as folder:
        options: dict[str, Any] = {
            "programs": budget.programs, "seconds": budget.seconds, "workers": budget.workers, "seed": seed,
            "task": task, "start": budget.start, "num_tasks": 8, "out": Path(folder) / "run", **budget.options,
        }  # fmt: skip
        if scored and options["start"] in ("linear", "network"):
            first = _first(options["start"], scored)
            if options["start"] == "network":
                options.setdefault("slots", tuple(first.slots()))
            place = Path(folder) / "start.txt"
            place.write_text(format_program(first, task=kind) + "\n", encoding="utf-8")
            options["start"] = str(place)
        found = evolve(data, **options)
        return given_program(found.program, task=kind), found.compare()


def hand_written(num_classes: int, task: str) -> ParsedProgram:
    """Return the linear learner for a task, "classes K" with a score a class; `num_classes` is K there, else 0."""
    return given_program(_first("linear", num_classes), task=task)


def _known(start: str) -> str:
    return start if start in ("linear", "network") else "linear"


def _first(start: str, num_classes: int) -> Program:
    from selftaught.programs.opponents import linear_for, network_for

    if start == "network":
        return network_for(num_classes, LEARNING_RATE, INITIAL_SCALE)
    return linear_for(num_classes, LEARNING_RATE)
