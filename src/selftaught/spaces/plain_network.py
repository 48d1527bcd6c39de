"""Chains of convolutions with skips, and perceptrons, as they are built. Without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, get_args

from selftaught.errors import InputError, require_one_of
from selftaught.spaces.chain import chain_with_skips
from selftaught.spaces.network import Cost, check_sizes
from selftaught.spaces.rounding import round_channels, round_repeats
from selftaught.spaces.space import Choice

__all__ = ["ChainNetwork", "PerceptronNetwork"]

Normalisation = Literal["none", "batch", "layer"]
Activation = Literal["relu", "gelu", "silu", "tanh"]


@dataclass(frozen=True)
class ChainNetwork:
    """A chain of convolutions with skips (arXiv 1611.01578).

    The input of a layer is the concatenation of the earlier layers that it chose, the image where it chose none; what
    no layer reads is concatenated before global average pooling and the linear layer. Smaller maps are padded with
    zeros.

    Args:
        candidate: the choices of the layers.
        resolution: side of the images.
        inputs: channels of the images.
        outputs: classes, or 1 for a number.
        name: what it is called.

    Raises:
        InputError: the candidate is none of the space.
    """

    candidate: Mapping[str, Choice]
    resolution: int = 32
    inputs: int = 3
    outputs: int = 10
    name: str = "chain"

    kind = "chain"

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidate", dict(self.candidate))
        check_sizes("a chain", resolution=self.resolution, inputs=self.inputs, outputs=self.outputs)
        chain_with_skips(self.depth, strides=(1, 2, 3)).validate(self.candidate)

    @property
    def depth(self) -> int:
        """Layers."""
        return max(1, sum(str(name).endswith(" filters") for name in self.candidate))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input: (channels, height, width)."""
        return (self.inputs, self.resolution, self.resolution)


@dataclass(frozen=True)
class PerceptronNetwork:
    """Hidden layers, each linear, normalised, activated and dropped out, and a linear one at the end.

    Args:
        widths: units of the hidden layers.
        features: numbers of an example.
        outputs: classes, or 1 for a number.
        activation: after every hidden layer.
        normalisation: before every activation.
        dropout: rate after every activation.
        residual: whether a layer adds its input where the widths are equal.
        name: what it is called.

    Raises:
        InputError: a number is out of its range.

    >>> PerceptronNetwork((16, 16), features=4, outputs=3).cost()
    Cost(macs=368, parameters=403)
    """

    widths: tuple[int, ...]
    features: int
    outputs: int
    activation: Activation = "relu"
    normalisation: Normalisation = "none"
    dropout: float = 0.0
    residual: bool = False
    name: str = "mlp"

    kind = "mlp"

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        if not self.widths:
            raise InputError("a perceptron needs at least one hidden layer")
        check_sizes("a perceptron", features=self.features, outputs=self.outputs)
        for width in self.widths:
            check_sizes("a perceptron", width=width)
        require_one_of("activation", self.activation, get_args(Activation))
        require_one_of("normalisation", self.normalisation, get_args(Normalisation))
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be from 0 to below 1, got {self.dropout}")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return (self.features,)

    def cost(self) -> Cost:
        """Return multiply-accumulates of one example and trainable parameters, in closed form."""
        sizes = (self.features, *self.widths, self.outputs)
        macs = sum(a * b for a, b in pairwise(sizes))
        norms = 2 * sum(self.widths) if self.normalisation != "none" else 0
        return Cost(macs, macs + sum(self.widths) + self.outputs + norms)

    def scaled(self, *, depth: float = 1.0, width: float = 1.0, multiple: int = 8) -> PerceptronNetwork:
        """Return the network with factors on the number of hidden layers and on their units.

        A deeper network has each layer's width more often, in the same order. There is no resolution in a table.

        Raises:
            InputError: a factor is not above 0.
        """
        before, after = len(self.widths), round_repeats(len(self.widths), depth)
        widths = (self.widths[k * before // after] for k in range(after))
        return replace(self, widths=tuple(round_channels(units, width, multiple) for units in widths))
