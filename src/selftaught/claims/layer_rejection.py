"""`layer-rejection`: hardly any random layer survives a short training; the published layers do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Status, Verdict, combine
from selftaught.claims.statistics import LEAST_SEEDS, more_often, wilson

__all__ = ["CLAIM", "LayerRejection"]

MINORITY = 0.2  # what the claim calls a small minority


@dataclass(frozen=True)
class LayerRejection:
    """Random layers, and a published one beside them, judged alike.

    Args:
        seeds: groups of layers.
        layers: random layers of a group; with each group stands one published layer, in turn.
        data: the images.
        width: of the anchors.
        steps: of the short training.
        ascent: steps of the gradient ascent.
        seed: the first seed.
    """

    seeds: int
    layers: int
    data: str = "digits"
    width: int = 8
    steps: int = 100
    ascent: int = 30
    seed: int = 0


def plan(config: LayerRejection) -> list[Part]:
    """Return a part a group."""
    return [{"seed": config.seed + k, "published": k} for k in range(config.seeds)]


def measure(config: LayerRejection, part: Part) -> list[dict[str, Any]]:
    """Judge a group of random layers and a published one."""
    import selftaught
    from selftaught.layers import Judge, Judging, image_task
    from selftaught.seeds import rng_for
    from selftaught.spaces import PUBLISHED_LAYERS, layer_fingerprint, layer_space

    task = image_task(selftaught.load(config.data), seed=part["seed"])
    judge = Judge(
        task,
        Judging(
            width=config.width, steps=config.steps, check_steps=config.steps, ascent_steps=config.ascent,
            seed=part["seed"],
        ),
    )  # fmt: skip
    space = layer_space()
    names = list(PUBLISHED_LAYERS)
    drawn = [space.sample(rng_for(part["seed"], "random layers", k)) for k in range(config.layers)]
    published = PUBLISHED_LAYERS[names[part["published"] % len(names)]]
    known: dict[str, dict[str, Any]] = {}
    rows = []
    for arm, candidate in [*(("random", one) for one in drawn), ("published", published)]:
        mark = layer_fingerprint(space.graph(candidate)) or space.key(candidate)
        if mark not in known:
            found = judge(candidate)
            accuracy = min(found.accuracies.values()) if found.reason is None else None
            known[mark] = {"passed": found.reason is None, "reason": found.reason or "", "accuracy": accuracy}
        rows.append({"arm": arm, "seed": part["seed"], "layer": space.encode(candidate), **known[mark]})
    return rows


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare how often the published layers pass to how often random ones do, and the latter to a minority."""
    passed = {arm: [bool(row["passed"]) for row in rows if row["arm"] == arm] for arm in ("random", "published")}
    often = more_often("published layers pass", passed["published"], passed["random"], claimed=1.0, than="random ones")
    if not passed["random"]:
        return often
    low, high = wilson(sum(passed["random"]), len(passed["random"]))
    status: Status = "inconclusive"
    if len({row["seed"] for row in rows}) >= LEAST_SEEDS:
        status = "reproduced" if high < MINORITY else "refuted" if low > MINORITY else "inconclusive"
    reasons = Counter(row["reason"] for row in rows if row["arm"] == "random" and not row["passed"])
    told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    share = (
        f"random layers that pass: {sum(passed['random'])} of {len(passed['random'])} [{low:.3f}, {high:.3f}], "
        f"claimed below {MINORITY:g} (rejected: {told or 'none'}): {status}"
    )
    return combine([often, Verdict(status, (share,))])


CLAIM = Claim(
    name="layer-rejection",
    sentence=(
        "Fewer than a fifth of random normalisation-activation layers of ten operations survive 100 steps of training "
        "in two small networks; the published layers do."
    ),
    source="Liu et al., arXiv 2004.02967, sections 3.2 and 5: good layers are sparse; the bar of a fifth is ours.",
    control="batch normalisation with ReLU and EvoNorm B0 to S2, written in the same operations and judged alike",
    scales={
        "tiny": Scale(LayerRejection(seeds=6, layers=12), 60),
        "small": Scale(LayerRejection(seeds=14, layers=15, data="cifar10", width=16, ascent=100), 2400),
        "full": Scale(LayerRejection(seeds=70, layers=15, data="cifar10", width=16, ascent=100), 12000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
