"""What is done to a model to make it smaller: a list of steps that are plain data."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from selftaught.errors import InputError
from selftaught.training.config import Config, TrainConfig

__all__ = [
    "Balance", "Blocks", "Channels", "FineTune", "Kernels", "LowBits", "NofM", "Onnx", "Plan", "Rewind", "SparseStart",
    "Step", "Supermask", "Weights",
]  # fmt: skip

Share = Annotated[float, Field(ge=0, lt=1)]
Ranking = Literal["per_layer", "global", "erk"]


class Channels(Config):
    """Take channels out for good; see `prune_channels`.

    Args:
        ratio: share of each layer's channels, or name of a weight -> share, where other layers stay as they are.
        round_to: what is left is a multiple of it.
        importance: "l2" (norm of the weights) or "taylor" (first-order change of the loss on training examples).
        weights: name of a class or group -> how much its examples count for "taylor"; 1 where it is not named.
    """

    kind: Literal["channels"] = "channels"
    ratio: Share | dict[str, Share] = 0.5
    round_to: int = Field(default=16, ge=1)
    importance: Literal["l2", "taylor"] = "l2"
    weights: dict[str, float] = Field(default_factory=dict)


class Weights(Config):
    """Set the smallest weights to zero.

    Args:
        amount: share of the prunable weights.
        ranking: "global", "per_layer" or "erk".
        schedule: "gradual" (cubic, while the fine-tuning that follows runs) or "one-shot" (at once).
    """

    kind: Literal["magnitude"] = "magnitude"
    amount: Share = 0.9
    ranking: Ranking = "global"
    schedule: Literal["gradual", "one-shot"] = "gradual"


class NofM(Config):
    """Keep the n largest of every m consecutive weights along the inputs."""

    kind: Literal["n:m"] = "n:m"
    n: int = Field(default=2, ge=1)
    m: int = Field(default=4, ge=1)

    @model_validator(mode="after")
    def _check(self) -> NofM:
        if self.n > self.m:
            raise ValueError(f"n of m needs n <= m, got {self.n}:{self.m}")
        return self


class Blocks(Config):
    """Set whole blocks of weights to zero; `amount` of them, `size` on a side."""

    kind: Literal["blocks"] = "blocks"
    amount: Share = 0.75
    size: int = Field(default=16, ge=1)


class SparseStart(Config):
    """Begin anew with random weights, of which most are zero from the start or move while it trains.

    Args:
        method: "random", "magnitude", "snip", "grasp" or "synflow" (masks before training), "set", "rigl" or "topkast"
            (masks that move).
        amount: share of zeros among the prunable weights.
        ranking: of scores; "erk" is usual for "random".
    """

    kind: Literal["start"] = "start"
    method: Literal["random", "magnitude", "snip", "grasp", "synflow", "set", "rigl", "topkast"] = "rigl"
    amount: Share = 0.9
    ranking: Ranking = "global"


class Rewind(Config):
    """Find a lottery ticket: train anew, cut, go back to the first weights, train again; `cuts` times."""

    kind: Literal["rewind"] = "rewind"
    amount: Share = 0.9
    cuts: int = Field(default=1, ge=1)
    ranking: Ranking = "global"


class Supermask(Config):
    """Train nothing but the choice of which random weights are used; `amount` of them are not."""

    kind: Literal["supermask"] = "supermask"
    amount: Share = 0.5


class FineTune(Config):
    """Train on, with what is gone staying gone.

    Args:
        training: how; see `TrainConfig`.
        distil: share of the loss that comes from the dense model, 0 for none.
        distil_on: "all" examples, or those that the dense model gets "right", so that its mistakes are not taught
            (after Yan et al., arXiv 2011.09161).
        temperature: of both models' scores in that part.
        weights: name of a class or group -> how much its examples count; 1 where it is not named.
    """

    kind: Literal["fine-tune"] = "fine-tune"
    training: TrainConfig = TrainConfig(epochs=5)
    distil: float = Field(default=0.0, ge=0, le=1)
    distil_on: Literal["all", "right"] = "all"
    temperature: float = Field(default=4.0, gt=0)
    weights: dict[str, float] = Field(default_factory=dict)


class Balance(Config):
    """Shift the last layer's biases so that no class loses much more than the others, by training and validation.

    Where `LowBits` stands directly behind it, losses are those of the model in few bits.

    Args:
        strength: 0 (nothing) to 1 (as far as it helps).
    """

    kind: Literal["balance"] = "balance"
    strength: float = Field(default=1.0, ge=0, le=1)


class LowBits(Config):
    """Hold weights and what layers pass on in few bits, as an ONNX file that onnxruntime runs; see `quantise`.

    "qat" is "static" after a fine-tuning that computes with rounded weights; see `QuantisationAware`.
    """

    kind: Literal["low-bits"] = "low-bits"
    how: Literal["static", "dynamic", "bf16", "qat"] = "static"


class Kernels(Config):
    """Put the fastest form of each layer in place, dense or sparse, as measured here; see `choose_layers`."""

    kind: Literal["kernels"] = "kernels"
    batches: tuple[int, ...] = (1, 32)


class Onnx(Config):
    """Write an ONNX file in float32, which onnxruntime runs."""

    kind: Literal["onnx"] = "onnx"


Step = Annotated[
    Channels | Weights | NofM | Blocks | SparseStart | Rewind | Supermask | FineTune | Balance | LowBits | Onnx
    | Kernels,
    Field(discriminator="kind"),
]
_ANEW = ("start", "rewind", "supermask")


class Plan(Config):
    """Steps, in the order they are done.

    Args:
        steps: what is done.
        column: the column of groups that the steps' weights name; the classes when empty.
        seed: of what is drawn: batches for scores, new weights.

    Raises:
        InputError: a step stands where it cannot.

    >>> plan = Plan(steps=(Channels(ratio=0.5), FineTune()))
    >>> Plan.from_json(plan.to_json()) == plan, str(plan)
    (True, 'channels 0.5, fine-tune 5 epochs')
    """

    steps: tuple[Step, ...] = ()
    column: str = ""
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _check(self) -> Plan:
        kinds = [one.kind for one in self.steps]
        if not kinds:
            raise ValueError("a plan needs at least one step")
        for place, step in enumerate(self.steps):
            if step.kind in _ANEW and place:
                raise ValueError(f"{step.kind} begins with new weights, so it must be the first step")
            if isinstance(step, LowBits) and step.how == "qat" and "fine-tune" not in kinds[:place]:
                raise ValueError("qat rounds while fine-tuning; add fine-tune before it, or quantise statically")
            if step.kind in ("low-bits", "onnx", "kernels") and place + 1 < len(kinds):
                raise ValueError(f"{step.kind} gives what cannot be changed any more, so it must be the last step")
            tuned = "fine-tune" in kinds[place + 1 :]
            if isinstance(step, Weights) and step.schedule == "gradual" and not tuned:
                raise ValueError("gradual pruning happens while fine-tuning; add it behind, or prune one-shot")
            if step.kind == "start" and not tuned:
                raise ValueError("a model that starts sparse must be trained; add fine-tune behind it")
            if step.kind == "channels" and {"magnitude", "n:m", "blocks", *_ANEW} & set(kinds[:place]):
                raise ValueError("channels must be removed before weights are set to zero")
            if isinstance(step, Weights) and step.schedule == "gradual" and kinds[0] == "start":
                raise ValueError("a sparse start has masks of its own while it trains; prune one-shot behind it")
        if kinds[0] in ("rewind", "supermask"):  # their training is the fine-tuning that stands behind them
            tunes = [one for one in self.steps if isinstance(one, FineTune)]
            if len(kinds) > 1 and isinstance(self.steps[1], FineTune) and (tunes[0].distil or tunes[0].weights):
                raise ValueError(f"{kinds[0]} has a training of its own, by labels alone; leave out distil and weights")
            if len(tunes) < 2 and any(isinstance(one, LowBits) and one.how == "qat" for one in self.steps):
                raise ValueError(f"{kinds[0]} has a training of its own, without rounding; quantise statically")
        return self

    def to_json(self) -> str:
        """Return the plan as JSON text."""
        return self.model_dump_json(indent=2)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read a plan from JSON text.

        Raises:
            InputError: it is no JSON, or no plan.
        """
        try:
            held = json.loads(text)
        except ValueError as error:
            raise InputError(f"a plan must be JSON ({error})") from None
        if not isinstance(held, dict):
            raise InputError("a plan must be a JSON object with steps")
        return cls(**held)

    def __str__(self) -> str:
        return ", ".join(_told(one) for one in self.steps)


