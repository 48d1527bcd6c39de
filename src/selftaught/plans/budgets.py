"""How much each layer loses: budgets by one number, on which a search for a target moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from selftaught.compress import ChannelGroup, prune_channels, reestimate_normalisation
from selftaught.examples import Examples
from selftaught.training import evaluate

__all__ = ["Budget", "global_budget", "sensitivities", "sensitivity_budget", "uniform_budget", "widths_left"]

#: Amount, 0 to below 1 -> name of a group's first weight -> share of its channels that goes.
Budget = Callable[[float], dict[str, float]]
MOST = 0.95  # share of a layer that goes at most


@dataclass(frozen=True)
class _Layer:
    name: str
    width: int
    order: NDArray[np.float64]  # importances, normalised and sorted


def _layers(found: Mapping[ChannelGroup, NDArray[np.float64]]) -> list[_Layer]:
    layers = []
    for group, importance in found.items():
        squares = np.square(importance)
        layers.append(_Layer(group.layers[0], group.width, np.sort(squares / max(float(squares.mean()), 1e-30))))
    return layers


def uniform_budget(groups: Sequence[ChannelGroup]) -> Budget:
    """Return the budget that takes the same share of every layer.

    >>> uniform_budget([ChannelGroup(("a",), 8, 8, "")])(0.5)
    {'a': 0.5}
    """
    names = [one.layers[0] for one in groups]
    return lambda amount: dict.fromkeys(names, min(amount, MOST))


def global_budget(importance: Mapping[ChannelGroup, NDArray[np.float64]]) -> Budget:
    """Return the budget with one threshold over all channels, each by its layer's mean square.

    Args:
        importance: as `channel_importance` gives it.

    >>> groups = {ChannelGroup((name,), 2, 2, ""): np.array(one) for name, one in (("a", [1., 1.]), ("b", [0.1, 2.]))}
    >>> global_budget(groups)(0.25)
    {'a': 0.0, 'b': 0.5}
    """
    layers = _layers(importance)
    every = np.sort(np.concatenate([one.order for one in layers]))

    def budget(amount: float) -> dict[str, float]:
        place = min(int(amount * len(every)), len(every) - 1)
        border = every[place]
        return {one.name: min(float((one.order < border).mean()), MOST) for one in layers}

    return budget


def sensitivities(
    model: nn.Module, inputs: Any, groups: Sequence[ChannelGroup], valid: Examples, train: Examples, *,
    ratio: float = 0.5, score: Callable[[nn.Module], float] | None = None,
) -> dict[str, float]:  # fmt: skip
    """Return what validation loses when a single layer loses a share of its channels, without any fine-tuning.

    Args:
        model: the dense module.
        inputs: an example of its inputs.
        groups: of layers.
        valid: what is lost is measured on them.
        train: statistics of normalisations are taken from them.
        ratio: share of the layer's channels.
        score: what is compared; the accuracy by default.
    """
    judge = score or (lambda one: evaluate(one, valid).score)
    whole = judge(model)
    found = {}
    for one in groups:
        cut = prune_channels(model, inputs, ratio={one.layers[0]: ratio}, round_to=1).model
        reestimate_normalisation(cut, train, batches=4)
        found[one.layers[0]] = max(whole - judge(cut), 0.0)
    return found


def sensitivity_budget(groups: Sequence[ChannelGroup], lost: Mapping[str, float]) -> Budget:
    """Return the budget in which layers that matter little lose more: the odds of staying grow with what is lost.

    Args:
        groups: of layers.
        lost: name of a group's first weight -> what validation loses without half of it.

    >>> groups = [ChannelGroup(("a",), 8, 8, ""), ChannelGroup(("b",), 8, 8, "")]
    >>> found = sensitivity_budget(groups, {"a": 0.3, "b": 0.0})(0.5)
    >>> found["a"] < 0.5 < found["b"]
    True
    """
    values = np.array([lost[one.layers[0]] for one in groups])
    scale = float(values.mean()) or 1.0
    lean = np.clip((values - values.mean()) / scale, -1.0, 1.0)  # of the log odds

    def budget(amount: float) -> dict[str, float]:
        inside = min(max(amount, 1e-6), MOST)
        odds = np.log(inside / (1 - inside)) - lean
        shares = 1 / (1 + np.exp(-odds)) if amount > 0 else np.zeros(len(groups))
        return {one.layers[0]: min(float(share), MOST) for one, share in zip(groups, shares, strict=True)}

    return budget


def widths_left(groups: Sequence[ChannelGroup], shares: Mapping[str, float], round_to: int) -> tuple[int, ...]:
    """Return how many channels each group keeps, rounded as `prune_channels` does.

    >>> widths_left([ChannelGroup(("a",), 64, 64, "")], {"a": 0.6}, 16)
    (32,)
    """
    found = []
    for one in groups:
        share = shares.get(one.layers[0], 0.0)
        if share == 0:
            found.append(one.width)
            continue
        wanted = one.width * (1 - share)
        found.append(min(max(int(np.floor(wanted / round_to + 0.5)), 1) * round_to, one.width))
    return tuple(found)
