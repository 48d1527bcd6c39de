"""What a claim comes to: raw rows, and a status that anyone can compute from them again."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Evidence", "Row", "Status", "Verdict", "combine"]

Status = Literal["reproduced", "refuted", "inconclusive"]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What a rule makes of rows.

    Args:
        status: "reproduced", "refuted" or "inconclusive".
        findings: one sentence a comparison, with counts and intervals.
    """

    status: Status
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """A claim, what stands beside it, and what its rows say.

    Args:
        claim: the claim in one sentence.
        source: where it was published or written down.
        control: what it is compared with.
        rows: every figure the status is computed from, one mapping a measured thing.
        status: "reproduced", "refuted" or "inconclusive".
        findings: one sentence a comparison, with counts and intervals.
        name: the claim's name.
    """

    claim: str
    source: str
    control: str
    rows: tuple[Row, ...] = field(repr=False)
    status: Status
    findings: tuple[str, ...] = ()
    name: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "name": self.name,
            "claim": self.claim,
            "source": self.source,
            "control": self.control,
            "status": self.status,
            "findings": list(self.findings),
            "rows": [dict(row) for row in self.rows],
        }

    def __str__(self) -> str:
        head = f"{self.name}: {self.status}" if self.name else self.status
        return "\n".join([head, self.claim, *(f"- {line}" for line in self.findings)])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict on a claim of several comparisons: each must hold, and one that fails refutes it.

    >>> combine([Verdict("reproduced", ("a",)), Verdict("inconclusive", ("b",))])
    Verdict(status='inconclusive', findings=('a', 'b'))
    """
    states = {verdict.status for verdict in verdicts}
    status: Status = "inconclusive"
    if "refuted" in states:
        status = "refuted"
    elif states == {"reproduced"}:
        status = "reproduced"
    return Verdict(status, tuple(line for verdict in verdicts for line in verdict.findings))
