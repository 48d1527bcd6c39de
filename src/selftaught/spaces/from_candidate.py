"""From a candidate of a space to a network of chosen sizes: found small, used large."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log2, prod
from typing import Any

from selftaught.errors import InputError, did_you_mean
from selftaught.spaces.cell_network import CellNetwork, NasnetNetwork
from selftaught.spaces.macro import BLOCKS
from selftaught.spaces.nb201 import nb201_cell
from selftaught.spaces.network import Network
from selftaught.spaces.plain_network import ChainNetwork, PerceptronNetwork
from selftaught.spaces.rounding import round_channels
from selftaught.spaces.space import Candidate
from selftaught.spaces.stack import Stack, Stage

__all__ = ["NETWORK_SPACES", "network_of"]

_MACRO = {"identity": (3, 0), "mbconv_k3_e3": (3, 3), "mbconv_k5_e6": (5, 6)}  # kernel and expansion
_CHANNELS = (16, 24, 40, 80, 112, 192, 320)  # of B0's stages (arXiv 1905.11946)


def network_of(
    space: str,
    candidate: Candidate,
    *,
    input_shape: tuple[int, ...],
    outputs: int,
    width: int | None = None,
    cells: int | None = None,
) -> Network:
    """Return the network that a candidate of a space is, at the sizes given; small or large, it is the same candidate.

    Args:
        space: a name of `NETWORK_SPACES`.
        candidate: of that space.
        input_shape: (channels, height, width) of an image, or (features,) of a row.
        outputs: classes, or 1 for a number.
        width: channels of the first stage, or of the first convolution of a macro stack; the published network's by
            default (16; 32 for nasnet and macro).
        cells: a stage, for networks of cells (5; 6 for nasnet).

    Raises:
        InputError: there is no such space, the candidate or a size does not fit it, or images are not square.

    >>> from selftaught.spaces import macro_stack
    >>> network_of("macro", macro_stack().decode("00000001"), input_shape=(3, 32, 32), outputs=10).cost()
    Cost(macs=14115328, parameters=791594)
    """
    if space not in NETWORK_SPACES:
        raise InputError(
            f"{space!r} is no space of networks; choose from {', '.join(NETWORK_SPACES)}"
            f"{did_you_mean(space, NETWORK_SPACES)}"
        )
    if cells is not None and space not in ("nb201", "nasnet"):
        raise InputError(f"cells= is for networks of cells (nb201, nasnet); {space} has none")
    if width is not None and space in ("mlp", "chain"):
        raise InputError(f"a candidate of {space} chooses its own widths; leave out width=")
    sizes: dict[str, Any] = {"outputs": outputs}
    if space == "mlp":
        sizes["features"] = prod(input_shape)
    else:
        sizes |= _image(space, input_shape)
    sizes |= {name: size for name, size in (("width", width), ("cells", cells)) if size is not None}
    found: Network = NETWORK_SPACES[space](candidate, **sizes)
    return found


def _image(space: str, shape: tuple[int, ...]) -> dict[str, int]:
    if len(shape) != 3:
        raise InputError(f"networks of {space} take images, and these are rows of a table; take the space mlp")
    if shape[1] != shape[2]:
        raise InputError(f"networks take square images, got {shape[1]} x {shape[2]} pixels; load them with resize=")
    return {"inputs": shape[0], "resolution": shape[1]}


def _halvings(resolution: int, most: int) -> int:
    """Return how often images can be halved and keep four pixels a side."""
    return max(0, min(most, int(log2(max(resolution, 4) / 4))))


def _cells(candidate: Candidate, **sizes: Any) -> CellNetwork:
    return CellNetwork(nb201_cell().encode(candidate), **sizes)


def _macro(candidate: Candidate, *, width: int = 32, resolution: int, **sizes: Any) -> Stack:
    """Return NAS-Bench-Macro's network; images below 32 pixels are halved less often."""
    halved = 3 - _halvings(resolution, 3)  # the stages before this one keep their size
    stages = []
    for layer, stage in enumerate((0, 0, 1, 1, 1, 2, 2, 2)):
        choice = str(candidate[f"layer {layer + 1}"])
        if choice not in BLOCKS:
            raise InputError(f"layer {layer + 1} must be one of {', '.join(BLOCKS)}, got {choice!r}")
        kernel, expansion = _MACRO[choice]
        stride = 2 if layer in (0, 2, 5) and stage >= halved else 1
        stages.append(Stage(1, kernel, stride, expansion, width * 2 ** (stage + 1)))
    return Stack(
        tuple(stages), stem=width, head=40 * width, stem_stride=1, resolution=resolution, activation="relu6",
        name="macro", **sizes,
    )  # fmt: skip


def _inverted_residual(candidate: Candidate, *, width: int = 16, resolution: int, **sizes: Any) -> Stack:
    """Return a stack with the widths of B0's stages; small images have a first convolution without a stride."""
    count = sum(name.endswith(" blocks") for name in candidate)
    large = resolution >= 64
    halved = count - _halvings(resolution // (1 + large), count - 1)
    stages = []
    for k in range(count):
        chosen = {name.removeprefix(f"stage {k + 1} "): choice for name, choice in candidate.items()}
        base = round_channels(_CHANNELS[min(k, len(_CHANNELS) - 1)], width / 16)
        stages.append(
            Stage(
                int(chosen["blocks"] or 1), int(chosen["kernel"] or 1), 2 if k >= halved else 1,
                int(chosen["expansion"] or 1), round_channels(base, float(chosen["width"] or 1)),
                float(chosen["squeeze"] or 0),
            )
        )  # fmt: skip
    return Stack(
        tuple(stages), stem=width, head=round_channels(320, width / 16), stem_stride=1 + large, resolution=resolution,
        drop_path=0.1, name="inverted-residual", **sizes,
    )  # fmt: skip


def _perceptron(candidate: Candidate, **sizes: Any) -> PerceptronNetwork:
    chosen: dict[str, Any] = dict(candidate)
    return PerceptronNetwork(
        tuple(chosen[f"layer {k + 1} width"] for k in range(chosen["depth"])), activation=chosen["activation"],
        normalisation=chosen["normalisation"], dropout=chosen["dropout"], residual=chosen["residual"], **sizes,
    )  # fmt: skip


#: spaces whose candidates are networks
NETWORK_SPACES: Mapping[str, Callable[..., Any]] = {
    "nb201": _cells,
    "macro": _macro,
    "nasnet": NasnetNetwork,
    "chain": ChainNetwork,
    "inverted-residual": _inverted_residual,
    "mlp": _perceptron,
}
