"""Several spaces side by side as one: an architecture and how to train it, say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from selftaught.errors import InputError
from selftaught.spaces.choices import ChoiceSpace
from selftaught.spaces.space import Candidate, Choice

__all__ = ["join_spaces", "part_of"]


def join_spaces(spaces: Mapping[str, ChoiceSpace]) -> ChoiceSpace:
    """Return the space of all combinations; the parameters of each part are named `part.parameter`.

    Args:
        spaces: part -> its space, in order.

    Raises:
        InputError: no parts, or a part's name is empty or holds a dot.

    >>> from selftaught.spaces import mlp, training_parameters
    >>> space = join_spaces({"net": mlp(), "train": training_parameters()})
    >>> space.size() == mlp().size() * training_parameters().size()
    True
    """
    if not spaces:
        raise InputError("join_spaces needs at least one space")
    for part in spaces:
        if not part or "." in part:
            raise InputError(f"a part needs a name without a dot, got {part!r}")
    parameters = tuple(
        replace(
            p,
            name=f"{part}.{p.name}",
            group=f"{part}.{p.group}",
            when={f"{part}.{name}": wanted for name, wanted in p.when.items()},
        )
        for part, space in spaces.items()
        for p in space.parameters
    )
    name = " and ".join(f"{part} ({space.name})" for part, space in spaces.items())
    return ChoiceSpace(name, parameters, canonical=partial(_key, dict(spaces)))


def part_of(candidate: Candidate, part: str) -> dict[str, Choice]:
    """Return one part of a candidate of a joined space, under its own parameters' names.

    >>> part_of({"net.depth": 2, "train.rate": 1.0}, "net")
    {'depth': 2}
    """
    start = f"{part}."
    return {name.removeprefix(start): choice for name, choice in candidate.items() if name.startswith(start)}


def _key(spaces: Mapping[str, ChoiceSpace], candidate: Candidate) -> str:
    return " / ".join(space.key(part_of(candidate, part)) for part, space in spaces.items())
