"""`controller-beats-random`: a policy learned by REINFORCE beside random search at equal evaluations."""

from __future__ import annotations

from selftaught.claims.claim import Claim
from selftaught.claims.searchers_compared import CONTROL, judge, measure, plan, scales_of

__all__ = ["CLAIM"]

CLAIM = Claim(
    name="controller-beats-random",
    sentence=(
        "With as many evaluations (100, and 200 at the larger scales), a controller trained by REINFORCE "
        "finds candidates of higher validation accuracy than random search: networks of random filters on digits, and, "
        "where their tables are at hand, the cells of NAS-Bench-201 with operators and edges shuffled and the stacks "
        "of NAS-Bench-Macro."
    ),
    source=(
        "Neural Architecture Search with Reinforcement Learning, arXiv 1611.01578; on NAS-Bench-201, arXiv 2001.00326: "
        "test accuracy on CIFAR-10 of 93.85 against 93.70 for random search. On such small, noise-free tables local "
        "search, TPE and pairwise search find better candidates than the controller at as many evaluations."
    ),
    control=CONTROL,
    scales=scales_of("policy-gradient"),
    plan=plan,
    measure=measure,
    judge=judge,
)
