"""Train any torch module: one small loop of a step and callbacks, and many models of one shape at once.

Importing this package does not import torch; its first use does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selftaught.lazy import lazy_names as _lazy_names
from selftaught.training.requirement import require_torch

if TYPE_CHECKING:
    from selftaught.training.batches import Batch, InMemory
    from selftaught.training.callbacks import Callback, DropoutSchedule, EarlyStopping, Ema, Masks, StochasticDepth
    from selftaught.training.config import SGD, AdamW, Augment, Lion, RandAugment, TrainConfig
    from selftaught.training.costs import Cost, Latency, cost, count_flops, latency, time_in_turns
    from selftaught.training.evaluation import Evaluation, evaluate
    from selftaught.training.fitting import Fitted, Progress, fit
    from selftaught.training.losses import Loss
    from selftaught.training.models import Standardise, linear, make_model, mlp, small_cnn
    from selftaught.training.optimisers import LionOptimizer
    from selftaught.training.outcomes import RecordOutcomes
    from selftaught.training.population import FittedPopulation, fit_population
    from selftaught.training.run import ForwardPass, Run
    from selftaught.training.schedules import Constant, Cosine, OneCycle
    from selftaught.training.training_run import Trained, load_trained, recorded_config, train, untrained_like
    from selftaught.training.uneven import Spent, Uneven, emphasis

__all__ = [
    "fit",
    "Fitted",
    "fit_population",
    "FittedPopulation",
    "TrainConfig",
    "SGD",
    "AdamW",
    "Lion",
    "Constant",
    "Cosine",
    "OneCycle",
    "Augment",
    "RandAugment",
    "Callback",
    "Ema",
    "Masks",
    "StochasticDepth",
    "DropoutSchedule",
    "EarlyStopping",
    "RecordOutcomes",
    "Uneven",
    "Spent",
    "emphasis",
    "evaluate",
    "Evaluation",
    "cost",
    "Cost",
    "latency",
    "Latency",
    "count_flops",
    "time_in_turns",
    "linear",
    "mlp",
    "small_cnn",
    "make_model",
    "Standardise",
    "Run",
    "ForwardPass",
    "Progress",
    "Batch",
    "InMemory",
    "Loss",
    "LionOptimizer",
    "train",
    "Trained",
    "load_trained",
    "untrained_like",
    "recorded_config",
    "require_torch",
]

_HOMES = {
    **dict.fromkeys(("fit", "Fitted", "Progress"), "fitting"),
    **dict.fromkeys(("TrainConfig", "SGD", "AdamW", "Lion", "Augment", "RandAugment"), "config"),
    **dict.fromkeys(("Constant", "Cosine", "OneCycle"), "schedules"),
    **dict.fromkeys(("Callback", "Ema", "Masks", "StochasticDepth", "DropoutSchedule", "EarlyStopping"), "callbacks"),
    **dict.fromkeys(("evaluate", "Evaluation"), "evaluation"),
    **dict.fromkeys(("linear", "mlp", "small_cnn", "make_model", "Standardise"), "models"),
    **dict.fromkeys(("Batch", "InMemory"), "batches"),
    **dict.fromkeys(("fit_population", "FittedPopulation"), "population"),
    **dict.fromkeys(("Cost", "Latency", "cost", "count_flops", "latency", "time_in_turns"), "costs"),
    "RecordOutcomes": "outcomes",
    **dict.fromkeys(("train", "Trained", "load_trained", "untrained_like", "recorded_config"), "training_run"),
    **dict.fromkeys(("Run", "ForwardPass"), "run"),
    "Loss": "losses",
    "LionOptimizer": "optimisers",
    **dict.fromkeys(("Uneven", "Spent", "emphasis"), "uneven"),
}
_load, __dir__ = _lazy_names(__name__, _HOMES, globals())


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        require_torch()
    return _load(name)
