"""Networks that are a stack of stages of inverted-residual blocks, as plain data. Without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from selftaught.errors import InputError, require_one_of
from selftaught.spaces.network import Cost, check_sizes
from selftaught.spaces.rounding import round_channels, round_repeats, round_resolution

__all__ = ["Activation", "Block", "Stack", "Stage"]

Activation = Literal["silu", "relu", "relu6", "gelu"]


@dataclass(frozen=True)
class Stage:
    """Blocks that are alike; only the first has the stride and changes the width.

    Args:
        blocks: how many.
        kernel: side of the depthwise convolution, odd.
        stride: of the first block.
        expansion: channels inside a block over those that come in; 0 is no block at all but a plain 1 x 1 convolution
            with BatchNorm in the first place, and the identity in the others.
        channels: that go out.
        squeeze: squeezed channels over the block's input channels (squeeze-excitation); 0 is none.
        groups: of the two 1 x 1 convolutions.

    Raises:
        InputError: a number is out of its range.
    """

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int
    squeeze: float = 0.0
    groups: int = 1

    def __post_init__(self) -> None:
        check_sizes("a stage", blocks=self.blocks, stride=self.stride, channels=self.channels, groups=self.groups)
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InputError(f"a stage's kernel must be odd, got {self.kernel}")
        if self.expansion < 0 or not 0 <= self.squeeze <= 1:
            raise InputError(
                f"a stage wants an expansion of at least 0 and a squeeze from 0 to 1, got {self.expansion} and "
                f"{self.squeeze}"
            )
        if self.channels % self.groups:
            raise InputError(f"a stage's {self.channels} channels do not divide into {self.groups} groups")


@dataclass(frozen=True)
class Block:
    """One block as it is built.

    Args:
        inside: channels between the 1 x 1 convolutions; 0 is a plain projection.
        squeezed: channels of the squeeze; 0 is none.
        size: side of the image that comes in; what goes out has ceil(size / stride).
    """

    inputs: int
    outputs: int
    inside: int
    kernel: int
    stride: int
    squeezed: int
    groups: int
    size: int

    @property
    def out_size(self) -> int:
        """Side of the image that goes out."""
        return -(-self.size // self.stride)

    @property
    def shortcut(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.inputs == self.outputs

    def cost(self) -> Cost:
        """Return multiply-accumulates and parameters; BatchNorm has parameters only."""
        before, after = self.size**2, self.out_size**2
        if not self.inside:
            weights = self.inputs * self.outputs // self.groups
            return Cost(weights * after, weights + 2 * self.outputs)
        macs = parameters = 0
        if self.inside != self.inputs:
            weights = self.inputs * self.inside // self.groups
            macs, parameters = weights * before, weights + 2 * self.inside
        depthwise = self.inside * self.kernel**2
        project = self.inside * self.outputs // self.groups
        squeeze = 2 * self.inside * self.squeezed
        biases = self.squeezed + self.inside if self.squeezed else 0
        macs += (depthwise + project) * after + squeeze
        parameters += depthwise + 2 * self.inside + squeeze + biases + project + 2 * self.outputs
        return Cost(macs, parameters)


@dataclass(frozen=True)
class Stack:
    """A network of inverted-residual stages between a 3 x 3 convolution and a 1 x 1 convolution with a linear head.

    Args:
        stages: in order.
        stem: channels of the first convolution.
        head: channels of the last convolution.
        stem_stride: of the first convolution.
        resolution: side of the images, in pixels.
        inputs: channels of the images.
        outputs: classes, or 1 for a number.
        dropout: rate before the head.
        drop_path: rate of stochastic depth at the last block, rising linearly from 0 at the first (arXiv 1603.09382).
        activation: after every convolution but a block's last.
        name: what it is called.

    Raises:
        InputError: a number is out of its range, or groups do not divide the channels.

    >>> Stack((Stage(2, 3, 2, 6, 24),), stem=16, head=64, resolution=32, outputs=10).cost()
    Cost(macs=1330816, parameters=16746)
    """

    stages: tuple[Stage, ...]
    stem: int = 32
    head: int = 1280
    stem_stride: int = 2
    resolution: int = 224
    inputs: int = 3
    outputs: int = 1000
    dropout: float = 0.0
    drop_path: float = 0.0
    activation: Activation = "silu"
    name: str = "stack"

    kind = "stack"

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages:
            raise InputError("a stack needs at least one stage")
        sizes = ("stem", "head", "stem_stride", "resolution", "inputs", "outputs")
        check_sizes("a stack", **{name: getattr(self, name) for name in sizes})
        require_one_of("activation", self.activation, get_args(Activation))
        for name in ("dropout", "drop_path"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be from 0 to below 1, got {getattr(self, name)}")
        for block in self.blocks():
            if block.inputs % block.groups or block.inside % block.groups:
                raise InputError(f"{block.inputs} channels do not divide into {block.groups} groups")

    @property
    def total_stride(self) -> int:
        """How many pixels of the image become one at the end, on each side."""
        total = self.stem_stride
        for stage in self.stages:
            total *= stage.stride
        return total

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input: (channels, height, width)."""
        return (self.inputs, self.resolution, self.resolution)

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks in order; an identity is none."""
        channels, size = self.stem, -(-self.resolution // self.stem_stride)
        for stage in self.stages:
            for number in range(stage.blocks):
                first = number == 0
                if stage.expansion == 0 and not (first and (stage.stride > 1 or channels != stage.channels)):
                    continue
                block = Block(
                    channels, stage.channels, channels * stage.expansion, stage.kernel, stage.stride if first else 1,
                    max(1, round(channels * stage.squeeze)) if stage.squeeze else 0, stage.groups, size,
                )  # fmt: skip
                yield block
                channels, size = block.outputs, block.out_size

    def cost(self) -> Cost:
        """Return multiply-accumulates of one image, and trainable parameters, in closed form.

        One multiply-accumulate per application of a weight of a convolution or linear layer; no biases, BatchNorm,
        activations or pooling (arXiv 1905.11946 calls them FLOPs).
        """
        size = -(-self.resolution // self.stem_stride)
        stem = 9 * self.inputs * self.stem
        macs, parameters = stem * size**2, stem + 2 * self.stem
        channels = self.stem
        for block in self.blocks():
            cost = block.cost()
            macs, parameters = macs + cost.macs, parameters + cost.parameters
            channels, size = block.outputs, block.out_size
        last, linear = channels * self.head, self.head * self.outputs
        return Cost(
            macs + last * size**2 + linear, parameters + last + 2 * self.head + linear + self.outputs
        )  # fmt: skip

    def scaled(self, *, depth: float = 1.0, width: float = 1.0, resolution: float = 1.0, multiple: int = 8) -> Stack:
        """Return the network with factors on repeats, channels and pixels, rounded as EfficientNet's are.

        The first and the last convolution are scaled in width too, the classes are not.

        Args:
            depth, width, resolution: factors.
            multiple: of which all channels are.

        Raises:
            InputError: a factor is not above 0, or the multiple does not divide by a stage's groups.
        """
        for stage in self.stages:
            if multiple % stage.groups:
                raise InputError(
                    f"channels are rounded to multiples of {multiple}, which do not divide into {stage.groups} groups; "
                    f"give a multiple of {stage.groups}"
                )
        stages = tuple(
            replace(
                stage,
                blocks=round_repeats(stage.blocks, depth),
                channels=round_channels(stage.channels, width, multiple),
            )
            for stage in self.stages
        )
        return replace(
            self, stages=stages, stem=round_channels(self.stem, width, multiple),
            head=round_channels(self.head, width, multiple),
            resolution=round_resolution(self.resolution, resolution, self.total_stride),
        )  # fmt: skip
