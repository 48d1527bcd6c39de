"""Spaces made of categorical choices: parameters in order, some of them active only given others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from selftaught.errors import InputError, did_you_mean
from selftaught.spaces.parameter import Parameter
from selftaught.spaces.space import Candidate, Choice

__all__ = ["ChoiceSpace", "TextForm"]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class TextForm:
    """How a space writes its candidates, where it has a notation of its own.

    Args:
        write: valid candidate -> text, different for different candidates.
        read: text -> candidate; raises InputError with the position of what it cannot read.
    """

    write: Callable[[Candidate], str]
    read: Callable[[str], dict[str, Choice]]


@dataclass(frozen=True)
class ChoiceSpace:
    """A finite space of candidates `parameter name -> choice`.

    The order of the parameters is part of the space: it fixes the stream of random numbers and the text form, and a
    parameter's conditions may name earlier ones only.

    Args:
        name: what the space is called.
        parameters: in order.
        text: its own notation, or None for one digit a choice.
        canonical: candidate -> text that is equal for candidates that mean the same, or None where all differ.

    Raises:
        InputError: no parameters, a name twice, or a condition on something that does not come earlier.

    >>> space = ChoiceSpace("net", (Parameter("depth", (1, 2)), Parameter("skip", (False, True), when={"depth": (2,)})))
    >>> space.size()
    3
    >>> [space.encode(near) for near in space.neighbours({"depth": 2, "skip": True})]
    ['0', '10']
    """

    name: str
    parameters: tuple[Parameter, ...]
    text: TextForm | None = None
    canonical: Callable[[Candidate], str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(self.parameters))
        if not self.parameters:
            raise InputError(f"space {self.name!r} has no parameters; give at least one")
        earlier: dict[str, Parameter] = {}
        for parameter in self.parameters:
            if parameter.name in earlier:
                raise InputError(f"space {self.name!r} names parameter {parameter.name!r} twice")
            for name, wanted in parameter.when.items():
                if name not in earlier:
                    raise InputError(
                        f"parameter {parameter.name!r} depends on {name!r}, which must be a parameter before it"
                        f"{did_you_mean(name, earlier)}"
                    )
                for choice in wanted:
                    earlier[name].position(choice)
            earlier[parameter.name] = parameter

    # ---- what is in it

    @cached_property
    def _by_name(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def conditional(self) -> bool:
        """Whether any parameter is active only given others."""
        return any(parameter.when for parameter in self.parameters)

    def active(self, candidate: Candidate) -> list[Parameter]:
        """Return the parameters that are active in a candidate, in order."""
        if not self.conditional:
            return list(self.parameters)
        return [parameter for parameter in self.parameters if parameter.active(candidate)]

    def size(self) -> int:
        """Return the number of candidates, exactly.

        Counted parameter by parameter over the states of those that conditions name, which are few.
        """
        asked = {name for parameter in self.parameters for name in parameter.when}
        states: Counter[tuple[tuple[str, Choice], ...]] = Counter({(): 1})
        for parameter in self.parameters:
            after: Counter[tuple[tuple[str, Choice], ...]] = Counter()
            for state, ways in states.items():
                if not parameter.active(dict(state)):
                    after[state] += ways
                elif parameter.name in asked:
                    for choice in parameter.choices:
                        after[(*state, (parameter.name, choice))] += ways
                else:
                    after[state] += ways * len(parameter.choices)
            states = after
        return sum(states.values())

    def positions(self, candidate: Candidate) -> list[int]:
        """Return the place of every parameter's choice, -1 where the parameter is not active; a valid candidate."""
        return [p.position(candidate[p.name]) if p.name in candidate else -1 for p in self.parameters]

    # ---- drawing and changing

    def sample(self, rng: np.random.Generator) -> dict[str, Choice]:
        """Draw every active parameter uniformly and independently."""
        return self.complete({}, lambda parameter: int(rng.integers(len(parameter.choices))))

    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> dict[str, Choice]:
        """Change one active parameter to a different choice, uniformly over the others.

        Parameters that become active are drawn uniformly; those that no longer are vanish.

        Raises:
            InputError: nothing in the candidate can be changed.
        """
        able = [parameter for parameter in self.active(candidate) if parameter.mutable]
        if not able:
            raise InputError(f"space {self.name!r}: no active parameter has a second choice, so nothing can be mutated")
        chosen = able[_pick([parameter.weight for parameter in able], rng)]
        place = int(rng.integers(len(chosen.choices) - 1))
        place += place >= chosen.position(candidate[chosen.name])
        changed = {**candidate, chosen.name: chosen.choices[place]}
        return self.complete(changed, lambda parameter: int(rng.integers(len(parameter.choices))))

    def neighbours(self, candidate: Candidate) -> list[dict[str, Choice]]:
        """Return every candidate that differs in one active choice; what becomes active takes its first choice."""
        return [
            self.complete({**candidate, parameter.name: choice}, lambda _: 0)
            for parameter in self.active(candidate)
            for choice in parameter.choices
            if choice != candidate[parameter.name]
        ]

    def complete(self, chosen: Candidate, place: Callable[[Parameter], int]) -> dict[str, Choice]:
        """Keep what is active, in order, and choose what is missing.

        Args:
            chosen: choices to keep where their parameters are active.
            place: active parameter that is missing -> the place of its choice.

        >>> space = ChoiceSpace("net", (Parameter("depth", (1, 2)), Parameter("skip", (False, True))))
        >>> space.complete({"skip": True}, lambda parameter: 0)
        {'depth': 1, 'skip': True}
        """
        whole: dict[str, Choice] = {}
        for parameter in self.parameters:
            if not parameter.when or parameter.active(whole):
                known = parameter.name in chosen
                whole[parameter.name] = chosen[parameter.name] if known else parameter.choices[place(parameter)]
        return whole

    def weighted_by_group(self) -> ChoiceSpace:
        """Return the space with mutation that picks a group first, uniformly, then one of its parameters."""
        sizes = Counter(parameter.group for parameter in self.parameters if parameter.mutable)
        weighted = (replace(p, weight=1 / sizes[p.group]) if p.mutable else p for p in self.parameters)
        return replace(self, parameters=tuple(weighted))

    # ---- checking, writing, reading

    def validate(self, candidate: Any) -> None:
        """Check a candidate.

        Raises:
            InputError: it is no mapping, or a parameter or choice is unknown, missing, or not active.
        """
        if not isinstance(candidate, Mapping):
            raise InputError(f"a candidate of {self.name!r} maps parameters to choices, got {candidate!r}")
        for name in candidate:
            if name not in self._by_name:
                nearest = did_you_mean(str(name), self._by_name)
                raise InputError(f"space {self.name!r} has no parameter {name!r}{nearest}")
        for parameter in self.parameters:
            if not parameter.active(candidate):
                if parameter.name in candidate:
                    raise InputError(f"{parameter.name!r} is not active here ({_said(parameter)}); leave it out")
            elif parameter.name not in candidate:
                raise InputError(f"the candidate lacks parameter {parameter.name!r} of space {self.name!r}")
            else:
                parameter.position(candidate[parameter.name])

    def encode(self, candidate: Candidate) -> str:
        """Return short text, a different one for each candidate."""
        if self.text is not None:
            return self.text.write(candidate)
        places = [p.position(candidate[p.name]) for p in self.active(candidate)]
        return "".join(_DIGITS[place] for place in places) if self._short else ".".join(map(str, places))

    def decode(self, text: str) -> dict[str, Choice]:
        """Return the candidate that `encode` wrote.

        Raises:
            InputError: the text is none; with the position of what is wrong.
        """
        if self.text is not None:
            candidate = self.text.read(text)
            self.validate(candidate)
            return candidate
        marks = list(text) if self._short else text.split(".")
        whole: dict[str, Choice] = {}
        read = 0
        for parameter in self.parameters:
            if not parameter.active(whole):
                continue
            known = _DIGITS[: len(parameter.choices)] if self._short else list(map(str, range(len(parameter.choices))))
            if read >= len(marks) or marks[read] not in known:
                came = repr(marks[read]) if read < len(marks) else "the end"
                raise InputError(
                    f"{text!r} at position {read}: parameter {parameter.name!r} wants one of {known[0]} to "
                    f"{known[-1]}, got {came}"
                )
            whole[parameter.name] = parameter.choices[known.index(marks[read])]
            read += 1
        if read < len(marks):
            raise InputError(f"{text!r} at position {read}: the candidate ends here, but more follows")
        return whole

    def key(self, candidate: Candidate) -> str:
        """Return text that is equal for candidates that mean the same."""
        return self.canonical(candidate) if self.canonical is not None else self.encode(candidate)

    def to_json(self, candidate: Candidate) -> str:
        """Return the candidate as a JSON object, its parameters in order."""
        return json.dumps(dict(candidate))

    def from_json(self, text: str) -> dict[str, Choice]:
        """Return the candidate that `to_json` wrote.

        Raises:
            InputError: it is no JSON object, or no candidate of this space.
        """
        try:
            found = json.loads(text)
        except ValueError as error:
            raise InputError(f"a candidate must be a JSON object, got {text[:80]!r} ({error})") from None
        self.validate(found)
        return {p.name: p.choices[p.position(found[p.name])] for p in self.active(found)}

    def describe(self) -> list[dict[str, Any]]:
        """Return the parameters as plain data for JSON."""
        return [parameter.describe() for parameter in self.parameters]

    @cached_property
    def _short(self) -> bool:
        return all(len(parameter.choices) <= len(_DIGITS) for parameter in self.parameters)


def _pick(weights: Sequence[float], rng: np.random.Generator) -> int:
    """Draw a place with probabilities proportional to weights."""
    if len(set(weights)) == 1:
        return int(rng.integers(len(weights)))
    sums = np.cumsum(weights)
    return int(min(np.searchsorted(sums, rng.random() * sums[-1], side="right"), len(weights) - 1))


def _said(parameter: Parameter) -> str:
    """Say when a parameter is active."""
    return " and ".join(f"only where {name} is {' or '.join(map(repr, w))}" for name, w in parameter.when.items())
