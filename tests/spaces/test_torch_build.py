"""Modules agree with what is known of their networks: published tables, closed forms, small slow references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from selftaught.datasets.local_files import candidate_folders
from selftaught.errors import DataError, InputError
from selftaught.seeds import rng_for
from selftaught.spaces import (
    NETWORK_SPACES,
    CellNetwork,
    NasnetNetwork,
    Stack,
    Stage,
    efficientnet,
    find_space,
    nasnet_cells,
    network_from_json,
    network_of,
    network_to_json,
)
from selftaught.spaces.nasnet import NASNET_OPERATIONS

torch = pytest.importorskip("torch")
from selftaught.spaces.build import build, cost_of, count, inherit  # noqa: E402
from selftaught.spaces.build.layers import DropPath  # noqa: E402

ALL_3X3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
EMPTY = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def drawn(space: str, seed: int) -> Any:
    shape = (6,) if space == "mlp" else (3, 16, 16)
    sizes = {"width": 4, "cells": 1} if space in ("nb201", "nasnet") else {}
    candidate = find_space(space).sample(rng_for(seed, "drawn", space))
    return network_of(space, candidate, input_shape=shape, outputs=5, **sizes)


def table(name: str) -> Any:
    import polars as pl

    try:
        (folder,) = candidate_folders((".",), name="tables", how="")
    except DataError:
        pytest.skip("the folder of tables is not here")
    if not (folder / name).is_file():
        pytest.skip(f"{name} is not here")
    return pl.read_csv(folder / name, schema_overrides={"arch": pl.String})


@pytest.mark.parametrize("name", ["b0", "b1", "b3"])
def test_built_efficientnets_count_as_published(name: str) -> None:
    assert count(efficientnet(name)) == efficientnet(name).cost()


@pytest.mark.parametrize("space", NETWORK_SPACES)
def test_every_space_is_built_and_learns_and_costs_what_is_counted(space: str) -> None:
    for seed in range(3):
        network = drawn(space, seed)
        module = build(network)
        inputs = torch.zeros(4, *network.input_shape)
        outputs = module(inputs)
        assert outputs.shape == (4, 5)
        outputs.square().sum().backward()
        assert any(p.grad is not None for p in module.parameters())
        counted = count(network)
        assert counted == cost_of(network)
        assert counted.parameters == sum(p.numel() for p in module.parameters())
        assert network_from_json(network_to_json(network)) == network


def by_hand(threes: int, ones: int) -> int:
    """Parameters for CIFAR-10: stem, two reductions, last BatchNorm, classifier, 5 cells a stage."""
    cells = sum(threes * (9 * c * c + 2 * c) + ones * (c * c + 2 * c) for c in (16, 32, 64))
    return 464 + 14_464 + 57_600 + 128 + 650 + 5 * cells


@pytest.mark.parametrize(
    ("cell", "threes", "ones"),
    [
        (ALL_3X3, 6, 0),
        (EMPTY, 0, 0),
        ("|nor_conv_1x1~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|avg_pool_3x3~1|nor_conv_1x1~2|", 1, 2),
        ("|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|", 1, 0),  # an edge that reaches nothing
    ],
)
def test_cells_have_the_published_number_of_parameters(cell: str, threes: int, ones: int) -> None:
    network = CellNetwork(cell)
    assert network.cost().parameters == by_hand(threes, ones)
    assert count(network) == network.cost()


def test_the_published_stacks_cost_what_their_table_says() -> None:
    space = find_space("macro")
    rows = table("nasbench_macro_cifar10.csv.gz")
    for row in rows.gather_every(271).iter_rows(named=True):
        found = network_of("macro", space.decode(row["arch"]), input_shape=(3, 32, 32), outputs=10)
        assert found.cost().parameters == row["params"]
        assert found.cost().macs == row["flops"]  # the table counts a multiplication with its addition once
        if row["arch"].endswith("2"):
            assert count(found) == found.cost()


@pytest.mark.slow
def test_all_published_cells_and_stacks() -> None:
    cells = table("nb201_table.csv.gz").drop_nulls("c10_mparams")
    assert len(cells) == 9445
    for text, millions in zip(cells["arch"], cells["c10_mparams"], strict=True):
        assert abs(CellNetwork(text).cost().parameters / 1e6 - millions) <= 5.1e-5
    space = find_space("macro")
    for row in table("nasbench_macro_cifar10.csv.gz").iter_rows(named=True):
        cost = network_of("macro", space.decode(row["arch"]), input_shape=(3, 32, 32), outputs=10).cost()
        assert (cost.parameters, cost.macs) == (row["params"], row["flops"])


def test_a_cell_is_the_sum_of_its_paths() -> None:
    """With identities only, node 3 is 4 x: three ways over one node and its direct edge."""
    cell = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
    module = build(CellNetwork(cell, width=2, cells=1, stages=1, inputs=2, resolution=4))
    images = torch.rand(1, 2, 4, 4)
    assert torch.equal(module.stages[0][0](images), 4 * images)
    empty = build(CellNetwork(EMPTY, width=2, cells=1, stages=1, inputs=2, resolution=4))
    assert not empty.stages[0][0](images).any()


def test_every_nasnet_operation_keeps_its_width_at_both_strides() -> None:
    space = nasnet_cells(1)
    for operation in NASNET_OPERATIONS:
        for side in (7, 8):
            candidate = space.sample(rng_for(0, "one"))
            for cell in ("normal", "reduction"):
                candidate |= {f"{cell} 1a operation": operation, f"{cell} 1b operation": operation}
                candidate[f"{cell} 1 combine"] = "add"
            network = NasnetNetwork(candidate, width=4, cells=1, stages=2, inputs=1, resolution=side)
            module = build(network)
            maps = module.stem(torch.zeros(2, 1, side, side))
            first = module.cells[0](maps, maps)
            assert first.shape == (2, 4, side, side)
            assert module.cells[1](maps, first).shape == (2, 8, -(-side // 2), -(-side // 2))
            assert module(torch.zeros(2, 1, side, side)).shape == (2, 10)


def test_unused_states_are_concatenated_and_a_concatenation_is_twice_as_wide() -> None:
    candidate = nasnet_cells(2).sample(rng_for(0, "two"))
    for cell in ("normal", "reduction"):
        for b in (1, 2):
            candidate |= {f"{cell} {b}a state": 0, f"{cell} {b}b state": 1, f"{cell} {b} combine": "add"}
        candidate[f"{cell} 2 combine"] = "concatenate"
    module = build(NasnetNetwork(candidate, width=4, cells=1, stages=1, inputs=1, resolution=8))
    assert module.cells[0].loose == [2, 3]
    assert module.cells[0].outputs == 4 + 8
    candidate["normal 2a state"] = 2
    assert build(NasnetNetwork(candidate, width=4, cells=1, stages=1, inputs=1, resolution=8)).cells[0].loose == [3]


def test_a_chain_reads_the_image_where_a_layer_chose_nothing() -> None:
    space = find_space("chain")
    network = network_of("chain", space.sample(rng_for(3, "chain")), input_shape=(2, 8, 8), outputs=3)
    quiet = {**network.candidate, **{name: False for name in network.candidate if "skip" in name}}  # type: ignore[attr-defined]
    module = build(network_of("chain", quiet, input_shape=(2, 8, 8), outputs=3))
    assert [layer[0].in_channels for layer in module.layers] == [2] * 6
    assert module.classifier[-1].in_features == sum(int(quiet[f"layer {k} filters"]) for k in range(1, 7))


def test_shortcuts_and_stochastic_depth_are_where_they_belong() -> None:
    stack = Stack(
        (Stage(2, 3, 2, 2, 8), Stage(3, 3, 1, 0, 8)), stem=4, head=8, stem_stride=1, resolution=8, drop_path=0.5
    )
    module = build(stack)
    assert [block.shortcut for block in module.blocks] == [False, True]  # identities are no blocks
    assert [block.drop_path.rate for block in module.blocks] == [0.0, 0.25]
    drop, ones = DropPath(0.5), torch.ones(4000, 1, 1, 1)
    torch.manual_seed(0)
    found = drop(ones)
    assert set(found.flatten().tolist()) == {0.0, 2.0}
    assert abs(found.mean().item() - 1) < 0.1
    assert torch.equal(drop.eval()(ones), ones)


def test_a_child_inherits_what_the_mutation_left_alone() -> None:
    space = find_space("nb201")
    parent = space.sample(rng_for(1, "parent"))
    child = space.mutate(parent, rng_for(2, "child"))
    (changed,) = (name for name in parent if parent[name] != child[name])
    old, new = (
        build(network_of("nb201", cell, input_shape=(1, 8, 8), outputs=3, width=4, cells=1)) for cell in (parent, child)
    )
    copied = inherit(new, old.state_dict())
    assert copied > 0
    edge = changed.replace("->", "_")
    before = old.state_dict()
    for name, value in new.state_dict().items():
        if f"edges.{edge}_" in name:
            assert name not in before
        else:
            assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("space", "options", "match"),
    [
        ("nb20", {}, "did you mean 'nb201'"), ("macro", {"cells": 3}, "networks of cells"),
        ("mlp", {"width": 3}, "its own widths"), ("nb201", {"input_shape": (4,)}, "take the space mlp"),
        ("nb201", {"input_shape": (1, 8, 9)}, "square"), ("nb201", {"width": 0}, "width of at least 1, got 0"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_fit_are_one_line(space: str, options: dict[str, Any], match: str) -> None:
    candidate = find_space(space if space in NETWORK_SPACES else "nb201").sample(np.random.default_rng(0))
    with pytest.raises(InputError, match=match):
        network_of(space, candidate, **{"input_shape": (3, 8, 8), "outputs": 2, **options})


def test_what_cannot_be_built_says_so() -> None:
    with pytest.raises(InputError, match="cannot be built"):
        build(object())  # type: ignore[arg-type]
