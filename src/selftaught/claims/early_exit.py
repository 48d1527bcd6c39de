"""`early-exit`: a deep network whose examples may leave is as accurate and takes less time, one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Status, Verdict, combine
from selftaught.claims.known_data import at_hand
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "EarlyExitPays"]

LOST = 0.005
LESS_TIME = 0.1  # by which the shallow network may be faster and still be called as fast
ARMS = ("whole", "exits", "random")


@dataclass(frozen=True)
class EarlyExitPays:
    """Deep convolutional networks with exits on the way.

    Args:
        seeds: how many.
        epochs: of a training.
        data: the images.
        train, valid: examples to train on and to calibrate on; all others, at most 2,000, are for the test.
        blocks: convolutions of the whole network, after the first.
        exits: numbers of the blocks after which one may leave.
        shallow: blocks of the shallow networks; the rule takes the one whose time is nearest.
        width: channels.
        timed: examples that are timed one by one.
        rounds: of timing.
        lr: of AdamW.
        seed: the first seed.
    """

    seeds: int
    epochs: int
    data: str = "digits"
    train: int = 900
    valid: int = 400
    blocks: int = 6
    exits: tuple[int, ...] = (1, 3)
    shallow: tuple[int, ...] = (2, 4)
    width: int = 48
    timed: int = 30
    rounds: int = 15
    lr: float = 0.003
    seed: int = 0


def plan(config: EarlyExitPays) -> list[Part]:
    """Return a part a seed."""
    if not at_hand(config.data):
        return []
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def measure(config: EarlyExitPays, part: Part) -> list[dict[str, Any]]:
    """Train a network with exits, and shallow ones; test all, and time them one by one in turns."""
    import tempfile

    import numpy as np
    import torch
    from torch import nn

    from selftaught.claims.long_tail import images
    from selftaught.compress import EarlyExit, TrainExits, calibrate_exits, record_exits
    from selftaught.seeds import rng_for, seed_for
    from selftaught.training import AdamW, TrainConfig, count_flops, evaluate, fit, time_in_turns
    from selftaught.training.batches import as_inputs
    from selftaught.training.devices import limited_threads
    from selftaught.training.random_state import own_random_state

    seed, data = part["seed"], images(config.data)
    order = rng_for(seed, "claims", "early exit").permutation(len(data))
    ends = (config.train, config.train + config.valid, config.train + config.valid + 2000)
    train, valid, test = (data.take(order[a:b]) for a, b in zip((0, *ends), ends, strict=False))
    inputs = as_inputs(torch.from_numpy(test.inputs[: config.timed].copy()))
    settings = TrainConfig(epochs=config.epochs, batch_size=32, optimiser=AdamW(lr=config.lr), seed=seed, device="cpu")

    def deep(blocks: int) -> nn.Sequential:
        with own_random_state(torch.device("cpu"), seed_for(seed, "weights", blocks)):
            layers, channels = [], inputs.shape[1]
            for place in range(blocks + 1):
                one = nn.Conv2d(channels, config.width, 3, padding=1, bias=False)
                layers.append(nn.Sequential(one, nn.BatchNorm2d(config.width), nn.ReLU()))
                channels = config.width
                if place == 0 and inputs.shape[2] > 16:
                    layers[-1].append(nn.MaxPool2d(2))
            end = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, train.num_classes))
            return nn.Sequential(*layers, end)

    def passes(model: nn.Module) -> Any:
        def run() -> None:
            with torch.inference_mode():
                for k in range(len(inputs)):
                    model(inputs[k : k + 1])

        return run

    with limited_threads(1):
        early = EarlyExit(deep(config.blocks), [str(k) for k in config.exits], inputs, seed=seed)
        fit(early, train, settings, callbacks=[TrainExits()])
        early.eval()
        chosen = calibrate_exits(early, valid, lost=LOST)
        whole = evaluate(early.model, test)
        with tempfile.TemporaryDirectory() as folder:
            exits = record_exits(folder, early, test)
        with torch.inference_mode():
            all_inputs = as_inputs(torch.from_numpy(test.inputs.copy()))
            right = np.stack(
                [one.argmax(dim=1).numpy() == whole.targets for one in early.all_scores(all_inputs)]
            )
        columns = np.arange(len(test))
        drawn = rng_for(seed, "claims", "random exits").permutation(exits)
        models: dict[str, nn.Module] = {"whole": early.model, "exits": early}
        for blocks in config.shallow:
            models[f"shallow {blocks}"] = deep(blocks)
            fit(models[f"shallow {blocks}"], train, settings)
            models[f"shallow {blocks}"].eval()
        seconds = time_in_turns({name: passes(one) for name, one in models.items()}, rounds=config.rounds)
        accuracy = {name: evaluate(one, test).score for name, one in models.items()}
        adds = {name: float(count_flops(one, inputs[:1])) for name, one in models.items()}
    accuracy |= {"random": float(right[drawn, columns].mean())}
    shares = {name: one / adds["whole"] for name, one in adds.items()} | dict.fromkeys(("exits", "random"), chosen.cost)
    each = {name: min(times) / len(inputs) for name, times in seconds.items()}
    return [
        {
            "arm": arm, "seed": seed, "accuracy": accuracy[arm], "multiply_adds": shares[arm],
            "left": float((exits < len(config.exits)).mean()), "time": each[arm if arm in each else "exits"],
        }
        for arm in accuracy
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare accuracy and time with the whole network, random exits and the shallow network of the nearest time.

    Where that one takes less time, by more than a tenth, being more accurate than it shows nothing.
    """
    found = {(row["arm"], row["seed"]): row for row in rows}
    every = sorted({seed for _, seed in found})
    seeds = [
        s for s in every
        if all((arm, s) in found for arm in ARMS) and any(one[0].startswith("shallow") and one[1] == s for one in found)
    ]  # fmt: skip
    nearest = {}
    for s in seeds:
        own = found["exits", s]["time"]
        shallow = [row for (arm, seed), row in sorted(found.items()) if seed == s and arm.startswith("shallow")]
        nearest[s] = min(shallow, key=lambda row, own=own: abs(math.log(row["time"] / own)))  # type: ignore[misc]

    def ahead(other: str) -> list[float]:
        return [found["exits", s]["accuracy"] - found[other, s]["accuracy"] for s in seeds]

    faster = [found["whole", s]["time"] / found["exits", s]["time"] for s in seeds]
    shallower = gain(
        "accuracy, exits minus the shallow network of the nearest time",
        [found["exits", s]["accuracy"] - nearest[s]["accuracy"] for s in seeds],
    )
    takes = [math.log(nearest[s]["time"] / found["exits", s]["time"]) for s in seeds]
    if seeds and sum(takes) / len(takes) < math.log(1 - LESS_TIME):
        share = math.exp(sum(takes) / len(takes))
        text = f"the shallow network of the nearest time takes {share:.2f} of the time: an easier comparison"
        status: Status = "inconclusive" if shallower.status == "reproduced" else shallower.status
        shallower = Verdict(status, (*shallower.findings, f"{text}: {status}"))
    verdict = combine(
        [
            gain(f"accuracy, exits minus the whole network, at least {-LOST:+.3f}", ahead("whole"), margin=-LOST),
            gain("times faster than the whole network, one by one, above 1", faster, margin=1.0, digits=2),
            gain("accuracy, exits minus random exits at the same rates", ahead("random")),
            shallower,
        ]
    )
    if not seeds:
        return verdict
    told = []
    arms = {arm: [found[arm, s] for s in seeds] for arm in ARMS} | {"shallow": list(nearest.values())}
    for arm, own_rows in arms.items():
        means = [sum(row[what] for row in own_rows) / len(seeds) for what in ("accuracy", "multiply_adds", "time")]
        told.append(f"{arm} {means[0]:.4f}, {means[1]:.2f}, {means[2] * 1e3:.2f} ms")
    left = sum(found["exits", s]["left"] for s in seeds) / len(seeds)
    line = f"accuracy, multiply-adds, time, not part of the rule: {'; '.join(told)}; {left:.0%} leave early"
    return Verdict(verdict.status, (*verdict.findings, line))


CLAIM = Claim(
    name="early-exit",
    sentence=(
        "With thresholds calibrated on validation examples, a deep network whose sure examples leave early loses at "
        "most half a point of accuracy and takes less time an example, and is more accurate than a shallow network "
        "that takes as long."
    ),
    source="Teerapittayanon, McDanel and Kung, arXiv 1709.01686.",
    control="the whole network; random exits at the same rates; a shallow network of the nearest time",
    scales={
        "tiny": Scale(EarlyExitPays(seeds=5, epochs=4), 60),
        "small": Scale(
            EarlyExitPays(
                seeds=6, epochs=15, data="cifar10", train=8000, valid=2000, blocks=8, timed=200,
            ), 10000,
        ),
        "full": Scale(
            EarlyExitPays(
                seeds=12, epochs=60, data="cifar10", train=8000, valid=2000, blocks=8, width=64, timed=500,
            ), 120000,
        ),
    },
    plan=plan,
    measure=measure,
    judge=judge,
    timed=True,
)  # fmt: skip
