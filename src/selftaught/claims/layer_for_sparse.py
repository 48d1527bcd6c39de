"""`layer-for-sparse`: whether a sparse network wants another normalisation-activation layer than a dense one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["CLAIM", "LayerForSparse", "sparse_convolutions"]

#: arm -> (searcher, whether its anchors are sparse); "bn-relu" is not searched for
SEARCHES: Mapping[str, tuple[str, bool]] = {
    "sparse anchors": ("evolution", True), "dense anchors": ("evolution", False), "random search": ("random", True),
}  # fmt: skip
PUBLISHED = "bn-relu"
ENOUGH = 100_000  # trained steps from which a failure counts against the claim


@dataclass(frozen=True)
class LayerForSparse:
    """Searches with sparse and with dense anchors; what wins is trained anew in sparse and in dense networks.

    Args:
        seeds: of each search.
        budget: trained steps of a search, rejected layers included.
        population: of evolution.
        steps: of the training that a layer is scored by, and of those that compare what won.
        anchors: the networks; a layer's score is the mean over them.
        density: share of the convolutions' weights in sparse networks, by layer as Erdős-Rényi-Kernel masks have it.
        again: trainings of what won, with fresh weights and masks, judged on test examples.
        ascent: of the gradient ascent.
        data: the images.
        width: of the anchors.
        seed: the first seed.
    """

    seeds: int
    budget: int
    population: int
    steps: int
    anchors: tuple[str, ...] = ("preactivation", "inverted")
    density: float = 0.1
    again: int = 2
    ascent: int = 5
    data: str = "digits"
    width: int = 8
    seed: int = 0


def plan(config: LayerForSparse) -> list[Part]:
    """Return a part a seed."""
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def sparse_convolutions(network: nn.Module, seed: int, *, density: float) -> dict[str, torch.Tensor]:
    """Return random Erdős-Rényi-Kernel masks of a network's convolutions, and of nothing else."""
    from torch import nn

    from selftaught.compress import prune_weights

    ours = {f"{name}.weight" for name, part in network.named_modules() if isinstance(part, nn.Conv2d)}
    others = [name for name, _ in network.named_parameters() if name not in ours]
    return prune_weights(network, density, method="random", ranking="erk", ignore=others, seed=seed)


def measure(config: LayerForSparse, part: Part) -> list[dict[str, Any]]:
    """Search three times; train what won, and batch normalisation with ReLU, in sparse and in dense networks."""
    import selftaught
    from selftaught.errors import DivergedError
    from selftaught.layers import Judge, Judging, image_task, layer_maker, search_layer
    from selftaught.spaces import PUBLISHED_LAYERS, Candidate, layer_formula
    from selftaught.training.devices import limited_threads

    def masks(network: nn.Module, seed: int) -> dict[str, torch.Tensor]:
        return sparse_convolutions(network, seed, density=config.density)

    task = image_task(selftaught.load(config.data), seed=part["seed"])
    judging = Judging(
        anchors=config.anchors, width=config.width, steps=config.steps, check_steps=config.steps,
        ascent_steps=config.ascent, seed=part["seed"],
    )  # fmt: skip
    judges = {True: Judge(task, judging, masks=masks), False: Judge(task, judging)}
    won: dict[str, tuple[Candidate | None, int]] = {PUBLISHED: (PUBLISHED_LAYERS[PUBLISHED], 0)}
    for arm, (searcher, sparse) in SEARCHES.items():
        found = search_layer(
            task, trials=10**6, steps=config.budget, searcher=searcher, population=config.population,  # type: ignore[arg-type]
            tournament=min(5, config.population), start=(PUBLISHED, "evonorm-b0", "evonorm-s0"), judging=judging,
            masks=masks if sparse else None, seed=part["seed"],
        )  # fmt: skip
        won[arm] = found.ranked[0].candidate if found.passed else None, int(found.steps)

    def score(layer: Candidate, sparse: bool) -> float:
        judge, scores = judges[sparse], []
        for anchor in judging.anchors:
            for seed in range(1, config.again + 1):  # 0 is that of the search
                try:
                    network = judge.trained(layer_maker(layer), anchor, config.steps, seed=seed)
                    scores.append(judge.score(network, task.test or task.valid))
                except DivergedError:
                    scores.append(0.0)
        return sum(scores) / len(scores)

    rows, known = [], {}
    with limited_threads(1):
        for arm, (layer, steps) in won.items():
            formula = "" if layer is None else layer_formula(layer)
            if formula not in known:
                known[formula] = {
                    name: 0.0 if layer is None else score(layer, sparse)
                    for name, sparse in (("in_sparse", True), ("in_dense", False))
                }
            rows.append({"seed": part["seed"], "arm": arm, "layer": formula, "steps": steps, **known[formula]})
    return rows


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare what won with sparse anchors to what won with dense ones and by chance, in sparse networks, by seed."""
    found = {(row["arm"], row["seed"]): row for row in rows}
    seeds = [s for s in sorted({seed for _, seed in found}) if all((arm, s) in found for arm in (*SEARCHES, PUBLISHED))]
    long = all(row["steps"] >= ENOUGH for row in rows if row["arm"] in SEARCHES)
    verdicts = [
        gain(
            f"accuracy in sparse networks, won with sparse anchors minus won with {control}",
            [found["sparse anchors", s]["in_sparse"] - found[control, s]["in_sparse"] for s in seeds], patient=long,
        )
        for control in ("dense anchors", "random search")
    ]
    both = combine(verdicts)
    if not seeds:
        return both
    same = sum(found["sparse anchors", s]["layer"] == found["dense anchors", s]["layer"] for s in seeds)
    means = {
        arm: tuple(sum(found[arm, s][place] for s in seeds) / len(seeds) for place in ("in_sparse", "in_dense"))
        for arm in (*SEARCHES, PUBLISHED)
    }
    told = ", ".join(f"{arm} {sparse:.4f} and {dense:.4f}" for arm, (sparse, dense) in means.items())
    return Verdict(
        both.status,
        (
            *both.findings,
            f"sparse and dense anchors chose the same layer in {same} of {len(seeds)} searches, not part of the rule",
            f"means in sparse and in dense networks, not part of the rule: {told}",
        ),
    )


CLAIM = Claim(
    name="layer-for-sparse",
    sentence=(
        "A layer that won in networks with a tenth of their convolutions' weights from the start is better in such "
        "networks than one that won the same search in dense networks, and than one found there by random search."
    ),
    source="The search is that of Liu et al., arXiv 2004.02967; sparse anchors, and the question, are ours.",
    control="the same search with dense anchors; random search with sparse anchors; batch normalisation with ReLU",
    scales={
        # With a tenth of its weights the other anchor learns nothing in so few steps.
        "tiny": Scale(
            LayerForSparse(seeds=5, budget=300, population=5, steps=60, anchors=("preactivation",), again=1), 60
        ),
        "small": Scale(LayerForSparse(seeds=6, budget=20_000, population=6, steps=200, again=4), 4000),
        "full": Scale(
            LayerForSparse(
                seeds=6, budget=200_000, population=30, steps=300, again=8, ascent=100, data="cifar10", width=16
            ),
            200_000,
        ),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
