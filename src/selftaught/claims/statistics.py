"""The few statistics that rules are made of: rates, gains, and when they are enough for a status."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from selftaught.claims.evidence import Status, Verdict
from selftaught.errors import InputError
from selftaught.seeds import seed_for

__all__ = ["LEAST_SEEDS", "LEVEL", "fisher", "gain", "mean_interval", "more_often", "sign_flip", "wilson"]

LEAST_SEEDS = 3  # with fewer, everything is inconclusive
LEVEL = 0.05
RESAMPLES = 2000


def wilson(successes: int, runs: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a rate (JASA 22, 1927).

    >>> [round(end, 4) for end in wilson(5, 10)]
    [0.2366, 0.7634]
    """
    from scipy.stats import binomtest

    found = binomtest(successes, runs).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def fisher(successes: int, runs: int, others: int, other_runs: int) -> float:
    """Return Fisher's exact one-sided p of so many successes or more, were both rates the same.

    >>> round(fisher(4, 5, 0, 5), 6) == round(1 / 42, 6)
    True
    """
    from scipy.stats import fisher_exact

    table = [[successes, runs - successes], [others, other_runs - others]]
    return float(fisher_exact(table, alternative="greater").pvalue)


def mean_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a mean (Efron, 1979); the mean itself for one value.

    >>> mean_interval([0.5, 0.5, 0.5])
    (0.5, 0.5)
    """
    from scipy.stats import bootstrap

    numbers = np.asarray(values, np.float64)
    if len(numbers) == 0:
        raise InputError("a mean needs at least one value, got none")
    if np.ptp(numbers) == 0:  # also one value: there is nothing to draw from
        return float(numbers[0]), float(numbers[0])
    rng = np.random.default_rng(seed_for(seed, "claims", "bootstrap", len(numbers)))
    found = bootstrap((numbers,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=rng)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def sign_flip(values: Sequence[float]) -> float:
    """Return the exact one-sided p of so large a mean, were each value as likely of the other sign.

    The paired permutation test (Fisher, 1935); with n values the smallest p is 2 ** -n.

    >>> sign_flip([1.0, 2.0, 3.0, 4.0, 5.0])
    0.03125
    """
    from scipy.stats import permutation_test

    numbers = np.asarray(values, np.float64)
    if len(numbers) < 2:
        return 1.0
    if len(numbers) > 12:
        rng = np.random.default_rng(seed_for(0, "claims", "sign flips", len(numbers)))
        draws: dict[str, object] = {"n_resamples": 9999, "rng": rng}
    else:
        draws = {"n_resamples": np.inf}
    found = permutation_test(
        (numbers,), np.mean, permutation_type="samples", alternative="greater", vectorized=True, **draws
    )
    return float(found.pvalue)


def more_often(
    what: str,
    found: Sequence[bool],
    control: Sequence[bool],
    *,
    claimed: float,
    than: str = "the control",
    patient: bool = True,
) -> Verdict:
    """Judge "more often than the control" by counts.

    Reproduced: Fisher's exact test, one-sided, p < 0.05. Refuted: not more often than the control, Wilson's interval
    ends below half the claimed rate, and the runs were long enough to count against the claim; or the control is more
    often so, p < 0.05. Otherwise, and with fewer than 3 runs on a side, inconclusive.

    Args:
        what: what is counted, to begin the sentence.
        found: one truth a run of what is claimed.
        control: one truth a run of the control.
        claimed: the rate that the source gives, or 1 where it says "always".
        than: the control's name.
        patient: whether the runs were long enough that a failure counts against the claim.
    """
    if not found or not control:
        return Verdict("inconclusive", (f"{what}: one side is missing",))
    k, n, m, o = sum(found), len(found), sum(control), len(control)
    (low, high), (c_low, c_high) = wilson(k, n), wilson(m, o)
    p = fisher(k, n, m, o)
    status: Status = "inconclusive"
    if min(n, o) >= LEAST_SEEDS:
        if p < LEVEL:
            status = "reproduced"
        elif (patient and k / n <= m / o and high < claimed / 2) or fisher(m, o, k, n) < LEVEL:
            status = "refuted"
    text = (
        f"{what}: {k} of {n} [{low:.2f}, {high:.2f}], {than} {m} of {o} [{c_low:.2f}, {c_high:.2f}]; "
        f"p = {p:.3g}: {status}"
    )
    return Verdict(status, (text,))


def gain(
    what: str, differences: Sequence[float], *, margin: float = 0.0, digits: int = 4, patient: bool = True
) -> Verdict:
    """Judge "larger than the control" by differences, one a seed.

    Reproduced: the bootstrap interval of the mean lies above the margin and the exact sign-flip test says p < 0.05
    (a bootstrap of few seeds alone is too sure of itself; five seeds is the least that can pass). Refuted: the
    interval lies below the margin, the test says so too, and the runs were long enough to count against the claim.
    Otherwise inconclusive.

    Args:
        what: what the difference is, to begin the sentence.
        differences: claimed minus control, paired by seed.
        margin: what the mean must exceed.
        digits: decimals of the sentence.
        patient: whether the runs were long enough that a failure counts against the claim.
    """
    if not differences:
        return Verdict("inconclusive", (f"{what}: nothing was measured",))
    beyond = [value - margin for value in differences]
    low, high = mean_interval(differences)
    above, below = sign_flip(beyond), sign_flip([-value for value in beyond])
    status: Status = "inconclusive"
    if len(differences) >= LEAST_SEEDS:
        if low > margin and above < LEVEL:
            status = "reproduced"
        elif patient and high < margin and below < LEVEL:
            status = "refuted"
    text = (
        f"{what}: {np.mean(differences):+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}] over "
        f"{len(differences)} seeds, p = {above:.3g}: {status}"
    )
    return Verdict(status, (text,))
