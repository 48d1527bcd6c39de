"""`affine-from-nothing`: the same with an intercept. The tiny scale has time for the bias level `learner` only."""

from __future__ import annotations

from selftaught.claims.claim import Claim, Scale
from selftaught.claims.from_nothing import CONTROL, FromNothing, judge, measure, plan

__all__ = ["CLAIM"]


def config(biases: tuple[str, ...], seeds: int, programs: int) -> FromNothing:
    """Return the searches of one scale."""
    return FromNothing("affine_regression", "affine_test", biases, seeds, programs, enough=2_000_000)


CLAIM = Claim(
    name="affine-from-nothing",
    sentence=(
        "Evolution finds a learner of affine regression (F = 4, at most 6/2/6 instructions, seven operators) from "
        "empty programs, where random search with as many proposals does not."
    ),
    source=(
        "Real et al., arXiv 2003.03384, section 4.1; the success rates of runs after ono-lab/ResearchMishimaAutoMLZero "
        "(thesis, 2025)."
    ),
    control=CONTROL,
    scales={
        "tiny": Scale(config(("learner",), 4, 500_000), 45),
        "small": Scale(config(("free", "learner"), 10, 5_000_000), 300),
        "full": Scale(config(("free", "learner"), 50, 20_000_000), 1500),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
