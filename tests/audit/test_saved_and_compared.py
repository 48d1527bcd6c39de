"""Predictions from files, the whole audit, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from selftaught import load
from selftaught.audit import Population, audit, load_predictions, principal_components, save_predictions
from selftaught.cli import main
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.seeds import rng_for

N = 300


def table(folder: Path) -> Path:
    """A table of two classes and a group, whose members stand in the rows."""
    rng = rng_for(0, "table")
    rows = [f"{rng.normal():.6f},{'north' if k % 3 else 'south'},{'yes' if k % 2 else 'no'}" for k in range(N)]
    path = folder / "people.csv"
    path.write_text("\n".join(["x,region,answer", *rows]) + "\n")
    return path


def populations(labels: np.ndarray, ids: np.ndarray, harm: np.ndarray) -> tuple[Population, Population]:
    made = []
    for name, hurt in (("before", np.zeros(N)), ("after", harm)):
        logits = rng_for(0, name).normal(0, 0.6, (6, N, 2))
        logits[:, np.arange(N), labels] += rng_for(0, "ease").normal(1.2, 0.8, N) - hurt
        made.append(Population.from_logits(logits, ids, name))
    return made[0], made[1]


def saved(folder: Path) -> tuple[Path, Path, Path]:
    data = table(folder)
    examples = load(data, "answer", group_columns=("region",))
    assert examples.labels is not None
    before, after = populations(examples.labels, examples.ids, 2.5 * (examples.groups["region"] == "south"))
    save_predictions(folder / "before.npz", before)
    order = rng_for(0, "order").permutation(N)[: N - 10]
    save_predictions(folder / "after.npz", after.take(order))
    return data, folder / "before.npz", folder / "after.npz"


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return int(left.value.code or 0)


def test_the_hurt_group_is_found_from_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, before, after = saved(tmp_path)
    given = ("audit", before, after, "--data", data, "--target", "answer", "--groups", "region")
    assert run(*given, "--json", "--out", tmp_path / "found.json") == 0
    told = capsys.readouterr().out
    found = json.loads(told)
    assert told == (tmp_path / "found.json").read_text()
    assert (found["n"], found["seeds"]) == (N - 10, [6, 6])
    assert found["warnings"] == ["10 predictions have no counterpart by id and are left out"]
    hurt = {one["where"] for one in found["impacts"] if one["significant"] and one["measure"] == "accuracy"}
    assert hurt == {"region = south"}
    assert found["pie"]["finding"]["verdict"] == found["cie"]["finding"]["verdict"] == "change"
    examples = load(data, "answer", group_columns=("region",))
    region = dict(zip(examples.ids.tolist(), examples.groups["region"], strict=True))
    assert np.mean([region[one] == "south" for one in found["ranking"][:30]]) > 0.8
    assert run(*given) == 0
    text = capsys.readouterr().out
    for line in ("290 examples, 6 models before and 6 after", "region = south", "seed churn", "furthest moved"):
        assert line in text


def test_the_hurt_group_is_found_as_a_slice_that_nobody_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, before, after = saved(tmp_path)
    assert run("audit", before, after, "--data", data, "--target", "answer", "--slices", "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)["slices"]
    assert one["name"] == "region = south"
    assert one["finding"]["seeds"] == [6, 6]
    assert len(one["finding"]["rows"]) == 9
    assert run("audit", before, before, "--data", data, "--target", "answer", "--slices") == 0
    assert "slices: none" in capsys.readouterr().out
    assert run("audit", before, after, "--data", data, "--target", "answer", "--slices") == 0
    assert "typical of region = south" in capsys.readouterr().out
    assert run("audit", before, after, "--data", data, "--target", "answer", "--corruptions") == 2
    assert "give both as folders" in capsys.readouterr().err


def test_children_are_paired_by_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, before, _ = saved(tmp_path)
    given = ("audit", before, before, "--data", data, "--target", "answer", "--json")
    found = []
    for more in ((), ("--paired",)):
        assert run(*given, *more) == 0
        found.append(json.loads(capsys.readouterr().out)["pie"]["finding"]["value"])
    assert found[0] < -0.01
    assert found[1] == pytest.approx(0)
    assert run("audit", "--sweep", "0.5", "--paired") == 2
    assert "leave --paired out" in capsys.readouterr().err


def test_columns_of_a_ledger_and_an_embedding_can_be_given_by_row() -> None:
    ids = np.array([f"e{k}" for k in range(N)])
    hard = rng_for(0, "hard").random(N)
    before, after = populations(np.arange(N) % 2, ids, 3.0 * (hard > 0.75))
    examples = Examples(rng_for(0, "x").random((N, 2), np.float32), np.arange(N) % 2, ids, class_names=("no", "yes"))
    order = rng_for(0, "mixed").permutation(N)
    found = audit(before, after.take(order), examples, slices=True, features={"difficulty": hard}).slices
    assert found is not None
    assert found[0].name.startswith("difficulty > 0.7")
    clusters = audit(before, after, examples, slices=True, embedding=np.stack([10.0 * (hard > 0.75), hard], 1)).slices
    assert clusters is not None
    assert (hard[clusters[0].members] > 0.75).all()


def test_principal_components_are_those_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    for shape, kept in (((40, 5), 5), ((6, 30, 2), 5), ((50, 8, 8), 32)):
        rows = rng_for(0, "rows", len(shape)).normal(0, 1, shape)
        flat = rows.reshape(len(rows), -1)
        flat = flat if len(shape) > 2 else (flat - flat.mean(axis=0)) / flat.std(axis=0)
        wanted = PCA(kept).fit_transform(flat)
        assert np.abs(principal_components(rows)) == pytest.approx(np.abs(wanted), abs=1e-6)
    assert principal_components(np.zeros((3, 2))) == pytest.approx(0)


def test_predictions_are_the_same_from_a_file(tmp_path: Path) -> None:
    ids = np.array([f"e{k}" for k in range(N)])
    before, _ = populations(np.arange(N) % 2, ids, np.zeros(N))
    save_predictions(tmp_path / "a.npz", before)
    found = load_predictions(tmp_path / "a.npz", ids=ids[:3], classes=2)
    assert found.ids.tolist() == ids.tolist()
    assert found.probabilities == pytest.approx(before.probabilities, abs=1e-6)
    np.savez(tmp_path / "b.npz", logits=np.log(before.probabilities[0]))
    assert load_predictions(tmp_path / "b.npz", ids=ids, classes=2).probabilities[0] == pytest.approx(
        before.probabilities[0]
    )
    np.savez(tmp_path / "c.npz", predicted=before.predicted)
    assert np.array_equal(load_predictions(tmp_path / "c.npz", ids=ids, classes=2).predicted, before.predicted)


def test_without_labels_the_lists_are_there_and_rates_are_not() -> None:
    iris = load("iris")
    assert iris.labels is not None
    bare = type(iris)(iris.inputs, None, iris.ids)
    one = Population.from_labels(np.stack([iris.labels] * 4), iris.ids, classes=3)
    other = Population.from_labels(np.stack([np.roll(iris.labels, 5)] * 4), iris.ids, classes=3)
    found = audit(one, other, bare)
    assert found.impacts == ()
    assert found.accuracy is None
    assert found.pie.changed.sum() == 15
    json.dumps(found.to_dict(), allow_nan=False)
    with pytest.raises(DataError, match="leave groups out"):
        audit(one, other, bare, groups=("a",))
    with pytest.raises(InputError, match="no group 'a'"):
        audit(one, other, iris, groups=("a",))
    with pytest.raises(DataError, match="predicts a number"):
        audit(one, other, load("diabetes"))
    with pytest.raises(InputError, match="no id of population is in"):
        audit(one, other, load("wine"))


def test_single_models_are_compared_with_a_warning() -> None:
    iris = load("iris")
    assert iris.labels is not None
    one = Population.from_labels(iris.labels, iris.ids, classes=3)
    other = Population.from_labels(np.roll(iris.labels, 5), iris.ids, classes=3)
    found = audit(one, other, iris)
    assert found.warnings == ("one model on a side: seed churn cannot be told from change",)
    assert {finding.verdict for finding in found.findings} == {"no null"}
    assert found.pie.rate == pytest.approx(0.1)
    assert not any(line.significant for line in found.impacts)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ({"ids": np.array(["a"])}, "must hold one of"),
        ({"logits": np.zeros((150, 3)), "predicted": np.zeros(150, int)}, "logits and predicted"),
        ({"logits": np.zeros((4, 3))}, "has 4 examples without ids, and the data 150"),
        ({"logits": np.zeros((150, 2))}, "has 2 classes, and the data 3"),
        ({"predicted": np.full(150, 3)}, "whole numbers from 0 to 2"),
        ({"probabilities": np.zeros((150, 3))}, "sum to 1"),
        ({"logits": np.zeros(150)}, "must be numbers of shape"),
        ({"logits": np.array([{}])}, "without objects"),
    ],
)
def test_files_that_do_not_fit_are_one_line(
    held: dict[str, np.ndarray], wanted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "a.npz", **held)
    assert run("audit", tmp_path / "a.npz", tmp_path / "a.npz", "--data", "iris") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert wanted in told.err
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("nothing.npz", "nothing.npz", "--data", "iris"), "there is no file nothing.npz"),
        (("a", "b", "--q", "0"), "q must be between 0 and 1"),
        (("a", "b", "--data", "diabetes"), "has no classes to predict"),
        (("a", "b", "--data", "iris", "--groups", "colour"), "group_columns"),
    ],
)
def test_wrong_use_is_one_line(words: tuple[str, ...], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", *words) == 2
    told = capsys.readouterr().err
    assert wanted in told
    assert told.count("\n") == 1


def test_damaged_files_and_single_arrays_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez_compressed(tmp_path / "a.npz", logits=rng_for(0, "damaged").normal(size=(150, 3)))
    whole = (tmp_path / "a.npz").read_bytes()
    for place in range(60, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 255
        (tmp_path / "a.npz").write_bytes(damaged)
        code = run("audit", tmp_path / "a.npz", tmp_path / "a.npz", "--data", "iris", "--json")
        told = capsys.readouterr().err
        assert (code, told.count("\n")) in ((0, 0), (2, 1)), told
    np.save(tmp_path / "a.npy", np.zeros((150, 3)))
    assert run("audit", tmp_path / "a.npy", tmp_path / "a.npy", "--data", "iris") == 2
    assert "it is a single array" in capsys.readouterr().err


def test_one_model_on_a_side_tells_what_it_can(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = load("iris").labels
    assert labels is not None
    np.savez(tmp_path / "a.npz", predicted=labels)
    np.savez(tmp_path / "b.npz", predicted=np.roll(labels, 5))
    assert run("audit", tmp_path / "a.npz", tmp_path / "b.npz", "--data", "iris") == 0
    told = capsys.readouterr().out
    assert "seed churn cannot be told from change" in told
    assert "CIE: one model before does not tell how far is far" in told
    assert "nan" not in told


def test_a_file_that_is_no_archive_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.npz").write_bytes(b"not an archive")
    assert run("audit", tmp_path / "a.npz", tmp_path / "a.npz", "--data", "iris") == 2
    assert "cannot be read as .npz" in capsys.readouterr().err
