"""From what a user asks for in words to a plan."""

from __future__ import annotations

import re
from typing import Any

from selftaught.errors import InputError, require_one_of
from selftaught.plans.plan import (
    Blocks,
    Channels,
    FineTune,
    Kernels,
    LowBits,
    NofM,
    Onnx,
    Plan,
    Rewind,
    SparseStart,
    Step,
    Supermask,
    Weights,
)
from selftaught.plans.sources import Source
from selftaught.training.config import TrainConfig
from selftaught.training.schedules import Cosine

__all__ = ["PRUNE", "cuts_of", "plan_of", "start_of", "training_of"]

PRUNE = ("channels", "magnitude", "n:m", "blocks")
_AMOUNTS = {"channels": "0.5", "magnitude": "0.9", "n:m": "2:4", "blocks": "0.75"}
_EPOCHS = 5
DISTIL = 0.9


def cuts_of(
    prune: str,
    amount: str | None = None,
    *,
    ranking: str = "global",
    schedule: str = "gradual",
    importance: str = "l2",
    round_to: int = 16,
    ratios: dict[str, float] | None = None,
) -> tuple[Step, ...]:
    """Return the steps that cut.

    Args:
        prune: "channels", "magnitude", "n:m" or "blocks"; several with commas.
        amount: one for each: the share that goes, or N:M.
        ranking, schedule: of "magnitude".
        importance, round_to: of "channels".
        ratios: name of a weight -> share of its channels, in the place of the amount.

    Raises:
        InputError: a word is unknown, or amounts do not fit.

    >>> [one.kind for one in cuts_of("channels,n:m", "0.5,2:4")]
    ['channels', 'n:m']
    """
    kinds = [one.strip() for one in prune.split(",") if one.strip()]
    if not kinds:
        raise InputError(f"--prune must be one of {', '.join(PRUNE)}, or several with commas")
    amounts = [_AMOUNTS.get(one, "") for one in kinds] if amount is None else [one.strip() for one in amount.split(",")]
    if len(amounts) != len(kinds):
        raise InputError(f"--amount has {len(amounts)} and --prune {len(kinds)}; give one for each, with commas")
    found: list[Step] = []
    for kind, said in zip(kinds, amounts, strict=True):
        require_one_of("prune", kind, PRUNE)
        if kind == "n:m":
            pair = re.fullmatch(r"(\d{1,4}):(\d{1,4})", said)
            if pair is None:
                raise InputError(f"the amount of n:m must be such as 2:4, got {said!r}")
            found.append(NofM(n=int(pair[1]), m=int(pair[2])))
            continue
        share = _share(said, kind)
        if kind == "channels":
            chosen: dict[str, Any] = {"ratio": share if ratios is None else dict(ratios), "importance": importance}
            found.append(Channels(round_to=round_to, **chosen))
        elif kind == "magnitude":
            words: dict[str, Any] = {"ranking": ranking, "schedule": schedule}
            found.append(Weights(amount=share, **words))
        else:
            found.append(Blocks(amount=share))
    return tuple(found)


def start_of(method: str, amount: str | None = None, *, ranking: str = "global", cuts: int = 1) -> Step:
    """Return the step that begins anew.

    Raises:
        InputError: the amount is no share.

    >>> start_of("supermask").kind
    'supermask'
    """
    share = None if amount is None else _share(amount, method)
    held: dict[str, Any] = {} if share is None else {"amount": share}
    if method == "supermask":
        return Supermask(**held)
    held["ranking"] = ranking
    return Rewind(cuts=cuts, **held) if method == "rewind" else SparseStart(**{"method": method, **held})


def training_of(source: Source, given: dict[str, Any], *, anew: bool, seed: int) -> TrainConfig:
    """Return how the smaller model is trained: as the model itself was, but for what is given, and shorter.

    Args:
        source: the model; a folder's settings are taken over.
        given: settings of `TrainConfig` that win.
        anew: whether it begins with new weights, and so takes as long as the model did.
        seed: of the training.
    """
    own = source.result.get("settings")
    held: dict[str, Any] = {}
    if isinstance(own, dict):
        names = ("batch_size", "optimiser", "augment", "label_smoothing", "clip_norm", "channels_last")
        held = {name: own[name] for name in names if own.get(name) is not None}
        if anew:
            held |= {name: own[name] for name in ("epochs", "steps", "schedule") if own.get(name) is not None}
    budget = {"epochs", "steps", "seconds"}
    if budget & set(given):
        held = {name: value for name, value in held.items() if name not in budget}
    elif not anew:
        held["epochs"] = _EPOCHS
    if not anew:
        held["schedule"] = Cosine()
    return TrainConfig(**{**held, "seed": seed, **given})


def plan_of(
    cuts: tuple[Step, ...],
    training: TrainConfig | None,
    *,
    distil: bool = False,
    int8: str | None = None,
    onnx: bool = False,
    kernels: tuple[int, ...] = (),
    seed: int = 0,
) -> Plan:
    """Return cuts with the training behind them, and what runs the result.

    Args:
        cuts: the first may begin anew.
        training: None for no training at all, which makes gradual pruning one-shot.
        distil: whether the dense model teaches.
        int8: "static", "dynamic", "qat" or "bf16"; None for float32.
        onnx: whether onnxruntime runs it in float32.
        kernels: batch sizes at which the fastest form of each layer is chosen; none without it.
        seed: of what is drawn.

    Raises:
        InputError: several things are to run it.
    """
    if sum((int8 is not None, onnx, bool(kernels))) > 1:
        raise InputError("--int8, --onnx and --kernels each say what runs the model; give one of them")
    last: tuple[Step, ...] = (Onnx(),) if onnx else ()
    if kernels:
        last = (Kernels(batches=kernels),)
    if int8 is not None:
        how: dict[str, Any] = {"how": int8}
        last = (LowBits(**how),)
    if training is None:
        whole = [one.model_copy(update={"schedule": "one-shot"}) if isinstance(one, Weights) else one for one in cuts]
        return Plan(steps=(*whole, *last), seed=seed)
    tune = FineTune(training=training, distil=DISTIL if distil else 0.0)
    return Plan(steps=(*cuts, tune, *last), seed=seed)


def _share(said: str, kind: str) -> float:
    try:
        value = float(said)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise InputError(f"the amount of {kind} must be a share from 0 to below 1, got {said!r}")
    return value
