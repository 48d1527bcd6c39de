"""Every form of a layer computes the same, and the choice follows the times it is given."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from selftaught.compress import (  # noqa: E402
    ReplacedLayer,
    SparseConv2d,
    SparseLinear,
    choose_layers,
    count_multiply_adds,
    densify,
    measure_gains,
)
from selftaught.compress.alternative_layers import BlockLinear, CsrLinear, Int8Linear, RowsLinear  # noqa: E402
from selftaught.errors import InputError  # noqa: E402

EXACT = (CsrLinear, BlockLinear, RowsLinear, SparseLinear)


def layer_of(rows: int, columns: int, density: float, *, bias: bool = True) -> Any:
    layer = nn.Linear(columns, rows, bias=bias).requires_grad_(False)
    made = torch.Generator().manual_seed(rows + columns)
    layer.weight.copy_(torch.randn(rows, columns, generator=made))
    layer.weight.mul_(torch.rand(rows, columns, generator=made) < density)
    layer.weight[3] = 0.0
    layer.weight[:, 5] = 0.0
    return layer


@pytest.mark.parametrize("form", EXACT)
@pytest.mark.parametrize("bias", [True, False])
def test_forms_compute_the_same_and_come_back(form: Any, bias: bool) -> None:
    layer = layer_of(32, 48, 0.2, bias=bias)
    made = form(layer)
    for shape in ((1, 48), (7, 48), (2, 3, 48), (48,)):
        inputs = torch.randn(*shape)
        wanted = layer(inputs)
        for one in (made, copy.deepcopy(made)):
            found = one(inputs)
            assert found.shape == wanted.shape
            assert bool(torch.allclose(found, wanted, atol=1e-5))
    back = densify(nn.Sequential(made))[0]
    assert bool((back.weight == layer.weight).all())
    assert (back.bias is None) == (not bias)
    with pytest.raises(InputError, match="has no gradients"):
        made(torch.randn(2, 48).requires_grad_())


def test_eight_bits_are_near_and_come_back() -> None:
    layer = layer_of(32, 48, 0.5)
    made = Int8Linear(layer)
    inputs = torch.randn(9, 48)
    wanted = layer(inputs)
    found = made(inputs)
    assert 0 < float((found - wanted).abs().max()) < 0.03 * float(wanted.abs().max())
    assert bool((copy.deepcopy(made)(inputs) == found).all())
    step = layer.weight.abs().amax(1) / 127
    assert bool(((made.plain().weight - layer.weight).abs() <= 0.51 * step[:, None]).all())


def test_blocks_must_divide() -> None:
    with pytest.raises(InputError, match="blocks of 16 do not divide a weight of 30 x 48"):
        BlockLinear(layer_of(30, 48, 0.5))


def test_multiply_adds_of_replaced_layers_are_those_that_are_left() -> None:
    layer = layer_of(32, 48, 0.2)
    nonzero = int(torch.count_nonzero(layer.weight))
    for form in EXACT:
        assert count_multiply_adds(nn.Sequential(form(layer)), torch.zeros(1, 48)) == nonzero
    dense = nn.Linear(48, 32).requires_grad_(False)
    gains = measure_gains({"dense": dense, "sparse": SparseLinear(layer)}, torch.zeros(1, 48), batch=2, rounds=1)
    assert gains.rows[1].theoretical == pytest.approx(32 * 48 / nonzero)
    assert gains.rows[1].bytes < gains.rows[0].bytes


# ---- the choice, on a clock that only the layers move


class Clock:
    """Layers take what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, costs: dict[Any, float]) -> None:
        self.now = 0.0
        for kind, cost in costs.items():
            self._slow(monkeypatch, kind, cost)

    def _slow(self, monkeypatch: pytest.MonkeyPatch, kind: Any, cost: float) -> None:
        forward = kind.forward

        def slow(layer: Any, inputs: Any) -> Any:
            self.now += cost
            return forward(layer, inputs)

        monkeypatch.setattr(kind, "forward", slow)

    def __call__(self) -> float:
        return self.now


def model_of() -> Any:
    return nn.Sequential(layer_of(32, 48, 0.2), nn.ReLU(), layer_of(16, 32, 0.5)).eval()


def test_the_fastest_form_of_each_layer_is_put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {nn.Linear: 10.0, SparseLinear: 4.0, CsrLinear: 3.0, BlockLinear: 20.0, RowsLinear: 9.0}
    clock = Clock(monkeypatch, costs)
    model = model_of()
    before = copy.deepcopy(model.state_dict())
    inputs = torch.randn(5, 48)
    choice = choose_layers(model, inputs, batch_sizes=(1, 4), rounds=3, clock=clock)
    assert [one.name for one in choice.layers] == ["0", "2"]
    for one in choice.layers:
        assert one.chosen == "csr"
        assert one.seconds["dense"] == (10.0, 10.0)
        assert one.gain("bsr") == pytest.approx(0.5)
        assert one.noise == 1.0
        assert one.left_out == {"int8": "it changes outputs; allow it with exact=False"}
    assert choice.faster
    assert [type(one) for one in choice.model] == [CsrLinear, nn.ReLU, CsrLinear]
    assert bool(torch.allclose(choice.model(inputs), model(inputs), atol=1e-5))
    assert choice.difference < 1e-5
    assert [found.rows[1].realised for found in choice.gains] == [pytest.approx(20 / 6)] * 2
    told = str(choice)
    assert "-> csr     3,000,000 us (3.33 x), 3,000,000 us (3.33 x)" in told
    assert "the layers chosen are in place" in told
    assert all(type(one) is not CsrLinear for one in model)
    assert all(bool((before[name] == value).all()) for name, value in model.state_dict().items())


