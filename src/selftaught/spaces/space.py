"""What a search needs of a space: draw, change a little, check, tell equal candidates, write and read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

__all__ = ["Candidate", "Choice", "Space"]

#: what JSON can hold without structure
Choice = str | int | float | bool | None
#: parameter name -> choice, in the space's order; parameters that are not active are absent
Candidate = Mapping[str, Choice]


@runtime_checkable
class Space(Protocol):
    """What may be proposed.

    Every method is a pure function: randomness comes from the generator given, and candidates are never changed.
    A candidate is plain data that JSON can hold. `sample`, `mutate` and `neighbours` give valid candidates only;
    `validate` raises InputError for anything else and says what would be valid.

    Two candidates with equal `key` mean the same thing, so that one need not be tried after the other. `encode` is
    short text, one for each candidate, and `decode` reads it again; `to_json` and `from_json` do so with the
    parameters' names. `describe` is plain data that differs whenever the space does: a stored study is gone on
    with only where it is the same.
    """

    @property
    def name(self) -> str: ...
    def size(self) -> int: ...
    def sample(self, rng: np.random.Generator) -> Any: ...
    def mutate(self, candidate: Any, rng: np.random.Generator) -> Any: ...
    def neighbours(self, candidate: Any) -> Sequence[Any]: ...
    def validate(self, candidate: Any) -> None: ...
    def encode(self, candidate: Any) -> str: ...
    def decode(self, text: str) -> Any: ...
    def key(self, candidate: Any) -> str: ...
    def to_json(self, candidate: Any) -> str: ...
    def from_json(self, text: str) -> Any: ...
    def describe(self) -> Any: ...
