"""Channels are removed for good: the smaller module computes what the masked one did."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from selftaught.compress import channel_groups, prune_channels
from selftaught.compress.coupling import Coupling, reshaped
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.training import TrainConfig, count_flops, fit, small_cnn


class Residual(nn.Module):
    """A stem, a residual block, a depthwise and a grouped convolution, and a linear layer behind a flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.inner = nn.Conv2d(16, 12, 3, padding=1)
        self.inner_norm = nn.BatchNorm2d(12, affine=False)
        self.outer = nn.Conv2d(12, 16, 1)
        self.deep = nn.Conv2d(16, 32, 3, padding=1, groups=16)
        self.grouped = nn.Conv2d(32, 24, 1, groups=4)
        self.hidden = nn.Linear(24 * 4, 20)
        self.last = nn.Linear(20, 5)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        held = self.norm(self.stem(inputs)).relu()
        held = held + self.outer(self.inner_norm(self.inner(held)).sigmoid())
        held = functional.max_pool2d(self.deep(held), 2)
        held = torch.flatten(functional.gelu(self.grouped(held)), 1)
        result: torch.Tensor = self.last(torch.tanh(self.hidden(held)))
        return result


class Joined(nn.Module):
    """Concatenation, transposition, a product without a layer, scale, shared weights, and an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 8)
        self.one, self.two = nn.Linear(8, 6), nn.Linear(8, 10)
        self.scale = nn.Parameter(torch.rand(16))
        self.mix = nn.Linear(16, 8)
        self.again = nn.Linear(8, 6)
        self.again.weight = self.one.weight
        self.conv = nn.Conv1d(12, 4, 1)
        self.up = nn.ConvTranspose1d(4, 7, 2)
        self.slope = nn.PReLU(7)
        self.last = nn.Conv1d(7, 2, 1)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        held = self.words(words)
        both = torch.cat([self.one(held), self.two(held)], -1) * self.scale
        held = self.mix(both)
        pair = torch.cat([self.again(held), self.one(held)], 2).transpose(1, 2)
        result: torch.Tensor = self.last(self.slope(self.up(self.conv(pair)))).mean(dim=2)
        return result


def randomised(model: nn.Module) -> nn.Module:
    """In float64, with running statistics and normalisations that are not those of the start."""
    model.double()
    with torch.no_grad():
        for name, one in [*model.named_parameters(), *model.named_buffers()]:
            if one.is_floating_point():
                one.copy_(torch.rand_like(one) + 0.1 if "var" in name else torch.randn_like(one))
    return model.eval()


def masked(model: nn.Module, masks: dict[str, torch.Tensor]) -> nn.Module:
    own = copy.deepcopy(model).requires_grad_(False)
    with torch.no_grad():
        for name, one in own.named_parameters():
            if name in masks:
                one.mul_(masks[name])
    return own


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_residual_depthwise_grouped_and_flattened_channels_go_together(ratio: float) -> None:
    model = randomised(Residual())
    found = prune_channels(model, torch.randn(2, 3, 4, 4, dtype=torch.float64), ratio=ratio, round_to=1)
    fresh = torch.randn(7, 3, 4, 4, dtype=torch.float64)
    wanted = masked(model, dict(found.masks))(fresh)
    assert torch.allclose(found.model(fresh), wanted, rtol=1e-12, atol=1e-12 * float(wanted.abs().max()))
    assert dict(found.left_dense) == {"last.weight": "the model's output"}
    assert list(found.widths) == [f"{name}.weight" for name in ("stem", "inner", "outer", "deep", "grouped", "hidden")]
    for name, (before, after) in found.widths.items():
        assert after == pytest.approx(before * (1 - ratio), abs=4 if name == "grouped.weight" else 2), name
    small = found.model
    assert (small.deep.groups, small.grouped.groups) == (small.stem.out_channels, 4)
    assert small.stem.out_channels == small.outer.out_channels == small.norm.num_features
    assert small.deep.out_channels == 2 * small.stem.out_channels == small.grouped.in_channels
    assert small.hidden.in_features == 4 * small.grouped.out_channels
    assert found.parameters[1] == sum(one.numel() for one in small.parameters()) < found.parameters[0]
    assert count_flops(small, fresh) < count_flops(model, fresh)


def test_concatenated_shared_and_transposed_channels_go_together() -> None:
    model = randomised(Joined())
    words = torch.randint(10, (3, 5))
    found = prune_channels(model, words, round_to=1)
    fresh = torch.randint(10, (6, 5))
    wanted = masked(model, dict(found.masks))(fresh)
    assert torch.allclose(found.model(fresh), wanted, rtol=1e-12, atol=1e-12 * float(wanted.abs().max()))
    assert found.model.one.weight is found.model.again.weight
    for name, (before, after) in found.widths.items():
        assert after == before // 2 + (before % 2), name
    assert {"words.weight", "one.weight", "two.weight", "mix.weight", "conv.weight", "up.weight"} == set(found.widths)


def test_the_least_important_channels_go() -> None:
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    with torch.no_grad():
        model[0].weight.fill_(0.1)
        model[0].bias.zero_()
        model[2].weight.fill_(0.1)
        model[0].weight[[1, 4]] = 2.0
        model[2].weight[:, 5] = -3.0
    found = prune_channels(model, torch.randn(2, 3), round_to=1)
    assert found.masks["0.weight"][:, 0].tolist() == [False, True, False, False, True, True]
    assert found.masks["2.weight"][0].tolist() == [False, True, False, False, True, True]
    assert found.widths == {"0.weight": (6, 3)}


@pytest.mark.parametrize(("ratio", "widths"), [(0.45, (32, 64, 64)), (0.5, (32, 64, 64)), (0.9, (16, 16, 16))])
def test_what_is_left_is_a_multiple(digits: Examples, ratio: float, widths: tuple[int, ...]) -> None:
    model = small_cnn(digits).eval()
    found = prune_channels(model, torch.rand(2, 1, 8, 8), ratio=ratio)
    assert tuple(after for _, after in found.widths.values()) == widths
    assert found.difference < 1e-5


def test_the_smaller_model_trains_on(digits: Examples) -> None:
    model = small_cnn(digits, widths=(16, 16))
    fit(model, digits, TrainConfig(epochs=2))
    smaller = prune_channels(model, torch.rand(2, 1, 8, 8), round_to=8).model
    assert model[1].out_channels == 16
    found = fit(smaller, digits, TrainConfig(epochs=2))
    assert found.history[-1]["loss"] < found.history[0]["loss"]


def test_what_cannot_be_followed_is_left_dense_and_listed() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 8)
            self.d, self.e, self.norm = nn.Linear(8, 8), nn.Linear(8, 3), nn.LayerNorm(8)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            held = self.norm(self.a(inputs))
            held = torch.softmax(self.b(held), dim=1)
            held = self.c(held).view(-1, 2, 4).flatten(1)  # splits its channels
            result: torch.Tensor = self.e(self.d(held).relu().view(-1, 8))  # its size stands in the code
            return result

    found = prune_channels(Odd(), torch.randn(2, 4), round_to=1)
    assert found.widths == {}
    assert found.left_dense["a.weight"] == "layer_norm is not followed"
    assert found.left_dense["b.weight"] == "softmax is not followed"
    assert found.left_dense["c.weight"] == "view splits its axis"
    assert found.left_dense["d.weight"].startswith("the smaller model")
    assert found.left_dense["e.weight"] == "the model's output"


class Grouped(nn.Module):
    """Two channels a group, of which one is left."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.last = nn.Linear(8, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(self.grouped(self.first(inputs).relu()).relu().mean((2, 3)))
        return result


