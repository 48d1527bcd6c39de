"""The contract of a space."""

from __future__ import annotations

import copy
import json
from typing import Any

from selftaught.seeds import rng_for
from selftaught.spaces import ChoiceSpace, Space
from selftaught.testing.contract import expect, refused

__all__ = ["check_space"]


def check_space(space: Space, *, samples: int = 50, enumerable: int = 2000) -> None:
    """Check the contract of a space: pure functions, valid candidates, texts that read back, honest size and keys.

    Args:
        space: any `Space`.
        samples: candidates drawn.
        enumerable: spaces up to this size are walked through by their neighbours and counted.

    Raises:
        ContractError: which rule is broken.

    >>> from selftaught.spaces import mlp
    >>> check_space(mlp(2))
    """
    expect(space.size() >= 1, "a space has at least one candidate")
    expect(json.loads(json.dumps(space.describe())) == space.describe(), "describe gives plain data for JSON")
    for k in range(samples):
        candidate = space.sample(rng_for(0, "contract", k))
        expect(candidate == space.sample(rng_for(0, "contract", k)), "sample depends on its generator alone")
        before = copy.deepcopy(candidate)
        _check_texts(space, candidate)
        _check_changes(space, candidate, k)
        expect(candidate == before, "candidates are never changed")
    with refused("validate refuses what is no candidate"):
        space.validate(object())
    if isinstance(space, ChoiceSpace):
        _check_refusals(space)
    if space.size() <= enumerable:
        _check_size(space)


def _check_texts(space: Space, candidate: Any) -> None:
    space.validate(candidate)
    expect(space.decode(space.encode(candidate)) == candidate, "decode reads what encode wrote")
    expect(space.from_json(space.to_json(candidate)) == candidate, "from_json reads what to_json wrote")
    expect(space.key(candidate) == space.key(space.from_json(space.to_json(candidate))), "equal candidates, equal keys")


def _check_changes(space: Space, candidate: Any, k: int) -> None:
    text = space.encode(candidate)
    neighbours = list(space.neighbours(candidate))
    texts = [space.encode(near) for near in neighbours]
    expect(len(set(texts)) == len(texts) and text not in texts, "neighbours are different, and others")
    expect(texts == [space.encode(near) for near in space.neighbours(candidate)], "neighbours have a fixed order")
    for near in neighbours:
        space.validate(near)
    if neighbours:
        child = space.mutate(candidate, rng_for(1, "contract", k))
        space.validate(child)
        expect(space.encode(child) != text, "mutation changes something")
        expect(child == space.mutate(candidate, rng_for(1, "contract", k)), "mutate depends on its generator alone")
    else:
        with refused("mutation of what cannot change is an error"):
            space.mutate(candidate, rng_for(1, "contract", k))


def _check_refusals(space: ChoiceSpace) -> None:
    candidate = space.sample(rng_for(0, "contract"))
    first = space.parameters[0].name
    with refused("an unknown parameter is refused"):
        space.validate({**candidate, "no such parameter": 1})
    with refused("an unknown choice is refused"):
        space.validate({**candidate, first: "no such choice"})
    with refused("a missing parameter is refused"):
        space.validate({name: choice for name, choice in candidate.items() if name != first})
    with refused("text that is no candidate is refused"):
        space.decode("no such text")
    with refused("text that is no JSON is refused"):
        space.from_json("{")


def _check_size(space: Space) -> None:
    """Walk through the space by neighbours and count."""
    start = space.sample(rng_for(0, "contract"))
    seen = {space.encode(start)}
    waiting = [start]
    while waiting:
        for near in space.neighbours(waiting.pop()):
            text = space.encode(near)
            if text not in seen:
                seen.add(text)
                waiting.append(near)
    # What a change makes active takes its first choice, and the rest are its neighbours in turn.
    expect(len(seen) == space.size(), f"size() says {space.size()}, but neighbours lead to {len(seen)} candidates")
