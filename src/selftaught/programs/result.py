"""What a search returns: the program, what it is worth on unseen tasks, and how it came about."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import ResumeError
from selftaught.programs.parse import parse_program
from selftaught.programs.presets import published_marks
from selftaught.programs.program import Program
from selftaught.programs.text import format_program
from selftaught.seeds import rng_for
from selftaught.writing import write_atomically

__all__ = ["Evolution", "FitnessInterval", "Improvement", "bootstrap"]

RESAMPLES = 2000
NAMES = {
    "linear": "linear learner, tuned",
    "net": "two-layer network, tuned",
    "reference": "scikit-learn",
    "constant": "constant answer",
}


@dataclass(frozen=True)
class FitnessInterval:
    """A mean fitness over tasks with its 95 % interval.

    Args:
        mean: over the tasks.
        low, high: ends of the bootstrap interval over tasks.
        tasks: how many tasks.
    """

    mean: float
    low: float
    high: float
    tasks: int

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "tasks": self.tasks}


@dataclass(frozen=True)
class Improvement:
    """A program better than all before it on its island.

    Args:
        programs: proposed on its island when it was found.
        fitness: on the search tasks.
        elapsed: seconds since the start.
        parent: number of its parent's birth on the island, -1 for none.
        move: number of the change that made it, -1 for none.
        island: where.
        program: itself.
    """

    programs: int
    fitness: float
    elapsed: float
    parent: int
    move: int
    island: int
    program: Program


def bootstrap(fitness: NDArray[np.float64], seed: int = 0) -> FitnessInterval:
    """Return the mean of the tasks' fitness with its 95 % percentile bootstrap interval (Efron, 1979).

    >>> bootstrap(np.array([0.5, 0.5]))
    FitnessInterval(mean=0.5, low=0.5, high=0.5, tasks=2)
    """
    count = len(fitness)
    drawn = rng_for(seed, "bootstrap", count).integers(count, size=(RESAMPLES, count))
    low, high = np.percentile(fitness[drawn].mean(axis=1), [2.5, 97.5])
    return FitnessInterval(float(fitness.mean()), float(low), float(high), count)


@dataclass(frozen=True)
class Evolution:
    """A finished search.

    Args:
        program: the winner.
        fitness_search: its fitness on the search tasks, which chose it and flatter it.
        fitness_select: on the selection tasks, which chose it among the best.
        fitness_test: on the final tasks, which nothing saw before.
        baselines: "linear", "net" and "reference" on the final tasks; and "constant", one answer to everything, where
            that comes near any of the others.
        history: improvements in the order they were found.
        programs: programs proposed, those before a resume included.
        programs_before_resume: of them, before the last resume.
        programs_per_second: a second of search.
        cpu_seconds: of all processes.
        evaluations_to_best: programs proposed when the winner was found, over all islands.
        seed: the seed of everything.
        bias: what the search was given: "free" or "learner".
        search: "live", "classic" or "random".
        settings: all settings that define the search.
        folder: where the files are.
        reason: why it ended: "target", "programs", "seconds", "stopped", "exhausted" or "workers".
        version: of selftaught.
        tasks: what the tasks were.
        warnings: what the user should know.
        born: of the winner: "programs" proposed on its "island" by then, its "parent" (the number of its birth, -1 for
            none) and the "move" that made it; empty for runs of older versions.
        techniques: named in the winner; none where it has learned nothing.
    """

    program: Program
    fitness_search: FitnessInterval
    fitness_select: FitnessInterval
    fitness_test: FitnessInterval
    baselines: Mapping[str, FitnessInterval]
    history: list[Improvement] = field(repr=False)
    programs: int
    programs_before_resume: int
    programs_per_second: float
    cpu_seconds: float
    evaluations_to_best: int
    seed: int
    bias: str
    search: str
    settings: Mapping[str, Any] = field(repr=False)
    folder: Path
    reason: str
    version: str
    tasks: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    born: Mapping[str, int] = field(default_factory=dict)
    techniques: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The winner in the text format of programs."""
        return format_program(self.program, task=str(self.tasks["kind"]))

    def compare(self) -> str:
        """Return a table of the winner beside the baselines on the final tasks, with 95 % intervals."""
        lines = [("discovered program", self.fitness_test)]
        lines += [(NAMES.get(name, name), value) for name, value in self.baselines.items()]
        marks = published_marks(self.settings)
        width = max(len(name) for name in (*(name for name, _ in lines), *marks))
        head = f"fitness on {self.fitness_test.tasks} unseen tasks, 95 % interval (bias {self.bias})"
        rows = [head, *(f"{name:<{width}}  {value}" for name, value in lines)]
        if marks:
            rows += ["published, on tasks of their own:", *(f"{name:<{width}}  {mark}" for name, mark in marks.items())]
        return "\n".join(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return what result.json holds."""
        return {
            "seed": self.seed,
            "bias": self.bias,
            "search": self.search,
            "programs": self.programs,
            "programs_before_resume": self.programs_before_resume,
            "programs_per_second": self.programs_per_second,
            "cpu_seconds": self.cpu_seconds,
            "evaluations_to_best": self.evaluations_to_best,
            "fitness_search": self.fitness_search.mean,
            "fitness_select": self.fitness_select.mean,
            "fitness_test": self.fitness_test.to_dict(),
            "baselines": {name: value.to_dict() for name, value in self.baselines.items()},
            "born": dict(self.born),
            "techniques": list(self.techniques),
            "program": self.text,
            "version": self.version,
            "tasks": dict(self.tasks),
            "reason": self.reason,
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        return f"{self.text}\n\n{self.compare()}"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def save(self) -> None:
        """Write program.txt and result.json into the folder."""
        write_atomically(self.folder / "program.txt", (self.text + "\n").encode())
        write_atomically(self.folder / "result.json", (json.dumps(self.to_dict(), indent=2) + "\n").encode())

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, Any], history: list[Improvement]) -> Evolution:
        """Read a result that `save` wrote.

        Raises:
            ResumeError: result.json is missing or cannot be read; one line.
        """
        try:
            stored = json.loads((folder / "result.json").read_text())
            program = parse_program(stored["program"], "result.json").program
            about = stored["tasks"]

            def interval(key: str, tasks: str) -> FitnessInterval:
                low, high = about[f"{tasks}_interval"]
                return FitnessInterval(stored[key], low, high, about[tasks])

            plain = ("seed", "bias", "search", "programs", "programs_before_resume", "programs_per_second",
                     "cpu_seconds", "evaluations_to_best", "reason", "version", "tasks")  # fmt: skip
            return cls(
                program=program, fitness_search=interval("fitness_search", "search"),
                fitness_select=interval("fitness_select", "selection"),
                fitness_test=FitnessInterval(**stored["fitness_test"]),
                baselines={name: FitnessInterval(**value) for name, value in stored["baselines"].items()},
                history=history, settings=settings, folder=folder, warnings=tuple(stored["warnings"]),
                born=dict(stored.get("born", {})), techniques=tuple(stored.get("techniques", ())),
                **{key: stored[key] for key in plain},
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResumeError(
                f"{folder / 'result.json'} cannot be read ({type(error).__name__}); start over with resume=False "
                "(--fresh)"
            ) from None

    def with_warning(self, text: str) -> Evolution:
        """Return a copy that says one thing more."""
        return replace(self, warnings=(*self.warnings, text))
