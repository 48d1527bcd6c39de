"""What a search is judged on: three disjoint sets of tasks made of a data set or a built-in recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from selftaught.errors import DataError, InputError, did_you_mean
from selftaught.examples import Examples
from selftaught.programs.builtin import BUILTIN, builtin_tasks
from selftaught.programs.presets import PRESETS
from selftaught.programs.settings import ALIASES, EvolveSettings
from selftaught.programs.tasksets import TaskSet
from selftaught.seeds import seed_for

__all__ = ["READING", "Problem", "find_source", "make_problem", "source_of"]

Role = Literal["search", "selection", "final"]
WIDE_TARGET = 50.0  # a spread of targets that stops most programs at |error| > 100


@dataclass(frozen=True, eq=False)
class Problem:
    """Search, selection and final tasks of one search; the last two are made at their first use.

    Args:
        settings: the search's settings.
        examples: the data, or None for a built-in task.
    """

    settings: EvolveSettings
    examples: Examples | None

    @cached_property
    def search(self) -> TaskSet:
        """The tasks of the search, D of them."""
        return self.tasks("search")

    @cached_property
    def selection(self) -> TaskSet:
        """The tasks that choose among the best programs."""
        return self.tasks("selection")

    @cached_property
    def final(self) -> TaskSet:
        """The tasks that the winner is scored on, once."""
        return self.tasks("final")

    @property
    def text_kind(self) -> str:
        """The task as the text format of programs names it."""
        tasks = self.search
        if tasks.num_classes:
            return f"classes {tasks.num_classes}"
        return "regression" if tasks.metric == "rmse" else "binary"

    def tasks(self, role: Role) -> TaskSet:
        """Make the tasks of a role; the random streams inside programs differ between roles."""
        settings = self.settings
        count = {"search": settings.num_tasks, "selection": settings.num_selection, "final": settings.num_final}[role]
        sizes = (settings.num_train, settings.num_valid)
        if role != "search" and settings.judged is not None:
            sizes = settings.judged
        seed = settings.seed if role == "search" else seed_for(settings.seed, role, "streams")
        if self.examples is None:
            made = builtin_tasks(
                settings.data, count=count, features=settings.features or 4, num_train=sizes[0] or 1000,
                num_valid=sizes[1] or 100, seed=settings.seed, role=role, num_epochs=settings.epochs,
            )  # fmt: skip
            return replace(made, seed=seed)
        from selftaught.datasets import tasks

        kind: Any = settings.task if settings.task in ("pairs", "classes", "regression") else None
        listed = tasks(
            self.examples, kind=kind, features=settings.features, count=count, seed=settings.seed, role=role,
            num_train=sizes[0], num_valid=sizes[1],
        )  # fmt: skip
        return TaskSet.stack(listed, seed=seed, num_epochs=settings.epochs)

    def warnings(self) -> list[str]:
        """Return what a user should know about the search tasks before anything runs."""
        from selftaught.datasets import cautions

        tasks = self.search
        found = [] if self.examples is None or self.settings.task == "pairs" else cautions(self.examples)
        if tasks.metric == "rmse":
            spread = float(tasks.train_y.std(axis=1).max())
            if spread > WIDE_TARGET:
                found.append(f"targets spread by {spread:.3g}; standardise them, or |error| > 100 stops most programs")
        else:
            single = [name for name, labels in zip(tasks.names, tasks.train_y, strict=True) if np.ptp(labels) == 0]
            if single:
                found.append(f"{len(single)} of {tasks.count} tasks have one class only in training ({single[0]})")
        return found


def find_source(examples: Any, preset: str | None) -> Any:
    """Return a built-in task's full name, or what was given; a preset brings its own where none was given."""
    if examples is None:
        examples = PRESETS.get(preset or "", {}).get("examples", "digits")
    if isinstance(examples, str):
        return ALIASES.get(examples, examples)
    return examples


#: Options of `selftaught.load` that a search takes over, beside target and task.
READING = ("missing", "drop", "id_column", "resize")


def source_of(
    examples: Any, *, target: str | None = None, task: str | None = None, **reading: Any
) -> tuple[str, str, Examples | None]:
    """Return (name, digest, examples); the digest is empty and examples are None for a built-in task.

    Args:
        examples: what `evolve` takes.
        target, task: of the data.
        reading: options out of `READING`, None for the default.

    Raises:
        DataError, InputError: the data cannot be loaded; one line.
    """
    given = {name: value for name, value in {"target": target, "task": task, **reading}.items() if value is not None}
    if isinstance(examples, str) and examples in BUILTIN:
        if given:
            raise InputError(f"{', '.join(given)} cannot be given with the built-in task {examples!r}; leave it out")
        return examples, "", None
    from selftaught.datasets import load

    kind: Any = {"classification": "classification", "classes": "classification", "pairs": "classification"}.get(
        task or "", task
    )
    try:
        if "task" in given:
            given["task"] = kind
        if isinstance(examples, Examples) or (isinstance(examples, str) and _takes_no_task(examples)):
            given.pop("task", None)  # it shapes the tasks, not the data
        loaded = load(examples, **given)
    except DataError as error:
        if not isinstance(examples, str) or not str(error).startswith("there is no data set"):
            raise
        from selftaught.datasets import NAMES

        close = did_you_mean(examples, (*BUILTIN, *ALIASES, *NAMES))
        raise DataError(f"{str(error).partition('; did you mean')[0]}{close}") from None
    return loaded.name, loaded.digest(), loaded


def _takes_no_task(source: str) -> bool:
    from selftaught.datasets import NAMES

    return source in (*NAMES, "cifar10", "fashion-mnist")


def make_problem(settings: EvolveSettings, examples: Examples | None) -> Problem:
    """Return the problem, with its search tasks made and checked.

    Raises:
        DataError: the data do not give such tasks, or K classes do not fit the slots.
    """
    problem = Problem(settings, examples)
    tasks = problem.search
    if tasks.num_classes and settings.slots[1] < 3:
        raise InputError(f"{tasks.num_classes} classes need at least 3 vectors; use slots such as 4/4/2")
    return problem
