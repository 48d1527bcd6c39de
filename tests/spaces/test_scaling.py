"""Stacks, rounding, the EfficientNet family to the unit, and scaling to a budget."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selftaught.errors import InputError
from selftaught.spaces import (
    EFFICIENTNETS,
    PerceptronNetwork,
    Rule,
    Stack,
    Stage,
    efficientnet,
    network_from_json,
    network_of,
    network_to_json,
    rule_grid,
    scale,
    scale_to,
)
from selftaught.spaces.chain import chain_with_skips
from selftaught.spaces.rounding import round_channels, round_repeats, round_resolution
from selftaught.spaces.space import Choice

#: multiply-accumulates and parameters of the published networks, counted on their public implementation
PUBLISHED = {
    "b0": (385_814_752, 5_288_548),
    "b1": (686_802_832, 7_794_184),
    "b2": (993_561_872, 9_109_994),
    "b3": (1_827_141_392, 12_233_232),
    "b4": (4_393_771_024, 19_341_616),
    "b5": (10_266_384_752, 30_389_784),
    "b6": (19_067_593_536, 43_040_704),
    "b7": (37_745_884_192, 66_347_960),
}
SMALL = Stack((Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24)), stem=16, head=64, resolution=32, outputs=10)


def macs(network: Stack) -> float:
    return network.cost().macs


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_family_costs_what_is_published_to_the_unit(name: str) -> None:
    found = efficientnet(name).cost()
    assert (found.macs, found.parameters) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("depth", "width", "resolution", "pixels", "gmacs", "millions"),
    [
        (4, 1, 1, 224, 1.575, 20.09), (1, 2, 1, 224, 1.450, 18.12), (1, 1, 2, 448, 1.538, 5.29),
        (1.4, 1.2, 1.3, 291, 1.800, 12.23), (1.2, 1.1, 1.15, 258, 0.993, 9.11),
        (1.2**2, 1.1**2, 1.15**2, 296, 1.811, 12.26), (1.2**3, 1.1**3, 1.15**3, 341, 3.251, 16.35),
    ],
)  # fmt: skip
def test_equal_factors_are_not_equal_cost(
    depth: float, width: float, resolution: float, pixels: int, gmacs: float, millions: float
) -> None:
    found = efficientnet("b0").scaled(depth=depth, width=width, resolution=resolution)
    assert found.resolution == pixels
    assert round(found.cost().macs / 1e9, 3) == gmacs
    assert round(found.cost().parameters / 1e6, 2) == millions


def test_the_family_takes_its_sizes_from_the_table_and_not_from_a_power() -> None:
    b3 = efficientnet("B3")
    assert (b3.resolution, b3.dropout, b3.name) == (300, 0.3, "b3")
    assert efficientnet("efficientnet-b3") == b3
    assert scale(efficientnet("b0"), Rule(), 2.0).resolution == 296
    with pytest.raises(InputError, match="did you mean 'b7'"):
        efficientnet("b77")


def test_the_whole_family_is_made_in_milliseconds() -> None:
    begun = time.process_time()
    for name in EFFICIENTNETS:
        efficientnet(name).cost()
    assert time.process_time() - begun < 0.5


def test_the_squeeze_follows_the_channels_that_come_in() -> None:
    block = next(block for block in efficientnet("b0").blocks() if block.inside > block.inputs)
    assert (block.inputs, block.inside, block.squeezed) == (16, 96, 4)


@pytest.mark.parametrize(
    ("channels", "factor", "wanted"),
    [(32, 1.1, 32), (40, 1.1, 48), (80, 1.1, 88), (320, 1.1, 352), (24, 1.2, 32), (12, 1.0, 12), (3, 0.5, 8)],
)
def test_channels_are_rounded_as_published(channels: int, factor: float, wanted: int) -> None:
    assert round_channels(channels, factor) == wanted


def test_repeats_are_free_of_floating_point() -> None:
    assert 50 * 1.1 > 55
    assert round_repeats(50, 1.1) == 55
    assert round_repeats(4, 0.01) == 1
    assert [round_resolution(224, factor, 32) for factor in (1.15, 0.01)] == [258, 32]


@given(st.integers(1, 400), st.floats(1, 8), st.floats(1, 8))
def test_rounding_never_shrinks_what_grows(channels: int, a: float, b: float) -> None:
    small, large = sorted((a, b))
    assert channels <= round_channels(channels, small) <= round_channels(channels, large)
    assert round_channels(channels, large) >= 0.9 * channels * large


@given(st.floats(1.0, 60.0))
def test_a_budget_is_met_and_used(times: float) -> None:
    budget = times * macs(SMALL)
    found = scale_to(SMALL, budget, cost=macs)
    assert macs(SMALL) <= found.cost == macs(found.network) <= budget
    above = scale(SMALL, found.rule, found.phi + 0.01)
    assert above == found.network or macs(scale(SMALL, found.rule, found.phi + 0.5)) > budget


def test_phi_1_costs_more_than_the_rule_promises() -> None:
    b0 = efficientnet("b0")
    assert macs(scale(b0, Rule(), 1.0)) / macs(b0) > 2.5 > Rule().growth
    assert scale_to(b0, 2 * macs(b0), cost=macs).phi < 1


def test_measured_budgets_are_measured_again_and_stepped_down() -> None:
    asked: set[str] = set()

    def drifting(network: Stack) -> float:  # a device that is slower the second time
        slower = repr(network) in asked or len(asked) > 25
        asked.add(repr(network))
        return macs(network) * (1.2 if slower else 1.0)

    found = scale_to(SMALL, 8 * macs(SMALL), cost=drifting)
    assert found.cost <= 8 * macs(SMALL)
    assert found.network != scale_to(SMALL, 8 * macs(SMALL), cost=macs).network


def test_a_device_that_turns_ten_times_slower_is_followed() -> None:
    asked: set[str] = set()
    slow = False

    def slowing(network: Stack) -> float:
        nonlocal slow
        slow = slow or repr(network) in asked  # from the first network that is measured again
        asked.add(repr(network))
        return macs(network) * (10.0 if slow else 1.0)

    found = scale_to(SMALL, 30 * macs(SMALL), cost=slowing)
    assert macs(SMALL) < macs(found.network) <= 3 * macs(SMALL)


def test_shrinking_is_asked_for_by_name_and_has_floors() -> None:
    b0 = efficientnet("b0")
    with pytest.raises(InputError, match=r"1e\+08 MACs is below the network's own 3.85815e\+08"):
        scale_to(b0, 1e8, cost=macs)
    found = scale_to(b0, 1e8, cost=macs, shrink=True)
    assert found.phi < 0
    assert found.cost <= 1e8
    tiny = scale(b0, Rule(), -60.0)
    assert {stage.channels for stage in tiny.stages} == {8}
    assert {stage.blocks for stage in tiny.stages} == {1}
    assert tiny.resolution == 32
    with pytest.raises(InputError, match="below the smallest network's"):
        scale_to(b0, 1000, cost=macs, shrink=True)


def test_rules_that_do_not_grow_are_errors() -> None:
    with pytest.raises(InputError, match=r"beta must be at least 1, got 0\.9"):
        Rule(1.2, 0.9, 1.2)
    with pytest.raises(InputError, match="would not grow"):
        Rule(1.0, 1.0, 1.0)
    assert Rule(2.0, 1.0, 1.0).growth == 2
    with pytest.raises(InputError, match="above 0 MACs, got -1"):
        scale_to(SMALL, -1, cost=macs)


def test_the_grid_is_near_2_and_holds_the_published_rule() -> None:
    grid = rule_grid()
    assert all(abs(rule.growth - 2) <= 0.1 + 1e-9 for rule in grid)
    assert Rule() in grid
    assert Rule(2.0, 1.0, 1.0) in grid
    assert {rule.gamma for rule in rule_grid(resolution=False)} == {1.0}
    with pytest.raises(InputError, match="smaller step"):
        rule_grid(step=5.0)


def test_groups_must_divide_the_multiple() -> None:
    grouped = replace(SMALL, stages=(Stage(1, 3, 1, 6, 24, groups=3),), stem=24)
    with pytest.raises(InputError, match="do not divide into 3 groups"):
        grouped.scaled(width=2)
    assert grouped.scaled(width=2, multiple=12).stages[0].channels == 48
    with pytest.raises(InputError, match="24 channels do not divide into 5 groups"):
        Stage(1, 3, 1, 6, 24, groups=5)


def test_what_has_no_stages_says_what_to_declare() -> None:
    candidate: dict[str, Choice] = chain_with_skips(1).decode("0000")
    chain = network_of("chain", candidate, input_shape=(3, 8, 8), outputs=2)
    with pytest.raises(InputError, match="'chain' is no stack of stages; declare repeats and widths"):
        scale_to(chain, 1e9, cost=lambda _: 1.0)


def test_a_table_has_no_resolution() -> None:
    table = PerceptronNetwork((16, 32), features=4, outputs=2)
    found = scale_to(table, 20 * table.cost().macs, cost=lambda net: net.cost().macs)
    assert found.resolution == 1
    assert "no resolution" in found.remarks[0]
    assert found.network.widths[0] <= found.network.widths[-1]
    assert len(found.network.widths) > 2


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[]", "got None"), ("{", "JSON object"), ('{"kind": "stak"}', "got 'stak'"),
        ('{"kind": "mlp", "width": 3}', "has no 'width'"), ('{"kind": "mlp"}', "not whole"),
        ('{"kind": "stack", "stages": [{"blocks": 0}]}', "not whole"),
        ('{"kind": "stack", "stages": [[1]]}', "not whole"),
        ('{"kind": "mlp", "widths": [0], "features": 1, "outputs": 1}', "width of at least 1, got 0"),
        ('{"kind": "mlp", "widths": [2.5], "features": 1, "outputs": 1}', "width of at least 1, got 2.5"),
    ],
)  # fmt: skip
def test_files_that_hold_no_network_are_refused(text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        network_from_json(text)


def test_networks_are_kept_as_json() -> None:
    for network in (SMALL, efficientnet("l2"), PerceptronNetwork((4, 5), features=3, outputs=1, dropout=0.1)):
        assert network_from_json(network_to_json(network)) == network
