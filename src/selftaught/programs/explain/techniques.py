"""The techniques in a program by name: each found by its structure, its behaviour, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from selftaught.errors import InputError
from selftaught.programs.evaluate import kind_of
from selftaught.programs.explain.dataflow import Flow, flow_of
from selftaught.programs.explain.experiments import Experiments
from selftaught.programs.explain.places import Place, keep_live
from selftaught.programs.explain.trained import train
from selftaught.programs.program import Program
from selftaught.programs.tasksets import TaskSet

__all__ = ["TECHNIQUES", "Detector", "Sighting", "Technique", "name_techniques"]

FoundBy = Literal["structure", "behaviour", "both"]


@dataclass(frozen=True)
class Technique:
    """A technique found in a program.

    Args:
        name: a key of `TECHNIQUES`.
        found_by: "structure" (the instructions), "behaviour" (experiments on a trained memory) or "both".
        instructions: the places of its instructions in the program's live form.
        evidence: one sentence with the figures that speak for it.
        gain: fitness lost without it; None until `explain` has measured it.
    """

    name: str
    found_by: FoundBy
    instructions: tuple[Place, ...]
    evidence: str
    gain: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "name": self.name, "found_by": self.found_by, "instructions": [list(p) for p in self.instructions],
            "evidence": self.evidence, "gain": self.gain,
        }  # fmt: skip


@dataclass(frozen=True)
class Sighting:
    """What a detector says yes with: the rest of a `Technique`."""

    found_by: FoundBy
    instructions: tuple[Place, ...]
    evidence: str


Detector = Callable[[Flow, Experiments], Sighting | None]


def _detectors() -> Mapping[str, Detector]:
    from selftaught.programs.explain import model_techniques as model
    from selftaught.programs.explain import update_techniques as update

    return MappingProxyType(
        {
            "linear model": model.linear_model,
            "bias": model.bias,
            "two-layer network": model.two_layer_network,
            "non-linearity": model.non_linearity,
            "bilinear interaction": model.bilinear_interaction,
            "gradient step": update.gradient_step,
            "learning rate": update.learning_rate,
            "learning-rate decay": update.learning_rate_decay,
            "gradient normalisation": update.gradient_normalisation,
            "weight normalisation": update.weight_normalisation,
            "weight averaging": update.weight_averaging,
            "multiplicative update": update.multiplicative_update,
            "clipping": model.clipping,
            "input noise": model.input_noise,
        }
    )


#: What can be named, in the order in which it is told.
TECHNIQUES = (
    "linear model", "bias", "two-layer network", "non-linearity", "bilinear interaction", "gradient step",
    "learning rate", "learning-rate decay", "gradient normalisation", "weight normalisation", "weight averaging",
    "multiplicative update", "clipping", "input noise",
)  # fmt: skip


def name_techniques(program: Program, tasks: TaskSet) -> list[Technique]:
    """Name the techniques in a program.

    The program is trained on four of the tasks for at most 256 steps by the reference interpreter in float64; then
    examples and errors are put to the trained memory. It takes about a tenth of a second and compiles nothing.
    A program that fails on these tasks has no technique.

    Args:
        program: any program; only its live form counts, and places are those of the live form.
        tasks: tasks of the kind that the program is for.

    Returns:
        The techniques found, in the order of `TECHNIQUES`; what cannot be named stays unnamed.

    Raises:
        InputError: `tasks` is not a task set.

    >>> from selftaught.programs import builtin_tasks, linear_learner
    >>> tasks = builtin_tasks("linear_regression", count=4, num_train=100, num_valid=20)
    >>> [technique.name for technique in name_techniques(linear_learner(0.05), tasks)]
    ['linear model', 'gradient step', 'learning rate']
    """
    if not isinstance(tasks, TaskSet):
        raise InputError(f"tasks are a TaskSet, as builtin_tasks makes it, got {type(tasks).__name__}")
    kind = kind_of(tasks)
    live = keep_live(program, kind)
    if not len(live):
        return []
    with np.errstate(all="ignore"):
        trained = train(live, tasks, kind)
        if trained is None:
            return []
        experiments = Experiments(trained, flow_of(live, kind))
        found = []
        for name, detect in _detectors().items():
            sighting = detect(experiments.flow, experiments)
            if sighting is not None:
                found.append(Technique(name, sighting.found_by, sighting.instructions, sighting.evidence))
    return found
