"""What can be done about what pruning forgot, each with its price on examples on which nothing was chosen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.exemplars import taxicab
from selftaught.audit.population import Population
from selftaught.audit.price import Price, group_offsets, price, shift_groups
from selftaught.compress import prunable, prune_weights
from selftaught.errors import InputError, ResumeError
from selftaught.examples import Examples
from selftaught.plans.ladder import LadderProgress, Network, Rung, train_ladder
from selftaught.seeds import rng_for, seed_for
from selftaught.training import TrainConfig, evaluate

__all__ = ["MITIGATIONS", "Mitigation", "layer_densities", "mitigations", "moved_most"]

Mitigation = Literal["weights", "repeats", "thresholds", "soft targets", "layers"]
MITIGATIONS: tuple[Mitigation, ...] = ("weights", "repeats", "thresholds", "soft targets", "layers")
WEIGHT = 3
SOFT = 0.5


def mitigations(
    train: Examples,
    kept: Examples,
    network: Network | Callable[[int], Any],
    dense: Rung,
    pruned: Rung,
    *,
    models: int,
    config: TrainConfig,
    which: Sequence[Mitigation] = MITIGATIONS,
    groups: Sequence[str] = (),
    top: float = 0.1,
    weight: float = WEIGHT,
    folder: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    on_progress: Callable[[LadderProgress], str | None] | None = None,
) -> tuple[Price, ...]:
    """Try what may protect the examples that pruning moves, and price each.

    `weights` gives the training examples that moved furthest a weight, `repeats` shows them as often, `soft targets`
    trains them half on what the dense models say, `layers` takes less from layers whose pruning moves them; each is a
    new population at the same sparsity, with new seeds. `thresholds` chooses offsets for each group (all examples
    together where no group is given) on one half of the kept examples. All are judged on the other half.

    Args:
        train, kept, network, models, config: as for `train_ladder`.
        dense, pruned: two rungs of its ladder.
        which: what is tried.
        groups: columns to watch; the first one has the thresholds.
        top: share of the examples that counts as found.
        weight: of the found training examples, and how often they are shown.
        folder: where each population is kept when it is done; what was killed goes on after the last one.
        fresh: start over, whatever the folder holds.
        on_progress: as for `train_ladder`, with the name of what is tried; "stop" ends with what is done.

    Raises:
        InputError: a mitigation is unknown, the weight is not above 1, or the folder cannot be written.
    """
    for one in which:
        if one not in MITIGATIONS:
            raise InputError(f"a mitigation is one of {', '.join(MITIGATIONS)}, got {one!r}")
    if weight <= 1:
        raise InputError(f"the weight of the examples found must be above 1, got {weight}")
    level = pruned.sparsity
    order = rng_for(config.seed, "mitigation halves").permutation(len(kept))
    chosen, judged = np.sort(order[: len(kept) // 2]), np.sort(order[len(kept) // 2 :])
    examples = kept.take(judged)
    base = [one.population.take(judged) for one in (dense, pruned)]
    listed = moved_most(dense, pruned, train, top=top)
    found = []
    began = time.perf_counter()
    for number, name in enumerate(which):
        if name == "thresholds":
            told = "thresholds" + (f" a value of {groups[0]}" if groups else "")
            after = _with_thresholds(pruned.population, kept, chosen, judged, groups)
            found.append(price(told, base[0], base[1], after, examples, groups=groups, top=top))
            continue
        data, options, told = train, {}, str(name)
        if name == "weights":
            options = {"weights": np.where(listed, float(weight), 1.0) / np.where(listed, float(weight), 1.0).mean()}
            told = f"weight {weight:g} on the examples found"
        elif name == "repeats":
            data = _repeated(train, listed, round(weight))
            told = f"examples found shown {round(weight)} times"
        elif name == "soft targets":
            options = {"soft_targets": _soft(train, listed, dense)}
            told = "dense models' probabilities as targets of the examples found"
        else:
            options = {"densities": {level: layer_densities(dense.models, train.take(listed), level)}}
            told = "less taken from layers that move the examples found"
        seed = seed_for(config.seed, "mitigation", number) % 2**31
        # Shown more often, they make an epoch longer: the number of steps is held.
        steps = config.steps or (config.planned_epochs or 1) * -(-len(train) // config.batch_size)
        options |= {
            "levels": (level,), "models": models, "on_progress": _telling(on_progress, told, number, len(which), began),
            "config": config.model_copy(update={"seed": seed, "epochs": None, "steps": steps}),
            "folder": None if folder is None else Path(folder).expanduser() / name.replace(" ", "-"),
        }  # fmt: skip
        try:
            rungs = train_ladder(data, kept, network, fresh=fresh, **options)
        except ResumeError:  # what is there was made from other dense or pruned models
            rungs = train_ladder(data, kept, network, fresh=True, **options)
        if not rungs:
            break
        after = rungs[0].population.take(judged)
        found.append(price(told, base[0], base[1], after, examples, groups=groups, top=top))
    return tuple(found)


def moved_most(dense: Rung, pruned: Rung, examples: Examples, *, top: float = 0.1) -> NDArray[np.bool_]:
    """Return which examples pruning moved furthest (taxicab distance), (n,); they may be those trained on."""
    asked = [
        Population.from_logits(np.stack([evaluate(one, examples).scores for one in rung.models]), examples.ids)
        for rung in (dense, pruned)
    ]
    moved = taxicab(asked[0], asked[1])
    listed = np.zeros(len(moved), np.bool_)
    listed[np.argsort(-moved, kind="stable")[: max(1, round(top * len(moved)))]] = True
    return listed


def layer_densities(models: Sequence[Any], found: Examples, sparsity: float) -> dict[str, float]:
    """Share out the weights that are kept so that layers whose pruning moves the examples found lose less.

    Each layer of each model is pruned by magnitude alone, and the taxicab distance on the examples is its pull. A layer
    keeps a share in proportion to its pull per weight's root, none more than all, and all together as many as before.

    Args:
        models: the dense population.
        found: the examples.
        sparsity: over all prunable weights.

    Returns:
        Name of the weight -> share kept.
    """
    import copy

    names = {name: one.numel() for name, one in prunable(models[0]).items()}
    before = Population.from_logits(np.stack([evaluate(one, found).scores for one in models]), found.ids)
    pulls = {}
    for name in names:
        scores = []
        for one in models:
            made = copy.deepcopy(one)
            others = [other for other in names if other != name]
            masks = prune_weights(made, 1 - sparsity, ignore=others)
            weight = dict(made.named_parameters())[name]
            weight.data.mul_(masks[name])
            scores.append(evaluate(made, found).scores)
        pulls[name] = float(taxicab(before, Population.from_logits(np.stack(scores), found.ids)).mean())
    total = (1 - sparsity) * sum(names.values())
    raw = {name: max(pulls[name], 1e-6) * size**0.5 for name, size in names.items()}
    least = {name: 1 / size for name, size in names.items()}
    dense: set[str] = set()
    while True:
        left = total - sum(names[name] for name in dense)
        factor = left / sum(raw[name] for name in names if name not in dense)
        passing = {name for name in names if name not in dense and factor * raw[name] > names[name]}
        if not passing:
            shares = {name: 1.0 if name in dense else factor * raw[name] / names[name] for name in names}
            return {name: min(1.0, max(share, least[name])) for name, share in shares.items()}
        dense |= passing


def _telling(
    on_progress: Callable[[LadderProgress], str | None] | None, what: str, number: int, count: int, began: float
) -> Callable[[LadderProgress], str | None] | None:
    """Return a callback for the ladder of one level that is one of several mitigations."""
    if on_progress is None:
        return None

    def tell(one: LadderProgress) -> str | None:
        left = one.seconds_left + (count - number - 1) * (one.seconds + one.seconds_left)
        now = time.perf_counter() - began
        return on_progress(replace(one, level=number, levels=count, what=what, seconds=now, seconds_left=left))

    return tell


def _with_thresholds(
    population: Population, kept: Examples, chosen: NDArray[Any], judged: NDArray[Any], groups: Sequence[str]
) -> Population:
    values = kept.groups[groups[0]] if groups else np.zeros(len(kept), np.int64)
    labels = np.asarray(kept.labels, np.int64)
    offsets = group_offsets(population.take(chosen), labels[chosen], values[chosen], even=True)
    return shift_groups(population.take(judged), values[judged], offsets)


def _repeated(train: Examples, listed: NDArray[np.bool_], times: int) -> Examples:
    rows = np.concatenate([np.arange(len(train)), *[np.flatnonzero(listed)] * (times - 1)])
    again = train.take(rows)
    ordinal = np.repeat(np.arange(times), [len(train), *[int(listed.sum())] * (times - 1)])
    ids = np.array([f"{one} ({k})" if k else str(one) for one, k in zip(again.ids, ordinal, strict=True)])
    return replace(again, ids=ids)


def _soft(train: Examples, listed: NDArray[np.bool_], dense: Rung) -> NDArray[np.float32]:
    labels = np.asarray(train.labels, np.int64)
    hard = np.eye(train.num_classes)[labels]
    scores = np.stack([evaluate(one, train).scores for one in dense.models])
    mean = Population.from_logits(scores, train.ids).probabilities.mean(axis=0)
    mixed = (1 - SOFT) * hard + SOFT * mean
    return np.where(listed[:, None], mixed, hard).astype(np.float32)


