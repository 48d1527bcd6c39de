"""The surrogate beside exact Gaussian regression, and its climbs beside a look at every candidate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import multivariate_normal, rankdata

from selftaught.errors import InputError
from selftaught.search import PairwiseThompson, RandomSearch
from selftaught.search.pairwise_model import Features
from selftaught.seeds import rng_for
from selftaught.spaces import Candidate, ChoiceSpace, Parameter, nasnet_cells
from selftaught.trial import Score, Trial
from tests.search.landscapes import MIXED, PLAIN, hill, rugged, run

THREE = ChoiceSpace(
    "three",
    (
        Parameter("a", (0, 1, 2)),
        Parameter("b", (0, 1), ordered=True),
        Parameter("c", (0, 1, 2, 3), ordered=True),
    ),
)


def every(space: ChoiceSpace) -> list[Candidate]:
    return [
        dict(zip((p.name for p in space.parameters), chosen, strict=True))
        for chosen in itertools.product(*(p.choices for p in space.parameters))
    ]


def covariance(searcher: PairwiseThompson, one: Candidate, two: Candidate) -> float:
    """The prior covariance, parameter by parameter and pair by pair, as it is defined."""
    (model,) = searcher._models
    features = searcher._features
    a, b = features.columns(one), features.columns(two)
    alike = [features.similar[i, j] for i, j in zip(a, b, strict=True)]
    singles = sum(alike)
    pairs = sum(x * y for x, y in itertools.combinations(alike, 2))
    return float(model.single * singles + model.pair * pairs)


@pytest.mark.parametrize("space", [THREE, PLAIN], ids=lambda space: space.name)
def test_drawn_surfaces_are_those_of_exact_gaussian_regression(space: ChoiceSpace) -> None:
    searcher = PairwiseThompson(space, seed=0, noise=0.05, single=(0.5,), temperature=1.0)
    told = run(RandomSearch(space, seed=1), 12, lambda c: rugged(space, c))
    for trial in told:
        searcher.tell(trial)
    asked = [space.sample(rng_for(9, k)) for k in range(6)]
    seen = [trial.candidate for trial in told]
    gram = np.array([[covariance(searcher, a, b) for b in seen] for a in seen]) + 0.05 * np.eye(12)
    cross = np.array([[covariance(searcher, a, b) for b in seen] for a in asked])
    own = np.array([[covariance(searcher, a, b) for b in asked] for a in asked])
    scores = ndtri((rankdata([trial.score.value for trial in told]) - 0.5) / 12)
    mean = cross @ np.linalg.solve(gram, scores)
    spread = own - cross @ np.linalg.solve(gram, cross.T)
    columns = np.array([searcher._features.columns(candidate) for candidate in asked])
    drawn = np.array([searcher._draw(rng_for(2, k)).at(columns) for k in range(3000)])
    assert drawn.mean(axis=0) == pytest.approx(mean, abs=0.06)
    assert np.cov(drawn.T) == pytest.approx(spread, abs=0.06)


def test_without_temperature_the_draw_is_the_mean() -> None:
    searcher = PairwiseThompson(PLAIN, seed=0, single=(0.5,), temperature=0.0)
    for trial in run(RandomSearch(PLAIN, seed=1), 12, lambda c: rugged(PLAIN, c)):
        searcher.tell(trial)
    columns = np.array([searcher._features.columns(PLAIN.sample(rng_for(9, k))) for k in range(6)])
    assert searcher._draw(rng_for(0)).at(columns) == pytest.approx(searcher._draw(rng_for(1)).at(columns))
    assert PairwiseThompson(nasnet_cells()).temperature < 0.1
    assert PairwiseThompson(PLAIN).temperature == 1.0


def test_the_prior_has_variance_one_and_shares_it_as_told() -> None:
    for single in (0.2, 1.0):
        searcher = PairwiseThompson(PLAIN, single=(single,))
        candidate = PLAIN.sample(rng_for(0))
        assert covariance(searcher, candidate, candidate) == pytest.approx(1.0)
        other = {**candidate, "p0": (candidate["p0"] + 1) % 4}  # type: ignore[operator]
        assert covariance(searcher, candidate, other) == pytest.approx(single * 4 / 5 + (1 - single) * 6 / 10)


def test_the_evidence_is_the_density_of_the_scores() -> None:
    searcher = PairwiseThompson(PLAIN)
    for trial in run(RandomSearch(PLAIN), 9, lambda c: rugged(PLAIN, c)):
        searcher.tell(trial)
    scores = searcher._scores()
    found = [model.evidence(scores) for model in searcher._models]
    exact = [
        multivariate_normal(cov=m.covariance(searcher._columns, searcher._columns) + m.noise * np.eye(9)).logpdf(scores)
        for m in searcher._models
    ]
    assert np.diff(found) == pytest.approx(np.diff(exact))


def test_evidence_tells_sums_from_interactions() -> None:
    """A hill is a sum of single choices; a parity is none."""

    def parity(candidate: Candidate) -> float:
        return float((int(candidate["p0"] or 0) + int(candidate["p1"] or 0)) % 2)

    shares = []
    for score in (hill, parity):
        searcher = PairwiseThompson(PLAIN)
        for trial in run(RandomSearch(PLAIN), 60, score):
            searcher.tell(trial)
        shares.append(int(np.argmax([model.evidence(searcher._scores()) for model in searcher._models])))
    assert shares == [2, 0]


def test_the_grown_factor_is_the_whole_one() -> None:
    searcher = PairwiseThompson(MIXED, most=40)
    for trial in run(RandomSearch(MIXED), 55, lambda c: rugged(MIXED, c)):
        searcher.tell(trial)
    n = len(searcher._values)
    assert n < 40
    for model in searcher._models:
        whole = model.covariance(searcher._columns, searcher._columns) + model.noise * np.eye(n)
        root = model.root(n)
        assert root @ root.T == pytest.approx(whole)


@pytest.mark.parametrize("space", [PLAIN, MIXED], ids=lambda space: space.name)
def test_gains_and_neighbours_are_the_surface(space: ChoiceSpace) -> None:
    searcher = PairwiseThompson(space, seed=0)
    for trial in run(RandomSearch(space), 12, lambda c: rugged(space, c)):
        searcher.tell(trial)
    surface = searcher._draw(rng_for(4))
    candidate = space.sample(rng_for(5))
    columns = searcher._features.columns(candidate)
    near, heights = searcher._near(surface, columns, float(surface.at(columns[None])[0]))
    assert heights == pytest.approx(surface.at(near))
    found = {space.encode(searcher._features.candidate(row)) for row in near}
    assert found == {space.encode(other) for other in space.neighbours(candidate)}


def test_climbs_find_the_highest_point_left() -> None:
    searcher = PairwiseThompson(THREE, seed=0, initial=3)
    told = run(searcher, 12, lambda c: rugged(THREE, c))
    tried = {THREE.encode(trial.candidate) for trial in told}
    columns = {THREE.encode(c): searcher._features.columns(c) for c in every(THREE)}
    for number in range(12, 20):
        surface = searcher._draw(rng_for(0, number))
        heights = {text: float(surface.at(row[None])[0]) for text, row in columns.items() if text not in tried}
        text = THREE.encode(searcher.ask(number).candidate)
        assert text == max(heights, key=heights.__getitem__)
        tried.add(text)  # it is being evaluated


def test_nothing_is_tried_twice_until_all_is_tried() -> None:
    searcher = PairwiseThompson(THREE, seed=3, initial=2)
    told = run(searcher, 30, lambda c: rugged(THREE, c))
    tried = [THREE.encode(trial.candidate) for trial in told]
    assert len(set(tried)) == THREE.size() == 24 or len(set(tried[:24])) >= 23


def test_it_finds_the_top_of_a_hill_long_before_chance_would() -> None:
    told = run(PairwiseThompson(PLAIN, seed=0), 60, hill)
    assert max(hill(trial.candidate) for trial in told) == 5.0


def test_only_ranks_matter() -> None:
    one = run(PairwiseThompson(PLAIN, seed=0), 30, lambda c: rugged(PLAIN, c))
    two = run(PairwiseThompson(PLAIN, seed=0), 30, lambda c: np.exp(5 * rugged(PLAIN, c)) - 1000)
    assert [t.candidate for t in one] == [t.candidate for t in two]


def test_workers_side_by_side_are_given_different_candidates() -> None:
    searcher = PairwiseThompson(PLAIN, seed=0, initial=5)
    run(searcher, 20, hill)
    texts = [PLAIN.encode(searcher.ask(number).candidate) for number in range(20, 30)]
    assert len(set(texts)) == 10


def test_a_space_of_a_size_without_bounds_is_searched_too() -> None:
    space = nasnet_cells(3)
    searcher = PairwiseThompson(space, seed=0, initial=5)
    told = run(searcher, 12, lambda c: float(sum(v == "identity" for v in c.values())))
    assert len({space.encode(trial.candidate) for trial in told}) == 12


def test_columns_say_which_choice_is_taken_and_what_is_not_active() -> None:
    features = Features(MIXED)
    candidate = {"depth": 1, "first": "b", "flag": True}
    assert features.columns(candidate).tolist() == [0, 4, 9, 14, 16]
    assert features.candidate(features.columns(candidate)) == candidate


def test_options_out_of_range_are_refused() -> None:
    for name, value in (
        ("initial", 1),
        ("single", (0.0,)),
        ("single", ()),
        ("temperature", -1.0),
        ("noise", 0.0),
        ("most", 2),
        ("starts", 0),
    ):
        with pytest.raises(InputError, match=name):
            PairwiseThompson(PLAIN, **{name: value})  # type: ignore[arg-type]


def test_failed_trials_are_not_in_the_model_but_not_tried_again() -> None:
    searcher = PairwiseThompson(THREE, initial=2)
    run(searcher, 4, hill)
    asked = searcher.ask(4)
    searcher.tell(Trial(4, asked.candidate, error="it failed"))
    assert len(searcher._values) == 4
    for number in range(5, 20):
        again = searcher.ask(number)
        assert again.candidate != asked.candidate
        searcher.tell(Trial(number, again.candidate, score=Score(hill(again.candidate))))
