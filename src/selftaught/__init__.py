"""Automate the trial and error of machine learning, and show what each choice gave up.

Everything public is here by name, and loaded at its first use, so that `import selftaught` stays light.

>>> import selftaught
>>> selftaught.load("digits")
Examples('digits', n=1797, shape=(8, 8), 10 classes)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selftaught import errors
    from selftaught.datasets import load, tasks
    from selftaught.examples import Examples, Task
    from selftaught.programs import Evolution, evolve
    from selftaught.programs.export import EvolvedClassifier, EvolvedRegressor

__all__ = [
    "load",
    "tasks",
    "evolve",
    "Evolution",
    "EvolvedClassifier",
    "EvolvedRegressor",
    "Examples",
    "Task",
    "errors",
    "__version__",
]

__version__ = "0.1.0.dev0"

_HOMES = {
    "load": "selftaught.datasets",
    "tasks": "selftaught.datasets",
    "evolve": "selftaught.programs",
    "Evolution": "selftaught.programs",
    "EvolvedClassifier": "selftaught.programs.export",
    "EvolvedRegressor": "selftaught.programs.export",
    "Examples": "selftaught.examples",
    "Task": "selftaught.examples",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("selftaught.errors")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'selftaught' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