class Halved(nn.Module):
    """Two parts of a layer, and a product of two layers without a handler."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(3, 8, 1), nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 1)
        self.pair = nn.Bilinear(8, 4, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        left, right = self.first(inputs).chunk(2, 1)
        held = self.third(self.second(right).relu())
        result: torch.Tensor = self.last(self.pair(held.mean((2, 3)), left.mean((2, 3))))
        return result


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.over_time, self.after = nn.Linear(4, 8), nn.GRU(8, 8, batch_first=True), nn.Linear(8, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(self.after(self.over_time(self.first(inputs.flatten(2)))[0][:, -1]).relu())
        return result


class AlongChannels(nn.Module):
    """A convolution and a pool that run along what layers own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(4, 3)
        self.along, self.pool = nn.Conv1d(3, 3, 3, padding=1), nn.AvgPool1d(2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        held = self.second(self.along(self.first(inputs.flatten(2))))
        result: torch.Tensor = self.last(self.pool(held)).mean(1)
        return result


@pytest.mark.parametrize(
    ("kind", "widths", "left"),
    [
        (Grouped, {"first.weight": (8, 4), "grouped.weight": (8, 4)}, {}),
        (
            Halved, {"second.weight": (8, 4)},
            {"first.weight": "chunk is not followed", "third.weight": "bilinear is not followed",
             "pair.weight": "bilinear is not followed"},
        ),
        (
            Recurrent, {"after.weight": (8, 4)},
            {"first.weight": "gru is not followed", "over_time.weight_ih_l0": "gru is not followed",
             "over_time.weight_hh_l0": "gru is not followed"},
        ),
        (
            AlongChannels, {},
            {"first.weight": "conv1d runs along it", "second.weight": "avg_pool1d runs along it",
             "along.weight": "mean is taken over it"},
        ),
    ],
)  # fmt: skip
def test_unfamiliar_networks_are_right_or_left_dense_with_the_reason(
    kind: type[nn.Module], widths: dict[str, tuple[int, int]], left: dict[str, str]
) -> None:
    model = randomised(kind())
    found = prune_channels(model, torch.randn(2, 3, 2, 2, dtype=torch.float64), round_to=1)
    fresh = torch.randn(5, 3, 2, 2, dtype=torch.float64)
    wanted = masked(model, dict(found.masks))(fresh)
    assert torch.allclose(found.model(fresh), wanted, rtol=1e-12, atol=1e-12 * float(wanted.abs().max()))
    assert dict(found.widths) == widths
    assert dict(found.left_dense) == {**left, "last.weight": "the model's output"}


def test_inputs_of_zeros_do_not_hide_a_difference() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 8, bias=False), nn.Linear(8, 3, bias=False)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            held = self.first(inputs)
            result: torch.Tensor = self.last(held * held.shape[1])
            return result

    found = prune_channels(Counting(), torch.zeros(2, 4), round_to=1)
    assert found.widths == {}
    assert found.left_dense["first.weight"].startswith("the smaller model's outputs differ")


