"""Classes and groups: formulas against scikit-learn and fairlearn, coverage, false discoveries, planted harm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selftaught.audit import (
    Population,
    benjamini_hochberg,
    change_of_means,
    impacts,
    intersections,
    null_rejections,
)
from selftaught.errors import InputError
from selftaught.seeds import rng_for
from tests.audit.populations import planted

LABELS = np.arange(800) % 4
BINARY = rng_for(0, "labels").integers(0, 2, 400)
SEX = rng_for(0, "sex").choice(np.array(["f", "m"]), 400)
AGE = rng_for(0, "age").choice(np.array(["old", "young"]), 400)


def binary(seed: int, *, name: str, harm: np.ndarray | float = 0.0, models: int = 5) -> Population:
    return planted(models, BINARY, seed=seed, name=name, harm=harm)


def test_rates_of_groups_are_those_of_the_confusion_matrix() -> None:
    from sklearn.metrics import confusion_matrix

    before, after = binary(0, name="before"), binary(1, name="after")
    groups = {"sex": SEX, **intersections({"sex": SEX, "age": AGE})}
    found = {(one.where, one.measure): one for one in impacts(before, after, BINARY, groups=groups)}
    for column, values in groups.items():
        for value in np.unique(values):
            inside = values == value
            matrices = [confusion_matrix(BINARY[inside], one[inside]) for one in after.predicted]
            positive = np.mean([m[0, 1] / m[0].sum() for m in matrices])
            negative = np.mean([m[1, 0] / m[1].sum() for m in matrices])
            right = np.mean([np.trace(m) / m.sum() for m in matrices])
            place = f"{column} = {value}"
            assert found[f"{place}, class 1", "false positive rate"].after == pytest.approx(positive)
            assert found[f"{place}, class 1", "false negative rate"].after == pytest.approx(negative)
            assert found[place, "accuracy"].after == pytest.approx(right)
    female, male = (found[f"sex = {one}, class 1", "false positive rate"] for one in "fm")
    assert female.rest == pytest.approx((male.before, male.after))
    assert female.difference[1] == pytest.approx(female.after - male.after)
    assert female.ratio[1] == pytest.approx(female.after / male.after)
    assert female.normalised == pytest.approx(female.finding.value - male.finding.value)


def test_rates_of_groups_are_fairlearns() -> None:
    metrics = pytest.importorskip("fairlearn.metrics")
    before, after = binary(0, name="before"), binary(1, name="after", models=1)
    found = {(one.where, one.measure): one for one in impacts(before, after, BINARY, groups={"sex": SEX})}
    for name in ("false_positive_rate", "false_negative_rate"):
        frame = metrics.MetricFrame(
            metrics=getattr(metrics, name), y_true=BINARY, y_pred=after.predicted[0], sensitive_features=SEX
        )
        for value in "fm":
            ours = found[f"sex = {value}, class 1", name.replace("_", " ")].after
            assert ours == pytest.approx(frame.by_group[value])


def test_forms_of_the_change_of_recall() -> None:
    before, after = planted(5, LABELS, seed=0, name="a"), planted(5, LABELS, seed=1, name="b", harm=1.0)
    right = [(one.predicted == LABELS).mean(axis=0) for one in (before, after)]
    for c, one in enumerate(impacts(before, after, LABELS)):
        old, new = (side[c == LABELS].mean() for side in right)
        assert one.where == f"class {c}"
        assert one.finding.value == pytest.approx(new - old)
        assert one.relative == pytest.approx(new / old - 1)
        assert one.normalised == pytest.approx((new - right[1].mean()) - (old - right[0].mean()))


def test_the_harmed_class_and_group_are_found_and_no_other() -> None:
    before = planted(6, LABELS, seed=0, name="before")
    after = planted(6, LABELS, seed=1, name="after", harm=np.where(LABELS == 2, 3.0, 0.0))
    found = impacts(before, after, LABELS)
    assert [one.where for one in found if one.significant] == ["class 2"]
    harm = np.where((SEX == "f") & (BINARY == 0), 3.0, 0.0)
    told = impacts(binary(0, name="before"), binary(1, name="after", harm=harm), BINARY, groups={"sex": SEX})
    hurt = {(one.where, one.measure) for one in told if one.significant}
    assert ("sex = f, class 1", "false positive rate") in hurt
    assert not {where for where, _ in hurt if where.startswith("sex = m")}


def test_significance_needs_the_adjusted_p_too() -> None:
    before = planted(6, LABELS, seed=0, name="before")
    after = planted(6, LABELS, seed=1, name="after", harm=np.where(LABELS == 2, 3.0, 0.0))
    found = impacts(before, after, LABELS, groups={"half": np.arange(800) < 400})
    assert [one.adjusted for one in found] == pytest.approx(benjamini_hochberg(np.array([one.p for one in found])))
    hurt = next(one for one in found if one.where == "class 2")
    assert hurt.significant
    strict = impacts(before, after, LABELS, groups={"half": np.arange(800) < 400}, q=hurt.adjusted / 2)
    again = next(one for one in strict if one.where == "class 2")
    assert (again.finding.verdict, again.significant) == ("change", False)
    level = impacts(before, after, LABELS, groups={"half": np.arange(800) < 400}, q=hurt.adjusted)
    assert next(one for one in level if one.where == "class 2").significant, "at most q"


def test_seeds_alone_harm_nobody() -> None:
    claimed = tested = 0
    for seed in range(25):
        before = planted(6, LABELS, seed=2 * seed, name="before")
        found = impacts(before, planted(6, LABELS, seed=2 * seed + 1, name="after"), LABELS)
        claimed += sum(one.significant for one in found)
        tested += len(found)
    assert tested == 100
    assert claimed <= 4


def test_the_test_between_halves_rejects_about_as_often_as_its_level() -> None:
    rates = [null_rejections(planted(6, LABELS, seed=seed, name="null"), LABELS) for seed in range(20)]
    assert 0.01 < np.mean(rates) < 0.09
    assert np.isnan(null_rejections(planted(3, LABELS, seed=0, name="null"), LABELS))


def test_the_interval_holds_the_truth_over_models_and_examples() -> None:
    rng = rng_for(0, "coverage")
    hits, truth = 0, -0.1
    for _ in range(400):
        # Each example has its own change, each model its own level: both are drawn anew.
        base, change = rng.normal(0.7, 0.2, 60), rng.normal(truth, 0.3, 60)
        before = base + rng.normal(0, 0.05, (4, 1)) + rng.normal(0, 0.1, (4, 60))
        after = base + change + rng.normal(0, 0.05, (4, 1)) + rng.normal(0, 0.1, (4, 60))
        low, high = change_of_means(before, after, np.ones(60, bool)).interval
        hits += low <= truth <= high
    assert 0.92 < hits / 400 < 0.99


def test_the_interval_of_a_difference_to_a_reference_holds_the_truth() -> None:
    rng = rng_for(0, "reference")
    inside = np.arange(120) < 40
    hits = 0
    for _ in range(400):
        change = rng.normal(-0.2, 0.3, 120) + 0.15 * inside
        before = rng.normal(0, 0.05, (4, 1)) + rng.normal(0, 0.1, (4, 120))
        after = change + rng.normal(0, 0.05, (4, 1)) + rng.normal(0, 0.1, (4, 120))
        low, high = change_of_means(before, after, inside, reference=~inside).interval
        hits += low <= 0.15 <= high
    assert 0.92 < hits / 400 < 0.99


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_adjusted_p_are_those_of_the_definition(p: list[float]) -> None:
    order = np.argsort(p, kind="stable")
    ranked = np.minimum.accumulate((np.array(p)[order] * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
    expected = np.empty(len(p))
    expected[order] = np.minimum(ranked, 1)
    assert np.allclose(benjamini_hochberg(np.array(p)), expected)


def test_small_and_empty_groups_are_listed_without_a_test() -> None:
    labels = np.concatenate([np.zeros(300, int), np.ones(20, int)])
    few = np.where(np.arange(320) < 5, "few", "many")
    before, after = planted(4, labels, seed=0, name="before"), planted(4, labels, seed=1, name="after", harm=9.0)
    found = {(one.where, one.measure): one for one in impacts(before, after, labels, groups={"size": few})}
    for where, measure in (("class 1", "recall"), ("size = few", "accuracy")):
        one = found[where, measure]
        assert np.isnan(one.p)
        assert (one.finding.verdict, one.significant) == ("no null", False)
    assert found["size = few, class 1", "false negative rate"].finding.n == 0
    assert np.isnan(found["size = few, class 1", "false negative rate"].before)


def test_values_that_are_missing_are_no_group() -> None:
    before, after = binary(0, name="before"), binary(1, name="after")
    age = np.where(np.arange(400) < 40, np.nan, np.arange(400) % 2)
    place = np.where(np.arange(400) < 40, "", "north")
    found = {one.where for one in impacts(before, after, BINARY, groups={"age": age, "place": place})}
    assert {"age = 0.0", "age = 1.0", "place = north"} == {one for one in found if "class" not in one}


def test_a_class_at_the_floor_shows_its_loss_raw_and_a_gain_normalised() -> None:
    labels = np.repeat([0, 1], [900, 100])
    ids = np.array([str(k) for k in range(1000)])
    old = Population.from_labels(np.where((labels == 1) & (np.arange(1000) % 50 > 0), 0, labels), ids, classes=2)
    new = Population.from_labels(np.where(np.arange(1000) % 2, 0, 1) * (labels == 0), ids, classes=2)
    rare = impacts(old, new, labels)[1]
    assert rare.after == 0
    assert rare.relative == -1
    assert rare.finding.value < 0 < rare.normalised


def test_wrong_labels_and_groups_are_named() -> None:
    before = binary(0, name="before")
    with pytest.raises(InputError, match="sex must have shape"):
        impacts(before, before, BINARY, groups={"sex": SEX[:3]})
    with pytest.raises(InputError, match="class numbers from 0 to 1"):
        impacts(before, before, BINARY + 1)


def test_a_pair_with_a_missing_value_is_no_group() -> None:
    age = np.where(np.arange(400) % 4 == 0, np.nan, np.arange(400) % 2)
    place = np.where(np.arange(400) < 200, "", "north")
    found = intersections({"age": age, "place": place})["age and place"]
    assert set(found) == {"", "0.0 and north", "1.0 and north"}
    assert np.array_equal(found != "", ~np.isnan(age) & (place != ""))


def test_pairs_that_read_alike_stay_apart() -> None:
    one = np.array(["x and y"] * 40 + ["x"] * 40 + ["z"] * 40)
    other = np.array(["z"] * 40 + ["y and z"] * 40 + ["x"] * 40)
    found = intersections({"one": one, "other": other})["one and other"]
    assert [len(set(found[k : k + 40])) for k in (0, 40, 80)] == [1, 1, 1]
    assert (set(found), found[80]) == ({"'x and y' and 'z'", "'x' and 'y and z'", "z and x"}, "z and x")


def test_columns_of_objects_name_groups_as_texts_do() -> None:
    before, after = binary(0, name="before"), binary(1, name="after")
    mixed = SEX.astype(object)
    mixed[:40], mixed[40:80] = None, np.nan
    found = {one.where: one.finding.n for one in impacts(before, after, BINARY, groups={"sex": mixed})}
    assert [one for one in found if "sex" in one and "class" not in one] == ["sex = f", "sex = m"]
    assert found["sex = f"] == np.sum(SEX[80:] == "f")
    pairs = intersections({"sex": mixed, "age": AGE})["sex and age"]
    assert np.array_equal(pairs == "", np.arange(400) < 80)
