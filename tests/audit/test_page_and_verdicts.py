"""The folder of an audit: columns of the ledger, the page with its pictures, and what people said."""

from __future__ import annotations

import base64
import io
import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from selftaught.audit import Population, example_sheet, read_verdicts, record_verdict, sweep, taxicab, write_findings
from selftaught.audit.picture import png
from selftaught.cli import main
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.report import write_audit_page
from tests.audit.populations import planted

LABELS = np.arange(120) % 3
IDS = np.array([f"e{k}" for k in range(120)])
EVIL = "<script>alert(1)</script>"


def examples(kind: str) -> Examples:
    rng = np.random.default_rng(0)
    shape = {"grey": (6, 5), "two": (6, 5, 2), "colour": (6, 5, 3), "four": (6, 5, 4), "table": (4,)}[kind]
    inputs = rng.integers(0, 256, (120, *shape)).astype(np.float32 if kind == "table" else np.uint8)
    names = ("one", "two", EVIL, "four") if kind == "table" else ()
    return Examples(inputs, LABELS, IDS, class_names=("a", EVIL, "c"), feature_names=names, name="made <b>")


def folder(tmp_path: Path, kind: str) -> Path:
    populations = {0.0: planted(4, LABELS, seed=0, name="dense"),
                   0.9: planted(4, LABELS, seed=1, name="pruned", harm=4.0 * (LABELS == 2))}  # fmt: skip
    data = examples(kind)
    found = sweep(populations, data)
    named = dict(zip((one.name for one in found.levels), populations.values(), strict=True))
    return write_findings(tmp_path / "out", found, named, data, command="selftaught audit & <i>", top=7)


def test_the_ledger_and_the_sheet_rank_alike(tmp_path: Path) -> None:
    place = folder(tmp_path, "grey")
    dense, pruned = planted(4, LABELS, seed=0, name="dense"), planted(4, LABELS, seed=1, name="pruned",
                                                                     harm=4.0 * (LABELS == 2))  # fmt: skip
    moved = Ledger(place / "ledger").values("taxicab", IDS, level="90 %")
    assert moved == pytest.approx(taxicab(dense, pruned))
    sheet = json.loads((place / "sheet.json").read_text())["sheets"][0]["examples"]
    assert [one["id"] for one in sheet] == [f"e{k}" for k in np.argsort(-moved, kind="stable")[:7]]
    assert [one["rank"] for one in sheet] == list(range(1, 8))
    changed = Ledger(place / "ledger").values("pie", IDS, level="90 %")
    assert [one["changed"] for one in sheet] == [bool(changed[int(one["id"][1:])]) for one in sheet]
    mean = dense.probabilities.mean(axis=0)
    first = int(sheet[0]["id"][1:])
    assert sheet[0]["before"]["probability"] == pytest.approx(mean[first].max(), abs=1e-4)
    assert sheet[0]["given"] == ("a", EVIL, "c")[first % 3]


@pytest.mark.parametrize("kind", ["grey", "two", "colour", "four", "table"])
def test_the_page_shows_every_example_and_runs_nothing(kind: str, tmp_path: Path) -> None:
    place = folder(tmp_path, kind)
    text = write_audit_page(place).read_text("utf-8")
    assert text.count("<figure>") == 7
    assert text.count('src="data:image/png;base64,') == (0 if kind == "table" else 7)
    assert "<script" not in text
    assert "<i>" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert "Chance alone" in text
    assert "made &lt;b&gt;" in text
    assert "Nobody has looked yet" in text
    assert text == write_audit_page(place).read_text("utf-8")


