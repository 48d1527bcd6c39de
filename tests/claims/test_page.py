"""The page of evidence says what the rows say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from selftaught.claims import CLAIMS, render_page, reproduce
from tests.claims.make_believe import claim
from tests.claims.test_judges import RECIPES

PROGRAM = "selftaught-program 1\nslots: 2 scalars, 2 vectors, 0 matrices\ntask: regression\nsetup:\n    pass\n"


def test_the_page_shows_every_claim_with_its_status_and_its_groups() -> None:
    found = []
    for name, state in zip(CLAIMS, ["reproduced", "refuted", "inconclusive"] * 3, strict=False):
        found.append(CLAIMS[name].evidence(RECIPES[name](state)))
    page = render_page(found)
    for one in found:
        assert f"| [{one.name}](#{one.name}) | **{one.status}** |" in page
        assert f"## {one.name}\n\n{one.claim}" in page
        assert all(line in page for line in one.findings)
    assert page == render_page(found)
    assert "| learner | evolution | 5 |" in page
    assert "tiny scale" not in page


def test_a_claim_at_two_scales_is_one_section_with_the_figures_of_the_larger(tmp_path: Path) -> None:
    known = claim(0.1, 0.2, 0.1, 0.2, 0.1)
    known = replace(known, scales={**known.scales, "small": known.scales["tiny"]})
    tiny, small = (reproduce(known, scale=scale, rows=tmp_path / f"{scale}.jsonl") for scale in ("tiny", "small"))
    other = CLAIMS["lanes-pay"].evidence([])
    page = render_page([small, other, tiny])
    assert "| claim | status | tiny | small |" in page
    assert f"| [make-believe](#make-believe) |  | **{tiny.status}** | **{small.status}** |" in page
    assert page.count("## make-believe") == 1
    assert page.index("at the tiny scale.** Repeat: `") < page.index("at the small scale.** Repeat: `")
    assert page.index("## make-believe") < page.index("## lanes-pay")


def test_the_page_says_how_to_repeat_and_shows_the_best_program(tmp_path: Path) -> None:
    one = reproduce(claim(0.1, 0.2, 0.1, 0.2, 0.1), seed=3, rows=tmp_path / "rows.jsonl")
    page = render_page([one])
    assert "`selftaught reproduce make-believe --scale tiny --seed 3`" in page
    assert "*inconclusive*\nthere says that a minute is too short" in page
    assert f"Measured on: {one.rows[0]['machine']}." in page
    rows = [
        {"seed": k, "search": search, "fitness_final": fitness, "program": PROGRAM + f"predict:\n    s1 = {fitness}\n"}
        for k, (search, fitness) in enumerate([("live", 0.5), ("live", 0.75), ("random", 1.0)])
    ]
    shown = render_page([CLAIMS["lanes-pay"].evidence([])]) + render_page(
        [type(one)("c", "s", "k", tuple(rows), "inconclusive", (), "n")]
    )
    assert "The best program (seed 1, 0.7500 on final tasks)" in shown
    assert "s1 = 0.75\n```" in shown
    assert "s1 = 1.0" not in shown
