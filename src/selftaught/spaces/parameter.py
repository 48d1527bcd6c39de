"""One decision of a space: its name, its choices, and when it is to be made at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from selftaught.errors import InputError, did_you_mean
from selftaught.spaces.space import Choice

__all__ = ["Parameter"]


@dataclass(frozen=True)
class Parameter:
    """A categorical choice.

    Args:
        name: what it is called in a candidate.
        choices: at least one, all different; text, numbers, truth values or None.
        when: earlier parameter -> those of its choices that make this one active; all must hold. Empty: always.
        group: parameters that belong together, such as the edges into one node; its own name where empty.
        weight: how often mutation picks it, relative to the others; 0 is never.
        ordered: True where the choices are steps of one quantity, from small to large.

    Raises:
        InputError: a choice is missing, repeated or no plain value, or the weight is no weight.

    >>> Parameter("kernel", (3, 5)).position(5)
    1
    """

    name: str
    choices: tuple[Choice, ...]
    when: Mapping[str, tuple[Choice, ...]] = field(default_factory=dict)
    group: str = ""
    weight: float = 1.0
    ordered: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        object.__setattr__(self, "when", {name: tuple(wanted) for name, wanted in self.when.items()})
        object.__setattr__(self, "group", self.group or self.name)
        if not self.choices:
            raise InputError(f"parameter {self.name!r} has no choices; give at least one")
        for choice in self.choices:
            plain = choice is None or isinstance(choice, str | bool | int | float)
            if not plain or (isinstance(choice, float) and not math.isfinite(choice)):
                raise InputError(
                    f"parameter {self.name!r}: a choice must be text, a finite number, a truth value or None, got "
                    f"{choice!r}"
                )
        if len(self._positions) < len(self.choices):
            raise InputError(f"parameter {self.name!r} names a choice twice: {self.choices!r}")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise InputError(f"parameter {self.name!r}: the weight must be at least 0, got {self.weight}")

    @cached_property
    def _positions(self) -> dict[Choice, int]:
        return {choice: k for k, choice in enumerate(self.choices)}

    @property
    def mutable(self) -> bool:
        """Whether mutation may change it."""
        return len(self.choices) > 1 and self.weight > 0

    def active(self, candidate: Mapping[str, Choice]) -> bool:
        """Return whether it is to be chosen, given the parameters before it."""
        return all(name in candidate and candidate[name] in wanted for name, wanted in self.when.items())

    def position(self, choice: Any) -> int:
        """Return the place of a choice, from 0.

        Raises:
            InputError: it is none of the choices; the error names the nearest one.
        """
        try:
            return self._positions[choice]
        except (KeyError, TypeError):
            raise InputError(
                f"parameter {self.name!r} has no choice {choice!r}{self._nearest(choice)}; choose from "
                f"{', '.join(map(repr, self.choices[:20]))}{' ...' if len(self.choices) > 20 else ''}"
            ) from None

    def describe(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        conditions = {"when": {name: list(wanted) for name, wanted in self.when.items()}} if self.when else {}
        return {"name": self.name, "choices": list(self.choices), **conditions}

    def _nearest(self, choice: Any) -> str:
        if isinstance(choice, int | float) and not isinstance(choice, bool):
            numbers = [c for c in self.choices if isinstance(c, int | float) and not isinstance(c, bool)]
            if numbers:
                return f"; the nearest is {min(numbers, key=lambda number: abs(number - choice))!r}"
        return did_you_mean(str(choice), [str(known) for known in self.choices])
