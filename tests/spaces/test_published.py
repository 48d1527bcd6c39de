"""The published spaces: sizes, texts, and which candidates mean the same."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from selftaught.errors import InputError
from selftaught.seeds import rng_for
from selftaught.spaces import Candidate, chain_depth, macro_stack, nasnet_cells, nb201_cell
from selftaught.spaces.nb201 import EDGES, OPERATIONS

BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"


@cache
def cells_by_key() -> dict[str, list[Candidate]]:
    space = nb201_cell()
    names = [parameter.name for parameter in space.parameters]
    found: dict[str, list[Candidate]] = {}
    for chosen in itertools.product(OPERATIONS, repeat=6):
        cell = dict(zip(names, chosen, strict=True))
        found.setdefault(space.key(cell), []).append(cell)
    return found


def outputs(cell: Candidate) -> NDArray[np.float64]:
    """What a cell computes of one number, for each of the 720 ways of giving out six weights to the convolutions."""
    weights = np.array(list(itertools.permutations((0.31, 0.67, 1.13, 1.71, 2.39, 3.01))))
    nodes = [np.full(len(weights), 0.8), *(np.zeros(len(weights)) for _ in range(3))]
    for edge, ((source, target), operation) in enumerate(zip(EDGES, cell.values(), strict=True)):
        value = nodes[source]
        if operation == "skip_connect":
            nodes[target] = nodes[target] + value
        elif operation == "avg_pool_3x3":
            nodes[target] = nodes[target] + 0.45 * value
        elif operation != "none":
            made = np.sin(weights[:, edge] * value + (0.3 if operation == "nor_conv_1x1" else 0.9))
            # By convention nothing comes of an empty node.
            nodes[target] = nodes[target] + np.where(value == 0, 0.0, made)
    return nodes[3]


def same_network(one: Candidate, two: Candidate) -> bool:
    """Whether some way of giving out the weights makes the second cell compute what the first does."""
    return bool(np.isclose(outputs(two), outputs(one)[0], rtol=0, atol=1e-12).any())


def test_cells_share_a_key_exactly_where_they_are_the_same_network() -> None:
    """The oracle gives the convolutions all 720 orders of six weights and compares what comes out."""
    groups = list(cells_by_key().values())
    assert (sum(map(len, groups)), len(groups)) == (15_625, 5_044)
    rng = rng_for(0)
    several = [group for group in groups if len(group) > 1]
    for place in rng.choice(len(several), 100, replace=False):
        one, two = (several[place][int(k)] for k in rng.choice(len(several[place]), 2, replace=False))
        assert same_network(one, two), (one, two)
    keys = list(cells_by_key())
    apart = 0
    for place in rng.choice(len(keys), 80, replace=False):
        cell = cells_by_key()[keys[place]][0]
        for near in nb201_cell().neighbours(cell)[::3]:
            assert same_network(cell, near) == (nb201_cell().key(near) == keys[place]), (cell, near)
            apart += nb201_cell().key(near) != keys[place]
    assert apart > 300


def test_a_convolution_used_twice_is_not_two_convolutions() -> None:
    twice, two = (nb201_cell().decode(text) for text in (
        "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|skip_connect~1|nor_conv_3x3~2|",
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|",
    ))  # fmt: skip
    assert nb201_cell().key(twice) == "nor_conv_3x3#1(x)+nor_conv_3x3#2(x)"
    assert nb201_cell().key(two) == "nor_conv_3x3#1(x)+nor_conv_3x3#1(x)"


def test_an_identity_may_stand_anywhere_after_the_first_layer_of_its_stage() -> None:
    space = macro_stack()

    def key(text: str) -> str:
        return space.key(space.decode(text))

    assert key("22212202") == key("22212220") != key("22212022")
    assert key("01010110") == key("01001101")
    assert len({space.key(space.decode("".join(text))) for text in itertools.product("012", repeat=8)}) == 3969


def test_a_published_cell_reads_and_writes_itself() -> None:
    space = nb201_cell()
    cell = space.decode(BEST)
    assert list(cell.values()) == [
        "nor_conv_3x3", "nor_conv_3x3", "nor_conv_3x3", "skip_connect", "nor_conv_3x3", "nor_conv_1x1",
    ]  # fmt: skip
    assert space.encode(cell) == BEST


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BEST.replace("nor_conv_1x1", "nor_conv_1x2"), r"position 80: 'nor_conv_1x2' is no operation; did you mean"),
        (BEST.replace("skip_connect~0", "skip_connect~1"), "position 63: edge 4 comes from node 0, got 1"),
        (BEST[:-16], "six edges"),
        ("", "six edges"),
        (BEST.replace("+", "-"), r"position 16: wanted '\+"),
    ],
)
def test_a_bad_cell_names_the_position(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nb201_cell().decode(text)


def test_the_macro_stack_is_written_as_digits() -> None:
    space = macro_stack()
    assert space.encode(space.decode("01201201")) == "01201201"
    for text, position in (("0120120", 7), ("012012012", 8), ("01301201", 2)):
        with pytest.raises(InputError, match=f"position {position}"):
            space.decode(text)


def test_nasnet_has_the_published_number_of_decisions() -> None:
    space = nasnet_cells()
    assert len(space.parameters) == 50
    inputs = 2 * 3 * 4 * 5 * 6
    assert space.size() == (inputs**2 * 13**10 * 2**5) ** 2
    assert chain_depth(1600) == 8


def swapped(candidate: Candidate, cell: str, one: int, two: int) -> Candidate:
    """The same cell with two neighbouring blocks in the other order, where the later does not use the earlier."""
    other = dict(candidate)
    for what in ("a state", "a operation", "b state", "b operation"):
        side, kind = what.split()
        names = [f"{cell} {b}{side} {kind}" for b in (one, two)]
        other[names[0]], other[names[1]] = candidate[names[1]], candidate[names[0]]
    names = [f"{cell} {b} combine" for b in (one, two)]
    other[names[0]], other[names[1]] = candidate[names[1]], candidate[names[0]]
    states = {one + 1: two + 1, two + 1: one + 1}
    for name, choice in other.items():
        if name.startswith(cell) and name.endswith("state") and choice in states and int(name.split()[1][0]) > two:
            other[name] = states[int(choice or 0)]
    return other


@pytest.mark.parametrize("seed", range(30))
def test_isomorphic_cells_share_a_key(seed: int) -> None:
    space = nasnet_cells(4)
    candidate = space.sample(rng_for(seed))
    turned = dict(candidate)
    for kind in ("state", "operation"):  # both sides of a block
        a, b = f"normal 2a {kind}", f"normal 2b {kind}"
        turned[a], turned[b] = candidate[b], candidate[a]
    assert space.key(turned) == space.key(candidate)
    uses_first = any(candidate[f"reduction 3{side} state"] == 3 for side in "ab")
    if not uses_first:
        moved = swapped(candidate, "reduction", 2, 3)
        space.validate(moved)
        assert space.key(moved) == space.key(candidate)


def test_other_cells_have_other_keys() -> None:
    space = nasnet_cells(3)
    for seed in range(20):
        candidate = space.sample(rng_for(seed))
        changed = [space.key(near) == space.key(candidate) for near in space.neighbours(candidate)]
        assert sum(changed) <= 0.02 * len(changed)


def test_a_block_used_twice_is_not_two_equal_blocks() -> None:
    space = nasnet_cells(3)
    plain = dict.fromkeys((p.name for p in space.parameters), "add")
    for cell in ("normal", "reduction"):
        for b in (1, 2, 3):
            plain |= {f"{cell} {b}{s} {k}": v for s in "ab" for k, v in (("state", 0), ("operation", "conv_3x3"))}
    once = {**plain, "normal 3a state": 2, "normal 3b state": 2}
    twice = {**plain, "normal 3a state": 2, "normal 3b state": 3}
    space.validate(once)
    assert space.key(once) != space.key(twice)
    assert space.key(twice) == space.key({**plain, "normal 3a state": 3, "normal 3b state": 2})
