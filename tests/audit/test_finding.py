"""A finding's verdict: where its value and interval lie beside the null."""

from __future__ import annotations

import json

import pytest

from selftaught.audit import Finding

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "interval", "null", "verdict"),
    [
        (0.2, (0.1, 0.3), (-0.05, 0.05), "change"),
        (-0.2, (-0.3, -0.1), (-0.05, 0.05), "change"),
        (0.2, (0.04, 0.36), (-0.05, 0.05), "unclear"),
        (-0.2, (-0.5, 0.1), (-0.05, 0.05), "unclear"),
        (0.05, (-0.1, 0.2), (-0.05, 0.05), "seed churn"),
        (0.0, (0.0, 0.0), (0.0, 0.0), "seed churn"),
        (0.2, (0.1, 0.3), None, "no null"),
        (0.2, (NAN, NAN), (-0.05, 0.05), "no null"),
    ],
)
def test_the_verdict_follows_from_value_interval_and_null(
    value: float, interval: tuple[float, float], null: tuple[float, float] | None, verdict: str
) -> None:
    finding = Finding("change", value, interval, 10, (4, 4), null, ("a",))
    assert finding.verdict == verdict
    told = json.loads(json.dumps(finding.to_dict(), allow_nan=False))
    assert (told["verdict"], told["rows"], told["value"]) == (verdict, ["a"], value)
