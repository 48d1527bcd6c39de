"""Named set-ups of a search, as data: a preset fixes defaults only, and options override it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["DATA_DEFAULTS", "PRESETS", "PUBLISHED", "published_marks"]

_ORIGINAL = ("alter_parameter", "redraw_instruction", "redraw_function")
_GROWING = ("alter_parameter", "redraw_function", "insert_instruction", "remove_instruction")
#: The paper's list: removal twice as likely as insertion.
_PAPER = ("alter_parameter", "redraw_function", "insert_instruction", "remove_instruction", "remove_instruction")

#: What holds for data when nothing else says otherwise.
DATA_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "operators": "full", "sizes": (7, 11, 23), "least": (0, 0, 0), "slots": (5, 9, 2), "population": 1000,
        "tournament": 10, "mutate_prob": 0.9, "start": "empty", "actions": _GROWING, "num_tasks": 16,
        "num_selection": 32, "num_final": 64,
    }
)  # fmt: skip

_LINEAR: Mapping[str, Any] = {
    "examples": "linear_regression", "features": 4, "num_tasks": 10, "num_selection": 100, "num_final": 100,
    "slots": (4, 3, 1), "population": 1000, "tournament": 10, "mutate_prob": 0.9, "start": "random",
    "actions": _ORIGINAL, "epochs": 1, "judged": (1000, 100),
}  # fmt: skip
_PAIRS: Mapping[str, Any] = {
    "population": 100, "tournament": 10, "mutate_prob": 0.9, "start": "empty", "actions": _GROWING, "task": "pairs",
    "features": 16, "slots": (5, 9, 2), "operators": "network", "num_selection": 32, "num_final": 64, "epochs": 1,
}  # fmt: skip

#: name -> defaults. `examples` is what the preset was made for; `judged` the training and validation examples of
#: selection and final tasks; `fixed` sizes hold for the searches that keep sizes (classic and random).
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "demo": {
            **_LINEAR, "operators": "demo", "sizes": (10, 2, 8), "fixed": True, "num_train": 100, "num_valid": 100,
        },
        "linear_test": {
            **_LINEAR, "sizes": (5, 1, 4), "fixed": True, "num_train": 1000, "num_valid": 100,
            "operators": {
                "setup": ("scalar_constant", "vector_constant"),
                "predict": ("vector_dot",),
                "learn": ("scalar_subtract", "scalar_multiply", "vector_scale", "vector_add"),
            },
        },
        "affine_test": {
            **_LINEAR, "examples": "affine_regression", "sizes": (6, 2, 6), "slots": (5, 3, 1), "fixed": True,
            "num_train": 1000, "num_valid": 100,
            "operators": {
                "setup": ("scalar_constant", "vector_constant"),
                "predict": ("scalar_add", "vector_dot"),
                "learn": ("scalar_add", "scalar_subtract", "scalar_multiply", "vector_scale", "vector_add"),
            },
        },
        "nonlinear_test": {
            "examples": "two_layer_teacher", "features": 4, "num_tasks": 1, "num_train": 1000, "num_valid": 100,
            "num_selection": 100, "num_final": 100, "epochs": 1, "sizes": (6, 5, 11), "least": (1, 5, 11),
            "slots": (5, 9, 2), "operators": {"setup": ("vector_gaussian", "matrix_gaussian")},
            "population": 1000, "tournament": 10, "mutate_prob": 1.0, "start": "network_without_weights",
            "actions": ("alter_parameter", "insert_instruction", "remove_instruction", "trade_instruction"),
            "fingerprint": False, "cost_factor": 2.0,
        },
        "projected_pairs": {
            **_PAIRS, "examples": "cifar10", "num_tasks": 10, "num_train": 8000, "num_valid": 1000,
            "slots": (8, 14, 3), "population": 300, "sizes": (6, 10, 22), "least": (1, 1, 1), "cost_factor": 2.0,
        },
        "full": {
            **_PAIRS, "examples": "cifar10", "num_tasks": 10, "operators": "full", "sizes": (21, 21, 45),
            "slots": (8, 14, 3), "actions": _PAPER,
        },
        "digits": {
            **_PAIRS, "examples": "digits", "num_tasks": 16, "num_train": 200, "num_valid": 60, "epochs": 5,
            "sizes": (7, 11, 23), "cost_factor": 2.0,
        },
    }
)  # fmt: skip

#: preset -> what others report for its data and sizes: accuracies on selection tasks, from the curves and the text of
#: Real et al. (arXiv 2003.03384), on projections and splits of their own; 12 hours a process.
PUBLISHED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "projected_pairs": MappingProxyType(
            {
                "AutoML-Zero, 1 process": 0.684,
                "AutoML-Zero, 100 processes": 0.707,
                "logistic regression": 0.702,
                "two-layer net": 0.729,
            }
        )
    }
)


def published_marks(settings: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the published results that a run may be read beside; none for other data than the preset's.

    >>> published_marks({"preset": "projected_pairs", "data": "cifar10"})["two-layer net"]
    0.729
    >>> dict(published_marks({"preset": "projected_pairs", "data": "digits"}))
    {}
    """
    preset = str(settings.get("preset"))
    if preset in PUBLISHED and settings.get("data") == PRESETS[preset]["examples"]:
        return PUBLISHED[preset]
    return {}