def test_one_model_a_side_is_not_called_safe(tmp_path: Path) -> None:
    populations = {0.0: planted(1, LABELS, seed=0, name="dense"), 0.9: planted(1, LABELS, seed=1, name="pruned")}
    found, data = sweep(populations, examples("grey")), examples("grey")
    named = dict(zip((one.name for one in found.levels), populations.values(), strict=True))
    place = write_findings(tmp_path / "out", found, named, data, command="selftaught audit", top=7)
    told = json.loads((place / "audit.json").read_text())
    assert (told["tested"], told["safest"]) == (False, None)
    write_audit_page(place)
    page = (place / "audit.html").read_text()
    assert "Too few models or examples to tell a change from chance." in page
    assert "What seeds alone change is not known" in page
    assert "No class or group is shown to be worse off" not in page
    assert "Chance alone:" not in page


def test_verdicts_are_kept_replaced_counted_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = folder(tmp_path, "grey")
    shown = json.loads((place / "sheet.json").read_text())["sheets"][0]["examples"]
    first, second = shown[0]["id"], shown[1]["id"]
    for one, said in ((first, "rare"), (second, "mislabelled"), (first, "ambiguous")):
        with pytest.raises(SystemExit) as left:
            main(["verdict", str(place), one, said])
        assert left.value.code == 0
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == f"{first}: ambiguous; 2 looked at: 1 mislabelled, 1 ambiguous, 0 rare, 0 fine"
    assert read_verdicts(place) == {first: "ambiguous", second: "mislabelled"}
    assert Ledger(place / "ledger").values("verdict", [first, second, "e999"])[:2].tolist() == [2, 3]
    text = (place / "audit.html").read_text("utf-8")
    assert "2 looked at: 1 mislabelled, 1 ambiguous, 0 rare, 0 fine" in text
    assert text.count('class="chip"') == 2


