"""What a network is before it is built: sizes as plain data, what it costs, and how it is made larger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from selftaught.errors import InputError

__all__ = ["Cost", "Network", "check_sizes"]


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Args:
        macs: multiply-accumulates of one example.
        parameters: trainable ones.
    """

    macs: int
    parameters: int


@runtime_checkable
class Network(Protocol):
    """A network as a frozen dataclass of plain data; `selftaught.spaces.build.build` makes a module of it.

    `kind` names its class in files. `outputs` is the number of classes, or 1 for a number.
    """

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def outputs(self) -> int: ...
    @property
    def input_shape(self) -> tuple[int, ...]: ...


def check_sizes(what: str, **sizes: int) -> None:
    """Check that sizes are whole numbers of at least 1.

    Raises:
        InputError: one is not.

    >>> check_sizes("a stage", blocks=2)
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InputError(f"{what} wants {name} of at least 1, got {size!r}")
