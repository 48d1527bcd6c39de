"""What is fixed stays as it was drawn, to the bit; as many numbers move in the control."""

from __future__ import annotations

import pytest
import torch

from selftaught.errors import InputError
from selftaught.layers import ANCHORS, batch_norm_relu, train_only
from selftaught.seeds import rng_for


@pytest.mark.parametrize("what", ["norm", "weights", "all"])
def test_only_what_is_trained_moves(what: str) -> None:
    torch.manual_seed(0)
    network = ANCHORS["preactivation"](batch_norm_relu, 1, 3, 8)
    numbers = train_only(network, what, rng_for(0))  # type: ignore[arg-type]
    assert numbers == sum(2 * one.num_features for one in network.modules() if isinstance(one, torch.nn.BatchNorm2d))
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.5, momentum=0.9)
    for step in range(3):
        images = torch.as_tensor(rng_for(1, step).normal(size=(8, 1, 8, 8))).float()
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(images), torch.arange(8) % 3).backward()
        optimiser.step()
    moved = {name: int((value != before[name]).sum()) for name, value in network.named_parameters()}
    norms = {name for name, value in before.items() if value.dim() == 1 and name != list(before)[-1]}
    in_norms, elsewhere = sum(moved[name] for name in norms), sum(v for k, v in moved.items() if k not in norms)
    if what == "norm":
        assert elsewhere == 0
        assert in_norms > 0.9 * numbers
    elif what == "weights":
        assert in_norms == 0
        assert 0.8 * numbers < elsewhere <= numbers
        assert moved[list(before)[-1]] == 0
    else:
        assert in_norms > 0.9 * numbers
        assert elsewhere > 5 * numbers


def test_an_unknown_kind() -> None:
    with pytest.raises(InputError, match="what must be one of norm, weights, all"):
        train_only(torch.nn.Sequential(), "norms", rng_for(0))  # type: ignore[arg-type]
