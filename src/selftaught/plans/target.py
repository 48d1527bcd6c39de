"""What a smaller model must reach: a latency that is measured, or a size or number of multiply-adds that is counted."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from selftaught.errors import InputError
from selftaught.training.config import Config

__all__ = ["Target", "target_of"]

_UNITS = {
    "latency": {"s": 1.0, "ms": 1e-3, "us": 1e-6},
    "size": {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9},
    "multiply-adds": {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9},
}
_FORM = re.compile(r"([a-z-]+)\s*=\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*)")


class Target(Config):
    """A limit of one of a model's costs.

    Args:
        what: "latency" (seconds a batch, at each batch size), "size" (bytes as stored) or "multiply-adds" (of one
            example).
        limit: times the dense model's, or seconds, bytes or multiply-adds.
        relative: whether it is times the dense model's.
    """

    what: Literal["latency", "size", "multiply-adds"]
    limit: float = Field(gt=0)
    relative: bool

    def share(self, cost: float, dense: float) -> float:
        """Return what part of the limit a cost takes; at most 1 where the target is reached.

        >>> Target(what="latency", limit=0.5, relative=True).share(0.3, 1.0)
        0.6
        """
        return cost / (self.limit * dense if self.relative else self.limit)

    def __str__(self) -> str:
        if self.relative:
            return f"{self.what}={self.limit:g}x"
        if self.what == "latency":
            return f"latency={1e3 * self.limit:g}ms"
        return f"{self.what}={self.limit:g}" + ("B" if self.what == "size" else "")


def target_of(text: str) -> Target:
    """Read a target.

    Raises:
        InputError: it is none, or asks for more than the model has.

    >>> str(target_of("latency=0.5x")), target_of("latency=2ms").limit, str(target_of("size=100kB"))
    ('latency=0.5x', 0.002, 'size=100000B')
    """
    found = _FORM.fullmatch(text.strip())
    known = ", ".join(_UNITS)
    if found is None or found[1] not in _UNITS:
        raise InputError(f"--target must be WHAT=X with one of {known}, such as latency=0.5x, got {text!r}")
    what: Any = found[1]
    amount, unit = float(found[2]), found[3].lower()
    if unit == "x":
        if not 0 < amount < 1:
            raise InputError(f"--target {what}={amount:g}x must be below 1x and above 0: a share of the dense model's")
        return Target(what=what, limit=amount, relative=True)
    if unit not in _UNITS[what] or amount <= 0:
        units = ", ".join(one for one in _UNITS[what] if one)
        raise InputError(f"--target {text!r}: write {what} as a share such as 0.5x, or above 0 with one of {units}")
    return Target(what=what, limit=amount * _UNITS[what][unit], relative=False)
