"""Distributions over candidates that can be drawn from and differentiated: independent logits, or an LSTM.

A policy walks through the active parameters of a space in order. At each it knows the probabilities of the choices,
takes one, and goes on; the same walk draws a candidate, or goes along a known one to differentiate its probability.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from selftaught.spaces import Candidate, Choice, ChoiceSpace, Parameter

__all__ = ["POLICIES", "IndependentPolicy", "Policy", "PolicyName", "RecurrentPolicy", "Walk", "draw", "follow"]

Array = NDArray[np.float64]
Weights = dict[str, Array]
PolicyName = Literal["independent", "autoregressive"]


@dataclass
class Walk:
    """One candidate, decision by decision.

    Args:
        candidate: what was chosen.
        probabilities: one array (choices,) a decision.
        places: the place of the choice taken, one a decision.
        notes: what the policy keeps for differentiating.
    """

    candidate: dict[str, Choice] = field(default_factory=dict)
    probabilities: list[Array] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)

    @property
    def log_probability(self) -> float:
        """Natural logarithm of the whole candidate's probability."""
        return float(sum(np.log(p[place]) for p, place in zip(self.probabilities, self.places, strict=True)))

    def slopes(self, reward: float, entropy: float) -> list[Array]:
        """Return the slopes of ``reward * log p + entropy * H`` in the logits, one array a decision.

        H is the sum of the entropies of the decisions along the walk, in nats.
        """
        found = []
        for p, place in zip(self.probabilities, self.places, strict=True):
            slope = -reward * p
            slope[place] += reward
            if entropy:
                log_p = np.log(p)
                slope -= entropy * p * (log_p - float(p @ log_p))
            found.append(slope)
        return found


class Policy(Protocol):
    """A distribution over the candidates of a space, with weights outside.

    `walk` asks `choose(parameter, probabilities)` for a place at every active parameter. `gradient` turns slopes in
    the logits of a walk into slopes in the weights, of the same names and shapes.
    """

    def initial(self, rng: np.random.Generator) -> Weights: ...
    def walk(self, weights: Weights, choose: Callable[[Parameter, Array], int]) -> Walk: ...
    def gradient(self, weights: Weights, walk: Walk, slopes: list[Array]) -> Weights: ...


def draw(policy: Policy, weights: Weights, rng: np.random.Generator) -> Walk:
    """Draw a candidate."""

    def choose(_: Parameter, probabilities: Array) -> int:
        sums = probabilities.cumsum()
        return min(int(np.searchsorted(sums, rng.random() * sums[-1], side="right")), len(sums) - 1)

    return policy.walk(weights, choose)


def follow(policy: Policy, weights: Weights, candidate: Candidate) -> Walk:
    """Walk along a known candidate."""
    return policy.walk(weights, lambda parameter, _: parameter.position(candidate[parameter.name]))


def _softmax(logits: Array) -> Array:
    # Not below 1e-12, so that a logarithm stays finite however sure the policy becomes.
    raised = np.exp(logits - logits.max())
    return np.asarray(np.maximum(raised / raised.sum(), 1e-12))


class IndependentPolicy:
    """One vector of logits a parameter, drawn from N(0, 1e-3) at first; conditions decide which take part.

    Args:
        space: what is chosen.
    """

    def __init__(self, space: ChoiceSpace) -> None:
        self.space = space

    def initial(self, rng: np.random.Generator) -> Weights:
        return {p.name: 1e-3 * rng.standard_normal(len(p.choices)) for p in self.space.parameters}

    def walk(self, weights: Weights, choose: Callable[[Parameter, Array], int]) -> Walk:
        walk = Walk()

        def step(parameter: Parameter) -> int:
            walk.probabilities.append(_softmax(weights[parameter.name]))
            walk.places.append(choose(parameter, walk.probabilities[-1]))
            walk.notes.append(parameter.name)
            return walk.places[-1]

        walk.candidate = self.space.complete({}, step)
        return walk

    def gradient(self, weights: Weights, walk: Walk, slopes: list[Array]) -> Weights:
        found = {name: np.zeros_like(value) for name, value in weights.items()}
        for name, slope in zip(walk.notes, slopes, strict=True):
            found[name] += slope
        return found


