"""The sparse convolution equals torch's in float64, whatever its kernel, padding, stride, dilation and groups."""

from __future__ import annotations

import copy
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from selftaught.compress import SparseConv2d, count_multiply_adds, densify  # noqa: E402
from selftaught.compress.sparse_kernel import sparse_code  # noqa: E402
from selftaught.errors import InputError  # noqa: E402
from selftaught.training.devices import limited_threads  # noqa: E402


def layer_of(density: float, *arguments: Any, seed: int = 0, **options: Any) -> Any:
    made = torch.Generator().manual_seed(seed)
    layer = nn.Conv2d(*arguments, **options).requires_grad_(False)
    layer.weight.copy_(torch.randn(layer.weight.shape, generator=made))
    layer.weight.mul_(torch.rand(layer.weight.shape, generator=made) < density)
    if layer.bias is not None:
        layer.bias.copy_(torch.randn(layer.bias.shape, generator=made))
    return layer


def inputs_of(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def assert_equals_float64(layer: Any, sparse: Any, inputs: Any) -> None:
    exact, scale = copy.deepcopy(layer).double(), copy.deepcopy(layer).double()
    scale.weight.abs_()
    if scale.bias is not None:
        scale.bias.abs_()
    found, wanted = sparse(inputs), exact(inputs.double())
    assert found.shape == wanted.shape
    assert found.dtype is torch.float32
    assert bool(((found.double() - wanted).abs() <= 1e-5 * scale(inputs.double().abs())).all())


@st.composite
def layers(draw: Any) -> tuple[Any, tuple[int, ...]]:
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    channels, outputs = groups * draw(st.integers(1, 5)), groups * draw(st.integers(1, 9))
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, dilation = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(pair)
    stride = draw(st.one_of(st.just((1, 1)), pair))
    padding: Any = draw(st.one_of(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.just("valid")))
    if stride == (1, 1) and draw(st.booleans()):
        padding = "same"
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = tuple(one + draw(st.integers(0, 20)) for one in reach)
    layer = layer_of(
        draw(st.sampled_from((0.0, 0.1, 0.5, 1.0))), channels, outputs, kernel, stride=stride, padding=padding,
        dilation=dilation, groups=groups, bias=draw(st.booleans()), seed=draw(st.integers(0, 100)),
    )  # fmt: skip
    return layer, (draw(st.integers(1, 3)), channels, *size)


@settings(max_examples=80, deadline=None)
@given(layers())
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_it_equals_the_plain_layer_and_comes_back(given_: Any) -> None:
    layer, shape = given_
    sparse = SparseConv2d(layer)
    assert_equals_float64(layer, sparse, inputs_of(*shape))
    back = densify(sparse)
    assert bool((back.weight == layer.weight).all())
    assert back.extra_repr() == layer.extra_repr()


@pytest.mark.parametrize("size", [(16, 16), (7, 7), (1, 1), (32, 8)])
def test_kernels_of_one_place(size: tuple[int, int]) -> None:
    layer = layer_of(0.2, 40, 24, 1)
    assert_equals_float64(layer, SparseConv2d(layer), inputs_of(3, 40, *size))


def test_blocks_of_columns_and_groups_of_rows() -> None:
    layer = layer_of(0.3, 64, 520, 3, padding=1)
    sparse = SparseConv2d(layer)
    assert len(sparse.groups) == 2
    assert_equals_float64(layer, sparse, inputs_of(2, 64, 9, 10))
    for batch in (1, 3):
        for threads in (2, 3):
            with limited_threads(threads):
                assert_equals_float64(layer, sparse, inputs_of(batch, 64, 9, 10))


def test_images_of_changing_sizes_and_strides() -> None:
    layer = layer_of(0.3, 6, 8, 3, padding=1)
    sparse = SparseConv2d(layer)
    for size in range(3, 15):
        assert_equals_float64(layer, sparse, inputs_of(2, 6, size, 20 - size))
    assert_equals_float64(layer, sparse, inputs_of(2, 6, 9, 9).to(memory_format=torch.channels_last))
    assert_equals_float64(layer, sparse, inputs_of(4, 12, 9, 9)[::2, ::2])
    assert_equals_float64(layer, sparse, inputs_of(6, 9, 9))
    assert sparse(torch.zeros(0, 6, 9, 9)).shape == (0, 8, 9, 9)


def test_copies_work_alone_and_count_their_multiply_adds() -> None:
    layer = layer_of(0.3, 6, 8, 3, padding=1)
    sparse, inputs = SparseConv2d(layer), inputs_of(2, 6, 7, 8)
    before = sparse(inputs)
    copied = copy.deepcopy(sparse)
    sparse.weights.zero_()
    assert bool((copied(inputs) == before).all())
    assert bool((copied.float()(inputs) == before).all())
    assert count_multiply_adds(copied, inputs[:1]) == 7 * 8 * int(torch.count_nonzero(layer.weight))


def test_sixteen_lanes_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selftaught.compress.sparse_text.WIDTHS", (1, 2))
    monkeypatch.setattr("selftaught.compress.sparse_layer.native_lanes", lambda: 16)
    monkeypatch.setattr("selftaught.compress.sparse_conv.sparse_code", sparse_code.__wrapped__)
    layer = layer_of(0.3, 6, 17, 3, padding=1)
    assert_equals_float64(layer, SparseConv2d(layer), inputs_of(2, 6, 11, 12))


def test_what_it_does_not_take() -> None:
    sparse = SparseConv2d(layer_of(0.3, 6, 8, 3))
    with pytest.raises(InputError, match="images of 6 channels"):
        sparse(inputs_of(2, 5, 9, 9))
    with pytest.raises(InputError, match="too small for a kernel of 3 x 3"):
        sparse(inputs_of(2, 6, 2, 9))
    with pytest.raises(InputError, match="has no gradients"):
        sparse(inputs_of(2, 6, 9, 9).requires_grad_())
    with pytest.raises(InputError, match="takes float32"):
        sparse(inputs_of(2, 6, 9, 9).half())
    with pytest.raises(InputError, match="padded with zeros, but this layer has 'reflect'"):
        SparseConv2d(nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(InputError, match=r"got Linear"):
        SparseConv2d(nn.Linear(3, 3))
