"""Tasks that no search saw, in three disjoint sets: to guide, to confirm, to report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from selftaught.errors import InputError
from selftaught.programs.problems import READING, Problem, Role, find_source, source_of
from selftaught.programs.settings import resolve_settings
from selftaught.programs.tasksets import TaskSet
from selftaught.seeds import seed_for

__all__ = ["UnseenTasks", "some_tasks", "unseen_tasks"]


@dataclass(frozen=True, eq=False)
class UnseenTasks:
    """Three sets of tasks of one kind.

    Args:
        guide: what shortening looks at while it chooses.
        confirm: what decides how far shortening may go.
        report: what every figure is measured on; nothing is chosen by it.
        name: what the tasks are called.
        slots: slot counts of the search that found the program, or None.
        operators: how many operators each function of that search had, or None.
    """

    guide: TaskSet
    confirm: TaskSet
    report: TaskSet
    name: str = "tasks"
    slots: tuple[int, int, int] | None = None
    operators: dict[str, int] | None = None

    @property
    def text_kind(self) -> str:
        """The task as the text format of programs names it."""
        if self.report.num_classes:
            return f"classes {self.report.num_classes}"
        return "regression" if self.report.metric == "rmse" else "binary"


def unseen_tasks(source: Any, *, count: int = 64, seed: int = 0, **options: Any) -> UnseenTasks:
    """Make tasks beyond those that a search of the same settings used.

    A search uses the first tasks of each role; these are the ones after them. The rows of a data set that are set
    apart for final tasks stay apart: the reporting tasks alone are judged on them.

    Args:
        source: a built-in task's name, anything `selftaught.load` takes, or the `Problem` of a search.
        count: tasks in each of the three sets.
        seed: the seed of the tasks where `source` is not a `Problem`.
        options: target, task, missing, drop, id_column, resize, features, num_train, num_valid and epochs, as in
            `evolve`.

    Raises:
        InputError, DataError: the source is unknown, or an option does not fit; one line.

    >>> unseen_tasks("linear", count=4, num_train=10, num_valid=5).report.train_x.shape
    (4, 10, 4)
    """
    if count < 2:
        raise InputError(f"at least 2 tasks are needed for an interval, got {count}")
    known = isinstance(source, Problem)
    if known:
        problem = cast(Problem, source)
    else:
        given = {key: options.pop(key, None) for key in ("target", "task", *READING)}
        name, digest, examples = source_of(find_source(source, None), **given)
        rows = 0 if examples is None else len(examples)
        shaping = {"task": given["task"] if digest else None, "seed": seed, **options}
        shaping |= {key: given[key] for key in ("target", *READING)}
        problem = Problem(resolve_settings(name, digest, shaping, rows=rows), examples)
    settings = problem.settings
    beyond = Problem(
        settings.model_copy(
            update={
                "num_selection": settings.num_selection + 2 * count, "num_final": settings.num_final + count,
                "judged": None,
            }
        ),
        problem.examples,
    )  # fmt: skip
    selection, final = settings.num_selection, settings.num_final
    return UnseenTasks(
        guide=_slice(beyond, "selection", selection, count),
        confirm=_slice(beyond, "selection", selection + count, count),
        report=_slice(beyond, "final", final, count),
        name=settings.data,
        slots=settings.slots if known else None,
        operators={name: len(words) for name, words in settings.operators.items()} if known else None,
    )


def some_tasks(tasks: TaskSet, first: int, count: int) -> TaskSet:
    """Return `count` tasks of a set, from number `first` on."""
    part = slice(first, first + count)
    return replace(
        tasks, train_x=tasks.train_x[part], train_y=tasks.train_y[part], valid_x=tasks.valid_x[part],
        valid_y=tasks.valid_y[part], names=tasks.names[part],
    )  # fmt: skip


def _slice(problem: Problem, role: Role, first: int, count: int) -> TaskSet:
    tasks = problem.selection if role == "selection" else problem.final
    return replace(some_tasks(tasks, first, count), seed=seed_for(tasks.seed, "explain", role) >> 1)
