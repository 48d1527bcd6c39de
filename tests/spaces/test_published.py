"""The published spaces: sizes, texts, and which candidates mean the same."""

from __future__ import annotations

import itertools

import pytest

from selftaught.errors import InputError
from selftaught.seeds import rng_for
from selftaught.spaces import Candidate, chain_depth, macro_stack, nasnet_cells, nb201_cell
from selftaught.spaces.nb201 import OPERATIONS

BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"


def test_the_cells_of_nas_bench_201_fall_into_5390_expressions() -> None:
    space = nb201_cell()
    names = [parameter.name for parameter in space.parameters]
    cells = [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(OPERATIONS, repeat=6)]
    assert len({space.encode(cell) for cell in cells}) == 15_625 == space.size()
    assert len({space.key(cell) for cell in cells}) == 5390


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
