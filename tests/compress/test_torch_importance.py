"""Scores of channels other than their norms, and layers with shares of their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from selftaught.compress import channel_importance, prune_channels, taylor_scores
from selftaught.errors import InputError
from selftaught.examples import Examples


def stacked() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))


def test_scores_are_the_squared_product_of_gradient_and_weight(iris: Examples) -> None:
    model = nn.Linear(4, 3)
    found = taylor_scores(model, iris, batches=1, batch_size=len(iris))
    logits = model(torch.from_numpy(iris.inputs).float())
    nn.functional.cross_entropy(logits, torch.from_numpy(iris.labels)).backward()
    for name, one in model.named_parameters():
        assert one.grad is not None
        torch.testing.assert_close(found[name].float(), (one.grad * one.detach()).square(), rtol=1e-4, atol=1e-9)


def test_weights_of_examples_decide_whose_loss_counts(iris: Examples) -> None:
    labels = np.asarray(iris.labels)
    model = nn.Linear(4, 3)
    weights = np.where(labels == 2, 1.0, 0.0)
    found = taylor_scores(model, iris, weights=weights, batches=1, batch_size=len(iris))
    only = taylor_scores(model, iris.take(labels == 2), batches=1, batch_size=len(iris))
    share = (labels == 2).mean()
    torch.testing.assert_close(found["weight"], only["weight"] * share**2, rtol=1e-4, atol=1e-12)


def test_channels_go_by_the_scores_that_are_given() -> None:
    model = stacked()
    scores = {name: torch.zeros_like(one) for name, one in model.named_parameters()}
    scores["0.weight"][[1, 3, 5]] = 1.0
    scores["2.weight"][2] = 1.0
    found = prune_channels(model, torch.zeros(2, 4), ratio={"0.weight": 0.6}, round_to=1, scores=scores)
    assert dict(found.widths) == {"0.weight": (8, 3)}
    assert found.masks["0.weight"][:, 0].nonzero().flatten().tolist() == [1, 3, 5]
    assert "ratio 0" in found.left_dense["2.weight"]
    importance = {group.layers[0]: one for group, one in channel_importance(model, torch.zeros(2, 4)).items()}
    with torch.no_grad():
        wanted = (model[0].weight.square().sum(1) + model[0].bias.square() + model[2].weight.square().sum(0)).sqrt()
    np.testing.assert_allclose(importance["0.weight"], wanted.numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"ratio": {"0.weigth": 0.5}}, "did you mean '0.weight'"), ({"ratio": {"0.weight": 1.0}}, "below 1"),
        ({"scores": {"0.weight": torch.zeros(2)}}, "must have shape"),
    ],
)  # fmt: skip
def test_wrong_use_is_told(options: dict[str, object], match: str) -> None:
    with pytest.raises(InputError, match=match):
        prune_channels(stacked(), torch.zeros(2, 4), round_to=1, **options)  # type: ignore[arg-type]


def test_gradients_that_are_no_numbers_are_told(iris: Examples) -> None:
    model = nn.Linear(4, 3)
    with torch.no_grad():
        model.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match="not all finite"):
        taylor_scores(model, iris)
