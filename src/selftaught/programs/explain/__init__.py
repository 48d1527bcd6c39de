"""Explain a program: what each instruction is worth, a shorter form, its algebra, and its techniques by name.

Names are loaded at their first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selftaught.programs.explain.ablation import Drop, ablate
    from selftaught.programs.explain.bits import Language
    from selftaught.programs.explain.explanation import Explanation, explain
    from selftaught.programs.explain.formula import Formula, formulas
    from selftaught.programs.explain.scoring import Scorer
    from selftaught.programs.explain.shortening import Shortening, shorten
    from selftaught.programs.explain.techniques import TECHNIQUES, Technique, name_techniques
    from selftaught.programs.explain.unseen import UnseenTasks, unseen_tasks

__all__ = [
    "explain",
    "Explanation",
    "name_techniques",
    "Technique",
    "TECHNIQUES",
    "ablate",
    "Drop",
    "shorten",
    "Shortening",
    "Scorer",
    "Language",
    "formulas",
    "Formula",
    "unseen_tasks",
    "UnseenTasks",
]

_HOMES = {
    "explain": "explanation",
    "Explanation": "explanation",
    "name_techniques": "techniques",
    "Technique": "techniques",
    "TECHNIQUES": "techniques",
    "ablate": "ablation",
    "Drop": "ablation",
    "shorten": "shortening",
    "Shortening": "shortening",
    "Scorer": "scoring",
    "Language": "bits",
    "formulas": "formula",
    "Formula": "formula",
    "unseen_tasks": "unseen",
    "UnseenTasks": "unseen",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"selftaught.programs.explain.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'selftaught.programs.explain' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
