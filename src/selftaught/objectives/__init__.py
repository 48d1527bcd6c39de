"""Judge candidates by training them: scores, costs, and what a search of networks leaves.

Importing this package does not import torch; its first use does.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from selftaught.errors import MissingExtraError as _MissingExtraError
from selftaught.lazy import lazy_names as _lazy_names

if TYPE_CHECKING:
    from selftaught.objectives.cost import Measured, kept_bytes, latency_ms, latency_ratio, measure
    from selftaught.objectives.models import load_model, model_of, save_model
    from selftaught.objectives.network_files import named_network
    from selftaught.objectives.network_objective import NetworkObjective
    from selftaught.objectives.network_search import (
        SPACE_NAMES,
        Advance,
        Found,
        SearchSettings,
        repeat_trial,
        search_networks,
        usual_workers,
    )
    from selftaught.objectives.reference_networks import reference_network
    from selftaught.objectives.rule_learning import LearnedRule, learn_rule, rule_points
    from selftaught.objectives.schedules import training_of, usual_training
    from selftaught.objectives.splitting import search_task

__all__ = [
    "search_networks",
    "Found",
    "Advance",
    "SearchSettings",
    "SPACE_NAMES",
    "repeat_trial",
    "usual_workers",
    "NetworkObjective",
    "search_task",
    "usual_training",
    "training_of",
    "reference_network",
    "learn_rule",
    "LearnedRule",
    "rule_points",
    "measure",
    "Measured",
    "latency_ms",
    "latency_ratio",
    "kept_bytes",
    "model_of",
    "save_model",
    "load_model",
    "named_network",
]

_HOMES = {
    **dict.fromkeys(("measure", "Measured", "latency_ms", "latency_ratio", "kept_bytes"), "cost"),
    **dict.fromkeys(("model_of", "save_model", "load_model"), "models"),
    **dict.fromkeys(("usual_training", "training_of"), "schedules"),
    **dict.fromkeys(("search_networks", "Found", "Advance"), "network_search"),
    **dict.fromkeys(("SearchSettings", "SPACE_NAMES", "repeat_trial", "usual_workers"), "network_search"),
    **dict.fromkeys(("learn_rule", "LearnedRule", "rule_points"), "rule_learning"),
    "NetworkObjective": "network_objective",
    "search_task": "splitting",
    "reference_network": "reference_networks",
    "named_network": "network_files",
}
_WITHOUT_TORCH = ("search_task", "named_network")
_load, __dir__ = _lazy_names(__name__, _HOMES, globals())


def __getattr__(name: str) -> Any:
    if name in _HOMES and name not in _WITHOUT_TORCH and importlib.util.find_spec("torch") is None:
        raise _MissingExtraError("torch", "networks", "building and training networks")
    return _load(name)
