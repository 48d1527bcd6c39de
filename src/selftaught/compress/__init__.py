"""Smaller models: masks of weights, channels that are really removed, and what of it is gained on this machine.

Importing this package does not import torch; its first use does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selftaught.lazy import lazy_names as _lazy_names
from selftaught.training.requirement import require_torch as _require_torch

if TYPE_CHECKING:
    from selftaught.compress.channels import (
        ChannelGroup,
        PrunedChannels,
        channel_groups,
        channel_importance,
        prune_channels,
    )
    from selftaught.compress.densities import cubic_density, erk_densities, kept_counts
    from selftaught.compress.distillation import Agreement, Distillation, agreement, distillation_loss
    from selftaught.compress.early_exit import EarlyExit, Left, TrainExits
    from selftaught.compress.exit_calibration import (
        CalibratedExits,
        ExitCosts,
        calibrate_exits,
        choose_thresholds,
        exit_costs,
        fit_temperature,
    )
    from selftaught.compress.exit_times import ExitCurve, ExitPoint, exit_curve, record_exits
    from selftaught.compress.flow import GradientFlow, gradient_flow
    from selftaught.compress.gains import Gain, Gains, Runnable, count_multiply_adds, measure_gains
    from selftaught.compress.gradual import GradualPruning
    from selftaught.compress.importance import taylor_scores
    from selftaught.compress.instability import Cut, Instability
    from selftaught.compress.layer_choice import Choice, LayerChoice, choose_layers
    from selftaught.compress.module_files import SavedModule, load_module, save_module
    from selftaught.compress.normalisation import reestimate_normalisation
    from selftaught.compress.onnx_export import OnnxExport, export_onnx
    from selftaught.compress.onnx_runtime import OnnxModel, load_onnx
    from selftaught.compress.patterns import PatternMasks, block_mask, block_masks, n_of_m_mask, n_of_m_masks
    from selftaught.compress.prunable_weights import LayerSparsity, Sparsity, prunable, sparsity
    from selftaught.compress.quantisation_aware import QuantisationAware
    from selftaught.compress.quantising import Quantised, quantise
    from selftaught.compress.ranking import masks_of
    from selftaught.compress.replaced_layers import ReplacedLayer, densify
    from selftaught.compress.rewinding import Ticket, rewind
    from selftaught.compress.scores import prune_weights
    from selftaught.compress.sparse_conv import SparseConv2d
    from selftaught.compress.sparse_linear import SparseLinear
    from selftaught.compress.sparse_training import SET, RigL
    from selftaught.compress.supermask import Supermask, optimise_mask, random_weights
    from selftaught.compress.top_kast import TopKAST

__all__ = [
    "prune_weights",
    "prunable",
    "sparsity",
    "Sparsity",
    "LayerSparsity",
    "masks_of",
    "erk_densities",
    "kept_counts",
    "cubic_density",
    "n_of_m_mask",
    "n_of_m_masks",
    "block_mask",
    "block_masks",
    "PatternMasks",
    "GradualPruning",
    "Instability",
    "Cut",
    "SET",
    "RigL",
    "TopKAST",
    "GradientFlow",
    "gradient_flow",
    "reestimate_normalisation",
    "rewind",
    "Ticket",
    "optimise_mask",
    "Supermask",
    "random_weights",
    "Distillation",
    "distillation_loss",
    "agreement",
    "Agreement",
    "EarlyExit",
    "Left",
    "TrainExits",
    "calibrate_exits",
    "CalibratedExits",
    "choose_thresholds",
    "fit_temperature",
    "exit_costs",
    "ExitCosts",
    "exit_curve",
    "ExitCurve",
    "ExitPoint",
    "record_exits",
    "prune_channels",
    "PrunedChannels",
    "channel_groups",
    "ChannelGroup",
    "channel_importance",
    "taylor_scores",
    "quantise",
    "Quantised",
    "QuantisationAware",
    "export_onnx",
    "OnnxExport",
    "load_onnx",
    "OnnxModel",
    "save_module",
    "load_module",
    "SavedModule",
    "measure_gains",
    "Gains",
    "Gain",
    "Runnable",
    "count_multiply_adds",
    "choose_layers",
    "Choice",
    "LayerChoice",
    "SparseLinear",
    "SparseConv2d",
    "densify",
    "ReplacedLayer",
]

_HOMES = {
    **dict.fromkeys(
        ("ChannelGroup", "PrunedChannels", "channel_groups", "channel_importance", "prune_channels"), "channels"
    ),
    **dict.fromkeys(("cubic_density", "erk_densities", "kept_counts"), "densities"),
    **dict.fromkeys(("Agreement", "Distillation", "agreement", "distillation_loss"), "distillation"),
    **dict.fromkeys(("EarlyExit", "Left", "TrainExits"), "early_exit"),
    **dict.fromkeys(
        ("CalibratedExits", "ExitCosts", "calibrate_exits", "choose_thresholds", "exit_costs", "fit_temperature"),
        "exit_calibration",
    ),
    **dict.fromkeys(("ExitCurve", "ExitPoint", "exit_curve", "record_exits"), "exit_times"),
    **dict.fromkeys(("GradientFlow", "gradient_flow"), "flow"),
    **dict.fromkeys(("Gain", "Gains", "Runnable", "count_multiply_adds", "measure_gains"), "gains"),
    "GradualPruning": "gradual",
    "taylor_scores": "importance",
    **dict.fromkeys(("Choice", "LayerChoice", "choose_layers"), "layer_choice"),
    **dict.fromkeys(("Cut", "Instability"), "instability"),
    **dict.fromkeys(("SavedModule", "load_module", "save_module"), "module_files"),
    "reestimate_normalisation": "normalisation",
    **dict.fromkeys(("OnnxExport", "export_onnx"), "onnx_export"),
    **dict.fromkeys(("OnnxModel", "load_onnx"), "onnx_runtime"),
    **dict.fromkeys(("PatternMasks", "block_mask", "block_masks", "n_of_m_mask", "n_of_m_masks"), "patterns"),
    **dict.fromkeys(("LayerSparsity", "Sparsity", "prunable", "sparsity"), "prunable_weights"),
    "QuantisationAware": "quantisation_aware",
    **dict.fromkeys(("Quantised", "quantise"), "quantising"),
    "masks_of": "ranking",
    **dict.fromkeys(("ReplacedLayer", "densify"), "replaced_layers"),
    **dict.fromkeys(("Ticket", "rewind"), "rewinding"),
    "prune_weights": "scores",
    "SparseConv2d": "sparse_conv",
    "SparseLinear": "sparse_linear",
    **dict.fromkeys(("SET", "RigL"), "sparse_training"),
    **dict.fromkeys(("Supermask", "optimise_mask", "random_weights"), "supermask"),
    "TopKAST": "top_kast",
}
_load, __dir__ = _lazy_names(__name__, _HOMES, globals())


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        _require_torch()
    return _load(name)
