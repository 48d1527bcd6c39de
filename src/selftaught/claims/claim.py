"""What a claim is made of: configurations, a measurement in parts, and a rule over its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from selftaught.claims.evidence import Evidence, Row, Verdict
from selftaught.errors import InputError, did_you_mean

__all__ = ["SCALES", "Claim", "Part", "Scale", "ScaleName"]

ScaleName = Literal["tiny", "small", "full"]
SCALES: tuple[str, ...] = get_args(ScaleName)

#: One piece of the work, made of JSON's own types; its rows are written together.
Part = Mapping[str, Any]


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Args:
        config: a frozen dataclass of the claim, with a field `seed`.
        seconds: about how long that takes on two cores.
    """

    config: Any
    seconds: float


@dataclass(frozen=True)
class Claim:
    """A claim that anyone can reproduce.

    Args:
        name: what `selftaught reproduce` calls it.
        sentence: the claim, in one sentence.
        source: where it was published or written down.
        control: what it is compared with.
        scales: "tiny", "small" and "full".
        plan: config -> parts, in the order they are done.
        measure: (config, part) -> rows. A pure function of both, but for times.
        judge: rows -> verdict. It reads nothing but the rows, in any order.
        timed: True where rows are speeds, so that parts are never done side by side.
    """

    name: str
    sentence: str
    source: str
    control: str
    scales: Mapping[str, Scale]
    plan: Callable[[Any], Sequence[Part]]
    measure: Callable[[Any, Part], list[dict[str, Any]]]
    judge: Callable[[Sequence[Row]], Verdict]
    timed: bool = False

    def config(self, scale: str = "tiny", *, seed: int = 0) -> Any:
        """Return the configuration of a scale.

        Raises:
            InputError: an unknown scale or a negative seed.
        """
        if scale not in self.scales:
            known = ", ".join(self.scales)
            raise InputError(f"scale must be one of {known}, got {scale!r}{did_you_mean(scale, self.scales)}")
        if seed < 0:
            raise InputError(f"seed must be at least 0, got {seed}")
        return replace(self.scales[scale].config, seed=seed)

    def run(self, config: Any) -> list[dict[str, Any]]:
        """Measure everything in this process; return the rows."""
        return [row for part in self.plan(config) for row in self.measure(config, part)]

    def evidence(self, rows: Sequence[Row]) -> Evidence:
        """Judge rows."""
        verdict = self.judge(rows)
        return Evidence(
            claim=self.sentence, source=self.source, control=self.control, rows=tuple(rows),
            status=verdict.status, findings=verdict.findings, name=self.name,
        )  # fmt: skip

    def identity(self, config: Any) -> dict[str, Any]:
        """Return what two runs must share for the rows of one to serve the other."""
        import selftaught

        return {"claim": self.name, "version": selftaught.__version__, **asdict(config)}