def test_ids_may_be_shortened_and_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = folder(tmp_path, "grey")
    frame = Ledger(place / "ledger").read("taxicab")
    assert frame.height == 120
    with pytest.raises(InputError, match="there is no example 'e999'"):
        record_verdict(place, "e999", "fine")
    with pytest.raises(InputError, match="there is no example 'e' in"):
        record_verdict(place, "e", "fine")
    with pytest.raises(InputError, match="one of fine, rare, ambiguous, mislabelled, got 'odd'"):
        record_verdict(place, "e1", "odd")
    with pytest.raises(InputError, match="holds no audit"):
        record_verdict(tmp_path, "e1", "fine")
    with pytest.raises(InputError, match="holds no audit"):
        write_audit_page(tmp_path)
    (place / "audit.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        write_audit_page(place)
    with pytest.raises(SystemExit) as left:
        main(["verdict", str(place), "e1", "odd"])
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_pictures_are_what_was_given() -> None:
    rng = np.random.default_rng(0)
    grey, colour = rng.integers(0, 256, (5, 7), np.uint8), rng.integers(0, 256, (5, 7, 3), np.uint8)
    for image in (grey, colour):
        data = png(image)
        width, height = struct.unpack(">II", data[16:24])
        assert (height, width) == image.shape[:2]
        start = data.index(b"IDAT") + 4
        rows = np.frombuffer(zlib.decompress(data[start : data.rindex(b"IEND") - 8]), np.uint8).reshape(5, -1)
        assert not rows[:, 0].any()
        assert np.array_equal(rows[:, 1:].reshape(image.shape), image)
    assert png(grey[:, :, None]) == png(grey)
    assert png(np.array([[0.0, 1.0]])) == png(np.array([[0, 255]], np.uint8))
    assert png(np.array([[-2.0, 2.0]])) == png(np.array([[0, 255]], np.uint8))
    with pytest.raises(InputError, match="an image must have shape"):
        png(np.zeros((3, 3, 2)))


def test_pictures_open_in_a_library_of_pictures() -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(1).integers(0, 256, (4, 9, 3), np.uint8)
    assert np.array_equal(np.asarray(image.open(io.BytesIO(png(pixels)))), pixels)


def test_a_browser_shows_the_page(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser is installed")
    from tests.report.test_in_browser import browse, said

    done = browse(write_audit_page(folder(tmp_path, "colour")), tmp_path, "--dump-dom")
    assert said(done) == []
    assert done.stdout.count("<figure>") == 7


def test_only_what_both_have_is_shown() -> None:
    data = examples("grey")
    dense, other = planted(4, LABELS, seed=0, name="dense"), planted(4, LABELS, seed=1, name="other")
    shown = example_sheet(dense, other.take(np.arange(5)), data.take(np.arange(3)), top=10)
    assert {one["id"] for one in shown} == {"e0", "e1", "e2"}
    with pytest.raises(InputError, match="no id of dense is in"):
        example_sheet(dense.take(np.arange(5)), other, data.take(np.arange(9, 12)))


def test_images_that_leave_most_of_a_byte_unused_are_not_shown_black() -> None:
    pixels = np.zeros((40, 2, 2), np.uint8)
    pixels[:, 0, 0], pixels[:, 1, 1] = 16, 8
    ids = np.array([f"e{k}" for k in range(40)])
    data = Examples(pixels, np.arange(40) % 3, ids, name="dim", class_names=("a", "b", "c"))
    dense, other = planted(4, LABELS, seed=0, name="dense"), planted(4, LABELS, seed=1, name="other")
    shown = example_sheet(dense, other, data, top=1)
    wanted = np.array([[255, 0], [0, 128]], np.uint8)
    assert base64.b64decode(shown[0]["image"]) == png(wanted)
    data = Examples(pixels * 15, data.labels, ids, name="bright", class_names=data.class_names)
    assert base64.b64decode(example_sheet(dense, other, data, top=1)[0]["image"]) == png(data.inputs[0])


def test_the_id_that_is_shown_is_enough_for_a_verdict(tmp_path: Path) -> None:
    data = examples("table")
    for start in ("customer-of-ours", "0" * 16):
        names = np.array([f"{start}-{k}" for k in range(120)])
        data = Examples(data.inputs, LABELS, names, class_names=data.class_names, feature_names=data.feature_names)
        made = {0.0: planted(4, LABELS, seed=0, name="dense"), 0.9: planted(4, LABELS, seed=1, name="pruned")}
        made = {level: Population(one.probabilities, names, one.name) for level, one in made.items()}
        found = sweep(made, data)
        named = dict(zip((one.name for one in found.levels), made.values(), strict=True))
        place = write_findings(tmp_path / names[0], found, named, data, top=20)
        text = write_audit_page(place).read_text("utf-8")
        for one in json.loads((place / "sheet.json").read_text())["sheets"][0]["examples"]:
            assert f"<code>{one['short']}</code>" in text
            assert record_verdict(place, one["short"], "fine")[0] == one["id"]


def test_the_headline_is_what_the_levels_say(tmp_path: Path) -> None:
    labels, ids = np.arange(400) % 4, np.array([f"e{k}" for k in range(400)])
    data = Examples(np.zeros((400, 2), np.float32), labels, ids, class_names=tuple("abcd"), name="made")
    said = {(3.0, 0.0): "Already at 50 % some class", (3.0, 3.0): "At every level some class",
            (0.0, 3.0): "Up to 50 % no class or group"}  # fmt: skip
    for harms, sentence in said.items():
        made = {
            level: planted(6, labels, seed=k, name=f"level {k}", harm=harm * (labels == 2))
            for k, (level, harm) in enumerate(zip((0.0, 0.5, 0.9), (0.0, *harms), strict=True))
        }
        found = sweep(made, data)
        named = dict(zip((one.name for one in found.levels), made.values(), strict=True))
        page = write_audit_page(write_findings(tmp_path / sentence, found, named, data, top=1)).read_text("utf-8")
        assert f"<h1>{sentence}" in page


def test_verdicts_outlive_another_audit_in_the_same_folder(tmp_path: Path) -> None:
    record_verdict(folder(tmp_path, "table"), "e17", "rare")
    again = folder(tmp_path, "table")
    assert read_verdicts(again) == {"e17": "rare"}
    assert "1 looked at: 0 mislabelled, 0 ambiguous, 1 rare, 0 fine" in write_audit_page(again).read_text("utf-8")
