"""Audit a change of models: which examples it forgot, for whom, and which examples are hard, each beside its null.

Importing this package does not import torch; only what asks a model for gradients or answers does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selftaught.audit.comparison import Audit, audit
from selftaught.audit.corruptions import (
    CORRUPTIONS,
    STRENGTHS,
    TABLE_CORRUPTIONS,
    Robustness,
    corrupt,
    corruption_names,
    robustness,
)
from selftaught.audit.difficulty import (
    ColumnJudgement,
    aum,
    auroc,
    el2n,
    error_norm,
    forgetting,
    judge_columns,
    label_quality,
    margin,
    max_prob,
    mean_confidence,
    variability,
    within_class,
)
from selftaught.audit.embeddings import columns_of, principal_components
from selftaught.audit.estimators import ALL_ESTIMATORS, ESTIMATORS, Estimator
from selftaught.audit.exemplars import Exemplars, SideBySide, accuracy_on, cie, pie, rank_examples, taxicab
from selftaught.audit.finding import Finding, Verdict
from selftaught.audit.findings_folder import PersonsVerdict, read_verdicts, record_verdict, write_findings
from selftaught.audit.impact import LEAST_SIZE, Impact, Measure, impacts, intersections, null_rejections
from selftaught.audit.kinds import KINDS, HardnessKinds, Kind, hardness_kinds, kinds_matrix
from selftaught.audit.levels import Level, Sweep, sweep
from selftaught.audit.map_sheet import saliency_sheet
from selftaught.audit.memorisation import Memorised, draw_subsets, measure_memorisation, memorisation
from selftaught.audit.number_populations import NumberPopulation, moved
from selftaught.audit.pixel_masks import (
    Per,
    box_blur,
    channel_means,
    pixels_of,
    random_scores,
    replaced,
    sobel_scores,
    top_units,
)
from selftaught.audit.population import Joined, Population, halves, join, modal_labels
from selftaught.audit.price import Price, found_change, group_offsets, price, shift_groups
from selftaught.audit.recorded import recorded, recorded_difficulty
from selftaught.audit.roar_result import Roar
from selftaught.audit.saved import load_predictions, save_predictions
from selftaught.audit.sheet import example_sheet
from selftaught.audit.slices import Slice, find_slices
from selftaught.audit.threshold_classes import AumThreshold, aum_threshold
from selftaught.audit.two_way import MeanChange, benjamini_hochberg, change_of_means, welch
from selftaught.lazy import lazy_names as _lazy_names
from selftaught.training.requirement import require_torch as _require_torch

if TYPE_CHECKING:
    from selftaught.audit.attribution import attributions, require_captum
    from selftaught.audit.input_gradients import gradient_variance, variance_of_gradients
    from selftaught.audit.loss_gradients import grand
    from selftaught.audit.remove_and_retrain import RoarProgress, roar
    from selftaught.audit.saliency import TrainedImages, roar_of_trained, sheet_of, trained_images
    from selftaught.audit.trained import model_folders, penultimate, population_of_models, seen_ids

__all__ = [
    "audit",
    "Audit",
    "Finding",
    "Verdict",
    "sweep",
    "Sweep",
    "Level",
    "price",
    "Price",
    "found_change",
    "group_offsets",
    "shift_groups",
    "write_findings",
    "example_sheet",
    "record_verdict",
    "read_verdicts",
    "PersonsVerdict",
    "Population",
    "load_predictions",
    "save_predictions",
    "population_of_models",
    "model_folders",
    "seen_ids",
    "join",
    "Joined",
    "modal_labels",
    "halves",
    "pie",
    "cie",
    "Exemplars",
    "taxicab",
    "NumberPopulation",
    "moved",
    "rank_examples",
    "accuracy_on",
    "SideBySide",
    "impacts",
    "Impact",
    "LEAST_SIZE",
    "Measure",
    "intersections",
    "null_rejections",
    "find_slices",
    "Slice",
    "principal_components",
    "penultimate",
    "columns_of",
    "corrupt",
    "robustness",
    "Robustness",
    "CORRUPTIONS",
    "TABLE_CORRUPTIONS",
    "STRENGTHS",
    "corruption_names",
    "change_of_means",
    "MeanChange",
    "welch",
    "benjamini_hochberg",
    "recorded_difficulty",
    "recorded",
    "mean_confidence",
    "variability",
    "margin",
    "aum",
    "error_norm",
    "el2n",
    "grand",
    "aum_threshold",
    "AumThreshold",
    "forgetting",
    "max_prob",
    "label_quality",
    "within_class",
    "variance_of_gradients",
    "gradient_variance",
    "auroc",
    "judge_columns",
    "ColumnJudgement",
    "measure_memorisation",
    "memorisation",
    "Memorised",
    "draw_subsets",
    "hardness_kinds",
    "HardnessKinds",
    "Kind",
    "KINDS",
    "kinds_matrix",
    "roar",
    "Roar",
    "RoarProgress",
    "roar_of_trained",
    "trained_images",
    "TrainedImages",
    "saliency_sheet",
    "sheet_of",
    "attributions",
    "require_captum",
    "Estimator",
    "ESTIMATORS",
    "ALL_ESTIMATORS",
    "Per",
    "pixels_of",
    "channel_means",
    "random_scores",
    "sobel_scores",
    "box_blur",
    "top_units",
    "replaced",
]

_HOMES = {
    **dict.fromkeys(("attributions", "require_captum"), "attribution"),
    "grand": "loss_gradients",
    **dict.fromkeys(("roar", "RoarProgress"), "remove_and_retrain"),
    **dict.fromkeys(("TrainedImages", "roar_of_trained", "sheet_of", "trained_images"), "saliency"),
    **dict.fromkeys(("variance_of_gradients", "gradient_variance"), "input_gradients"),
    **dict.fromkeys(("model_folders", "penultimate", "population_of_models", "seen_ids"), "trained"),
}
_load, __dir__ = _lazy_names(__name__, _HOMES, globals())


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        _require_torch()
    return _load(name)
