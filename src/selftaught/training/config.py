"""What a training run is told: frozen, checked settings, without torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from selftaught.errors import InputError
from selftaught.training.schedules import Constant, Cosine, OneCycle

__all__ = ["AdamW", "Augment", "Config", "Lion", "Optimiser", "RandAugment", "SGD", "Schedule", "TrainConfig"]

DEFAULT_EPOCHS = 20


class Config(BaseModel):
    """Settings that cannot be changed; a wrong one is one line.

    Raises:
        InputError: a setting is unknown or out of its range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"] if isinstance(part, str)) or type(self).__name__
            told = first["msg"].removeprefix("Value error, ")
            came = "" if first["type"] in ("missing", "value_error") else f", got {first['input']!r}"
            raise InputError(f"{place}: {told[0].lower()}{told[1:]}{came}") from None


class SGD(Config):
    """Stochastic gradient descent, with Nesterov's momentum unless it is switched off.

    Args:
        lr: the largest learning rate; the schedule multiplies it.
        momentum: 0 to below 1.
        nesterov: look ahead along the momentum (Sutskever et al. 2013).
        weight_decay: added to the gradient, times the weight.
        decay: which parameters decay: those with more than one axis ("weights") or "all".
    """

    name: Literal["sgd"] = "sgd"
    lr: float = Field(default=0.1, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(default=5e-4, ge=0)
    decay: Literal["weights", "all"] = "weights"

    @model_validator(mode="after")
    def _check(self) -> SGD:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0; say nesterov=False")
        return self


class AdamW(Config):
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).

    Args:
        lr: the largest learning rate; the schedule multiplies it.
        betas: weights of the two moving averages.
        eps: added to the root of the second one.
        weight_decay: times the learning rate and the weight, taken off the weight.
        decay: which parameters decay: those with more than one axis ("weights") or "all".
    """

    name: Literal["adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    decay: Literal["weights", "all"] = "weights"

    @model_validator(mode="after")
    def _check(self) -> AdamW:
        _check_betas(self.betas)
        return self


class Lion(Config):
    """The sign of an interpolated momentum (Chen et al., arXiv 2302.06675, algorithm 2).

    Args:
        lr: the largest learning rate; 3 to 10 times smaller than that of AdamW.
        betas: of the update and of the momentum.
        weight_decay: decoupled, as in AdamW; 3 to 10 times larger than there.
        decay: which parameters decay: those with more than one axis ("weights") or "all".
    """

    name: Literal["lion"] = "lion"
    lr: float = Field(default=3e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(default=0.1, ge=0)
    decay: Literal["weights", "all"] = "weights"

    @model_validator(mode="after")
    def _check(self) -> Lion:
        _check_betas(self.betas)
        return self


def _check_betas(betas: tuple[float, float]) -> None:
    if not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas must be from 0 to below 1, got {betas}")


class RandAugment(Config):
    """Random operations on images, each example its own (Cubuk et al., arXiv 1909.13719).

    Args:
        ops: how many operations one after the other.
        magnitude: 0 (nothing) to 30 (as strong as AutoAugment goes).
        names: the operations to draw from, with replacement; all 14 of the paper when empty.
    """

    ops: int = Field(default=2, ge=1, le=16)
    magnitude: float = Field(default=9.0, ge=0, le=30)
    names: tuple[str, ...] = ()


class Augment(Config):
    """What is done to a batch of images before the model sees it; drawn anew for every example and step.

    Args:
        flip: mirror left and right with probability one half.
        crop: pad each side by so many pixels (zeros) and cut the old size out at random.
        randaugment: random operations, or None.
        cutout: side of a square set to zero (DeVries and Taylor, arXiv 1708.04552); 0 is off.
        mixup: alpha of the Beta distribution of mixup (Zhang et al., arXiv 1710.09412); 0 is off. Tables too.
        cutmix: alpha of the Beta distribution of CutMix (Yun et al., arXiv 1905.04899); 0 is off. With mixup on as
            well, each step takes one of them at random.
    """

    flip: bool = False
    crop: int = Field(default=0, ge=0)
    randaugment: RandAugment | None = None
    cutout: int = Field(default=0, ge=0)
    mixup: float = Field(default=0.0, ge=0)
    cutmix: float = Field(default=0.0, ge=0)

    @property
    def images_only(self) -> tuple[str, ...]:
        """Names of what is switched on and means something for images only."""
        names = ("flip", "crop", "randaugment", "cutout", "cutmix")
        return tuple(name for name in names if getattr(self, name))


Optimiser = Annotated[SGD | AdamW | Lion, Field(discriminator="name")]
Schedule = Annotated[Constant | Cosine | OneCycle, Field(discriminator="name")]


class TrainConfig(Config):
    """How a model is trained.

    The budget is one of `epochs`, `steps` and `seconds`; 20 epochs when none is given. A budget in seconds ends when it
    says, so its result depends on the machine; the others repeat exactly under a seed, on one machine and number of
    threads.

    Args:
        epochs: passes over the training examples.
        steps: steps of the optimiser.
        seconds: time from the call of `fit`, interruptions left out.
        batch_size: examples a step; a data loader brings its own.
        optimiser: `AdamW`, `SGD` or `Lion`.
        schedule: `Constant`, `Cosine` or `OneCycle`.
        augment: what is done to a batch, or None.
        label_smoothing: the share of the label spread over all classes (Szegedy et al., arXiv 1512.00567).
        clip_norm: largest norm of the gradient over all parameters, or None.
        precision: "float32", "bfloat16" (autocast), or "auto": both are timed on the first batch, and bfloat16 is taken
            where it is at least a tenth faster.
        channels_last: keep convolutions' tensors as (n, h, w, c) in memory, which most kernels are faster with; None
            does so for models with 2-d convolutions.
        device: "auto" takes CUDA where there is one, else the CPU; or a name of torch's.
        evaluate_every: epochs between evaluations on the validation examples; the last epoch always has one.
        checkpoint_seconds: time between checkpoints, where there is a folder for them.
        seed: of everything random: order, augmentation, dropout.
    """

    epochs: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    batch_size: int = Field(default=128, ge=1)
    optimiser: Optimiser = AdamW()
    schedule: Schedule = Cosine()
    augment: Augment | None = None
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    clip_norm: float | None = Field(default=None, gt=0)
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    channels_last: bool | None = None
    device: str = "auto"
    evaluate_every: int = Field(default=1, ge=1)
    checkpoint_seconds: float = Field(default=30.0, ge=0)
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        given = [name for name in ("epochs", "steps", "seconds") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both budgets; give one")
        return self

    @property
    def planned_epochs(self) -> int | None:
        """The number of epochs when that is the budget, else None."""
        return DEFAULT_EPOCHS if (self.epochs, self.steps, self.seconds) == (None, None, None) else self.epochs
