"""Explain a program: what each instruction is worth, a shorter form, its algebra, and its techniques by name.

Names are loaded at their first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selftaught.lazy import lazy_names as _lazy_names

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

__getattr__, __dir__ = _lazy_names(__name__, _HOMES, globals())
