"""Plans: a model made smaller step by step, to a target that is measured, with the worst class protected.

Importing this package does not import torch; its first use does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selftaught.lazy import lazy_names as _lazy_names
from selftaught.training.requirement import require_torch as _require_torch

if TYPE_CHECKING:
    from selftaught.plans.asking import cuts_of, plan_of, start_of, training_of
    from selftaught.plans.choosing import Choosing
    from selftaught.plans.comparison import Change, Comparison, compare, worst
    from selftaught.plans.compressing import CompressedRun, Judging, compress, headline
    from selftaught.plans.execution import Compressed, run_plan
    from selftaught.plans.hardness import HardExamples, hard_examples, out_of_fold
    from selftaught.plans.ladder import LEVELS, LadderProgress, Network, Rung, train_ladder
    from selftaught.plans.mitigating import MITIGATIONS, Mitigation, layer_densities, mitigations, moved_most
    from selftaught.plans.parts import Parts, divide
    from selftaught.plans.plan import (
        Balance,
        Blocks,
        Channels,
        FineTune,
        Kernels,
        LowBits,
        NofM,
        Onnx,
        Plan,
        Rewind,
        SparseStart,
        Step,
        Supermask,
        Weights,
    )
    from selftaught.plans.protecting import protect
    from selftaught.plans.sources import Source, load_source
    from selftaught.plans.target import Target, target_of
    from selftaught.plans.target_search import Candidate, TargetMissedError, TargetSearch

__all__ = [
    "Plan",
    "Step",
    "Channels",
    "Weights",
    "NofM",
    "Blocks",
    "SparseStart",
    "Rewind",
    "Supermask",
    "FineTune",
    "Balance",
    "LowBits",
    "Onnx",
    "Kernels",
    "run_plan",
    "Compressed",
    "compress",
    "CompressedRun",
    "Judging",
    "headline",
    "compare",
    "Comparison",
    "Change",
    "worst",
    "cuts_of",
    "start_of",
    "training_of",
    "plan_of",
    "Target",
    "target_of",
    "TargetSearch",
    "TargetMissedError",
    "Candidate",
    "protect",
    "Choosing",
    "load_source",
    "Source",
    "divide",
    "Parts",
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
    **dict.fromkeys(
        (
            "Plan", "Step", "Channels", "Weights", "NofM", "Blocks", "SparseStart", "Rewind", "Supermask", "FineTune",
            "Balance", "LowBits", "Onnx", "Kernels",
        ),
        "plan",
    ),
    **dict.fromkeys(("compress", "CompressedRun", "Judging", "headline"), "compressing"),
    **dict.fromkeys(("compare", "Comparison", "Change", "worst"), "comparison"),
    **dict.fromkeys(("cuts_of", "start_of", "training_of", "plan_of"), "asking"),
    **dict.fromkeys(("run_plan", "Compressed"), "execution"),
    **dict.fromkeys(("Target", "target_of"), "target"),
    **dict.fromkeys(("TargetSearch", "TargetMissedError", "Candidate"), "target_search"),
    "protect": "protecting",
    "Choosing": "choosing",
    **dict.fromkeys(("load_source", "Source"), "sources"),
    **dict.fromkeys(("divide", "Parts"), "parts"),
    **dict.fromkeys(("HardExamples", "hard_examples", "out_of_fold"), "hardness"),
    **dict.fromkeys(("LEVELS", "LadderProgress", "Network", "Rung", "train_ladder"), "ladder"),
    **dict.fromkeys(("MITIGATIONS", "Mitigation", "layer_densities", "mitigations", "moved_most"), "mitigating"),
}  # fmt: skip
_load, __dir__ = _lazy_names(__name__, _HOMES, globals())


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        _require_torch()
    return _load(name)
