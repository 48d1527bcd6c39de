"""What a layer means: the slow evaluation in NumPy that is the definition, and a fingerprint of what it computes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError
from selftaught.seeds import rng_for
from selftaught.spaces.expressions import Graph
from selftaught.spaces.layer import statistic_of

__all__ = ["evaluate_layer", "layer_fingerprint", "start_of_running"]

Array = NDArray[np.float64]

_AXES = {"bhw": (0, 2, 3), "hw": (2, 3), "hwc": (1, 2, 3)}
_PLAIN: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        "add": np.add, "multiply": np.multiply, "divide": np.divide, "max": np.maximum, "negative": np.negative,
        "sigmoid": lambda a: 1 / (1 + np.exp(-a)), "tanh": np.tanh, "exp": np.exp, "abs": np.abs, "square": np.square,
    }
)  # fmt: skip
_DIGITS = 6


def start_of_running(statistic: str) -> float:
    """Return what a running value of a batch statistic starts at: 0 for a mean, 1 for a mean square or a variance."""
    return 0.0 if statistic == "mean" else 1.0


def evaluate_layer(
    graph: Graph,
    x: Array,
    v0: Array,
    v1: Array,
    *,
    groups: int,
    eps: float = 1e-5,
    running: Mapping[int, Array] | None = None,
    momentum: float = 0.1,
) -> tuple[Array, dict[int, Array]]:
    """Compute a layer's output, before gamma and beta, as it is defined.

    Every value is a whole tensor (B, C, H, W). In training a statistic over the batch is that of the batch, and its
    running value moves towards it by `momentum`; in evaluation the running value takes its place. What runs is the
    mean of a mean, the mean square of an rms, and the unbiased variance, n / (n - 1) of the biased one, of a std.

    Args:
        graph: of a candidate of `layer_space()`.
        x: (B, C, H, W).
        v0: (C,).
        v1: (C,).
        groups: into how many groups of neighbouring channels C falls.
        eps: inside roots and logarithms.
        running: value of the graph -> (C,) for evaluation; None for training.
        momentum: of the running values.

    Returns:
        The output (B, C, H, W), and after training what the running values are that started at their first ones.

    >>> from selftaught.spaces.layer import PUBLISHED_LAYERS, layer_space
    >>> x, ones = np.full((2, 1, 1, 1), 3.0), np.ones(1)
    >>> graph = layer_space().graph(PUBLISHED_LAYERS["evonorm-s2"])
    >>> float(evaluate_layer(graph, x, ones, 0 * ones, groups=1)[0][0, 0, 0, 0].round(6))
    0.952574
    """
    wide = np.zeros_like(x)
    inputs = (x, wide, v0[:, None, None] + wide, v1[:, None, None] + wide)
    values: dict[int, Array] = {}
    after: dict[int, Array] = {}
    with np.errstate(all="ignore"):
        for value in graph.live:
            node = graph.node(value)
            if node is None:
                values[value] = inputs[value]
                continue
            given = [values[one] for one in node.operands]
            statistic = statistic_of(node.operation)
            if statistic is None:
                values[value] = _elementwise(node.operation, given, eps)
            elif statistic[1] == "bhw" and running is not None:
                kept = running[value][:, None, None] + wide
                values[value] = kept if statistic[0] == "mean" else np.sqrt(kept + eps)
            else:
                moment = _moment(given[0], *statistic, groups)
                values[value] = moment if statistic[0] == "mean" else np.sqrt(moment + eps)
                if statistic[1] == "bhw":
                    count = x.size // x.shape[1]
                    new = moment[0, :, 0, 0] * (count / (count - 1) if statistic[0] == "std" else 1.0)
                    after[value] = (1 - momentum) * start_of_running(statistic[0]) + momentum * new
    return values[graph.outputs["output"]], after


def _elementwise(operation: str, given: list[Array], eps: float) -> Array:
    if operation in _PLAIN:
        return _PLAIN[operation](*given)
    grown = np.abs(given[0]) + eps
    return np.sign(given[0]) * {"signed_log": np.log, "signed_sqrt": np.sqrt}[operation](grown)


def _moment(a: Array, statistic: str, index: str, groups: int) -> Array:
    """Return the mean, the mean square or the biased variance over an index set, as a whole tensor."""
    if index == "group":
        batch, channels, height, width = a.shape
        if channels % groups:
            raise InputError(f"{channels} channels do not fall into {groups} groups")
        folded = a.reshape(batch, groups, channels // groups, height, width)
        return np.broadcast_to(_moment_over(folded, statistic, (2, 3, 4)), folded.shape).reshape(a.shape)
    return np.broadcast_to(_moment_over(a, statistic, _AXES[index]), a.shape)


def _moment_over(a: Array, statistic: str, axes: tuple[int, ...]) -> Array:
    if statistic == "std":
        return np.asarray(a.var(axis=axes, keepdims=True))
    return np.asarray((a if statistic == "mean" else a * a).mean(axis=axes, keepdims=True))


def layer_fingerprint(graph: Graph, *, seed: int = 0) -> str | None:
    """Return a hash of what a layer computes on a fixed random input, or None where that is not finite.

    Two layers with one fingerprint are the same function for all that a search can tell, however they are written: in
    training, and afterwards in evaluation. The trainable vectors are random, or v1 could not be told from 0. Values are
    rounded to six digits, so that the order of sums does not matter.

    Args:
        graph: of a candidate of `layer_space()`.
        seed: of the input.

    >>> from selftaught.spaces.layer import layer_space
    >>> space = layer_space()
    >>> one = space.candidate({"twice": ("add", "x", "x")})
    >>> other = space.candidate({"minus": ("negative", "x"), "y": ("negative", "minus"), "twice": ("add", "y", "x")})
    >>> space.key(one) == space.key(other)
    False
    >>> layer_fingerprint(space.graph(one)) == layer_fingerprint(space.graph(other))
    True
    """
    rng = rng_for(seed, "layer fingerprint")
    v0, v1 = rng.normal(size=(2, 8))
    scales, shifts = rng.uniform(0.5, 2, size=(8, 1, 1)), rng.normal(size=(8, 1, 1))
    first, second = rng.normal(size=(2, 4, 8, 5, 5)) * scales + shifts
    trained, running = evaluate_layer(graph, first, v0, v1, groups=4)
    judged, _ = evaluate_layer(graph, second, v0, v1, groups=4, running=running)
    whole = np.concatenate([trained, judged])
    if not np.isfinite(whole).all():
        return None
    size = np.abs(whole).max()
    scale = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(size))) if size > 0 else 1.0
    rounded = np.round(whole * scale) + 0.0  # no negative zeros
    return hashlib.blake2b(rounded.tobytes() + np.float64(scale).tobytes(), digest_size=16).hexdigest()