def _told(step: Any) -> str:
    """Return a step in a few words."""
    if isinstance(step, Channels):
        if isinstance(step.ratio, dict):
            low, high = min(step.ratio.values(), default=0.0), max(step.ratio.values(), default=0.0)
            return f"channels {low:g} to {high:g} by layer" + (" (taylor)" if step.importance == "taylor" else "")
        return f"channels {step.ratio:g}" + (" (taylor)" if step.importance == "taylor" else "")
    if isinstance(step, NofM):
        return f"{step.n}:{step.m}"
    if isinstance(step, SparseStart):
        return f"{step.method} from the start {step.amount:g}"
    if isinstance(step, FineTune):
        length = f"{step.training.planned_epochs} epochs" if step.training.planned_epochs else "on a budget"
        return f"fine-tune {length}" + (", distilled" if step.distil else "") + (", weighted" if step.weights else "")
    if isinstance(step, LowBits):
        return f"8 bits ({step.how}) in onnxruntime" if step.how != "bf16" else "bf16 in onnxruntime"
    if isinstance(step, Balance | Onnx | Kernels):
        names = {"onnx": "float32 in onnxruntime", "kernels": "fastest form of each layer"}
        return names.get(step.kind, step.kind)
    return f"{step.kind} {step.amount:g}"
