"""What composes compression, training and the audit: plans that none of them could carry out alone.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selftaught.lazy import lazy_names as _lazy_names
from selftaught.training.requirement import require_torch as _require_torch

if TYPE_CHECKING:
    from selftaught.plans.hardness import HardExamples, hard_examples, out_of_fold
    from selftaught.plans.ladder import LEVELS, LadderProgress, Network, Rung, train_ladder
    from selftaught.plans.mitigating import MITIGATIONS, Mitigation, layer_densities, mitigations, moved_most

__all__ = [
    "train_ladder",
    "Rung",
    "LadderProgress",
    "Network",
    "LEVELS",
    "mitigations",
    "MITIGATIONS",
    "Mitigation",
    "layer_densities",
    "moved_most",
    "hard_examples",
    "HardExamples",
    "out_of_fold",
]

_HOMES = {
    **dict.fromkeys(("HardExamples", "hard_examples", "out_of_fold"), "hardness"),
    **dict.fromkeys(("LEVELS", "LadderProgress", "Network", "Rung", "train_ladder"), "ladder"),
    **dict.fromkeys(("MITIGATIONS", "Mitigation", "layer_densities", "mitigations", "moved_most"), "mitigating"),
}
_load, __dir__ = _lazy_names(__name__, _HOMES, globals())


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        _require_torch()
    return _load(name)
