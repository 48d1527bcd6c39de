"""A program as one Python file that makes a scikit-learn estimator of it."""

from __future__ import annotations

from selftaught.programs.live_form import live_form
from selftaught.programs.program import Program
from selftaught.programs.text import format_program

__all__ = ["to_sklearn"]

_FILE = '''"""A learning program found by selftaught, as a scikit-learn estimator.

Use: estimator().fit(X, y).predict(X_new), alone, in a pipeline or in a search over its options, such as epochs.
It needs selftaught and scikit-learn.
"""

from selftaught import {name}

PROGRAM = """\\
{text}
"""


def estimator(**options):
    """Return an untrained {name} of the program; options as in its documentation."""
    return {name}(PROGRAM, **options)
'''


def to_sklearn(program: Program, *, task: str = "regression") -> str:
    """Write a program as a Python file with a function `estimator`, which makes a scikit-learn estimator.

    Args:
        program: what to write; its live form is exported.
        task: "regression", "binary" or "classes K".

    Raises:
        ProgramError: the task is none of these.

    >>> from selftaught.programs import linear_learner
    >>> print(to_sklearn(linear_learner(0.1)).splitlines()[-1])
        return EvolvedRegressor(PROGRAM, **options)
    """
    name = "EvolvedRegressor" if task == "regression" else "EvolvedClassifier"
    return _FILE.format(name=name, text=format_program(live_form(program, task=task), task=task))
