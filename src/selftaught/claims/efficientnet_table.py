"""`efficientnet-table`: one function and one base network give the published costs of B0 to B7, to the unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Status, Verdict
from selftaught.claims.statistics import LEAST_SEEDS

__all__ = ["CLAIM", "PUBLISHED", "EfficientNetTable"]

#: multiply-accumulates and parameters, counted on the public implementation `tf_efficientnet_b0..b7`
PUBLISHED: Mapping[str, tuple[int, int]] = {
    "b0": (385_814_752, 5_288_548),
    "b1": (686_802_832, 7_794_184),
    "b2": (993_561_872, 9_109_994),
    "b3": (1_827_141_392, 12_233_232),
    "b4": (4_393_771_024, 19_341_616),
    "b5": (10_266_384_752, 30_389_784),
    "b6": (19_067_593_536, 43_040_704),
    "b7": (37_745_884_192, 66_347_960),
}


@dataclass(frozen=True)
class EfficientNetTable:
    """Costs of the family, and of networks with random factors.

    Args:
        seeds: networks with random factors; one of the family beside each, in turn.
        seed: the first seed.
    """

    seeds: int
    seed: int = 0


def plan(config: EfficientNetTable) -> list[Part]:
    """Return a part a seed."""
    return [{"name": f"b{k % len(PUBLISHED)}", "seed": config.seed + k} for k in range(config.seeds)]


def measure(config: EfficientNetTable, part: Part) -> list[dict[str, Any]]:
    """Cost a network of the family in closed form, and count one with random factors as it is built."""
    from selftaught.seeds import rng_for
    from selftaught.spaces import efficientnet
    from selftaught.spaces.build import count

    name, seed = part["name"], part["seed"]
    own = efficientnet(name).cost()
    macs, parameters = PUBLISHED[name]
    depth, width, resolution = (float(x) for x in rng_for(seed, "factors").uniform(0.3, 1.6, 3).round(2))
    drawn = efficientnet("b0").scaled(depth=depth, width=width, resolution=resolution)
    closed, counted = drawn.cost(), count(drawn)
    return [
        {
            "what": name, "seed": seed, "macs": own.macs, "parameters": own.parameters, "macs_wanted": macs,
            "parameters_wanted": parameters,
        },
        {
            "what": f"depth {depth}, width {width}, resolution {resolution}", "seed": seed, "macs": closed.macs,
            "parameters": closed.parameters, "macs_wanted": counted.macs, "parameters_wanted": counted.parameters,
        },
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Ask for equality to the unit, of every network of the family and of as many random ones."""
    wrong = [
        row for row in rows if (row["macs"], row["parameters"]) != (row["macs_wanted"], row["parameters_wanted"])
    ]
    family = {row["what"] for row in rows} & set(PUBLISHED)
    others = len([row for row in rows if row["what"] not in PUBLISHED])
    text = f"{len(family)} of {len(PUBLISHED)} networks of the family and {others} with random factors"
    status: Status = "refuted" if wrong else "reproduced"
    if len({row["seed"] for row in rows}) < LEAST_SEEDS or (not wrong and len(family) < len(PUBLISHED)):
        status = "inconclusive"
    told = [
        f"{row['what']}: {row['macs']:,} multiply-accumulates and {row['parameters']:,} parameters, wanted "
        f"{row['macs_wanted']:,} and {row['parameters_wanted']:,}"
        for row in sorted(wrong, key=lambda row: str(row["what"]))
    ]
    return Verdict(status, (f"{text}: {len(wrong)} differ: {status}", *told))


CLAIM = Claim(
    name="efficientnet-table",
    sentence=(
        "One base network and three factors give the multiply-accumulates and parameters of EfficientNet B0 to B7 to "
        "the unit, in closed form; the closed form also equals what is counted on built networks of random factors."
    ),
    source=(
        "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, arXiv 1905.11946; the counts are "
        "those of the networks that timm publishes as tf_efficientnet_b0 to b7."
    ),
    control="torch's own counter on the built network, which knows nothing of the closed form",
    scales={
        "tiny": Scale(EfficientNetTable(seeds=8), 20),
        "small": Scale(EfficientNetTable(seeds=40), 60),
        "full": Scale(EfficientNetTable(seeds=200), 300),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
