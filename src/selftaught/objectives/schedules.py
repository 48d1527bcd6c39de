"""How candidates are trained: the usual schedule for a kind of data, and candidates that are schedules themselves."""

from __future__ import annotations

from typing import Any

from selftaught.examples import Examples
from selftaught.spaces import Candidate
from selftaught.training import SGD, AdamW, Augment, Constant, Cosine, Lion, OneCycle, RandAugment, TrainConfig

__all__ = ["training_of", "usual_training"]

_AUGMENTED_FROM = 24  # pixels a side; smaller pictures, such as digits, lose what a flip or a crop takes away


def usual_training(examples: Examples, *, epochs: int, device: str = "auto") -> TrainConfig:
    """Return the schedule that a search trains with: short, with the rate going to zero at its end.

    Images: SGD with Nesterov's momentum, rate 0.1, weight decay 5e-4, cosine; flip and crop for colour images of at
    least 24 pixels (as in NAS-Bench-201, arXiv 2001.00326). Tables: AdamW.

    Args:
        examples: what is trained on.
        epochs: passes over them.
        device: a name of torch's.
    """
    shape = examples.inputs.shape[1:]
    common: dict[str, Any] = {"epochs": epochs, "evaluate_every": epochs, "device": device, "clip_norm": 5.0}
    common["batch_size"] = 256 if len(examples) >= 20_000 else 64
    if len(shape) < 2:
        return TrainConfig(optimiser=AdamW(lr=3e-3), schedule=Cosine(warmup=0.05), **common)
    colour = len(shape) == 3 and shape[2] == 3 and min(shape[:2]) >= _AUGMENTED_FROM
    augment = Augment(flip=True, crop=shape[0] // 8) if colour else None
    return TrainConfig(optimiser=SGD(lr=0.1, weight_decay=5e-4), augment=augment, **common)


def training_of(candidate: Candidate, examples: Examples, *, epochs: int, device: str = "auto") -> TrainConfig:
    """Return the schedule that a candidate of the space `training` is.

    A warm-up is a share of the steps; one-cycle has its own, the share until its peak. Weight decay counts as each
    optimiser counts it. Augmentation is RandAugment's magnitude on images, noise of mixup on tables (magnitude / 50).

    Args:
        candidate: of `training_parameters`.
        examples: what is trained on.
        epochs: passes over them.
        device: a name of torch's.

    >>> from selftaught import load
    >>> from selftaught.spaces import training_parameters
    >>> chosen = training_parameters().complete({}, lambda parameter: 0)
    >>> round(training_of(chosen, load("iris"), epochs=3).optimiser.lr, 3)
    0.01
    """
    chosen: dict[str, Any] = dict(candidate)
    rate, decay = float(chosen["rate"]), float(chosen["decay"])
    optimiser: Any
    if chosen["optimiser"] == "sgd":
        momentum = float(chosen["momentum"])
        optimiser = SGD(lr=0.1 * rate, momentum=momentum, nesterov=momentum > 0, weight_decay=decay)
    elif chosen["optimiser"] == "adamw":
        optimiser = AdamW(lr=1e-3 * rate, weight_decay=decay)
    else:
        optimiser = Lion(lr=1e-4 * rate, weight_decay=decay)
    warmup = float(chosen["warmup"])
    schedules: dict[str, Any] = {
        "constant": Constant(warmup=warmup),
        "cosine": Cosine(warmup=warmup),
        "one-cycle": OneCycle(peak=max(warmup, 0.01) if warmup else 0.3),
    }
    magnitude = float(chosen["augmentation"])
    augment = None
    if magnitude and examples.inputs.ndim > 2:
        augment = Augment(randaugment=RandAugment(ops=2, magnitude=magnitude))
    elif magnitude:
        augment = Augment(mixup=magnitude / 50)
    return TrainConfig(
        epochs=epochs, evaluate_every=epochs, device=device, optimiser=optimiser,
        schedule=schedules[chosen["schedule"]],
        batch_size=int(chosen["batch"]), augment=augment, clip_norm=5.0,
        label_smoothing=float(chosen["smoothing"]) if examples.num_classes else 0.0,
    )  # fmt: skip
