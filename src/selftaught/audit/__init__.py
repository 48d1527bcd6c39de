"""Audit a change of models: which examples it forgot, for whom, and which examples are hard, each beside its null.

Importing this package does not import torch; only what asks a model for gradients or answers does.
"""

from __future__ import annotations

from selftaught.audit.exemplars import Exemplars, SideBySide, accuracy_on, cie, pie, rank_examples, taxicab
from selftaught.audit.finding import Finding, Verdict
from selftaught.audit.impact import Impact, Measure, impacts, intersections, null_rejections
from selftaught.audit.population import Joined, Population, halves, join, modal_labels
from selftaught.audit.two_way import MeanChange, benjamini_hochberg, change_of_means, welch

__all__ = [
    "Finding",
    "Verdict",
    "Population",
    "join",
    "Joined",
    "modal_labels",
    "halves",
    "pie",
    "cie",
    "Exemplars",
    "taxicab",
    "rank_examples",
    "accuracy_on",
    "SideBySide",
    "impacts",
    "Impact",
    "Measure",
    "intersections",
    "null_rejections",
    "change_of_means",
    "MeanChange",
    "welch",
    "benjamini_hochberg",
]
