"""Programs leave the house: as a NumPy file, as C99, as torch modules and optimisers, as scikit-learn estimators.

Names are loaded at their first use: a text export needs neither torch, scikit-learn nor the compiled engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selftaught.lazy import lazy_names as _lazy_names

if TYPE_CHECKING:
    from selftaught.programs.export.c_export import CodeSize, CSource, to_c
    from selftaught.programs.export.estimators import EvolvedClassifier, EvolvedRegressor
    from selftaught.programs.export.given import given_program
    from selftaught.programs.export.python_export import to_python
    from selftaught.programs.export.torch_export import to_module, to_optimizer
    from selftaught.programs.export.torch_text import to_torch

__all__ = [
    "to_python",
    "to_c",
    "CSource",
    "CodeSize",
    "to_torch",
    "to_module",
    "to_optimizer",
    "EvolvedClassifier",
    "EvolvedRegressor",
    "given_program",
]

_HOMES = {
    "to_python": "python_export",
    "to_c": "c_export",
    "CSource": "c_export",
    "CodeSize": "c_export",
    "to_torch": "torch_text",
    "to_module": "torch_export",
    "to_optimizer": "torch_export",
    "EvolvedClassifier": "estimators",
    "EvolvedRegressor": "estimators",
    "given_program": "given",
}

__getattr__, __dir__ = _lazy_names(__name__, _HOMES, globals())
