"""Lottery tickets and supermasks: what is rewound, what is compared, what never changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from selftaught.compress import optimise_mask, prunable, prune_weights, random_weights, reestimate_normalisation, rewind
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.training import SGD, Callback, Masks, Run, TrainConfig, evaluate, fit, mlp, small_cnn

CONFIG = TrainConfig(epochs=3, batch_size=50, optimiser=SGD(lr=0.1, momentum=0.9))


def test_a_ticket_is_the_trained_magnitudes_on_the_initial_weights(digits: Examples) -> None:
    def make(seed: int) -> nn.Module:
        return mlp(digits, hidden=(20,), seed=seed)

    ticket = rewind(make, digits, CONFIG, density=0.2, valid=digits)
    dense = make(0)
    fit(dense, digits, CONFIG)
    expected = prune_weights(dense, 0.2, ranking="global")
    assert all(torch.equal(mask, ticket.masks[name]) for name, mask in expected.items())
    again = make(0)
    found = fit(again, digits, CONFIG, callbacks=[Masks(expected)], valid=digits)
    assert found.valid is not None
    assert ticket.scores["rewound"] == found.valid.score
    assert torch.equal(ticket.rewound.model[2].weight, again[2].weight)  # type: ignore[index]
    for name, one in prunable(ticket.random_masks.model).items():
        assert int(torch.count_nonzero(one)) == int(ticket.masks[name].sum())
        assert not torch.equal(one != 0, ticket.masks[name])
    for name, one in prunable(ticket.new_weights.model).items():
        assert bool((one[~ticket.masks[name]] == 0).all())


def test_rewinding_to_a_later_step_takes_that_many_steps_fewer(digits: Examples) -> None:
    config = TrainConfig(steps=12, batch_size=50)
    ticket = rewind(lambda seed: mlp(digits, hidden=(8,), seed=seed), digits, config, density=0.25, to_step=4, cuts=2)
    assert (ticket.dense.steps, ticket.rewound.steps, ticket.new_weights.steps) == (12, 8, 8)
    total = sum(mask.numel() for mask in ticket.masks.values())
    assert sum(int(mask.sum()) for mask in ticket.masks.values()) == round(0.25 * total)
    with pytest.raises(InputError, match="at most the 12 steps"):
        rewind(lambda seed: mlp(digits, hidden=(8,), seed=seed), digits, config, density=0.25, to_step=13)


@pytest.mark.parametrize("weights", ["signed_constant", "kaiming_normal"])
def test_a_supermask_learns_though_no_weight_changes(digits: Examples, weights: str) -> None:
    frozen: list[torch.Tensor] = []

    class Watch(Callback):
        def after_step(self, run: Run) -> None:
            assert [name for name, one in run.model.named_parameters() if one.requires_grad] == [
                "2.parametrizations.weight.0.score",
                "4.parametrizations.weight.0.score",
            ]
            frozen.append(run.model[2].parametrizations.weight.original.detach().clone())  # type: ignore[index]

    model = mlp(digits, hidden=(100,))
    before = {name: one.clone() for name, one in model.state_dict().items()}
    config = TrainConfig(epochs=20, batch_size=50, optimiser=SGD(lr=0.1, momentum=0.9, weight_decay=5e-4))
    found = optimise_mask(model, digits, config, keep=0.3, weights=weights, valid=digits, callbacks=[Watch()])  # type: ignore[arg-type]
    drawn = random_weights(model, keep=0.3, weights=weights)  # type: ignore[arg-type]
    assert all(torch.equal(one, drawn[2].weight) for one in frozen)  # type: ignore[index]
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    for name, one in found.model.named_parameters():
        rebuilt = dict(drawn.named_parameters())[name]
        assert torch.equal(one, rebuilt * found.masks[name] if name in found.masks else rebuilt), "seed and mask"
        if name in found.masks:
            assert int(found.masks[name].sum()) == round(0.3 * one.numel())
    assert found.fitted.valid is not None
    at_random = {name: torch.rand_like(one) < 0.3 for name, one in prunable(drawn).items()}
    with torch.no_grad():
        for name, one in prunable(drawn).items():
            one.mul_(at_random[name])
    assert evaluate(found.model, digits).score == found.fitted.valid.score
    assert found.fitted.valid.score > 0.9 > 0.3 > evaluate(drawn, digits).score
    assert found.bits == 64 * 100 + 100 * 10


def test_a_supermask_of_shared_weights_has_one_mask() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
            self.second.weight = self.first.weight

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.last(self.second(self.first(inputs).relu()))

    from selftaught import load

    found = optimise_mask(Twice(), load("iris"), TrainConfig(steps=3), keep=0.5)
    assert list(found.masks) == ["first.weight", "last.weight"]
    assert found.model.first.weight is found.model.second.weight
    assert int(torch.count_nonzero(found.model.second.weight)) == 8  # type: ignore[arg-type]


def test_statistics_are_the_plain_average_over_batches_and_nothing_else_moves(digits: Examples) -> None:
    model = small_cnn(digits, widths=(4,), dropout=0.5).eval()
    weights = {name: one.clone() for name, one in model.named_parameters()}
    assert reestimate_normalisation(model, digits, batches=1, batch_size=300) == 1
    images = torch.from_numpy(np.asarray(digits.inputs, np.float32))[:, None]
    scaled = images / (255 if digits.inputs.dtype == np.uint8 else 1)
    seen = model[1](model[0](scaled)).detach()
    assert torch.allclose(model[2].running_mean, seen.mean((0, 2, 3)), atol=1e-5)  # type: ignore[arg-type]
    assert torch.allclose(model[2].running_var, seen.var((0, 2, 3)), rtol=1e-4)  # type: ignore[arg-type]
    assert all(torch.equal(one, weights[name]) for name, one in model.named_parameters())
    assert not any(part.training for part in model.modules())
    assert model[2].momentum == 0.1


def test_statistics_stay_where_no_batch_comes(digits: Examples) -> None:
    model = small_cnn(digits, widths=(4,))
    fit(model, digits, TrainConfig(steps=3, batch_size=50))
    before = {name: one.clone() for name, one in model.state_dict().items()}
    with pytest.raises(DataError, match="no batch"):
        reestimate_normalisation(model, [])
    wrong = [(torch.rand(4, 3, 8, 8), torch.zeros(4, dtype=torch.long))]
    with pytest.raises(RuntimeError):
        reestimate_normalisation(model, wrong)
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())


def test_random_weights_leave_what_is_neither_weight_nor_bias() -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm, self.slope = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.PReLU(6)
            self.gain = nn.Parameter(torch.full((6,), 0.3))

    model = Other()
    with torch.no_grad():
        model.norm.weight.fill_(5.0)
        model.norm.bias.fill_(5.0)
    drawn = random_weights(model)
    assert drawn.norm.weight.tolist() == [1.0] * 6  # type: ignore[union-attr,operator]
    assert drawn.norm.bias.tolist() == drawn.first.bias.tolist() == [0.0] * 6  # type: ignore[union-attr,operator]
    assert torch.equal(drawn.slope.weight, model.slope.weight)  # type: ignore[union-attr,arg-type]
    assert torch.equal(drawn.gain, model.gain)  # type: ignore[arg-type]


def test_a_ticket_of_two_cuts_ranks_the_weights_of_the_first_one(digits: Examples) -> None:
    config = TrainConfig(steps=8, batch_size=50)

    def make(seed: int) -> nn.Module:
        return mlp(digits, hidden=(8,), seed=seed)

    def trained(masks: dict[str, torch.Tensor]) -> nn.Module:
        model = make(0)
        fit(model, digits, config, callbacks=[Masks(masks)])
        return model

    first = prune_weights(trained({}), 0.5)
    second = prune_weights(trained(first), 0.25)
    ticket = rewind(make, digits, config, density=0.25, cuts=2)
    assert all(torch.equal(mask, ticket.masks[name]) for name, mask in second.items())
    assert not all(torch.equal(mask, second[name]) for name, mask in prune_weights(trained({}), 0.25).items())
