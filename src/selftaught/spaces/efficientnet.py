"""EfficientNet B0 to B7 and L2: one base network and four factors each (arXiv 1905.11946)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from selftaught.errors import InputError, did_you_mean
from selftaught.spaces.stack import Stack, Stage

__all__ = ["EFFICIENTNETS", "efficientnet"]

#: name -> (width, depth, resolution in pixels, dropout); rounded by hand when they were published, no powers of a rule
EFFICIENTNETS: Mapping[str, tuple[float, float, int, float]] = {
    "b0": (1.0, 1.0, 224, 0.2),
    "b1": (1.0, 1.1, 240, 0.2),
    "b2": (1.1, 1.2, 260, 0.3),
    "b3": (1.2, 1.4, 300, 0.3),
    "b4": (1.4, 1.8, 380, 0.4),
    "b5": (1.6, 2.2, 456, 0.4),
    "b6": (1.8, 2.6, 528, 0.5),
    "b7": (2.0, 3.1, 600, 0.5),
    "l2": (4.3, 5.3, 800, 0.5),
}

#: (blocks, kernel, stride, expansion, channels)
_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip


def efficientnet(name: str = "b0", *, inputs: int = 3, outputs: int = 1000) -> Stack:
    """Return a network of the family by its name.

    Args:
        name: "b0" to "b7", or "l2"; capitals will do.
        inputs: channels of the images.
        outputs: classes.

    Raises:
        InputError: there is no such network.

    >>> efficientnet("b7").cost()
    Cost(macs=37745884192, parameters=66347960)
    """
    key = name.lower().removeprefix("efficientnet").lstrip("-_")
    if key not in EFFICIENTNETS:
        raise InputError(
            f"there is no network {name!r}; choose from {', '.join(EFFICIENTNETS)}{did_you_mean(key, EFFICIENTNETS)}"
        )
    width, depth, pixels, dropout = EFFICIENTNETS[key]
    base = Stack(
        tuple(Stage(*numbers, squeeze=0.25) for numbers in _STAGES), inputs=inputs, outputs=outputs, drop_path=0.2,
    )  # fmt: skip
    return replace(base.scaled(width=width, depth=depth), resolution=pixels, dropout=dropout, name=key)
