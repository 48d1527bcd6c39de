"""Normal and reduction cells of blocks, each joining two hidden states by two operations."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import groupby, permutations, product

from selftaught.errors import InputError
from selftaught.spaces.choices import ChoiceSpace
from selftaught.spaces.parameter import Parameter
from selftaught.spaces.space import Candidate

__all__ = ["CELLS", "COMBINE", "NASNET_OPERATIONS", "nasnet_cells"]

CELLS = ("normal", "reduction")
COMBINE = ("add", "concatenate")
NASNET_OPERATIONS = (
    "identity", "conv_1x1", "conv_3x3", "conv_1x3_3x1", "conv_1x7_7x1", "dilated_conv_3x3", "avg_pool_3x3",
    "max_pool_3x3", "max_pool_5x5", "max_pool_7x7", "separable_conv_3x3", "separable_conv_5x5", "separable_conv_7x7",
)  # fmt: skip
_Block = tuple[int, str, int, str, str]


def nasnet_cells(blocks: int = 5) -> ChoiceSpace:
    """Return pairs of a normal and a reduction cell (NASNet, arXiv 1707.07012): 2 x 5 x `blocks` decisions.

    Block b of a cell chooses two hidden states among the cell's two inputs and the earlier blocks (0 and 1 are the
    inputs, 2 the first block), an operation of 13 on each, and how to combine them. States that no block uses are
    concatenated to the cell's output. Mutation changes a hidden state or an operation, as in regularized evolution
    (arXiv 1802.01548), never the way of combining. Cells that differ only in the order of blocks, of a block's two
    sides, or of what is concatenated share a key.

    Args:
        blocks: blocks a cell.

    Raises:
        InputError: fewer than one block.

    >>> len(nasnet_cells().parameters)
    50
    """
    if blocks < 1:
        raise InputError(f"blocks must be at least 1, got {blocks}")
    parameters = tuple(parameter for cell in CELLS for parameter in _parameters(cell, blocks))
    return ChoiceSpace(f"nasnet of {blocks}", parameters, canonical=partial(_key, blocks))


def _parameters(cell: str, blocks: int) -> Iterator[Parameter]:
    for b in range(1, blocks + 1):
        states = tuple(range(b + 1))
        for side in "ab":
            yield Parameter(f"{cell} {b}{side} state", states, group=cell)
            yield Parameter(f"{cell} {b}{side} operation", NASNET_OPERATIONS, group=cell)
        yield Parameter(f"{cell} {b} combine", COMBINE, group=cell, weight=0.0)


def _key(blocks: int, candidate: Candidate) -> str:
    return " | ".join(_cell_key(_blocks(candidate, cell, blocks)) for cell in CELLS)


def _blocks(candidate: Candidate, cell: str, blocks: int) -> list[_Block]:
    found: list[_Block] = []
    for b in range(1, blocks + 1):
        sides = [(candidate[f"{cell} {b}{side} state"], candidate[f"{cell} {b}{side} operation"]) for side in "ab"]
        (a, f), (c, g) = sides
        found.append((int(a or 0), str(f), int(c or 0), str(g), str(candidate[f"{cell} {b} combine"])))
    return found


def _cell_key(blocks: list[_Block]) -> str:
    """Return the least text over all orders of the blocks that put what a block uses before it.

    Blocks are sorted by their depth and the expression they compute; only among those with equal expressions, which
    are few, every order is tried.
    """
    depth, text = [0, 0], ["x", "y"]
    for a, f, c, g, how in blocks:
        depth.append(max(depth[a], depth[c]) + 1)
        text.append(f"{how}({','.join(sorted((f'{f} {text[a]}', f'{g} {text[c]}')))})")
    order = sorted(range(2, len(text)), key=lambda state: (depth[state], text[state]))
    ties = [list(group) for _, group in groupby(order, key=lambda state: (depth[state], text[state]))]
    orders = product(*(permutations(tie) for tie in ties))
    return min(_renumbered(blocks, [state for tie in found for state in tie]) for found in orders)


def _renumbered(blocks: list[_Block], order: list[int]) -> str:
    """Write the blocks in another order, the two sides of each sorted."""
    place = {0: 0, 1: 1, **{state: k + 2 for k, state in enumerate(order)}}
    lines = []
    for state in order:
        a, f, c, g, how = blocks[state - 2]
        lines.append(f"{how} {' '.join(f'{at} {name}' for at, name in sorted(((place[a], f), (place[c], g))))}")
    return "; ".join(lines)
