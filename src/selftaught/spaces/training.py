"""Hyper-parameters of training, as steps of a grid."""

from __future__ import annotations

from selftaught.spaces.choices import ChoiceSpace
from selftaught.spaces.parameter import Parameter

__all__ = ["training_parameters"]


def training_parameters() -> ChoiceSpace:
    """Return how to train: optimiser, learning rate, weight decay, batch, schedule, label smoothing, augmentation.

    Learning rates are factors on the optimiser's usual one (0.1 for SGD, 0.001 for AdamW, 0.0001 for Lion), so that
    the same choice means about the same for each. Momentum is active for SGD only.

    >>> "momentum" in training_parameters().from_json(
    ...     '{"optimiser": "adamw", "rate": 1.0, "decay": 0.0, "batch": 128, "schedule": "cosine", "warmup": 0.0,'
    ...     ' "smoothing": 0.0, "augmentation": 0}'
    ... )
    False
    """
    return ChoiceSpace(
        "training",
        (
            Parameter("optimiser", ("sgd", "adamw", "lion")),
            Parameter("momentum", (0.0, 0.8, 0.9, 0.95), when={"optimiser": ("sgd",)}, ordered=True),
            Parameter("rate", (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0), ordered=True),
            Parameter("decay", (0.0, 1e-5, 1e-4, 5e-4, 1e-3, 1e-2, 1e-1), ordered=True),
            Parameter("batch", (32, 64, 128, 256, 512), ordered=True),
            Parameter("schedule", ("constant", "cosine", "one-cycle")),
            Parameter("warmup", (0.0, 0.05, 0.1), ordered=True),
            Parameter("smoothing", (0.0, 0.05, 0.1), ordered=True),
            Parameter("augmentation", (0, 5, 10, 15), ordered=True),
        ),
    )
