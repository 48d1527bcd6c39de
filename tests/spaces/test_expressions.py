"""Spaces of expressions: the contract, exact sizes, keys that mean the same, formulas that say what is computed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selftaught.errors import InputError
from selftaught.seeds import rng_for
from selftaught.spaces import ExpressionSpace, Operation, Space, formulas
from selftaught.spaces.layer import LAYER_OPERATIONS, PUBLISHED_LAYERS, layer_space
from selftaught.spaces.layer_meaning import evaluate_layer, layer_fingerprint
from selftaught.testing import check_space

ADD = Operation("add", "{a} + {b}", "{a} + {b}", 1, (1, 2), commutative=True)
DIVIDE = Operation("divide", "{a} / {b}", "{a} / {b}", 2, (2, 3))
TANH = Operation("tanh", "tanh({a})", "tanh({a})")
SPACE = layer_space()
V0, V1 = rng_for(0, "vectors").normal(size=(2, 6))
X = rng_for(0, "x").normal(size=(3, 6, 4, 5)) * 2 + 0.5


def outcome(candidate: Any, space: ExpressionSpace = SPACE) -> Any:
    return evaluate_layer(space.graph(candidate), X, V0, V1, groups=3)[0]


@pytest.mark.parametrize(
    "space",
    [
        layer_space(),
        ExpressionSpace("one output", ("x",), (ADD, TANH), 3),
        ExpressionSpace("two outputs", ("x", "y"), (ADD, TANH), 1, ("first", "second")),
        ExpressionSpace("unary", ("x", "y"), (TANH,), 2),
    ],
    ids=lambda space: space.name,
)
def test_the_contract(space: ExpressionSpace) -> None:
    assert isinstance(space, Space)
    check_space(space, samples=6)


def test_a_space_of_one_candidate_cannot_be_mutated() -> None:
    space = ExpressionSpace("one", ("x",), (TANH,), 1)
    check_space(space, samples=2)
    with pytest.raises(InputError, match="nothing can be mutated"):
        space.mutate(space.sample(rng_for(0)), rng_for(0))


def test_the_size_of_the_layer_space_is_exact() -> None:
    wanted = 1
    for k in range(4, 14):
        wanted *= 20 * k + 4 * k**2
    assert SPACE.size() == wanted


def test_the_space_is_the_published_one() -> None:
    names = [op.name for op in LAYER_OPERATIONS]
    assert len(names) == len(set(names)) == 24
    assert sum(op.arity == 2 for op in LAYER_OPERATIONS) == 4
    assert sum(name.endswith(("_bhw", "_hw", "_hwc", "_group")) for name in names) == 12
    assert SPACE.inputs == ("x", "0", "v0", "v1")
    assert SPACE.graph(SPACE.sample(rng_for(0))).outputs == {"output": 13}


def test_mutation_draws_one_node_anew() -> None:
    parent = SPACE.sample(rng_for(0, "parent"))
    places, operations = [0] * 10, set()
    for k in range(2000):
        before, after = SPACE.graph(parent), SPACE.graph(SPACE.mutate(parent, rng_for(1, k)))
        changed = [i for i, (a, b) in enumerate(zip(before.nodes, after.nodes, strict=True)) if a != b]
        assert len(changed) == 1
        places[changed[0]] += 1
        operations.add(after.nodes[changed[0]].operation)
    assert len(operations) == 24
    assert min(places) > 150
    assert max(places) < 250  # 200 each, standard deviation 13


def test_dead_nodes_and_the_order_of_numbers_leave_the_key_alone() -> None:
    tails = {"gate": ("sigmoid", "x"), "y": ("multiply", "x", "gate")}
    plain = SPACE.candidate(tails)
    other = SPACE.candidate({"dead": ("exp", "v0"), **tails})
    turned = SPACE.candidate({"gate": ("sigmoid", "x"), "dead": ("tanh", "x"), "y": ("multiply", "gate", "x")})
    twice = SPACE.candidate({"one": ("sigmoid", "x"), "two": ("sigmoid", "x"), "y": ("add", "one", "two")})
    once = SPACE.candidate({"one": ("sigmoid", "x"), "y": ("add", "one", "one")})
    assert SPACE.key(plain) == SPACE.key(other) == SPACE.key(turned)
    assert SPACE.key(twice) == SPACE.key(once)
    quotient = {"a": ("divide", "x", "v0")}
    assert SPACE.key(SPACE.candidate(quotient)) != SPACE.key(SPACE.candidate({"a": ("divide", "v0", "x")}))
    assert SPACE.graph(plain).live == (0, 4, 13)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_candidates_with_one_key_compute_the_same(seed: int) -> None:
    """Nodes in another order, operands that change places and other dead nodes."""
    rng = rng_for(seed, "keys")
    candidate = SPACE.sample(rng)
    graph = SPACE.graph(candidate)
    live = [value for value in graph.live if value >= 4]
    order: list[int] = []
    while len(order) < len(live):  # any order in which operands come first
        ready = [v for v in live if v not in order and all(o < 4 or o in order for o in graph.nodes[v - 4].operands)]
        order.append(ready[int(rng.integers(len(ready)))])
    order.remove(13)
    names = {value: str(value) if value >= 4 else SPACE.inputs[value] for value in graph.live}
    steps: dict[str, tuple[str, ...]] = {}
    for value in [*order, 13]:
        node = graph.nodes[value - 4]
        operands = [names[one] for one in node.operands]
        if SPACE.operation(node.operation).commutative and rng.random() < 0.5:
            operands.reverse()
        steps[str(value)] = (node.operation, *operands)
    again = SPACE.candidate(steps)
    assert SPACE.key(again) == SPACE.key(candidate)
    np.testing.assert_array_equal(outcome(again), outcome(candidate))
    assert layer_fingerprint(SPACE.graph(again)) == layer_fingerprint(graph)


def test_different_functions_have_different_fingerprints() -> None:
    """Where both are finite: layers that differ on one input differ in their fingerprint."""
    found: dict[str, Any] = {}
    for k in range(300):
        candidate = SPACE.sample(rng_for(3, k))
        mark, value = layer_fingerprint(SPACE.graph(candidate)), outcome(candidate)
        if mark is None:
            continue
        if mark in found:
            np.testing.assert_allclose(value, found[mark], rtol=1e-4, atol=1e-6 + 1e-5 * np.abs(value).max())
        found[mark] = value
    assert len(found) > 150


def test_the_fingerprint_tells_what_the_key_cannot() -> None:
    plain = SPACE.candidate({"y": ("add", "x", "x")})
    round_about = SPACE.candidate({"a": ("negative", "x"), "b": ("negative", "a"), "y": ("add", "b", "x")})
    vector = SPACE.candidate({"y": ("multiply", "x", "v1")})
    nothing = SPACE.candidate({"y": ("multiply", "x", "0")})
    marks = [layer_fingerprint(SPACE.graph(one)) for one in (plain, round_about, vector, nothing)]
    assert marks[0] == marks[1]
    assert marks[2] != marks[3]
    assert layer_fingerprint(SPACE.graph(SPACE.candidate({"y": ("divide", "x", "0")}))) is None


def test_batch_and_running_statistics_are_told_apart() -> None:
    """The same in training, not in evaluation: the mean of x and the mean of its mean, both over the batch."""
    square = SPACE.candidate({"s": ("square", "x"), "y": ("rms_bhw", "s")})
    plain = SPACE.candidate({"y": ("rms_bhw", "x")})
    assert layer_fingerprint(SPACE.graph(square)) != layer_fingerprint(SPACE.graph(plain))


# ---- formulas


def statistic(name: str, index: str) -> Any:
    space = layer_space(1)
    return lambda a: evaluate_layer(
        space.graph({"4 op": f"{name}_{index}", "4 a": 0}), np.broadcast_to(a, X.shape) + 0.0, V0, V1, groups=3
    )[0]


MEANING: dict[str, Any] = {
    "x": X, "zero": 0 * abs(X), "v0": V0[:, None, None], "v1": V1[:, None, None], "max": np.maximum,
    "exp": np.exp, "tanh": np.tanh, "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "signed_log": lambda a: np.sign(a) * np.log(np.abs(a) + 1e-5),
    "signed_sqrt": lambda a: np.sign(a) * np.sqrt(np.abs(a) + 1e-5),
    **{f"{n}_{i}": statistic(n, i) for n in ("mean", "rms", "std") for i in ("bhw", "hw", "hwc", "group")},
}  # fmt: skip


def without_abs() -> ExpressionSpace:
    kept = tuple(op for op in LAYER_OPERATIONS if op.name != "abs")  # bars have no direction, so no parser reads them
    return ExpressionSpace("layer", ("x", "0", "v0", "v1"), kept, 10)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6))
def test_a_formula_says_what_the_graph_computes(seed: int) -> None:
    space = without_abs()
    candidate = space.sample(rng_for(seed, "formula"))
    names = dict(MEANING)
    with np.errstate(all="ignore"):
        for name, text in formulas(space, space.graph(candidate)).items():
            python = re.sub(r"\b0\b", "zero", text).replace("·", "*").replace("²", "**2")
            names[name] = eval(python, names)  # noqa: S307 - the text under test
    wanted = outcome(candidate, space)
    np.testing.assert_allclose(np.broadcast_to(names["output"], X.shape), wanted, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_latex_is_balanced(seed: int) -> None:
    space = layer_space()
    candidate = space.sample(rng_for(seed, "formula"))
    for text in formulas(space, space.graph(candidate), notation="latex").values():
        assert text.count("{") == text.count("}")
        assert text.count(r"\left") == text.count(r"\right")
        assert "{a}" not in text
        assert "^2^" not in text


def test_published_formulas() -> None:
    shown = {name: formulas(SPACE, SPACE.graph(one))["output"] for name, one in PUBLISHED_LAYERS.items()}
    assert shown == {
        "bn-relu": "max((x - mean_bhw(x)) / std_bhw(x)·v0 + v1, 0)",
        "evonorm-b0": "x / max(std_bhw(x), v0·x + std_hw(x))",
        "evonorm-b1": "x / max(std_bhw(x), x·rms_hw(x) + rms_hw(x))",
        "evonorm-b2": "x / max(std_bhw(x), rms_hw(x) - x)",
        "evonorm-s0": "x·sigmoid(v0·x) / std_group(x)",
        "evonorm-s1": "x·sigmoid(x) / std_group(x)",
        "evonorm-s2": "x·sigmoid(x) / rms_group(x)",
    }


# ---- wrong use


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tanh(0)", "10 steps are needed, got 1"),
        ("tanh(0) " * 9 + "tan(0)", "has no operation 'tan'; did you mean 'tanh'"),
        ("tanh(0) " * 9 + "tanh(0,1)", "position 72: tanh takes 1 operands"),
        ("tanh(0) " * 9 + "tanh(x)", "position 72: wanted 10 steps such as add"),
        ("tanh(0) " * 9 + "tanh(13)", "13"),
        ("tanh(0) " * 9 + "tanh(0) -> 3", "wanted the end"),
    ],
)
def test_text_that_is_no_candidate(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        SPACE.decode(text)
    assert said in str(caught.value)


def test_candidates_by_hand_are_checked() -> None:
    with pytest.raises(InputError, match="'y' is no input or earlier step"):
        SPACE.candidate({"y": ("tanh", "y")})
    with pytest.raises(InputError, match="takes 2 operands"):
        SPACE.candidate({"y": ("add", "x")})
    with pytest.raises(InputError, match="room for 1 to 10 steps, got 11"):
        SPACE.candidate({str(k): ("tanh", "x") for k in range(11)})
    with pytest.raises(InputError, match="needs at least one"):
        ExpressionSpace("none", (), (ADD,), 1)
