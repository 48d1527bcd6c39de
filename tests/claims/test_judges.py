"""The rule of every claim: hand-made rows that must give each of the three statuses, in any order of rows."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from selftaught.claims import CLAIMS
from selftaught.claims.class_pairs import ENOUGH
from selftaught.claims.efficientnet_table import PUBLISHED
from selftaught.claims.few_examples_invite_noise import EXPERIMENTS
from selftaught.claims.masked_is_not_faster import NETWORKS
from selftaught.claims.nb201_budget import EXPECTED
from selftaught.claims.sparse_starts import REFERENCE

Rows = list[dict[str, Any]]
LONG = {"limit": 100, "enough": 100}
STATES = ("reproduced", "refuted", "inconclusive")


def counts(evolution: int, control: int, runs: int, **keys: Any) -> Rows:
    """Runs of which so many reach the bar of 0.9."""
    made: Rows = []
    for arm, reached in (("evolution", evolution), ("random", control)):
        made += [
            {**keys, "arm": arm, "seed": k, "bar": 0.9, "fitness_final": 0.95 if k < reached else 0.5, **LONG}
            for k in range(runs)
        ]
    return made


def from_nothing(state: str) -> Rows:
    found = {"reproduced": (5, 0), "refuted": (0, 0), "inconclusive": (3, 1)}[state]
    return counts(5, 0, 5, bias="free") + counts(*found, 5, bias="learner")


def nonlinear(state: str) -> Rows:
    sign = {"reproduced": 1, "refuted": -1, "inconclusive": 0}[state]
    return [
        {"many": many, "tasks": 16 if many else 1, "seed": k, "fitness_start": 0.4,
         "fitness_final": 0.9 + sign * many * (0.05 + 0.001 * k)}
        for k in range(6) for many in (False, True)
    ]  # fmt: skip


def pairs(state: str) -> Rows:
    lead = {"reproduced": 0.01, "refuted": -0.01, "inconclusive": 0.0}[state]
    made: Rows = []
    for k in range(5):
        made += [{"data": "digits", "arm": "linear", "seed": k, "fitness_final": 0.95}]
        made += [{"data": "digits", "arm": "net", "seed": k, "fitness_final": 0.97}]
        made += [{"data": "digits", "arm": "logistic regression", "seed": k, "fitness_final": 0.999}]
        made += [
            {
                "data": "digits",
                "arm": "evolved",
                "seed": k,
                "programs": ENOUGH,
                "fitness_final": 0.97 + lead + 0.0001 * k * (lead > 0),
            }
        ]
    return made


def inventions(state: str) -> Rows:
    found = {"reproduced": 6, "refuted": 0, "inconclusive": 3}[state]
    made: Rows = []
    for data, reached in (("rings", 6), ("interaction", found)):
        made += counts(reached, 0, 6, data=data)
        made += [{"data": data, "arm": "linear", "seed": k, "bar": 0.9, "fitness_final": 0.5, **LONG} for k in range(6)]
    return made


def adaptation(state: str) -> Rows:
    shown = {"reproduced": (8, 30, 24), "refuted": (8, 0, 24), "inconclusive": (3, 30, 24)}[state]
    chance = {"noise": 0, "rate decay": 3, "rate from weights": 0}
    made: Rows = []
    for (name, experiment), number in zip(EXPERIMENTS.items(), shown, strict=True):
        for arm, times in (("changed", number), ("control", 0 if number == 0 else chance[experiment.technique])):
            made += [
                {
                    "experiment": name, "arm": arm, "seed": k, "technique": experiment.technique,
                    "claimed": experiment.claimed[0], **LONG,
                    "techniques": {**dict.fromkeys(chance, True), experiment.technique: k < times},
                }
                for k in range(30)
            ]  # fmt: skip
    return made


def ratios(state: str, **keys: Any) -> Rows:
    centre = {"reproduced": 1.5, "refuted": 0.5, "inconclusive": 1.0}[state]
    spread = (0.9, 1.1, 1.0, 0.95, 1.05, 1.0)
    return [{**keys, "seed": k, "times": 3.0, "ratio": 3.0 * centre * one} for k, one in enumerate(spread)]


def lanes(state: str) -> Rows:
    return ratios("reproduced", program="net", features=4) + ratios(state, program="linear", features=4)


def liveness(state: str) -> Rows:
    return [{**row, "different": 0} for row in ratios("reproduced", kind="a") + ratios(state, kind="b")]


def sparse_speeds(state: str) -> Rows:
    told = {"csr_ratio": 0.7, "dense_ratio": 1.0, "different": False}
    return [{**row, **told} for row in ratios("reproduced", batch=1) + ratios(state, batch=32)]


def masked_speeds(state: str) -> Rows:
    ratio = {"reproduced": 1.0, "refuted": 1.5, "inconclusive": 1.1}[state]
    spread = (-0.02, 0.02, 0.0, -0.01, 0.01, 0.0)
    return [
        {"network": name, "seed": k, "theoretical": 10.0, "ratio": centre + one, "labelled": True}
        for name, centre in zip(NETWORKS, (1.0, ratio), strict=True) for k, one in enumerate(spread)
    ]  # fmt: skip


def smaller_speeds(state: str) -> Rows:
    ratio = {"reproduced": 3.8, "refuted": 2.0, "inconclusive": 3.0}[state]
    told = {"least": 3.0, "most": 5.0, "theoretical": 3.7, "masked_ratio": 1.0}
    return [{**told, "seed": k, "ratio": ratio * one} for k, one in enumerate((0.9, 1.1, 1.0, 0.95, 1.05, 1.0))]


def compared(state: str) -> Rows:
    lead = {"reproduced": 0.3, "refuted": -0.3, "inconclusive": 0.0}[state]
    spread = (-0.1, 0.1, 0.0, -0.05, 0.05, 0.0)
    made: Rows = []
    for space, step in (("digits", 0.3), ("nb201", lead)):
        for k, one in enumerate(spread):
            made += [{"space": space, "arm": "random", "seed": k, "trials": 100, "signal": 84.0, "test": 93.7}]
            made += [{**made[-1], "arm": "claimed", "signal": 84.0 + step + one, "test": 93.9}]
    return made


def paired(state: str, mine: str, other: str, **keys: Any) -> Rows:
    lead = {"reproduced": 1.0, "refuted": -1.0, "inconclusive": 0.0}[state]
    spread = (-0.2, 0.2, 0.0, -0.1, 0.1, 0.0)
    return [{**keys, "seed": k, mine: 90 + lead + one, other: 90.0} for k, one in enumerate(spread)]


def scaled(state: str) -> Rows:
    rows: Rows = []
    for row in paired(state, "compound", "single"):
        for arm in ("compound", "depth", "width", "resolution"):
            accuracy = row["compound" if arm == "compound" else "single"]
            rows.append({"arm": arm, "seed": row["seed"], "macs": 8e6, "accuracy": accuracy, "reached": True})
    return rows


def transferred(state: str) -> Rows:
    rows = paired("reproduced", "pick", "mean", data="nb201") + paired(state, "pick", "mean", data="digits")
    return [{**row, "best": 95.0, "spearman": 0.5} for row in rows]


def inherited(state: str) -> Rows:
    return [{**row, "child": 0, "long": None} for row in paired(state, "inherited", "anew")]


def budgets(state: str) -> Rows:
    blocks = 2 if state == "inconclusive" else 3
    off = 1.0 if state == "refuted" else 0.0
    return [
        {"searcher": name, "trials": trials, "seed": k, "accuracies": [mean - 0.1 + off, mean + 0.1 + off]}
        for (name, trials), mean in EXPECTED.items()
        for k in range(blocks)
    ]


def costs(state: str) -> Rows:
    names = list(PUBLISHED)[: 7 if state == "inconclusive" else 8]
    rows = [
        {"what": name, "seed": k, "macs": a, "parameters": b, "macs_wanted": a, "parameters_wanted": b}
        for k, (name, (a, b)) in enumerate((name, PUBLISHED[name]) for name in names)
    ]
    rows += [{**rows[0], "what": f"drawn {k}"} for k in range(3)]
    if state == "refuted":
        rows[-1] = {**rows[-1], "macs": rows[-1]["macs"] + 1}
    return rows


def survivors(state: str) -> Rows:
    random_ones = {"reproduced": (1, 60), "refuted": (40, 60), "inconclusive": (10, 60)}[state]
    passed, count = random_ones
    made = [{"arm": "random", "seed": k % 6, "passed": k < passed, "reason": "quality"} for k in range(count)]
    return made + [{"arm": "published", "seed": k, "passed": True, "reason": ""} for k in range(7)]


def batches(state: str) -> Rows:
    lost = {"reproduced": 0.2, "refuted": -0.2, "inconclusive": 0.0}[state]
    spread = (-0.01, 0.01, 0.0, -0.005, 0.005, 0.0)
    return [
        {
            "layer": layer, "batch": batch, "seed": k,
            "accuracy": 0.9 - (lost + one) * (batch == 4) * (layer == "batch-norm"),
        }
        for k, one in enumerate(spread) for layer in ("batch-norm", "evonorm-s0") for batch in (64, 4)
    ]  # fmt: skip


def frozen(state: str) -> Rows:
    lead = {"reproduced": 0.2, "refuted": -0.2, "inconclusive": 0.0}[state]
    spread = (-0.01, 0.01, 0.0, -0.005, 0.005, 0.0)
    return [
        {"trained": arm, "seed": k, "accuracy": {"norm": 0.5 + lead + one, "weights": 0.5, "all": 0.9}[arm]}
        for k, one in enumerate(spread) for arm in ("norm", "weights", "all")
    ]  # fmt: skip


def transplants(state: str) -> Rows:
    lead = {"reproduced": 0.05, "refuted": -0.05, "inconclusive": 0.0}[state]
    spread = (-0.01, 0.01, 0.0, -0.005, 0.005, 0.0)
    return [
        {"arm": arm, "seed": k, "test": 0.5 + {"plain": 0, "bilinear": 0.1 + one, "normalised": lead + one}[arm]}
        for k, one in enumerate(spread) for arm in ("plain", "bilinear", "normalised")
    ]  # fmt: skip


def layer_searches(state: str) -> Rows:
    lead = {"reproduced": 0.1, "refuted": -0.1, "inconclusive": 0.0}[state]
    spread = (-0.01, 0.01, 0.0, -0.005, 0.005, 0.0)
    return [
        {"searcher": arm, "seed": k, "steps": 10**6, "accuracy": 0.5 + (lead + one) * (arm == "evolution")}
        for k, one in enumerate(spread) for arm in ("evolution", "random")
    ]  # fmt: skip


def forgotten(state: str) -> Rows:
    churn = {"reproduced": 0.1, "refuted": 0.4, "inconclusive": 0.2}[state]
    made: Rows = []
    for k, one in enumerate((-0.01, 0.01, 0.0, -0.005, 0.005, 0.0)):
        made += [{"seed": k, "sparsity": 0.0, "accuracy": 0.9}]
        for level, rate in ((0.5, 0.12), (0.9, 0.2), (0.95, 0.3)):
            made += [{
                "seed": k, "sparsity": level, "accuracy": 0.8, "pie": rate + one * level, "churn": churn,
                "dense_on": 0.5, "dense_off": 0.9, "sparse_on": 0.2, "sparse_off": 0.8, "rejections": 0.04 + one,
            }]  # fmt: skip
    return made


def rare_paid(state: str) -> Rows:
    more = {"reproduced": -0.3, "refuted": 0.3, "inconclusive": 0.0}[state]
    return [
        {"seed": k, "sparsity": 0.9, "rare_before": 0.7, "rare_change": -0.2 + more + one, "common_before": 0.9,
         "common_change": -0.2}
        for k, one in enumerate((-0.1, 0.1, 0.0, -0.05, 0.05, 0.0))
    ]  # fmt: skip


def rounding(state: str) -> Rows:
    less = {"reproduced": 0.1, "refuted": -0.1, "inconclusive": 0.0}[state]
    made: Rows = []
    for k, one in enumerate((-0.01, 0.01, 0.0, -0.005, 0.005, 0.0)):
        base = {"seed": k, "churn": 0.05, "dense": 0.95}
        made += [{**base, "how": "rounded", "amount": 8, "accuracy": 0.95, "pie": 0.05}]
        made += [{**base, "how": "rounded", "amount": 2, "accuracy": 0.55, "pie": 0.45}]
        made += [{**base, "how": "pruned", "amount": 0.5, "accuracy": 0.75, "pie": 0.25 + less + one}]
        made += [{**base, "how": "pruned", "amount": 0.9, "accuracy": 0.3, "pie": 0.9}]  # beyond every rounding
    return made


def difficult(state: str) -> Rows:
    found = {"reproduced": 0.9, "refuted": 0.7, "inconclusive": 0.85}[state]
    return [
        {"seed": k, "flips": 80, "accuracy": 0.9,
         "auroc": {"confidence": 0.92, "aum": 0.93, "el2n": found + one, "forgetting": 0.6, "vog of the logit": 0.4}}
        for k, one in enumerate((-0.01, 0.01, 0.0, -0.005, 0.005, 0.0))
    ]  # fmt: skip


def hard_kinds(state: str) -> Rows:
    lead = {"reproduced": 0.2, "refuted": -0.2, "inconclusive": 0.0}[state]
    kinds = ("mislabelled", "ambiguous", "rare")
    return [
        {"seed": k, "n": 800,
         "auroc": {column: {truth: 0.7 + (0.25 if truth != "rare" else lead + one) * (column == truth)
                            for truth in kinds} for column in kinds}}
        for k, one in enumerate((-0.01, 0.01, 0.0, -0.005, 0.005, 0.0))
    ]  # fmt: skip


def treated(state: str) -> Rows:
    lead = {"reproduced": 0.05, "refuted": -0.05, "inconclusive": -0.01}[state]
    spread = (-0.01, 0.01, 0.0, -0.005, 0.005, 0.0)
    tail = {"small even": 0.5, "small uneven": 0.6, "small shuffled": 0.5, "large even": 0.6}
    return [
        {
            "arm": arm, "seed": k, "multiply_adds": 10, "head": 0.9,
            "tail": value + (arm == "small uneven") * (lead + one),
        }
        for k, one in enumerate(spread) for arm, value in tail.items()
    ]  # fmt: skip


def students(state: str) -> Rows:
    lead = {"reproduced": 0.1, "refuted": -0.1, "inconclusive": 0.0}[state]
    spread = (-0.01, 0.01, 0.0, -0.005, 0.005, 0.0)
    return [
        {"student": student, "arm": arm, "seed": k, "head": 0.9, "tail": 0.5 + (arm == "taught") * (lead + one)}
        for k, one in enumerate(spread) for student in ("pruned", "small") for arm in ("taught", "alone", "smoothed")
    ]  # fmt: skip


def cuts(state: str) -> Rows:
    slope = {"reproduced": 1.0, "refuted": -1.0, "inconclusive": 0.0}[state]
    ways = {("none", 0): 0.0, ("magnitude", 2): 0.01, ("random", 2): 0.02, ("largest", 2): 0.06}
    sign = (1, -1, 1, -1, 1, -1)
    return [
        {
            "by": by, "cuts": number, "seed": k, "instability": lost,
            "accuracy": 0.9 + (slope or sign[k]) * lost + 0.0001 * k,
        }
        for k in range(6) for (by, number), lost in ways.items()
    ]  # fmt: skip


def leaving(state: str) -> Rows:
    lead = {"reproduced": 0.05, "refuted": -0.05, "inconclusive": 0.0}[state]
    spread = (-0.01, 0.01, 0.0, -0.005, 0.005, 0.0)
    arms = {"whole": (0.9, 3.0), "random": (0.8, 1.5), "shallow 2": (0.1, 0.5), "shallow 4": (0.9 - lead, 1.6)}
    made: Rows = []
    for k, one in enumerate(spread):
        made += [{"arm": arm, "accuracy": value, "time": time} for arm, (value, time) in arms.items()]
        made += [{"arm": "exits", "accuracy": 0.9 + 0.1 * one, "time": 1.5 + one}]
        made[-5:] = [{**row, "seed": k, "multiply_adds": 0.5, "left": 0.7} for row in made[-5:]]
    return made


def flows(state: str) -> Rows:
    ranks = {"reproduced": (1, -1), "refuted": (-1, 1), "inconclusive": (1, 1)}[state]
    return [
        {
            "method": method, "ranking": "global", "seed": k, "accuracy": 0.5 + 0.1 * place, "flow": ranks[0] * place,
            "norm": ranks[1] * place,
        }
        for k in range(6) for place, method in enumerate(("random", "snip", "grasp", "synflow"))
    ]  # fmt: skip


def removals(state: str) -> Rows:
    lead = {"reproduced": 0.1, "refuted": -0.1, "inconclusive": 0.0}[state]
    spread = (-0.01, 0.01, 0.0, -0.005, 0.005, 0.0)
    accuracy = {"random": 0.5, "random+blur": 0.5 - lead, "gradient": 0.6, "gradient+blur": 0.45}
    return [
        {"arm": arm, "fraction": part, "seed": k, "accuracy": value + one * (arm == "random"), "without": 0.1}
        for k, one in enumerate(spread) for part in (0.5, 0.9) for arm, value in accuracy.items()
    ]  # fmt: skip


def sparse(state: str) -> Rows:
    values = list(REFERENCE.values())
    if state == "refuted":
        values = values[::-1]
    made: Rows = []
    for k in range(5):
        accuracy = dict(zip(REFERENCE, values, strict=True))
        if state == "inconclusive" and k % 2:
            accuracy = dict(zip(REFERENCE, values[::-1], strict=True))
        made += [{"density": 0.03, "seed": k, "arm": arm, "accuracy": one + 0.001 * k} for arm, one in accuracy.items()]
        made += [{"density": 0.1, "seed": k, "arm": arm, "accuracy": 0.5} for arm in REFERENCE]
    return made


def supermasks(state: str) -> Rows:
    lead = {"reproduced": -0.001, "refuted": -0.03, "inconclusive": -0.01}[state]
    spread = (-0.002, 0.002, 0.0, -0.001, 0.001)
    return [
        {
            "arm": arm, "seed": k, "moved": 0 if arm == "supermask" else None,
            "accuracy": {"dense": 0.98, "supermask": 0.98 + lead + one, "random mask": 0.1}[arm],
        }
        for k, one in enumerate(spread) for arm in ("supermask", "dense", "random mask")
    ]  # fmt: skip


def protections(state: str) -> Rows:
    ratio = {"reproduced": 0.3, "refuted": 0.8, "inconclusive": 0.5}[state]
    spread = (-0.01, 0.01, 0.0, -0.005, 0.005, 0.0)
    return [
        {
            "arm": arm, "seed": k, "accuracy": 0.9, "dense": 0.95, "widths": [[64, 8]],
            "drop": 0.1 if arm != "protected" else 0.1 * ratio + one,
        }
        for k, one in enumerate(spread) for arm in ("plain", "longer", "distilled", "protected")
    ]  # fmt: skip


def sparse_layers(state: str) -> Rows:
    lead = {"reproduced": 0.1, "refuted": -0.1, "inconclusive": 0.0}[state]
    spread = (-0.01, 0.01, 0.0, -0.005, 0.005, 0.0)
    return [
        {
            "arm": arm, "seed": k, "steps": 10**6, "layer": arm, "in_dense": 0.9,
            "in_sparse": 0.5 + (lead + one) * (arm == "sparse anchors"),
        }
        for k, one in enumerate(spread) for arm in ("sparse anchors", "dense anchors", "random search", "bn-relu")
    ]  # fmt: skip


RECIPES: dict[str, Callable[[str], Rows]] = {
    "linear-from-nothing": from_nothing,
    "affine-from-nothing": from_nothing,
    "nonlinear-setup": nonlinear,
    "class-pairs": pairs,
    "invention": inventions,
    "few-examples-invite-noise": adaptation,
    "lanes-pay": lanes,
    "liveness-pays": liveness,
    "evolution-beats-random": compared,
    "controller-beats-random": compared,
    "nb201-budget": budgets,
    "efficientnet-table": costs,
    "compound-scaling": scaled,
    "cell-transfer": transferred,
    "weight-inheritance": inherited,
    "layer-rejection": survivors,
    "small-batch-layer": batches,
    "batchnorm-only": frozen,
    "layer-search-beats-random": layer_searches,
    "transplant": transplants,
    "forgotten-examples": forgotten,
    "rare-classes-pay": rare_paid,
    "quantised-forgets-less": rounding,
    "difficulty-measures": difficult,
    "rare-or-mislabelled": hard_kinds,
    "uneven-training": treated,
    "distil-keeps-tail": students,
    "generalisation-stability": cuts,
    "early-exit": leaving,
    "gradient-flow": flows,
    "roar": removals,
    "sparse-starts": sparse,
    "supermask": supermasks,
    "protected-compression": protections,
    "sparse-kernel": sparse_speeds,
    "masked-is-not-faster": masked_speeds,
    "structured-is-faster": smaller_speeds,
    "layer-for-sparse": sparse_layers,
}


def test_every_claim_has_its_hand_made_rows() -> None:
    assert set(RECIPES) == set(CLAIMS)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", CLAIMS)
def test_hand_made_rows_give_each_status_in_any_order(name: str, state: str) -> None:
    rows = RECIPES[name](state)
    assert CLAIMS[name].judge(rows).status == state
    random.Random(1).shuffle(rows)
    assert CLAIMS[name].judge(rows).status == state


@pytest.mark.parametrize("name", CLAIMS)
def test_two_seeds_are_too_few_for_any_status(name: str) -> None:
    for state in STATES:
        rows = [row for row in RECIPES[name](state) if row["seed"] < 2]
        assert CLAIMS[name].judge(rows).status == "inconclusive"


@pytest.mark.parametrize("name", CLAIMS)
def test_no_rows_are_inconclusive(name: str) -> None:
    verdict = CLAIMS[name].judge([])
    assert verdict.status == "inconclusive"


def test_liveness_that_changes_a_meaning_refutes_its_claim() -> None:
    rows = liveness("reproduced")
    rows[3]["different"] = 1
    verdict = CLAIMS["liveness-pays"].judge(rows)
    assert verdict.status == "refuted"
    assert "1 programs mean something else" in verdict.findings[-1]


def test_a_sparse_layer_that_computes_something_else_refutes_its_claim() -> None:
    rows = sparse_speeds("reproduced")
    rows[3]["different"] = True
    verdict = CLAIMS["sparse-kernel"].judge(rows)
    assert verdict.status == "refuted"
    assert any("1 layers give other outputs" in line for line in verdict.findings)


def test_masks_that_slow_down_or_are_not_labelled_are_not_the_claim() -> None:
    slow = [{**row, "ratio": row["ratio"] - 0.4} for row in masked_speeds("reproduced")]
    assert CLAIMS["masked-is-not-faster"].judge(slow).status == "refuted"
    rows = masked_speeds("reproduced")
    rows[0]["labelled"] = False
    assert CLAIMS["masked-is-not-faster"].judge(rows).status == "inconclusive"


def test_half_of_what_a_claim_on_speeds_says_is_not_enough() -> None:
    half = [row for row in sparse_speeds("reproduced") if row["batch"] == 1]
    assert CLAIMS["sparse-kernel"].judge(half).status == "inconclusive"
    one = [row for row in masked_speeds("reproduced") if row["network"] == NETWORKS[0]]
    assert CLAIMS["masked-is-not-faster"].judge(one).status == "inconclusive"


def test_a_shallow_network_that_takes_less_time_shows_nothing() -> None:
    rows = leaving("reproduced")
    faster = [{**row, "time": 1.2} if row["arm"] == "shallow 4" else row for row in rows]
    verdict = CLAIMS["early-exit"].judge(faster)
    assert verdict.status == "inconclusive"
    assert any("0.80 of the time: an easier comparison" in line for line in verdict.findings)
    better = [{**row, "accuracy": 0.99} if row["arm"] == "shallow 4" else row for row in faster]
    assert CLAIMS["early-exit"].judge(better).status == "refuted", "faster and better counts against exits all the same"


def test_channels_that_gain_more_than_claimed_are_told() -> None:
    rows = [{**row, "ratio": 2 * row["ratio"]} for row in smaller_speeds("reproduced")]
    assert CLAIMS["structured-is-faster"].judge(rows).status == "refuted"


def test_the_claim_on_pairs_tells_of_logistic_regression_without_counting_it() -> None:
    verdict = CLAIMS["class-pairs"].judge(pairs("reproduced"))
    assert verdict.status == "reproduced"
    assert "logistic regression" in verdict.findings[-1]
    assert "not part of the claim" in verdict.findings[-1]


def test_a_claim_on_pairs_must_hold_on_every_image_set() -> None:
    rows = pairs("reproduced") + [{**row, "data": "cifar10"} for row in pairs("refuted")]
    assert CLAIMS["class-pairs"].judge(rows).status == "refuted"


def test_removing_and_retraining_tells_of_every_estimator_without_counting_it() -> None:
    verdict = CLAIMS["roar"].judge(removals("reproduced"))
    assert verdict.status == "reproduced"
    assert "90%, not part of the rule: gradient found less than random (+0.100" in "; ".join(verdict.findings)
    kept = [{**row, "without": 0.8} for row in removals("reproduced")]
    assert CLAIMS["roar"].judge(kept).status == "refuted"


def test_only_seeds_with_both_sides_are_compared() -> None:
    rows = [row for row in nonlinear("reproduced") if row["many"] or row["seed"] != 0]
    verdict = CLAIMS["nonlinear-setup"].judge(rows)
    assert all("over 5 seeds" in line for line in verdict.findings)


def test_a_setup_that_is_no_better_than_before_is_not_repaired() -> None:
    rows = [{**row, "fitness_start": 0.99} for row in nonlinear("reproduced")]
    assert CLAIMS["nonlinear-setup"].judge(rows).status == "refuted"


@pytest.mark.parametrize("name", ["linear-from-nothing", "invention", "few-examples-invite-noise"])
def test_searches_that_were_too_short_refute_nothing(name: str) -> None:
    short = [{**row, "limit": 99} for row in RECIPES[name]("refuted")]
    assert CLAIMS[name].judge(short).status == "inconclusive"
    short = [{**row, "limit": 99} for row in RECIPES[name]("reproduced")]
    assert CLAIMS[name].judge(short).status == "reproduced"


@pytest.mark.parametrize(("state", "status"), [("refuted", "inconclusive"), ("reproduced", "reproduced")])
def test_a_short_search_on_pairs_can_win_but_not_refute(state: str, status: str) -> None:
    short = [{**row, "programs": ENOUGH - 1} for row in pairs(state)]
    assert CLAIMS["class-pairs"].judge(short).status == status


def test_the_claims_on_searchers_tell_of_test_accuracy_without_counting_it() -> None:
    verdict = CLAIMS["evolution-beats-random"].judge([{**row, "test": 0.0} for row in compared("reproduced")])
    assert verdict.status == "reproduced"
    assert verdict.findings[-1] == "nb201: the picks' accuracy on test, not part of the claim: test +0.00"


def test_protection_at_other_widths_is_not_compared() -> None:
    rows = [
        {**row, "widths": [[64, 16]]} if row["arm"] == "protected" else row for row in protections("reproduced")
    ]
    assert CLAIMS["protected-compression"].judge(rows).status == "inconclusive"


def test_a_supermask_that_moves_a_weight_is_none() -> None:
    rows = supermasks("reproduced")
    rows[3]["moved"] = 1
    assert CLAIMS["supermask"].judge(rows).status == "refuted"


def test_a_supermask_no_better_than_a_random_mask_shows_nothing() -> None:
    rows = [{**row, "accuracy": 0.98} for row in supermasks("reproduced")]
    assert CLAIMS["supermask"].judge(rows).status == "inconclusive"


def test_the_order_of_sparse_starts_alone_is_not_enough() -> None:
    swapped = {"random": "snip", "snip": "random"}
    rows = [{**row, "arm": swapped.get(row["arm"], row["arm"])} for row in sparse("reproduced")]
    assert CLAIMS["sparse-starts"].judge(rows).status != "reproduced"
    few = [{**row, "accuracy": 0.99 if row["arm"] == "random" else row["accuracy"]} for row in sparse("reproduced")]
    assert "minus random masks: -" in CLAIMS["sparse-starts"].judge(few).findings[1]


def test_short_searches_for_sparse_networks_refute_nothing() -> None:
    short = [{**row, "steps": 99} for row in sparse_layers("refuted")]
    assert CLAIMS["layer-for-sparse"].judge(short).status == "inconclusive"
    assert "0 of 6 searches" in CLAIMS["layer-for-sparse"].judge(short).findings[2]
