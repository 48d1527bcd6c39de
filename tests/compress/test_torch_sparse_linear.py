"""The sparse linear layer equals the plain one in float64, whatever its shape, density, batch and strides."""

from __future__ import annotations

import copy
import io
import threading
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from selftaught.compress import SparseLinear, densify  # noqa: E402
from selftaught.compress.sparse_kernel import native_lanes, sparse_code, sparse_function  # noqa: E402
from selftaught.compress.sparse_weights import column_blocks, slice_weights  # noqa: E402
from selftaught.errors import InputError  # noqa: E402
from selftaught.training.devices import limited_threads  # noqa: E402


def layer_of(rows: int, columns: int, density: float, *, bias: bool = True, seed: int = 0) -> Any:
    made = torch.Generator().manual_seed(seed)
    layer = nn.Linear(columns, rows, bias=bias).requires_grad_(False)
    layer.weight.copy_(torch.randn(rows, columns, generator=made))
    layer.weight.mul_(torch.rand(rows, columns, generator=made) < density)
    if bias:
        layer.bias.copy_(torch.randn(rows, generator=made))
    return layer


def inputs_of(*shape: int, seed: int = 1) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_equals_float64(layer: Any, sparse: Any, inputs: Any) -> None:
    exact = inputs.double() @ layer.weight.double().T
    scale = inputs.double().abs() @ layer.weight.double().abs().T
    if layer.bias is not None:
        exact = exact + layer.bias.double()
        scale = scale + layer.bias.double().abs()
    found = sparse(inputs)
    assert found.shape == exact.shape
    assert found.dtype is torch.float32
    assert bool(((found.double() - exact).abs() <= 1e-5 * scale).all())


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 70),
    columns=st.integers(1, 90),
    density=st.sampled_from((0.0, 0.02, 0.1, 0.5, 1.0)),
    batch=st.integers(1, 80),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_it_equals_the_plain_layer(
    rows: int, columns: int, density: float, batch: int, bias: bool, seed: int
) -> None:
    layer = layer_of(rows, columns, density, bias=bias, seed=seed)
    assert_equals_float64(layer, SparseLinear(layer), inputs_of(batch, columns, seed=seed))


@pytest.mark.parametrize("density", [0.3, 0.05])
@pytest.mark.parametrize("batch", [1, 3, 8, 33, 64, 101])
def test_it_equals_the_plain_layer_in_many_blocks_and_groups(density: float, batch: int) -> None:
    layer = layer_of(1100, 777, density)
    sparse = SparseLinear(layer)
    assert len(sparse.groups) > 1
    assert (column_blocks(1100, 777, sparse.nonzero) > 1) == (density == 0.3)
    assert_equals_float64(layer, sparse, inputs_of(batch, 777))


def test_rows_without_weights_and_rows_of_any_length() -> None:
    layer = layer_of(40, 50, 1.0)
    for row in range(40):
        layer.weight[row, row % 7 * 7 :] = 0.0
    layer.weight[5] = 0.0
    sparse = SparseLinear(layer)
    assert_equals_float64(layer, sparse, inputs_of(9, 50))
    assert bool((sparse(inputs_of(9, 50))[:, 5] == layer.bias[5]).all())


def test_columns_beyond_sixteen_bits() -> None:
    layer = layer_of(3, 70_000, 0.001)
    sparse = SparseLinear(layer)
    assert sparse.columns.dtype is torch.int32
    for batch in (1, 5):
        assert_equals_float64(layer, sparse, inputs_of(batch, 70_000))


def test_inputs_of_any_strides_and_axes() -> None:
    layer = layer_of(30, 20, 0.3)
    sparse = SparseLinear(layer)
    for inputs in (
        inputs_of(20, 6).T,  # columns apart
        inputs_of(12, 20)[::2],  # rows apart
        inputs_of(6, 40)[:, 3:23],  # not where memory begins
        inputs_of(6, 40)[:, ::2],
        inputs_of(2, 3, 20),
        inputs_of(20),
        inputs_of(1, 20).expand(6, 20),
    ):
        assert_equals_float64(layer, sparse, inputs)
    assert sparse(torch.zeros(0, 20)).shape == (0, 30)
    assert sparse(torch.zeros(2, 0, 20)).shape == (2, 0, 30)


def test_what_is_not_a_number_stays_visible() -> None:
    layer = layer_of(16, 16, 1.0)
    inputs = inputs_of(3, 16)
    inputs[1, 4] = float("nan")
    found = SparseLinear(layer)(inputs)
    assert bool(found[1].isnan().all())
    assert not bool(found[[0, 2]].isnan().any())


def test_the_same_inputs_give_the_same_bits() -> None:
    layer = layer_of(600, 300, 0.2)
    sparse, inputs = SparseLinear(layer), inputs_of(40, 300)
    first = sparse(inputs)
    assert all(bool((sparse(inputs) == first).all()) for _ in range(3))


def test_threads_share_the_batch_or_the_rows() -> None:
    layer = layer_of(1100, 400, 0.3)
    sparse = SparseLinear(layer)
    for batch in (20, 130):
        inputs = inputs_of(batch, 400)
        with limited_threads(1):
            alone = sparse(inputs)
        for threads in (2, 3):
            with limited_threads(threads):
                assert bool(torch.allclose(sparse(inputs), alone, rtol=1e-5, atol=1e-4))
                assert_equals_float64(layer, sparse, inputs)


