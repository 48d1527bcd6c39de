"""Pruning inside a population: each member ends with the masks and weights of a run of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from selftaught import load
from selftaught.compress import SET, GradualPruning
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.training import (
    SGD,
    EarlyStopping,
    Masks,
    RecordOutcomes,
    TrainConfig,
    fit,
    fit_population,
    mlp,
    small_cnn,
)

MEMBERS = 2


@pytest.fixture(scope="module")
def few() -> Examples:
    return load("digits").take(np.arange(300))


def make(kind: str, examples: Examples, seed: int) -> nn.Module:
    if kind == "mlp":
        return mlp(examples, hidden=(16, 12), dropout=0.2, batch_norm=True, seed=seed)
    return small_cnn(examples, widths=(4, 6), seed=seed)


def held(model: nn.Module) -> list[torch.Tensor]:
    return [one.detach() != 0 for one in model.parameters() if one.ndim > 1]


@pytest.mark.parametrize(
    ("kind", "engine"), [("mlp", "layers"), ("mlp", "vmap"), ("cnn", "turns"), ("cnn", "layers")]
)
def test_members_are_pruned_as_single_runs_are(few: Examples, kind: str, engine: Any) -> None:
    config = TrainConfig(epochs=4, batch_size=50, optimiser=SGD(lr=0.05), seed=3)
    together = [make(kind, few, number) for number in range(MEMBERS)]
    made: list[GradualPruning] = []

    def callbacks(number: int) -> list[GradualPruning]:
        made.append(GradualPruning(0.2, every=2))
        return made[-1:]

    fit_population(together, few, config, callbacks=callbacks, engine=engine)
    for number in range(MEMBERS):
        alone, own = make(kind, few, number), GradualPruning(0.2, every=2)
        fit(alone, few, config.model_copy(update={"seed": 3 + number}), callbacks=[own])
        assert made[number].cuts == own.cuts
        for one, other in zip(held(together[number]), held(alone), strict=True):
            assert torch.equal(one, other)
        for one, other in zip(together[number].parameters(), alone.parameters(), strict=True):
            assert float((one - other).detach().abs().max()) < 2e-4
    shares = [float(torch.cat([one.flatten() for one in held(model)]).float().mean()) for model in together]
    assert shares == pytest.approx([0.2] * MEMBERS, abs=0.01)
    assert not torch.equal(held(together[0])[1], held(together[1])[1]), "each member has masks of its own"


def test_fixed_masks_and_records_are_those_of_single_runs(few: Examples, tmp_path: Any) -> None:
    config = TrainConfig(epochs=2, batch_size=50, optimiser=SGD(lr=0.05), seed=1)
    generator = torch.Generator().manual_seed(0)
    masks = {"2.weight": torch.rand((16, 64), generator=generator) < 0.3}
    together = [make("mlp", few, number) for number in range(2)]
    fit_population(
        together, few, config,
        callbacks=lambda k: [Masks(masks), RecordOutcomes(tmp_path / "together", few)],
    )  # fmt: skip
    for number in range(2):
        alone = make("mlp", few, number)
        fit(alone, few, config.model_copy(update={"seed": 1 + number}),
            callbacks=[Masks(masks), RecordOutcomes(tmp_path / "alone", few)])  # fmt: skip
        assert not together[number].get_parameter("2.weight")[~masks["2.weight"]].any()
    for measure in ("confidence", "correct", "margin"):
        for seed in (1, 2):
            for epoch in (1, 2):
                one, other = (
                    Ledger(tmp_path / name).values(measure, few.ids, model="model", seed=seed, epoch=epoch)
                    for name in ("together", "alone")
                )
                assert one == pytest.approx(other, abs=1e-3)


def test_soft_targets_are_learned_by_all_members(few: Examples) -> None:
    config = TrainConfig(epochs=1, batch_size=50, optimiser=SGD(lr=0.05))
    shares = np.full((len(few), 10), 0.1, np.float32)
    together = [make("mlp", few, number) for number in range(2)]
    fit_population(together, few, config, soft_targets=shares)
    alone = make("mlp", few, 1)
    fit(alone, few, config.model_copy(update={"seed": 1}), soft_targets=shares)
    for one, other in zip(together[1].parameters(), alone.parameters(), strict=True):
        assert float((one - other).detach().abs().max()) < 2e-4


def test_what_does_not_work_in_populations_is_refused(few: Examples) -> None:
    config = TrainConfig(epochs=1)

    def start(one: Any) -> None:
        fit_population(lambda k: make("mlp", few, k), few, config, members=2, callbacks=one)

    with pytest.raises(InputError, match="SET does not work in a population"):
        start(lambda k: [SET(0.5)])
    with pytest.raises(InputError, match="EarlyStopping does not work"):
        start(lambda k: [EarlyStopping()])
    shared = Masks({})
    with pytest.raises(InputError, match="callbacks of its own"):
        start(lambda k: [shared])
