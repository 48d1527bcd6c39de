"""Evolve learning programs from basic mathematics.

Names are loaded at their first use: reading a program needs no compiler.

>>> from selftaught.programs import linear_learner
>>> len(linear_learner(0.1))
6
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selftaught.lazy import lazy_names as _lazy_names

if TYPE_CHECKING:
    from selftaught.programs.baselines import linear_learner, two_layer_network
    from selftaught.programs.builtin import BUILTIN, builtin_tasks
    from selftaught.programs.evaluate import Evaluator
    from selftaught.programs.evolution import evolve
    from selftaught.programs.kernel import load_kernel
    from selftaught.programs.operators import OPERATOR_SETS, OPERATORS
    from selftaught.programs.parse import parse_program
    from selftaught.programs.presets import PRESETS
    from selftaught.programs.program import Instruction, Program, Slots
    from selftaught.programs.progress import Progress
    from selftaught.programs.reference import evaluate_reference
    from selftaught.programs.result import Evolution, FitnessInterval, Improvement
    from selftaught.programs.settings import EvolveSettings
    from selftaught.programs.tasksets import TaskSet
    from selftaught.programs.text import format_program

__all__ = [
    "evolve",
    "Evolution",
    "FitnessInterval",
    "Improvement",
    "Progress",
    "EvolveSettings",
    "PRESETS",
    "Program",
    "Instruction",
    "Slots",
    "parse_program",
    "format_program",
    "linear_learner",
    "two_layer_network",
    "TaskSet",
    "builtin_tasks",
    "BUILTIN",
    "Evaluator",
    "evaluate_reference",
    "load_kernel",
    "OPERATORS",
    "OPERATOR_SETS",
]

_HOMES = {
    "evolve": "evolution",
    "Evolution": "result",
    "FitnessInterval": "result",
    "Improvement": "result",
    "Progress": "progress",
    "EvolveSettings": "settings",
    "PRESETS": "presets",
    "Program": "program",
    "Instruction": "program",
    "Slots": "program",
    "parse_program": "parse",
    "format_program": "text",
    "linear_learner": "baselines",
    "two_layer_network": "baselines",
    "TaskSet": "tasksets",
    "builtin_tasks": "builtin",
    "BUILTIN": "builtin",
    "Evaluator": "evaluate",
    "evaluate_reference": "reference",
    "load_kernel": "kernel",
    "OPERATORS": "operators",
    "OPERATOR_SETS": "operators",
}

__getattr__, __dir__ = _lazy_names(__name__, _HOMES, globals())
