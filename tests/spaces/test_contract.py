"""Every space keeps the contract, and the contract finds spaces that do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selftaught.errors import InputError
from selftaught.seeds import rng_for
from selftaught.spaces import (
    SPACES,
    ChoiceSpace,
    Parameter,
    Space,
    chain_with_skips,
    find_space,
    join_spaces,
    macro_stack,
    mlp,
    nasnet_cells,
    part_of,
    training_parameters,
)
from selftaught.testing import ContractError, check_space

SMALL = {
    "mlp of 2": mlp(2, widths=(8, 16), dropout=(0.0, 0.1)),
    "chain of 2": chain_with_skips(2),
    "nasnet of 1": nasnet_cells(1),
    "joined": join_spaces(
        {"net": mlp(1, widths=(8, 16), dropout=(0.0,)), "flag": ChoiceSpace("f", (Parameter("x", (1, 2)),))}
    ),
    "one candidate": ChoiceSpace("one", (Parameter("x", (1,)),)),
    "many choices": ChoiceSpace("many", (Parameter("x", tuple(range(50))), Parameter("y", (None, True, "a")))),
}


@pytest.mark.parametrize("name", SPACES)
def test_a_space_of_the_registry_keeps_the_contract(name: str) -> None:
    check_space(find_space(name), samples=20, enumerable=0)


@pytest.mark.parametrize("name", SMALL)
def test_a_small_space_keeps_the_contract_and_is_as_large_as_it_says(name: str) -> None:
    check_space(SMALL[name], samples=20)


def test_all_spaces_are_spaces() -> None:
    assert all(isinstance(find_space(name), Space) for name in SPACES)
    with pytest.raises(InputError, match="did you mean 'nasnet'"):
        find_space("nasnets")


@st.composite
def spaces(draw: st.DrawFn) -> ChoiceSpace:
    """Spaces of up to five parameters, some active only given earlier ones."""
    parameters: list[Parameter] = []
    for k in range(draw(st.integers(1, 5))):
        choices = tuple(range(draw(st.integers(1, 3))))
        when = {}
        if parameters and draw(st.booleans()):
            on = draw(st.sampled_from(parameters))
            when[on.name] = tuple(draw(st.lists(st.sampled_from(on.choices), min_size=1, unique=True)))
        parameters.append(Parameter(f"p{k}", choices, when=when, ordered=draw(st.booleans())))
    return ChoiceSpace("drawn", tuple(parameters))


@settings(max_examples=60, deadline=None)
@given(spaces())
def test_any_conditional_space_keeps_the_contract(space: ChoiceSpace) -> None:
    check_space(space, samples=5)


@settings(max_examples=60, deadline=None)
@given(spaces())
def test_size_is_the_number_of_candidates_counted_one_by_one(space: ChoiceSpace) -> None:
    """The oracle: every combination of choices, cut down to what is active."""
    found = set()
    for places in np.ndindex(*(len(p.choices) for p in space.parameters)):
        order = dict(zip([p.name for p in space.parameters], places, strict=True))
        found.add(space.encode(space.complete({}, lambda p, order=order: int(order[p.name]))))
    assert space.size() == len(found)


@dataclass(frozen=True)
class Wrapped:
    """A space that breaks one rule."""

    inner: ChoiceSpace
    broken: str
    name: str = "broken"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def size(self) -> int:
        return self.inner.size() + (self.broken == "size")

    def mutate(self, candidate: Any, rng: np.random.Generator) -> Any:
        return dict(candidate) if self.broken == "mutate" else self.inner.mutate(candidate, rng)

    def encode(self, candidate: Any) -> str:
        return "0" if self.broken == "encode" else self.inner.encode(candidate)

    def neighbours(self, candidate: Any) -> Any:
        if self.broken == "changes what it is given":
            candidate["depth"] = 1
        return self.inner.neighbours(candidate)

    def sample(self, rng: np.random.Generator) -> Any:
        return self.inner.sample(np.random.default_rng() if self.broken == "random" else rng)


@pytest.mark.parametrize("broken", ["size", "mutate", "encode", "changes what it is given", "random"])
def test_the_contract_finds_what_is_broken(broken: str) -> None:
    with pytest.raises((ContractError, InputError)):
        check_space(Wrapped(SMALL["mlp of 2"], broken))
    check_space(Wrapped(SMALL["mlp of 2"], "nothing"))


def test_mutation_is_uniform_over_parameters_and_over_other_choices() -> None:
    space = ChoiceSpace("s", (Parameter("a", (0, 1, 2)), Parameter("b", (0, 1)), Parameter("c", (0, 1), weight=0.0)))
    start = {"a": 1, "b": 0, "c": 0}
    changed = [tuple(space.mutate(start, rng_for(0, k)).values()) for k in range(2000)]
    counts = {key: changed.count(key) for key in set(changed)}
    assert set(counts) == {(0, 0, 0), (2, 0, 0), (1, 1, 0)}
    assert counts[1, 1, 0] == pytest.approx(1000, abs=100)
    assert counts[0, 0, 0] == pytest.approx(500, abs=100)


def test_group_first_mutation_picks_a_group_then_a_parameter() -> None:
    space = find_space("nb201").weighted_by_group()
    weights = {p.name: p.weight / sum(q.weight for q in space.parameters) for p in space.parameters}
    assert weights == pytest.approx(
        {"0->1": 1 / 3, "0->2": 1 / 6, "1->2": 1 / 6, "0->3": 1 / 9, "1->3": 1 / 9, "2->3": 1 / 9}
    )


def test_parts_of_a_joined_space_keep_their_meaning() -> None:
    space = join_spaces({"net": nasnet_cells(2), "train": training_parameters()})
    candidate = space.sample(rng_for(0))
    assert nasnet_cells(2).key(part_of(candidate, "net")) in space.key(candidate)
    training_parameters().validate(part_of(candidate, "train"))
    for wrong in ({}, {"a.b": macro_stack()}):
        with pytest.raises(InputError):
            join_spaces(wrong)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Parameter("x", ()), "'x' has no choices"),
        (lambda: Parameter("x", (1, 1)), "twice"),
        (lambda: Parameter("x", (1, True)), "twice"),
        (lambda: Parameter("x", (float("nan"),)), "finite number"),
        (lambda: Parameter("x", ((1, 2),)), "must be text"),
        (lambda: Parameter("x", (1,), weight=-1.0), "weight"),
        (lambda: ChoiceSpace("s", ()), "no parameters"),
        (lambda: ChoiceSpace("s", (Parameter("x", (1,)), Parameter("x", (1,)))), "'x' twice"),
        (lambda: ChoiceSpace("s", (Parameter("x", (1,), when={"y": (1,)}),)), "depends on 'y'"),
        (lambda: ChoiceSpace("s", (Parameter("y", (1,)), Parameter("x", (1,), when={"y": (2,)}))), "no choice 2"),
        (lambda: chain_with_skips(0), "at least 1"),
        (lambda: nasnet_cells(0), "at least 1"),
        (lambda: mlp(0), "at least 1"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_an_unknown_choice_names_the_nearest() -> None:
    space = training_parameters()
    candidate = space.sample(rng_for(0))
    with pytest.raises(InputError, match=r"the nearest is 0.01"):
        space.validate({**candidate, "decay": 0.012})
    with pytest.raises(InputError, match="did you mean 'cosine'"):
        space.validate({**candidate, "schedule": "cosin"})
    with pytest.raises(InputError, match="only where optimiser is 'sgd'"):
        space.validate({**candidate, "optimiser": "lion", "momentum": 0.9})


def test_text_that_is_no_candidate_is_refused_with_its_position() -> None:
    space = chain_with_skips(1)
    for text, position in (("0", 1), ("000x", 3), ("00000", 4)):
        with pytest.raises(InputError, match=f"position {position}"):
            space.decode(text)
