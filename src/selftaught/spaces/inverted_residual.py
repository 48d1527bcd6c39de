"""Stacks of inverted-residual blocks, stage by stage, as mobile networks are searched."""

from __future__ import annotations

from collections.abc import Sequence

from selftaught.errors import InputError
from selftaught.spaces.choices import ChoiceSpace
from selftaught.spaces.parameter import Parameter

__all__ = ["inverted_residual_stack"]


def inverted_residual_stack(
    stages: int = 4,
    *,
    blocks: Sequence[int] = (1, 2, 3, 4),
    kernels: Sequence[int] = (3, 5),
    expansions: Sequence[int] = (3, 6),
    squeeze: Sequence[float] = (0.0, 0.25),
    width: Sequence[float] = (0.75, 1.0, 1.25),
) -> ChoiceSpace:
    """Return stacks of inverted-residual stages, a factorised search space (MnasNet, arXiv 1807.11626).

    All blocks of a stage are alike: kernel, expansion, the squeeze-excitation ratio (0 is none), how many there are,
    and a factor on the stage's channels. Channels and strides of a stage belong to the network that is built.

    Args:
        stages: how many.
        blocks: choices of blocks a stage.
        kernels: choices of the depthwise kernel's side.
        expansions: choices of the expansion.
        squeeze: choices of squeezed channels over the block's input channels.
        width: choices of the factor on the channels.

    Raises:
        InputError: fewer than one stage, or no choices.

    >>> inverted_residual_stack(2).size() == (4 * 2 * 2 * 2 * 3) ** 2
    True
    """
    if stages < 1:
        raise InputError(f"stages must be at least 1, got {stages}")
    choices = {"blocks": blocks, "kernel": kernels, "expansion": expansions, "squeeze": squeeze, "width": width}
    parameters = (
        Parameter(f"stage {k + 1} {what}", tuple(given), group=f"stage {k + 1}", ordered=True)
        for k in range(stages)
        for what, given in choices.items()
    )
    return ChoiceSpace(f"inverted residuals of {stages}", tuple(parameters))