def test_groups_that_only_fail_together_are_not_removed_together() -> None:
    class Either(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.last = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(16, 3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            one, two = self.one(inputs), self.two(inputs)
            if one.shape[1] + two.shape[1] < 10:
                raise ValueError("too narrow")
            result: torch.Tensor = self.last(torch.cat([one, two], 1))
            return result

    found = prune_channels(Either(), torch.randn(2, 4), round_to=1)
    assert found.widths == {"one.weight": (8, 4)}
    assert found.left_dense["two.weight"] == "the smaller model fails: too narrow"


def test_groups_are_told_and_ignored_layers_stay() -> None:
    groups = channel_groups(Residual(), torch.randn(2, 3, 4, 4), ignore=["hidden"])
    assert [(one.layers, one.width, one.choices, one.fixed) for one in groups] == [
        # Four groups read the 32 channels, two of each of the stem's 16: every fourth of those goes with the first.
        (("stem.weight", "outer.weight", "deep.weight"), 32, 4, ""),
        (("inner.weight",), 12, 12, ""),
        (("grouped.weight",), 24, 6, ""),
        (("hidden.weight",), 20, 20, "it is to be ignored"),
        (("last.weight",), 5, 5, "the model's output"),
    ]
    with pytest.raises(InputError, match="did you mean 'hidden'"):
        channel_groups(Residual(), torch.randn(2, 3, 4, 4), ignore=["hiden"])


def test_nothing_to_remove_is_said_and_wrong_options_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    found = prune_channels(model, torch.randn(2, 4))
    assert found.left_dense["0.weight"].startswith("8 channels leave none to remove")
    assert (found.widths, found.masks, found.parameters) == ({}, {}, (58, 58))
    for wrong in ({"ratio": 1.0}, {"round_to": 0}, {"least": 0}):
        with pytest.raises(InputError):
            prune_channels(model, torch.randn(2, 4), **wrong)  # type: ignore[arg-type]

    class Deciding(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs if inputs.sum() > 0 else -inputs

    with pytest.raises(InputError, match=r"cannot take the model: .*; prune its weights instead .*, or write"):
        prune_channels(Deciding(), torch.randn(2, 4))
    assert capfd.readouterr().err == ""  # torch's own report of what it could not follow


def test_axes_follow_reshapes() -> None:
    held = Coupling()
    channels = held.fresh(4)
    labels = [held.fixed(2), channels, held.fixed(3), held.fixed(1)]
    assert reshaped(held, labels, (2, 12), "view")[1].tolist() == channels.repeat(3).tolist()
    assert [len(one) for one in reshaped(held, labels, (2, 1, 4, 3), "view")] == [2, 1, 4, 3]
    assert reshaped(held, labels, (2, 1, 4, 3), "view")[2].tolist() == channels.tolist()
    assert held.reason(int(channels[0])) == ""
    reshaped(held, labels, (2, 2, 2, 3), "view")
    assert held.reason(int(channels[0])) == "view splits its axis"
