"""The cell of NAS-Bench-201: four nodes, an operation on each of the six edges between them."""

from __future__ import annotations

import re

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


def nb201_cell() -> ChoiceSpace:
    """Return the space of NAS-Bench-201 cells (arXiv 2001.00326): 6 edges with 5 operations, 15,625 cells.

    Node 0 is the input, node 3 the output; a node is the sum of its incoming edges. The text of a cell is
    ``|a~0|+|b~0|c~1|+|d~0|e~1|f~2|``, where ``x~j`` is operation x on the edge from node j. Parameters are the
    edges, grouped by the node they lead to. Cells that compute the same expression share a key: `none` and an edge
    from an empty node contribute nothing, `skip_connect` contributes what its source does. The key tells 5,390
    classes apart; the table's own classes, 6,466, also count how often a part is shared.

    >>> space = nb201_cell()
    >>> cell = space.decode("|none~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|")
    >>> space.key(cell)
    '((x)@nor_conv_3x3)@nor_conv_1x1+x'
    """
    parameters = (Parameter(name, OPERATIONS, group=f"node {name[-1]}") for name in _NAMES)
    return ChoiceSpace("nb201", tuple(parameters), text=TextForm(_write, _read), canonical=_expression)


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


def _expression(cell: Candidate) -> str:
    """Return what the last node computes, its contributions sorted; empty where nothing reaches it."""
    nodes = ["x", "", "", ""]
    for node in (1, 2, 3):
        parts = []
        for name, (source, target) in zip(_NAMES, EDGES, strict=True):
            if target == node and nodes[source] and cell[name] != "none":
                skipped = cell[name] == "skip_connect"
                parts.append(nodes[source] if skipped else f"({nodes[source]})@{cell[name]}")
        nodes[node] = "+".join(sorted(parts))
    return nodes[3]
