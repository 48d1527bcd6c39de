"""Layers as torch modules, and the search for new ones: a normalisation and an activation in one, from primitives."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from selftaught.errors import MissingExtraError as _MissingExtraError
from selftaught.lazy import lazy_names as _lazy_names

if TYPE_CHECKING:
    from selftaught.layers.anchors import ANCHORS, batch_norm_relu, layer_maker
    from selftaught.layers.building import build_layer, layer_class
    from selftaught.layers.confirming import Confirmation, confirm
    from selftaught.layers.evonorm import EVONORMS, EvoNormB0, EvoNormB1, EvoNormB2, EvoNormS0, EvoNormS1, EvoNormS2
    from selftaught.layers.freezing import train_only
    from selftaught.layers.ghost_batches import GhostBatches, in_ghost_batches
    from selftaught.layers.image_tasks import image_task
    from selftaught.layers.judging import Judge, Judgement, Judging
    from selftaught.layers.layer_search import LayerStudy, search_layer
    from selftaught.layers.layer_text import layer_file
    from selftaught.layers.rule_search import RuleJudge, search_rule
    from selftaught.layers.rule_text import rule_file, rule_optimiser
    from selftaught.layers.stability import gradient_ascent
    from selftaught.layers.transplants import BilinearTerm, transplanted

__all__ = [
    "search_layer",
    "LayerStudy",
    "confirm",
    "Confirmation",
    "image_task",
    "Judging",
    "Judge",
    "Judgement",
    "gradient_ascent",
    "ANCHORS",
    "train_only",
    "GhostBatches",
    "in_ghost_batches",
    "layer_maker",
    "batch_norm_relu",
    "layer_file",
    "layer_class",
    "build_layer",
    "EvoNormB0",
    "EvoNormB1",
    "EvoNormB2",
    "EvoNormS0",
    "EvoNormS1",
    "EvoNormS2",
    "EVONORMS",
    "search_rule",
    "RuleJudge",
    "rule_file",
    "rule_optimiser",
    "BilinearTerm",
    "transplanted",
]

_HOMES = {
    "search_layer": "layer_search",
    "LayerStudy": "layer_search",
    "confirm": "confirming",
    "Confirmation": "confirming",
    "image_task": "image_tasks",
    "Judging": "judging",
    "Judge": "judging",
    "Judgement": "judging",
    "gradient_ascent": "stability",
    "ANCHORS": "anchors",
    "train_only": "freezing",
    "GhostBatches": "ghost_batches",
    "in_ghost_batches": "ghost_batches",
    "layer_maker": "anchors",
    "batch_norm_relu": "anchors",
    "layer_file": "layer_text",
    "layer_class": "building",
    "build_layer": "building",
    "EvoNormB0": "evonorm",
    "EvoNormB1": "evonorm",
    "EvoNormB2": "evonorm",
    "EvoNormS0": "evonorm",
    "EvoNormS1": "evonorm",
    "EvoNormS2": "evonorm",
    "EVONORMS": "evonorm",
    "search_rule": "rule_search",
    "RuleJudge": "rule_search",
    "rule_file": "rule_text",
    "rule_optimiser": "rule_text",
    "BilinearTerm": "transplants",
    "transplanted": "transplants",
}
_load, __dir__ = _lazy_names(__name__, _HOMES, globals())
_WITHOUT_TORCH = ("layer_file", "image_task")


def __getattr__(name: str) -> Any:
    if name in _HOMES and name not in _WITHOUT_TORCH and importlib.util.find_spec("torch") is None:
        raise _MissingExtraError("torch", "networks", "a layer in a network")
    return _load(name)