class RecurrentPolicy:
    """An autoregressive controller: an LSTM that reads each choice it made before it makes the next.

    As in "Neural Architecture Search with Reinforcement Learning" (arXiv 1611.01578) and NASNet (1707.07012), in NumPy:
    one layer, one softmax a decision, the embedding of a choice is the next input, weights from U(-0.1, 0.1).

    Args:
        space: what is chosen.
        units: of the LSTM and of the embeddings; 100 in NASNet.
    """

    def __init__(self, space: ChoiceSpace, units: int = 32) -> None:
        self.space = space
        self.units = units

    def initial(self, rng: np.random.Generator) -> Weights:
        u = self.units
        shapes: dict[str, tuple[int, ...]] = {"start": (u,), "gates": (4 * u, 2 * u), "bias": (4 * u,)}
        for parameter in self.space.parameters:
            count = len(parameter.choices)
            shapes |= {f"embed {parameter.name}": (count, u), f"head {parameter.name}": (count, u),
                       f"offset {parameter.name}": (count,)}  # fmt: skip
        return {name: rng.uniform(-0.1, 0.1, shape) for name, shape in shapes.items()}

    def walk(self, weights: Weights, choose: Callable[[Parameter, Array], int]) -> Walk:
        walk, u = Walk(), self.units
        state = {"x": weights["start"], "h": np.zeros(u), "c": np.zeros(u)}

        def step(parameter: Parameter) -> int:
            joint = np.concatenate([state["x"], state["h"]])
            gates = weights["gates"] @ joint + weights["bias"]
            into, forget, out = (1 / (1 + np.exp(-gates[k * u : (k + 1) * u])) for k in range(3))
            new = np.tanh(gates[3 * u :])
            cell = forget * state["c"] + into * new
            hidden = out * np.tanh(cell)
            walk.notes.append((parameter.name, joint, into, forget, out, new, state["c"], cell, hidden))
            walk.probabilities.append(
                _softmax(weights[f"head {parameter.name}"] @ hidden + weights[f"offset {parameter.name}"])
            )
            walk.places.append(choose(parameter, walk.probabilities[-1]))
            state.update(x=weights[f"embed {parameter.name}"][walk.places[-1]], h=hidden, c=cell)
            return walk.places[-1]

        walk.candidate = self.space.complete({}, step)
        return walk

    def gradient(self, weights: Weights, walk: Walk, slopes: list[Array]) -> Weights:
        found = {name: np.zeros_like(value) for name, value in weights.items()}
        u = self.units
        to_input, to_hidden, to_cell = np.zeros(u), np.zeros(u), np.zeros(u)
        for k in reversed(range(len(slopes))):
            name, joint, into, forget, out, new, before, cell, hidden = walk.notes[k]
            found[f"embed {name}"][walk.places[k]] += to_input  # it was the next decision's input
            found[f"head {name}"] += np.outer(slopes[k], hidden)
            found[f"offset {name}"] += slopes[k]
            to_hidden = to_hidden + weights[f"head {name}"].T @ slopes[k]
            squashed = np.tanh(cell)
            to_cell = to_cell + to_hidden * out * (1 - squashed**2)
            to_gates = np.concatenate(
                [
                    to_cell * new * into * (1 - into),
                    to_cell * before * forget * (1 - forget),
                    to_hidden * squashed * out * (1 - out),
                    to_cell * into * (1 - new**2),
                ]
            )
            found["gates"] += np.outer(to_gates, joint)
            found["bias"] += to_gates
            to_joint = weights["gates"].T @ to_gates
            to_input, to_hidden, to_cell = to_joint[:u], to_joint[u:], to_cell * forget
        found["start"] += to_input
        return found


POLICIES = {"independent": IndependentPolicy, "autoregressive": RecurrentPolicy}
