"""The options of which only some words are allowed."""

from __future__ import annotations

import enum

__all__ = [
    "BiasLevel", "ClaimScale", "ImportanceKind", "LayerSearchKind", "LayerStart", "LowBitsKind", "MissingValues",
    "ModelKind", "NetworkSpace", "OptimiserKind", "PrecisionKind", "PruningSchedule", "RankingKind", "SaidKind",
    "ScheduleKind", "SearchKind", "SearcherName", "SparseStartKind", "TargetKind", "TaskKind",
]  # fmt: skip


class TaskKind(enum.StrEnum):
    """What is learnt of a data set: two classes at a time, all classes, or a number."""

    PAIRS = "pairs"
    CLASSES = "classes"
    REGRESSION = "regression"
    CLASSIFICATION = "classification"


class TargetKind(enum.StrEnum):
    """What a target is."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


class MissingValues(enum.StrEnum):
    """What becomes of missing values."""

    ERROR = "error"
    IMPUTE = "impute"


class SearchKind(enum.StrEnum):
    """How the search goes about it."""

    LIVE = "live"
    CLASSIC = "classic"
    RANDOM = "random"


class BiasLevel(enum.StrEnum):
    """What the search is given beyond operators and sizes."""

    FREE = "free"
    LEARNER = "learner"


class ClaimScale(enum.StrEnum):
    """How much of a claim is measured."""

    TINY = "tiny"
    SMALL = "small"
    FULL = "full"


class LayerSearchKind(enum.StrEnum):
    """Who proposes layers."""

    EVOLUTION = "evolution"
    RANDOM = "random"


class LayerStart(enum.StrEnum):
    """What a search for layers tries first."""

    BN_RELU = "bn-relu"
    NOTHING = "nothing"


class ModelKind(enum.StrEnum):
    """A reference model."""

    MLP = "mlp"
    CNN = "cnn"
    LINEAR = "linear"


class SaidKind(enum.StrEnum):
    """What a person says of an example."""

    MISLABELLED = "mislabelled"
    AMBIGUOUS = "ambiguous"
    RARE = "rare"
    FINE = "fine"


class OptimiserKind(enum.StrEnum):
    """An optimiser."""

    ADAMW = "adamw"
    SGD = "sgd"
    LION = "lion"


class ScheduleKind(enum.StrEnum):
    """How the learning rate moves."""

    COSINE = "cosine"
    ONE_CYCLE = "one-cycle"
    CONSTANT = "constant"


class PrecisionKind(enum.StrEnum):
    """Of the forward passes."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    AUTO = "auto"


class NetworkSpace(enum.StrEnum):
    """What is searched."""

    CELLS = "cells"
    NASNET = "nasnet"
    MACRO = "macro"
    INVERTED_RESIDUAL = "inverted-residual"
    CHAIN = "chain"
    MLP = "mlp"
    TRAINING = "training"


class SearcherName(enum.StrEnum):
    """Who proposes."""

    PAIRWISE = "pairwise"
    RANDOM = "random"
    EVOLUTION = "regularized-evolution"
    POLICY = "policy-gradient"
    LOCAL = "local-search"
    TPE = "tpe"


class RankingKind(enum.StrEnum):
    """Which weights are compared with each other."""

    GLOBAL = "global"
    PER_LAYER = "per_layer"
    ERK = "erk"


class PruningSchedule(enum.StrEnum):
    """When weights are set to zero."""

    GRADUAL = "gradual"
    ONE_SHOT = "one-shot"


class ImportanceKind(enum.StrEnum):
    """What makes a channel important."""

    L2 = "l2"
    TAYLOR = "taylor"


class SparseStartKind(enum.StrEnum):
    """How a training from new weights is sparse."""

    RANDOM = "random"
    MAGNITUDE = "magnitude"
    SNIP = "snip"
    GRASP = "grasp"
    SYNFLOW = "synflow"
    SET = "set"
    RIGL = "rigl"
    TOPKAST = "topkast"
    REWIND = "rewind"
    SUPERMASK = "supermask"


class LowBitsKind(enum.StrEnum):
    """How a model is held in few bits."""

    STATIC = "static"
    DYNAMIC = "dynamic"
    QAT = "qat"
    BF16 = "bf16"