def test_what_is_within_the_noise_stays_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    slower = {CsrLinear: 30.0, BlockLinear: 30.0, RowsLinear: 30.0}
    clock = Clock(monkeypatch, {nn.Linear: 10.0, SparseLinear: 9.5, **slower})
    choice = choose_layers(model_of(), torch.randn(1, 48), batch_sizes=(2,), rounds=2, clock=clock)
    assert {one.chosen for one in choice.layers} == {"dense"}
    assert not choice.faster
    assert not any(isinstance(one, ReplacedLayer) for one in choice.model.modules())
    assert "it stays dense" in str(choice)


def test_a_whole_model_that_is_not_faster_stays_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers gain, but what is around them takes nearly all of the time."""

    class Slow(nn.ReLU):
        def forward(self, inputs: Any) -> Any:
            return super().forward(inputs)

    clock = Clock(monkeypatch, {nn.Linear: 10.0, SparseLinear: 5.0, Slow: 1000.0})
    model = nn.Sequential(layer_of(32, 48, 0.2), Slow())
    choice = choose_layers(
        model, torch.randn(1, 48), batch_sizes=(2,), candidates=["sparse"], rounds=2, clock=clock
    )
    assert choice.layers[0].chosen == "sparse"
    assert not choice.faster
    assert type(choice.model[0]) is nn.Linear
    assert choice.model.training == model.training


def test_integers_only_where_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, {nn.Linear: 10.0, SparseLinear: 5.0, Int8Linear: 2.0})
    arguments = {"batch_sizes": (3,), "candidates": ("sparse", "int8"), "rounds": 2, "clock": clock}
    model, inputs = model_of(), torch.randn(3, 48)
    assert {one.chosen for one in choose_layers(model, inputs, **arguments).layers} == {"sparse"}
    choice = choose_layers(model, inputs, exact=False, **arguments)
    assert {one.chosen for one in choice.layers} == {"int8"}
    assert choice.layers[0].differences["int8"] > 1e-4
    assert choice.difference == pytest.approx(float((choice.model(inputs) - model(inputs)).abs().max()), rel=1e-3)


def test_shared_layers_are_replaced_everywhere_and_models_that_read_weights_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch, {nn.Linear: 10.0, SparseLinear: 1.0})
    shared = layer_of(32, 32, 0.1)
    arguments = {"batch_sizes": (2,), "candidates": ("sparse",), "rounds": 2, "clock": clock}
    choice = choose_layers(nn.Sequential(shared, nn.ReLU(), shared), torch.randn(2, 32), **arguments)
    assert [type(one) for one in choice.model] == [SparseLinear, nn.ReLU, SparseLinear]
    assert choice.model[0] is choice.model[2]

    class Reading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = layer_of(32, 32, 0.1)

        def forward(self, inputs: Any) -> Any:
            return self.part(inputs) + self.part.weight.sum()

    choice = choose_layers(Reading(), torch.randn(2, 32), **arguments)
    assert choice.layers[0].chosen == "dense"
    assert "has no attribute 'weight'" in choice.layers[0].left_out["sparse"]
    assert type(choice.model.part) is nn.Linear


def test_convolutions_have_a_sparse_form(monkeypatch: pytest.MonkeyPatch) -> None:
    slower = {SparseLinear: 20.0, CsrLinear: 20.0}
    clock = Clock(monkeypatch, {nn.Linear: 10.0, nn.Conv2d: 10.0, SparseConv2d: 3.0, **slower})
    first = nn.Conv2d(3, 8, 3, padding=1).requires_grad_(False)
    first.weight.mul_(torch.rand(first.weight.shape) < 0.3)
    model = nn.Sequential(first, nn.Flatten(), layer_of(16, 8 * 36, 0.1))
    choice = choose_layers(
        model, torch.randn(2, 3, 6, 6), batch_sizes=(2,), candidates=("sparse", "csr"), rounds=2, clock=clock
    )
    assert [one.kind for one in choice.layers] == ["8 x 3 x 3 x 3 convolution", "16 x 288 linear"]
    assert [one.chosen for one in choice.layers] == ["sparse", "dense"]
    assert choice.layers[0].left_out == {"csr": "not for convolutions"}
    assert type(choice.model[0]) is SparseConv2d


def test_dense_layers_and_bad_arguments() -> None:
    inputs = torch.randn(2, 6)
    choice = choose_layers(nn.Linear(6, 4), inputs, batch_sizes=(1,), rounds=1)
    assert choice.layers[0].left_out["sparse"] == "100% of the weights are not zero"
    assert choice.layers[0].left_out["rows"] == "no row or column is all zero"
    assert set(choice.layers[0].seconds) == {"dense"}
    with pytest.raises(InputError, match="a candidate must be one of dense, sparse"):
        choose_layers(nn.Linear(6, 4), inputs, candidates=["spares"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="no linear layer and no Conv2d"):
        choose_layers(nn.ReLU(), inputs)
    with pytest.raises(InputError, match="at least one example"):
        choose_layers(nn.Linear(6, 4), inputs[:0])
    with pytest.raises(InputError, match="at least 1"):
        choose_layers(nn.Linear(6, 4), inputs, batch_sizes=(0,))
