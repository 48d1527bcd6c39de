"""Masks: which weights they are of, exact counts, ties, patterns, collapse."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from selftaught.compress import (
    block_mask,
    block_masks,
    masks_of,
    n_of_m_mask,
    n_of_m_masks,
    prunable,
    prune_weights,
    sparsity,
)
from selftaught.errors import InputError


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.norm = nn.LayerNorm((2, 4))
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(inputs))


def test_biases_normalisations_and_second_uses_are_not_pruned() -> None:
    assert list(prunable(Tied())) == ["first.weight"]
    counted = sparsity(Tied(), masks={"first.weight": torch.eye(4, dtype=torch.bool)})
    assert (counted.of_prunable, counted.layers[0].nonzero, counted.parameters) == (0.75, 4, 16 + 8 + 16)


def test_what_is_ignored_must_exist_and_something_must_be_left() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    assert list(prunable(model, ignore=["0"])) == ["1.weight"]
    with pytest.raises(InputError, match=r"no parameter or module '0.weigth' to ignore; did you mean '0.weight'"):
        prunable(model, ignore=["0.weigth"])
    with pytest.raises(InputError, match=r"no weight to prune .* it has weight \(4,\), bias \(4,\)"):
        prunable(nn.BatchNorm1d(4))


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.05, 1.0), st.integers(0, 9))
def test_a_global_mask_is_exact_to_one_weight_even_where_all_scores_tie(
    one: int, two: int, density: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = {name: torch.randint(0, 3, (size,), generator=generator) for name, size in (("a", one), ("b", two))}
    masks = masks_of(scores, density, ranking="global", allow_collapse=True)
    assert sum(int(mask.sum()) for mask in masks.values()) == round(density * (one + two))
    kept = torch.cat([scores[name][masks[name]] for name in scores])
    out = torch.cat([scores[name][~masks[name]] for name in scores])
    assert not len(kept) or not len(out) or int(kept.min()) >= int(out.max())


def test_rankings_by_hand() -> None:
    scores = {"a": torch.tensor([[9.0, 8.0], [7.0, 6.0]]), "b": torch.tensor([[5.0, 1.0], [2.0, 3.0]])}
    per_layer = masks_of(scores, 0.5)
    assert [per_layer[name].int().tolist() for name in "ab"] == [[[1, 1], [0, 0]], [[1, 0], [0, 1]]]
    over_all = masks_of(scores, 0.625, ranking="global")
    assert [over_all[name].int().tolist() for name in "ab"] == [[[1, 1], [1, 1]], [[1, 0], [0, 0]]]


def test_a_collapsed_layer_is_named_unless_it_is_allowed() -> None:
    scores = {"a": torch.tensor([9.0, 8.0]), "b": torch.tensor([2.0, 3.0])}
    with pytest.raises(InputError, match="leaves no weight in b"):
        masks_of(scores, 0.5, ranking="global")
    assert masks_of(scores, 0.5, ranking="global", allow_collapse=True)["b"].sum() == 0


@given(st.integers(1, 5), st.integers(1, 19), st.sampled_from([(1, 2), (2, 4), (1, 4), (4, 8)]), st.integers(0, 5))
def test_every_whole_group_keeps_its_n_largest(rows: int, columns: int, pattern: tuple[int, int], seed: int) -> None:
    n, m = pattern
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    mask = n_of_m_mask(weight, n, m)
    for row, kept in zip(weight.abs().tolist(), mask.tolist(), strict=True):
        for start in range(0, columns - m + 1, m):
            group, chosen = row[start : start + m], kept[start : start + m]
            assert sum(chosen) == n
            assert sorted(group)[-n:] == sorted(size for size, one in zip(group, chosen, strict=True) if one)
        assert all(kept[columns // m * m :])


def test_n_of_m_ties_and_convolutions_go_along_input_channels() -> None:
    assert n_of_m_mask(torch.ones(1, 4), 2, 4).int().tolist() == [[1, 1, 0, 0]]
    weight = torch.randn(3, 8, 2, 2)
    mask = n_of_m_mask(weight, 2, 4)
    for place in ((0, 0), (1, 0)):
        assert torch.equal(mask[:, :, *place], n_of_m_mask(weight[:, :, *place], 2, 4))
    found = n_of_m_masks(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)))
    assert found.dense == {"0.weight": 8 * 3 * 9}
    with pytest.raises(InputError, match="5 of 4"):
        n_of_m_mask(weight, 5, 4)


def test_blocks_by_hand_and_their_edges_stay_dense() -> None:
    weight = torch.zeros(5, 4)
    weight[2, 2] = -3.0
    weight[0, 1] = 2.0
    mask = block_mask(weight, 2, 0.25)
    expected = torch.zeros(5, 4, dtype=torch.bool)
    expected[2:4, 2:] = True
    expected[4] = True
    assert torch.equal(mask, expected)
    with pytest.raises(InputError, match=r"none of the 1 blocks of 0\.weight"):
        block_masks(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)), 0.25, size=4)
    small = block_masks(nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2)), 0.5, size=4)
    assert small.dense == {"1.weight": 8}
    assert bool(small.masks["1.weight"].all())
    with pytest.raises(InputError, match="do not fit"):
        block_mask(weight, 8, 0.5)


def test_magnitude_pruning_leaves_the_model_alone() -> None:
    model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10)).eval()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    masks = prune_weights(model, 0.1, ranking="per_layer")
    assert all(int(mask.sum()) == 10 for mask in masks.values())
    for name, mask in masks.items():
        assert float(before[name].abs()[mask].min()) >= float(before[name].abs()[~mask].max())
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert not model.training


def test_transposed_convolutions_have_groups_of_inputs_too() -> None:
    layer = nn.ConvTranspose2d(8, 6, 2)
    found = n_of_m_masks(nn.Sequential(layer), 2, 4)
    expected = n_of_m_mask(layer.weight.transpose(0, 1), 2, 4).transpose(0, 1)
    assert torch.equal(found.masks["0.weight"], expected)
    assert torch.equal(found.masks["0.weight"].sum(0), torch.full((6, 2, 2), 4))
    assert found.dense == {}
    assert n_of_m_masks(nn.ConvTranspose1d(5, 8, 1)).dense == {"weight": 8}


def test_no_group_of_n_of_m_spans_two_groups_of_a_transposed_convolution() -> None:
    layer = nn.ConvTranspose1d(12, 4, 1, groups=2)  # six inputs and two outputs in each group
    with torch.no_grad():
        layer.weight[:6] *= 100
    found = n_of_m_masks(layer, 2, 4)
    for first in (0, 6):
        of_one = nn.ConvTranspose1d(6, 2, 1)
        of_one.weight = nn.Parameter(layer.weight[first : first + 6])
        assert torch.equal(found.masks["weight"][first : first + 6], n_of_m_masks(of_one, 2, 4).masks["weight"])
    assert found.dense == {"weight": 8}


def test_patterns_out_of_range_and_weights_that_are_no_numbers_are_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    for n, m in ((0, 4), (2, 0), (3, 2)):
        with pytest.raises(InputError, match=f"got {n} of {m}"):
            n_of_m_masks(model, n, m)
    with torch.no_grad():
        model[0].weight[1, 2] = float("nan")
    ways = (lambda: n_of_m_masks(model), lambda: block_masks(model, 0.5, size=2), lambda: prune_weights(model, 0.5))
    for refused in ways:
        with pytest.raises(InputError, match="not all numbers"):
            refused()


def test_masks_that_fit_no_parameter_are_not_counted_silently() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(InputError, match=r"no parameter '0\.weigth' to mask; did you mean '0\.weight'"):
        sparsity(model, masks={"0.weigth": torch.ones(4, 4)})
    with pytest.raises(InputError, match=r"mask of 0\.weight must have shape \(4, 4\), got \(4,\)"):
        sparsity(model, masks={"0.weight": torch.ones(4)})
