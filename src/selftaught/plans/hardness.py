"""Which examples are hard, and how: the trainings that the columns of `selftaught.audit` are computed from."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.difficulty import label_quality, max_prob
from selftaught.audit.kinds import HardnessKinds, hardness_kinds
from selftaught.audit.recorded import recorded, recorded_difficulty
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.plans.ladder import Network
from selftaught.seeds import rng_for, seed_for
from selftaught.training import Callback, InMemory, RecordOutcomes, TrainConfig, evaluate, fit_population

if TYPE_CHECKING:
    from selftaught.training.run import Run

__all__ = ["HardExamples", "hard_examples", "out_of_fold"]

CHECKPOINTS = 6


@dataclass(frozen=True, eq=False)
class HardExamples:
    """How hard each of n examples is, by every column, and of what kind.

    Args:
        columns: name -> (n,), high where an example is hard.
        kinds: mislabelled, ambiguous and rare, a column each.
        out_of_fold: (seeds, n, classes) probabilities by models that did not learn from the example.
        embedding: (n, d) what the last layer sees, of a model that learned from all.
        checkpoints: copies of one model, from early to late.
    """

    columns: dict[str, NDArray[np.float64]]
    kinds: HardnessKinds
    out_of_fold: NDArray[np.float64]
    embedding: NDArray[np.float64]
    checkpoints: tuple[Any, ...]


def hard_examples(
    examples: Examples,
    network: Network,
    *,
    seeds: int = 3,
    folds: int = 3,
    config: TrainConfig | None = None,
) -> HardExamples:
    """Train a population on all examples and one a fold; return all columns that need no gradient.

    Args:
        examples: labelled with classes; the labels that are doubted.
        network: what is trained.
        seeds: members of each population, at least 2.
        folds: parts that are held out in turn.
        config: of the trainings.

    Raises:
        InputError: there are too few seeds or folds.
        DataError: the examples have no classes.
    """
    if examples.labels is None or not examples.num_classes:
        raise DataError(f"{examples.name!r} has no classes; what makes an example hard is defined for classes")
    config = config or TrainConfig()
    labels = examples.labels.astype(np.int64)
    apart = out_of_fold(examples, network, seeds=seeds, folds=folds, config=config)
    own = [seed_for(config.seed, "hard examples", k) % 2**31 for k in range(seeds)]
    members = [network.build(examples, seed=seed) for seed in own]
    watch = _Snapshots(_moments(config, len(examples)))
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(folder)
        fit_population(
            members, examples, [config.model_copy(update={"seed": seed}) for seed in own],
            callbacks=lambda k: [RecordOutcomes(ledger, examples), *[watch] * (k == 0)],
        )  # fmt: skip
        columns = recorded_difficulty(ledger, examples.ids)
        given = recorded(ledger, "confidence", examples.ids).mean(axis=0)
    for one in members:
        one.eval()
    scores = np.stack([evaluate(one, examples).scores.astype(np.float64) for one in members])
    shares = np.exp(scores - scores.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    columns["max_prob"] = max_prob(shares)
    columns["label_quality"] = label_quality(apart, labels)
    seen = _last_layer_sees(members[0], examples)
    seen = (seen - seen.mean(axis=0)) / np.maximum(seen.std(axis=0), 1e-9)
    kinds = hardness_kinds(apart, labels, seen, given=given)
    return HardExamples(columns, kinds, apart, seen, tuple(watch.models))


def out_of_fold(
    examples: Examples, network: Network, *, seeds: int = 3, folds: int = 3, config: TrainConfig | None = None
) -> NDArray[np.float64]:
    """Return probabilities of each example by populations that did not learn from it, (seeds, n, classes).

    The examples are cut into folds with every class in proportion; the members of a population learn from all folds but
    one, all from the same.

    Raises:
        InputError: there are fewer than 2 folds, or a fold has fewer than 2 examples.
    """
    if folds < 2 or seeds < 1 or len(examples) < 2 * folds:
        raise InputError(
            f"out-of-fold needs 2 folds, a seed and 2 examples a fold, got {folds} folds, {seeds} seeds and "
            f"{len(examples)} examples"
        )
    config = config or TrainConfig()
    fold = fold_of(examples, folds, seed=config.seed)
    found = np.zeros((seeds, len(examples), examples.num_classes))
    for number in range(folds):
        own = [seed_for(config.seed, "fold", number, k) % 2**31 for k in range(seeds)]
        learned, asked = examples.take(fold != number), examples.take(fold == number)
        members = [network.build(learned, seed=seed) for seed in own]
        fit_population(members, learned, [config.model_copy(update={"seed": seed}) for seed in own])
        for place, one in enumerate(members):
            scores = evaluate(one.eval(), asked).scores.astype(np.float64)
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            found[place, fold == number] = shares / shares.sum(axis=1, keepdims=True)
    return found


def fold_of(examples: Examples, folds: int, *, seed: int) -> NDArray[np.int64]:
    """Return the fold of each example, (n,), every class spread over all folds."""
    order = rng_for(seed, "folds", folds).permutation(len(examples))
    labels = np.asarray(examples.labels)[order]
    place = np.argsort(labels, kind="stable")
    fold = np.empty(len(examples), np.int64)
    fold[order[place]] = np.arange(len(examples)) % folds
    return fold


def _last_layer_sees(model: Any, examples: Examples) -> NDArray[np.float64]:
    batches = InMemory(examples, batch_size=512).in_order(512)
    return np.concatenate([model[:-1](one.inputs).detach().numpy() for one in batches]).astype(np.float64)


def _moments(config: TrainConfig, examples: int) -> list[int]:
    epochs = config.planned_epochs or -(-(config.steps or 1) * config.batch_size // examples)
    return sorted({max(1, round(epochs * (k + 1) / CHECKPOINTS)) for k in range(CHECKPOINTS)})


class _Snapshots(Callback):
    """Keep copies of the model after some epochs."""

    in_populations = True

    def __init__(self, epochs: Sequence[int]) -> None:
        self.epochs = set(epochs)
        self.models: list[Any] = []

    def after_epoch(self, run: Run) -> None:
        if run.epoch in self.epochs:
            self.models.append(copy.deepcopy(run.model).eval())
