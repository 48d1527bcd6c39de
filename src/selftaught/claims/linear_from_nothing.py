"""`linear-from-nothing`: gradient descent on a linear model is found from empty programs, not by chance."""

from __future__ import annotations

from selftaught.claims.claim import Claim, Scale
from selftaught.claims.from_nothing import CONTROL, FromNothing, judge, measure, plan

__all__ = ["CLAIM"]


def config(biases: tuple[str, ...], seeds: int, programs: int) -> FromNothing:
    """Return the searches of one scale."""
    return FromNothing("linear_regression", "linear_test", biases, seeds, programs, enough=300_000)


CLAIM = Claim(
    name="linear-from-nothing",
    sentence=(
        "Evolution finds a learner of linear regression (F = 4, at most 5/1/4 instructions, six operators) from empty "
        "programs, where random search with as many proposals does not."
    ),
    source="Real et al., arXiv 2003.03384, section 4.1: random search succeeds about once in 1e7 programs.",
    control=CONTROL,
    scales={
        "tiny": Scale(config(("free", "learner"), 5, 300_000), 15),
        "small": Scale(config(("free", "learner"), 20, 2_000_000), 60),
        "full": Scale(config(("free", "learner"), 100, 5_000_000), 300),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