def test_many_threads_may_call_one_layer() -> None:
    layer = layer_of(64, 80, 0.2)
    sparse = SparseLinear(layer)
    given = [inputs_of(1 + k % 40, 80, seed=k) for k in range(40)]
    wanted = [sparse(one) for one in given]
    sparse = copy.deepcopy(sparse)  # not made ready yet: the first calls race
    wrong: list[int] = []

    def work() -> None:
        for _ in range(5):
            wrong.extend(k for k, one in enumerate(given) if not bool((sparse(one) == wanted[k]).all()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert wrong == []


def test_it_is_for_inference_in_float32_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layer_of(4, 6, 0.5)
    sparse = SparseLinear(layer)
    wanting = inputs_of(2, 6).requires_grad_()
    with pytest.raises(InputError, match="has no gradients"):
        sparse(wanting)
    with torch.no_grad():
        assert not sparse(wanting).requires_grad
    with torch.inference_mode():
        assert_equals_float64(layer, sparse, inputs_of(2, 6))
    with pytest.raises(InputError, match="takes float32 on the CPU, got float64"):
        sparse(inputs_of(2, 6).double())
    with monkeypatch.context() as patched:
        patched.setattr("torch.compiler.is_exporting", lambda: True)
        with pytest.raises(InputError, match="cannot be exported; export densify"):
            sparse(inputs_of(2, 6))
    with pytest.raises(InputError, match="takes 6 features, got 5"):
        sparse(inputs_of(2, 5))
    with pytest.raises(InputError, match="densify"):
        sparse.half()
    assert_equals_float64(layer, sparse, inputs_of(2, 6))
    with pytest.raises(InputError, match="float32 on the CPU"):
        SparseLinear(nn.Linear(3, 3).double())
    with pytest.raises(InputError, match="got Conv1d"):
        SparseLinear(nn.Conv1d(3, 3, 1))


def test_copies_and_stored_states_work_alone() -> None:
    layer, other = layer_of(20, 30, 0.4), layer_of(20, 30, 0.4, seed=0)
    sparse, inputs = SparseLinear(layer), inputs_of(5, 30)
    before = sparse(inputs)
    copied = copy.deepcopy(sparse)
    stored = io.BytesIO()
    torch.save(sparse.state_dict(), stored)
    sparse.weights.zero_()
    assert bool((copied(inputs) == before).all())
    again = SparseLinear(other)
    stored.seek(0)
    again.load_state_dict(torch.load(stored, weights_only=True))
    assert bool((again(inputs) == before).all())
    assert bool((copied.float().cpu()(inputs) == before).all())


def test_densify_gives_the_plain_module_back() -> None:
    for rows, columns, density in ((33, 21, 0.3), (600, 700, 0.2), (5, 4, 0.0)):
        layer = layer_of(rows, columns, density, bias=rows != 33).eval()
        model = nn.Sequential(nn.ReLU(), SparseLinear(layer))
        back = densify(model)
        assert type(back[1]) is nn.Linear
        assert not back[1].training
        assert bool((back[1].weight == layer.weight).all())
        assert (back[1].bias is None) == (rows == 33)
        assert isinstance(model[1], SparseLinear)
    assert type(densify(SparseLinear(layer))) is nn.Linear


def test_slices_hold_every_weight_once() -> None:
    weights = layer_of(77, 900, 0.2).weight.numpy()
    for blocks in (1, 3):
        laid = slice_weights(weights, 8, blocks=blocks)
        dense = np.zeros((78, 900), np.float64)
        for s, (begin, end) in enumerate(zip(laid.starts[:-1], laid.starts[1:], strict=True)):
            at = np.tile(laid.rows[s], (end - begin) // 8)
            np.add.at(dense, (at, laid.columns[begin:end]), laid.weights[begin:end])
        assert (dense[:77] == weights).all()
        assert not dense[77].any()
        assert laid.nonzero == np.count_nonzero(weights)
        assert laid.weights.size <= 1.2 * laid.nonzero


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("cpu", [None, "x86-64"])
def test_registers_of_any_width_give_the_same(lanes: int, cpu: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    import platform

    if cpu is not None and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("another processor")
    # Wider tiles take long to compile for registers that are not there.
    monkeypatch.setattr("selftaught.compress.sparse_text.WIDTHS", (1, 2))
    monkeypatch.setattr("selftaught.compress.sparse_layer.native_lanes", lambda: lanes)
    attributes, sparse = None if cpu is None else "", sparse_code.__wrapped__
    target = partial(sparse, cpu=cpu, attributes=attributes)
    monkeypatch.setattr("selftaught.compress.sparse_linear.sparse_code", target)
    layer = layer_of(61, 83, 0.3)
    made = SparseLinear(layer)
    for batch in (1, 7, 16, 40, 130):
        assert_equals_float64(layer, made, inputs_of(batch, 83))


def test_the_kernel_is_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFTAUGHT_CACHE", str(tmp_path))
    sparse_code.cache_clear()
    try:
        sparse_function(sparse_code("columns16", native_lanes()), "linear")
        (kept,) = (tmp_path / "kernels").iterdir()
        assert kept.name.startswith("sparse_columns16_l")
        written = kept.stat().st_mtime_ns
        sparse_code.cache_clear()
        sparse_code("columns16", native_lanes())
        assert kept.stat().st_mtime_ns == written
    finally:
        sparse_code.cache_clear()
