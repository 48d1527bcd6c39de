"""Scores before training, against closed forms and laws."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from selftaught.compress import prune_weights
from selftaught.compress.scores import grasp_scores, snip_scores, synflow_scores
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.training import mlp, small_cnn
from selftaught.training.batches import Batch


@pytest.fixture
def regression() -> tuple[nn.Linear, Batch]:
    """A linear model, whose gradient and Hessian are known: g = 2 X'(Xw - y) / n, H = 2 X'X / n."""
    model = nn.Linear(3, 1, bias=False).double()
    inputs = torch.randn(20, 3, dtype=torch.float64)
    return model, Batch(inputs, torch.randn(20, dtype=torch.float64), None, 20)


def test_snip_is_gradient_times_weight(regression: tuple[nn.Linear, Batch]) -> None:
    model, batch = regression
    weight = model.weight[0].detach()
    gradient = 2 * batch.inputs.T @ (batch.inputs @ weight - batch.targets) / 20
    found = snip_scores(model, batch, ["weight"])["weight"]
    assert torch.allclose(found[0], (gradient * weight).abs())


def test_grasp_is_hessian_gradient_product_with_its_sign(regression: tuple[nn.Linear, Batch]) -> None:
    model, batch = regression
    weight, scaled = model.weight[0].detach(), batch.inputs / 200
    gradient = 2 * scaled.T @ (scaled @ weight - batch.targets) / 20
    hessian = 2 * scaled.T @ scaled / 20
    found = grasp_scores(model, batch, ["weight"])["weight"]
    assert torch.allclose(found[0], (hessian @ gradient) * weight, rtol=1e-6)
    assert found.min() < 0 < found.max() or bool((found != 0).all())


def test_synflow_is_conserved_in_every_layer_and_every_hidden_unit() -> None:
    model = nn.Sequential(
        nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False)
    )
    names = [name for name, _ in model.named_parameters()]
    scores = synflow_scores(model, torch.zeros(1, 6), names)
    flow = torch.ones(6, dtype=torch.float64)
    for one in model.parameters():
        flow = one.detach().double().abs() @ flow
    for one in scores.values():
        assert float(one.sum()) == pytest.approx(float(flow.sum()), rel=1e-12)
    first, second, third = scores.values()
    assert torch.allclose(first.sum(1), second.sum(0), rtol=1e-12)
    assert torch.allclose(second.sum(1), third.sum(0), rtol=1e-12)


def test_synflow_sees_neither_data_nor_normalisation(digits: Examples) -> None:
    plain = small_cnn(digits, widths=(4, 4))
    weights = [name for name, one in plain.named_parameters() if one.ndim > 1]
    before = synflow_scores(plain, torch.zeros(1, 1, 8, 8), weights)
    with torch.no_grad():
        for part in plain.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.mul_(5)
                part.running_var.mul_(3)  # type: ignore[union-attr]
    after = synflow_scores(plain, torch.ones(1, 1, 8, 8), weights)
    assert all(torch.equal(before[name], after[name]) for name in weights)


@pytest.mark.parametrize("method", ["snip", "grasp", "synflow", "random"])
def test_starts_are_exact_repeatable_and_leave_the_model_alone(digits: Examples, method: str) -> None:
    model = mlp(digits, hidden=(20, 10), batch_norm=True)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    state = torch.get_rng_state()
    masks, again = (
        prune_weights(model, 0.1, method=method, data=digits, examples=64, rounds=10)  # type: ignore[arg-type]
        for _ in range(2)
    )
    total = sum(mask.numel() for mask in masks.values())
    assert sum(int(mask.sum()) for mask in masks.values()) == round(0.1 * total)
    assert all(torch.equal(mask, again[name]) for name, mask in masks.items())
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(one.grad is None for one in model.parameters())


def test_synflow_never_empties_a_layer_where_one_shot_magnitude_does(digits: Examples) -> None:
    model = mlp(digits, hidden=(100, 50))
    with torch.no_grad():
        model[2].weight.mul_(0.001)
        for part in (model[2], model[4], model[6]):
            part.bias.zero_()
    with pytest.raises(InputError, match=r"no weight in 2\.weight"):
        prune_weights(model, 0.02)
    masks = prune_weights(model, 0.02, method="synflow", data=digits)
    assert all(bool(mask.any()) for mask in masks.values())


def test_what_cannot_be_ranked_is_refused(digits: Examples) -> None:
    model = mlp(digits, hidden=(10,))
    with pytest.raises(InputError, match="'snip' needs data="):
        prune_weights(model, 0.5, method="snip")
    with torch.no_grad():
        model[4].weight.zero_()
        model[2].weight.zero_()
    for method in ("snip", "grasp"):
        with pytest.raises(InputError, match="all scores equal 0"):
            prune_weights(model, 0.5, method=method, data=digits)  # type: ignore[arg-type]
    with torch.no_grad():
        model[2].weight.fill_(float("nan"))
    with pytest.raises(InputError, match=r"SNIP: the scores of 2\.weight are not all finite"):
        prune_weights(model, 0.5, method="snip", data=digits)
    with pytest.raises(InputError, match="did you mean 'grasp'"):
        prune_weights(model, 0.5, method="graps")  # type: ignore[arg-type]


def test_a_layer_that_no_gradient_reaches_is_named(digits: Examples) -> None:
    model = mlp(digits, hidden=(10, 10))
    with torch.no_grad():
        model[2].bias.fill_(-1e3)  # all of its units are silent
    for method in ("snip", "grasp"):
        with pytest.raises(InputError, match=r"all scores of 2\.weight are 0, as no gradient reaches it"):
            prune_weights(model, 0.5, method=method, ranking="per_layer", data=digits)  # type: ignore[arg-type]


def test_a_loader_that_shuffles_gives_the_seeds_batch_and_draws_nothing(digits: Examples) -> None:
    model = mlp(digits, hidden=(10,))
    rows = torch.utils.data.TensorDataset(torch.rand(60, 8, 8), torch.arange(60) % 10)
    loader = torch.utils.data.DataLoader(rows, batch_size=8, shuffle=True)
    state = torch.get_rng_state()
    first, other = (prune_weights(model, 0.3, method="snip", data=loader, seed=seed) for seed in (0, 1))
    torch.rand(3)
    again = prune_weights(model, 0.3, method="snip", data=loader)
    torch.set_rng_state(state)
    torch.rand(3)
    after = torch.get_rng_state()
    torch.set_rng_state(state)
    prune_weights(model, 0.3, method="snip", data=loader)
    torch.rand(3)
    assert torch.equal(torch.get_rng_state(), after)
    assert all(torch.equal(mask, again[name]) for name, mask in first.items())
    assert not all(torch.equal(mask, other[name]) for name, mask in first.items())


def test_synflow_computes_in_float64_and_refuses_what_overflows() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 2, bias=False))
    with torch.no_grad():
        for one in model.parameters():
            one.fill_(1e30)
        model[0].weight[0, 0] = 5e29
    scores = synflow_scores(model, torch.zeros(1, 4), ["0.weight"])["0.weight"]
    expected = torch.full((4, 4), 1e90 * 4 * 2, dtype=torch.float64)  # no float32 holds it
    expected[0, 0] /= 2
    assert torch.allclose(scores, expected, rtol=1e-6)
    with torch.no_grad():
        for one in model.double().parameters():
            one.fill_(1e200)
    with pytest.raises(InputError, match="not finite in float64"):
        synflow_scores(model, torch.zeros(1, 4), ["0.weight"])
    with pytest.raises(InputError, match="SynFlow cannot run the model on ones in float64"):
        prune_weights(nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)), 0.5, method="synflow",
                      inputs=torch.zeros(1, 3, dtype=torch.long))  # fmt: skip


def test_synflow_leaves_out_a_normalisation_under_both_of_its_names() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm, self.last = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)
            self.again = self.norm

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.last(self.again(self.norm(self.first(inputs))))
            return result

    model = Twice()
    names = ["first.weight", "last.weight"]
    before = synflow_scores(model, torch.zeros(1, 4), names)
    with torch.no_grad():
        model.norm.weight.mul_(7)
    after = synflow_scores(model, torch.zeros(1, 4), names)
    assert all(torch.equal(before[name], after[name]) for name in names)


def test_synflow_is_the_same_in_either_mode_and_random_layers_differ() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), nn.Linear(6, 6))
    found = [synflow_scores(model.train(mode), torch.zeros(1, 6), ["0.weight"])["0.weight"] for mode in (True, False)]
    assert torch.equal(*found)
    masks = prune_weights(model, 0.5, method="random", ranking="per_layer")
    assert not torch.equal(masks["0.weight"], masks["2.weight"])
