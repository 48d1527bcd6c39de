"""The cell of NAS-Bench-201: four nodes, an operation on each of the six edges between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, permutations, product

from selftaught.errors import InputError, did_you_mean
from selftaught.spaces.choices import ChoiceSpace, TextForm
from selftaught.spaces.parameter import Parameter
from selftaught.spaces.space import Candidate, Choice

__all__ = ["EDGES", "OPERATIONS", "nb201_cell"]

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: (from, to) in the order of the cell's text
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_NAMES = tuple(f"{source}->{node}" for source, node in EDGES)
_EDGE = re.compile(r"([a-z_0-9]+)~(\d)")


@dataclass(frozen=True)
class _Part:
    """A summand: an operation on a sum; the edge is that of a convolution, whose weights no other one has."""

    operation: str
    edge: str = ""
    of: tuple[_Part, ...] = ()


_Sum = tuple[_Part, ...]
_INPUT = _Part("x")


def nb201_cell() -> ChoiceSpace:
    """Return the space of NAS-Bench-201 cells (arXiv 2001.00326): 6 edges with 5 operations, 15,625 cells.

    Node 0 is the input, node 3 the output; a node is the sum of its incoming edges. The text of a cell is
    ``|a~0|+|b~0|c~1|+|d~0|e~1|f~2|``, where ``x~j`` is operation x on the edge from node j. Parameters are the
    edges, grouped by the node they lead to.

    Cells that are the same network share a key: a node is a sum, `none` and an edge from an empty node add nothing,
    `skip_connect` adds what its source holds, pooling is linear, and a convolution, which has weights of its own, is
    written with a number wherever it is used. So a convolution used twice is not two of them, and whatever reaches no
    output does not count. There are 5,044 keys; the published table counts 6,466 classes, which merge some cells of
    different numbers of weights and part some that are equal.

    >>> space = nb201_cell()
    >>> cell = space.decode("|none~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|")
    >>> space.key(cell)
    'nor_conv_1x1#1(nor_conv_3x3#2(x))+x'
    """
    parameters = (Parameter(name, OPERATIONS, group=f"node {name[-1]}") for name in _NAMES)
    return ChoiceSpace("nb201", tuple(parameters), text=TextForm(_write, _read), canonical=_meaning)


def _write(cell: Candidate) -> str:
    edges = [f"|{cell[name]}~{source}" for name, (source, _) in zip(_NAMES, EDGES, strict=True)]
    return "|+".join("".join(edges[start:end]) for start, end in ((0, 1), (1, 3), (3, 6))) + "|"


def _read(text: str) -> dict[str, Choice]:
    found = list(_EDGE.finditer(text))
    for number, match in enumerate(found[: len(EDGES)]):
        operation, source = match[1], int(match[2])
        if operation not in OPERATIONS:
            nearest = did_you_mean(operation, OPERATIONS)
            raise InputError(f"the cell at position {match.start()}: {operation!r} is no operation{nearest}")
        if source != EDGES[number][0]:
            raise InputError(
                f"the cell at position {match.start(2)}: edge {number + 1} comes from node {EDGES[number][0]}, "
                f"got {source}"
            )
    if len(found) != len(EDGES):
        raise InputError(
            f"the cell at position {len(text)}: a cell has six edges such as nor_conv_3x3~0, got {len(found)}"
        )
    cell: dict[str, Choice] = {name: match[1] for name, match in zip(_NAMES, found, strict=True)}
    written = _write(cell)
    if written != text.strip():
        place = next((k for k, (a, b) in enumerate(zip(written, text, strict=False)) if a != b), len(written))
        wanted = written[place : place + 8]
        raise InputError(f"the cell at position {place}: wanted {wanted!r}; a cell looks like {written}")
    return cell


def _meaning(cell: Candidate) -> str:
    """Return what the last node computes: the least text over all ways of numbering the convolutions that matter."""
    nodes: list[_Sum] = [(_INPUT,), (), (), ()]
    for name, (source, target) in zip(_NAMES, EDGES, strict=True):  # all edges into a node come before those out of it
        nodes[target] += _through(str(cell[name]), name, nodes[source])
    alike: dict[str, list[str]] = {}
    for edge, text in sorted(_weighted(nodes[3]).items()):
        alike.setdefault(text, []).append(edge)
    # Convolutions that differ in what they compute are told apart by that; only others, four at most, change places.
    orders = product(*(permutations(edges) for _, edges in sorted(alike.items())))
    return min(_text(nodes[3], {edge: k for k, edge in enumerate(chain(*order), 1)}) for order in orders)


def _through(operation: str, edge: str, value: _Sum) -> _Sum:
    """Return what an edge contributes. Pooling is linear, so it is taken of each summand."""
    if operation == "none" or not value:
        return ()
    if operation == "skip_connect":
        return value
    if operation == "avg_pool_3x3":
        return tuple(_Part(operation, "", (part,)) for part in value)
    return (_Part(operation, edge, value),)


def _weighted(value: _Sum) -> dict[str, str]:
    """Return the convolutions below: edge -> what it computes, whichever of several alike it is."""
    found: dict[str, str] = {}
    for part in value:
        found |= _weighted(part.of)
        if part.edge:
            found[part.edge] = _text((part,), {})
    return found


def _text(value: _Sum, numbers: Mapping[str, int]) -> str:
    def written(part: _Part) -> str:
        mark = f"#{numbers[part.edge]}" if part.edge in numbers else ""
        return f"{part.operation}{mark}({_text(part.of, numbers)})" if part.of else "x"

    return "+".join(sorted(map(written, value)))
