"""Candidates judged by training: the same every time, weights inherited, costs that add up, networks from files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selftaught.errors import InputError, ResumeError
from selftaught.examples import Task
from selftaught.objectives import (
    NetworkObjective,
    kept_bytes,
    latency_ratio,
    load_model,
    measure,
    model_of,
    named_network,
    reference_network,
    save_model,
    search_task,
    training_of,
    usual_training,
)
from selftaught.seeds import rng_for
from selftaught.spaces import (
    CellNetwork,
    PerceptronNetwork,
    Stack,
    Stage,
    efficientnet,
    find_space,
    network_to_json,
    training_parameters,
)

torch = pytest.importorskip("torch")

SMALL = Stack((Stage(1, 3, 1, 2, 8),), stem=8, head=16, stem_stride=1, resolution=8, inputs=1, outputs=10)


@pytest.fixture(scope="module")
def digits() -> Task:
    return search_task("digits", examples=128)


@pytest.fixture(scope="module")
def iris() -> Task:
    return search_task("iris")


def test_the_split_is_whole_disjoint_and_the_same_again() -> None:
    task, again = search_task("digits", seed=3), search_task("digits", seed=3)
    assert task.test is not None
    assert again.test is not None
    ids = [set(part.ids) for part in (task.train, task.valid, task.test)]
    assert sum(map(len, ids)) == len(set.union(*ids)) == 1797
    assert list(task.train.ids) == list(again.train.ids)
    assert list(task.test.ids) != list(search_task("digits", seed=4).test.ids)  # type: ignore[union-attr]
    fewer = search_task("digits", seed=3, examples=100)
    assert set(fewer.train.ids) < ids[0]
    assert list(fewer.valid.ids) == list(task.valid.ids)
    with pytest.raises(InputError, match="from 2 to 1151"):
        search_task("digits", examples=5000)


def test_a_score_is_the_same_whatever_the_number_of_threads_outside(digits: Task) -> None:
    objective = NetworkObjective("nb201", digits, epochs=1, width=4, cells=1)
    candidate = find_space("nb201").sample(rng_for(0, "threads"))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        first = objective(candidate)
        torch.set_num_threads(2)
        torch.manual_seed(5)
        assert objective(candidate) == first
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert objective.with_seed(1)(candidate) != first
    assert first.metrics["parameters"] == objective.network_for(candidate).cost().parameters  # type: ignore[attr-defined]


def test_an_objective_never_looks_at_test(iris: Task) -> None:
    candidate = find_space("mlp").sample(rng_for(0, "mlp"))
    blind = replace(iris, test=None)
    assert NetworkObjective("mlp", blind, epochs=2)(candidate) == NetworkObjective("mlp", iris, epochs=2)(candidate)


def test_a_child_begins_with_its_parents_weights(digits: Task, tmp_path: Path) -> None:
    space = find_space("nb201")
    options: dict[str, Any] = {"epochs": 2, "width": 4, "cells": 1}
    objective = NetworkObjective("nb201", digits, **options, weights=str(tmp_path / "weights"))
    parent = space.decode("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|")
    other = space.decode("|none~0|+|avg_pool_3x3~0|none~1|+|none~0|none~1|skip_connect~2|")
    child = {**parent, "0->2": "skip_connect"}
    assert objective(other).metrics["inherited"] == 0
    first = objective(parent)
    found = objective(child)
    model = model_of(objective.network_for(child), digits.train)
    assert found.metrics["inherited"] == sum(value.numel() for value in model.network.state_dict().values()) + sum(
        value.numel() for value in model.scaling.state_dict().values()
    )  # everything: an identity has no weights
    fresh = NetworkObjective("nb201", digits, **options)(child)
    assert found.value > fresh.value, "two epochs more must show after two"
    assert first.value < found.value


def test_what_a_training_step_keeps_is_counted_by_hand() -> None:
    table = PerceptronNetwork((8,), features=2, outputs=2, activation="relu")
    # weights and gradients; the inputs, and the hidden layer once: ReLU keeps what it gives, which the last layer reads
    assert kept_bytes(table) == 4 * (2 * 42 + 2 + 8)
    assert kept_bytes(table, batch_size=10) == 4 * (2 * 42 + 10 * (2 + 8))
    silu = replace(table, activation="silu")
    assert kept_bytes(silu) == kept_bytes(table) + 4 * 8, "SiLU keeps what comes in as well"


def test_measured_costs_stand_beside_counted_ones() -> None:
    found = measure(SMALL, batch_size=3, seconds=0.01)
    assert (found.macs, found.parameters) == (SMALL.cost().macs, SMALL.cost().parameters)
    assert found.milliseconds > 0
    assert found.device.startswith("cpu, ")
    with pytest.raises(InputError, match="at least 1 example"):
        measure(SMALL, batch_size=0)
    with pytest.raises(InputError, match="cannot be used"):
        measure(SMALL, device="cuda:99")


def test_a_network_takes_as_long_as_itself_and_a_larger_one_longer() -> None:
    large = replace(SMALL, resolution=64)
    assert 0.5 < latency_ratio(SMALL, SMALL, batch_size=8) < 2
    assert latency_ratio(large, SMALL, batch_size=8) > 2
    with pytest.raises(InputError, match="at least 1 example"):
        latency_ratio(SMALL, SMALL, batch_size=0)


def test_models_are_kept_and_read_again(digits: Task, tmp_path: Path) -> None:
    assert digits.test is not None
    larger = replace(SMALL, resolution=12)
    model = model_of(larger, digits.train).eval()
    save_model(tmp_path / "m.safetensors", model, larger)
    again = load_model(tmp_path / "m.safetensors").eval()
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(model(images), again(images))
    assert model.resize(images).shape == (3, 1, 12, 12)
    with pytest.raises(InputError, match="there is no model"):
        load_model(tmp_path / "none.safetensors")
    (tmp_path / "m.safetensors").write_bytes(b"nothing")
    with pytest.raises(ResumeError, match="cannot be read"):
        load_model(tmp_path / "m.safetensors")
    with pytest.raises(InputError, match="10 outputs"):
        model_of(SMALL, replace(digits.train, class_names=("a", "b")))


def test_a_regression_is_scored_by_the_variance_explained() -> None:
    task = search_task("diabetes")
    smallest = find_space("mlp").complete({}, lambda parameter: 0)
    found = NetworkObjective("mlp", task, epochs=30)(smallest)
    assert 10 < found.value < 70


def test_networks_designed_by_hand_cost_the_same() -> None:
    cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    for network in (
        CellNetwork(cell, width=16, cells=2, inputs=1, resolution=8),
        efficientnet("b0"),
        PerceptronNetwork((64, 32, 64), features=30, outputs=4),
    ):
        found: Any = reference_network(network)
        assert found.input_shape == network.input_shape
        assert found.outputs == network.outputs
        assert abs(found.cost().macs / network.cost().macs - 1) < 0.11, "a channel more or less is a tenth at width 10"
    with pytest.raises(InputError, match="as cheap as"):
        reference_network(CellNetwork("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", width=1, cells=5))


def test_every_schedule_of_the_space_can_be_trained_with(iris: Task, digits: Task) -> None:
    space = training_parameters()
    kinds = set()
    for seed in range(40):
        candidate = space.sample(rng_for(seed, "schedule"))
        config = training_of(candidate, digits.train, epochs=1)
        kinds.add((config.optimiser.name, config.schedule.name))
        assert (config.augment is not None) == (candidate["augmentation"] != 0)
        assert config.batch_size == candidate["batch"]
        training_of(candidate, iris.train, epochs=1)
    assert len(kinds) == 9
    net = PerceptronNetwork((16,), features=4, outputs=3)
    objective = NetworkObjective("training", iris, epochs=3, network=net)
    slow, quick = (
        {**space.complete({}, lambda _: 0), "optimiser": "sgd", "momentum": 0.9, "rate": rate} for rate in (0.1, 1.0)
    )
    assert objective(quick).value > objective(slow).value
    with pytest.raises(InputError, match="needs a network"):
        NetworkObjective("training", iris)


def test_colour_images_are_augmented_and_small_ones_are_not(digits: Task) -> None:
    assert usual_training(digits.train, epochs=1).augment is None
    pictures = replace(digits.train, inputs=np.zeros((len(digits.train), 32, 32, 3), np.uint8))
    augment = usual_training(pictures, epochs=1).augment
    assert augment is not None
    assert (augment.flip, augment.crop) == (True, 4)


def test_networks_are_named_or_read_from_files(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(network_to_json(SMALL))
    assert named_network(str(path)) == SMALL
    (tmp_path / "candidate.json").write_text(json.dumps({"space": "x", "network": json.loads(network_to_json(SMALL))}))
    assert named_network(str(tmp_path)) == SMALL
    assert named_network("B2").name == "b2"
    with pytest.raises(InputError, match="neither a network"):
        named_network("b12")
    path.write_text("{")
    with pytest.raises(InputError, match="holds no network"):
        named_network(str(path))
