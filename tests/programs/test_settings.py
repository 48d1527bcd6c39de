"""Settings: presets resolve, options override them, and a bad option is one line."""

from __future__ import annotations

import pytest

from selftaught.errors import InputError
from selftaught.programs.presets import PRESETS
from selftaught.programs.settings import LIVE_DEFAULTS, epochs_for, parse_operators, parse_sizes, resolve_settings

GOOD = {"preset": "demo", "programs": 100}


def resolve(**options):  # type: ignore[no-untyped-def]
    return resolve_settings("linear_regression", "", options)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("search", ["live", "classic", "random"])
def test_every_preset_resolves_for_every_search(preset: str, search: str) -> None:
    settings = resolve_settings("digits", "0abc", {"preset": preset, "search": search})
    assert settings.most == parse_sizes("sizes", PRESETS[preset]["sizes"])
    assert settings.search == search
    assert all(low <= high for low, high in zip(settings.least, settings.most, strict=True))


def test_preset_values_are_those_of_the_original() -> None:
    demo = resolve(preset="demo", search="classic")
    assert (demo.most, demo.least, demo.slots) == ((10, 2, 8), (10, 2, 8), (4, 3, 1))
    assert (demo.population, demo.tournament, demo.mutate_prob, demo.start) == (1000, 10, 0.9, "random")
    assert (demo.features, demo.num_tasks, demo.num_train, demo.num_valid) == (4, 10, 100, 100)
    affine = resolve_settings("affine_regression", "", {"preset": "affine_test"})
    assert affine.operators["predict"] == ("scalar_add", "vector_dot")


def test_options_override_a_preset() -> None:
    settings = resolve(preset="demo", sizes="3/1/4", population=50, operators="linear", slots=(5, 4, 1))
    assert settings.most == (3, 1, 4)
    assert settings.population == 50
    assert settings.operators["setup"] == ("scalar_constant",)
    assert settings.slots == (5, 4, 1)


def test_live_search_starts_from_nothing_and_carries_its_numbers() -> None:
    settings = resolve(**GOOD)
    assert settings.start == "empty"
    assert settings.least == (0, 0, 0)
    assert settings.live == dict(LIVE_DEFAULTS)


def test_target_is_set_for_regression_recipes_only() -> None:
    assert resolve().target_fitness == 0.9999
    assert resolve_settings("rings", "", {}).target_fitness is None
    assert resolve_settings("digits", "0abc", {}).target_fitness is None


def test_budget_does_not_define_a_search() -> None:
    short, long = resolve(programs=10), resolve(programs=20, seconds=3.0)
    assert short.defining() == long.defining()
    assert resolve(seed=1).defining() != short.defining()


def test_small_sets_are_gone_through_more_often() -> None:
    assert [epochs_for(n) for n in (0, 72, 400, 600, 8000)] == [10, 10, 2, 1, 1]
    assert resolve_settings("iris", "0abc", {}, rows=150).epochs == 10
    assert resolve_settings("iris", "0abc", {"epochs": 3}, rows=150).epochs == 3


BAD = {
    "preset": ("dem", "did you mean 'demo'"),
    "search": ("clasic", "did you mean 'classic'"),
    "bias": ("learn", "did you mean 'learner'"),
    "task": ("pair", "did you mean 'pairs'"),
    "mutation_style": ("papers", "did you mean 'paper'"),
    "operators": ("fulll", "did you mean 'full'"),
    "sizes": ("10/2", "three whole numbers"),
    "slots": ("1/1/0", "scalars must be at least 2"),
    "start": ("netwrk", "did you mean 'network'"),
    "population": (1, "population must be 2"),
    "tournament": (0, "tournament must be"),
    "programs": (0, "programs must be"),
    "seconds": (-1.0, "seconds must be"),
    "features": (65, "features must be 1 to 64"),
    "seed": (-1, "seed must be 0"),
    "workers": (0, "workers must be"),
    "num_train": (0, "num_train must be"),
    "target_fitness": (1.5, "target_fitness must be"),
    "fingerprint": ("maybe", "fingerprint"),
}


@pytest.mark.parametrize("option", BAD)
def test_bad_option_is_one_line_that_names_it(option: str) -> None:
    value, words = BAD[option]
    with pytest.raises(InputError) as caught:
        resolve(**{option: value})
    text = str(caught.value)
    assert "\n" not in text
    assert words in text
    assert option in text or option in ("slots",)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"predict": ["vector_dott"]}, "did you mean 'vector_dot'"),
        ({"predikt": ["vector_dot"]}, "did you mean 'predict'"),
        ({"predict": []}, "empty for all functions"),
        ([99], "unknown operator 99"),
        (7, "a list of names"),
    ],
)
def test_bad_operators(value: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_operators(value)


def test_operators_by_name_id_and_list() -> None:
    assert parse_operators("vector_dot, scalar_add")["learn"] == ("vector_dot", "scalar_add")
    assert parse_operators({"learn": [27]}) == {"setup": (), "predict": (), "learn": ("vector_dot",)}


def test_learner_bias_belongs_to_the_live_search() -> None:
    with pytest.raises(InputError, match="belongs to search 'live'"):
        resolve(search="classic", bias="learner")
