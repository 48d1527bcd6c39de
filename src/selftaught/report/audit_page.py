"""The page of an audit: what each level cost, whom, and the examples that moved furthest; one file without scripts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from selftaught.errors import DataError, InputError
from selftaught.report.picture import chart_style
from selftaught.report.svg import element
from selftaught.writing import write_atomically

__all__ = ["AUDIT_PAGE", "audit_page", "write_audit_page"]

AUDIT_PAGE = "audit.html"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_KINDS = ("mislabelled", "ambiguous", "rare", "fine")
_MEASURES = {"false positive rate": "FP rate", "false negative rate": "FN rate"}
_MOST_LINES = 60


def write_audit_page(folder: str | os.PathLike[str]) -> Path:
    """Write the page of the audit in a folder, `audit.html`; return where it lies.

    Raises:
        InputError: there is no audit, or the page cannot be written.
        DataError: a file of the audit is damaged.
    """
    place = Path(folder).expanduser()
    found, sheet = _read(place / "audit.json"), _read(place / "sheet.json")
    if not found or not sheet:
        raise InputError(f"{place} holds no audit; give the folder that `selftaught audit --out` left")
    try:
        text = audit_page(found, sheet, _read(place / "verdicts.json") or {})
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"the audit in {place} is damaged ({type(error).__name__} {error}); run it again") from None
    path = place / AUDIT_PAGE
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror})") from None
    return path


def audit_page(found: Mapping[str, Any], sheet: Mapping[str, Any], verdicts: Mapping[str, str]) -> str:
    """Return the page as the text of an HTML file; nothing of it is a link to another place.

    Args:
        found: what `audit.json` holds.
        sheet: what `sheet.json` holds.
        verdicts: what people said, by id.
    """
    package = files("selftaught.report")
    style = chart_style() + "".join(package.joinpath(name).read_text("utf-8") for name in ("page.css", "audit.css"))
    sheets = {one["level"]: one["examples"] for one in sheet["sheets"]}
    body = _headline(found) + _steps(found) + _mitigated(found.get("mitigations")) + _said(verdicts)
    for level in found["levels"][1:]:
        body += _level(level, sheets.get(level["name"], []), verdicts)
    body += _how(found)
    head = (
        '<meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY, quote=True)}"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        '<meta name="color-scheme" content="light dark"/>'
        f"<title>{escape(str(found['data']))}: what was forgotten</title><style>\n{style}</style>"
    )
    foot = element("footer", "This page is one file, works offline and runs no script.")
    whole = element("main", body + foot)
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>{whole}</body>\n</html>\n'


def _headline(found: Mapping[str, Any]) -> str:
    safest, first = found["safest"], found["levels"][0]["name"]
    last = found["levels"][-1]["name"]
    if not found["tested"]:
        sentence = "Too few models or examples to tell a change from chance."
    elif safest == first:
        sentence = "At every level some class or group is significantly worse off."
        if not all(level["worse"] for level in found["levels"][1:]):
            sentence = f"Already at {found['levels'][1]['name']} some class or group is significantly worse off."
        if len(found["levels"]) == 2:
            sentence = f"{last}: some class or group is significantly worse off than {first}."
    elif safest == last:
        sentence = f"No class or group is shown to be worse off up to {last}."
    else:
        sentence = f"Up to {safest} no class or group is shown to be worse off; beyond it, some are."
    eyebrow = f"<b>audit</b> of {escape(str(found['data']))}"
    note = (
        "Every number stands beside what seeds alone do. A change within that is called seed churn; what is not shown "
        "is not ruled out."
    )
    return element("p", eyebrow, class_="eyebrow") + element("h1", escape(sentence)) + element("p", note, class_="lead")


def _steps(found: Mapping[str, Any]) -> str:
    head = ("level", "accuracy", "changed (PIE)", "by seeds alone", "verdict", "accuracy on the changed / off",
            "hurt most", "worse off")  # fmt: skip
    rows = []
    for level in found["levels"]:
        told = level["audit"]
        accuracy = f"{_number(level['accuracy'], 3)}" + (f" ± {level['deviation']:.3f}" if level["deviation"] else "")
        if told is None:
            rows.append([level["name"], accuracy, *[""] * 6])
            continue
        pie, sides = told["pie"], told["accuracy_on_pie"]
        worst = level["hurt"]
        hurt = "" if worst is None else f"{worst['where']} {worst['change']:+.3f}"
        on = "" if sides is None else " / ".join(_number(sides[one], 3) or "none" for one in ("after_on", "after_off"))
        rows.append([
            level["name"], accuracy, _number(pie["rate"], 3), _number(pie["churn"], 3), pie["finding"]["verdict"], on,
            hurt, ", ".join(level["worse"]) or "nobody is shown to be",
        ])  # fmt: skip
    said = "Each level against the first. Changed: the most frequent answer is another, at equal numbers of models."
    return element("section", element("h2", "What each level costs") + element("p", said) + _table(head, rows))


def _mitigated(found: Any) -> str:
    if not found:
        return ""
    names = [chr(ord("A") + k) for k in range(len(found))]
    rows = []
    for lines in zip(*(part["lines"] for part in found), strict=True):
        cells = [_changed(one) for one in lines]
        rows.append([lines[0]["where"], str(lines[0]["n"]), _number(lines[0]["before"], 3), *cells])
    ends = {True: "the examples found gain, and nobody is shown to lose", False: "no gain without a loss is shown"}
    told = "".join(
        element("li", f"<b>{name}</b> {escape(part['name'])}: {ends[bool(part['holds'])]}")
        for name, part in zip(names, found, strict=True)
    )
    said = "Judged on examples that nothing was chosen on; those found, by models that did not find them."
    parts = element("h2", "What can be done about it") + element("p", said) + element("ul", told, class_="notes")
    return element("section", parts + _table(("where", "n", "before", *names), rows))


def _changed(line: Mapping[str, Any]) -> str:
    if line["before"] is None or line["after"] is None:
        return ""
    return f"{line['after']:.3f} ({line['after'] - line['before']:+.3f}, {line['verdict']})"


def _said(verdicts: Mapping[str, str]) -> str:
    if not verdicts:
        text = (
            "Nobody has looked yet. Record what you see: selftaught verdict FOLDER ID, followed by rare, ambiguous, "
            "mislabelled or fine."
        )
        return element("section", element("h2", "Verdicts") + element("p", escape(text)))
    counts = ", ".join(f"{sum(one == kind for one in verdicts.values())} {kind}" for kind in _KINDS)
    return element("section", element("h2", "Verdicts") + element("p", f"{len(verdicts)} looked at: {counts}."))


def _level(level: Mapping[str, Any], examples: Sequence[Mapping[str, Any]], verdicts: Mapping[str, str]) -> str:
    told = level["audit"]
    pie, cie = told["pie"], told["cie"]
    null = (
        f"Chance alone: {_number(pie['churn'], 3)} of the examples change between halves of the first population, and "
        f"{_number(cie['churn'], 3)} move beyond the threshold; here it is {_number(pie['rate'], 3)} and "
        f"{_number(cie['rate'], 3)} ({pie['finding']['verdict']})."
    )
    if pie["churn"] is None:
        null = (
            f"{_number(pie['rate'], 3)} of the examples changed their label. What seeds alone change is not known: "
            "that takes four models or more before the change, and several after it."
        )
    parts = [element("h2", escape(str(level["name"]))), element("p", escape(null)), _impacts(told["impacts"])]
    if examples:
        parts.append(element("h3", f"The {len(examples)} examples that moved furthest, found without labels or groups"))
        parts.append(element("div", "".join(_card(one, verdicts) for one in examples), class_="sheet"))
    return element("section", "".join(parts))


def _impacts(impacts: Sequence[Mapping[str, Any]]) -> str:
    if not impacts:
        return element("p", "Without labels there are no rates of classes and groups.")
    rows = []
    for one in impacts[:_MOST_LINES]:
        raw = one["raw"]
        null = "" if raw["null"] is None else f"±{raw['null'][1]:.3f}"
        relative = "" if one["relative"] is None else f"{one['relative']:+.0%}"
        rows.append([
            one["where"], _MEASURES.get(one["measure"], one["measure"]), str(raw["n"]), _number(one["before"], 3),
            _number(one["after"], 3), _signed(raw["value"]), relative, null, _number(one["adjusted"], 3),
            one["verdict"],
        ])  # fmt: skip
    head = ("who", "rate", "n", "before", "after", "raw change", "relative", "chance", "p adjusted", "")
    left = len(impacts) - _MOST_LINES
    more = element("p", f"{left} more lines are in audit.json.") if left > 0 else ""
    inside = element("summary", f"{len(impacts)} classes and groups") + _table(head, rows) + more
    return element("details", inside, open="open" if len(rows) <= 12 else None)


def _card(one: Mapping[str, Any], verdicts: Mapping[str, str]) -> str:
    before, after = one["before"], one["after"]
    if one.get("image"):
        alt = f"example {one['id']}"
        shown = f'<img src="data:image/png;base64,{escape(one["image"], quote=True)}" alt="{escape(alt, quote=True)}"/>'
    else:
        pairs = [(escape(str(name)), escape(f"{value:.5g}")) for name, value in one.get("row", [])]
        cells = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in pairs)
        shown = element("div", element("table", element("tbody", cells)), class_="values")
    arrow = escape(before["class"])
    if one["changed"]:
        arrow = element("b", f"{arrow} → {escape(after['class'])}")
    lines = [
        element("span", f"{one['rank']}", class_="rank") + arrow,
        f"{before['probability']:.2f} → {after['probability']:.2f}",
        *([f"label: {escape(str(one['given']))}"] if one["given"] is not None else []),
        f"moved {one['taxicab']:.2f}",
        element("code", escape(one.get("short", one["id"]))),
    ]
    said = verdicts.get(one["id"])
    chip = element("span", escape(said), class_="chip") if said else ""
    return element("figure", shown + element("figcaption", "<br>".join(lines) + ("<br>" + chip if chip else "")))


def _how(found: Mapping[str, Any]) -> str:
    notes = [
        "Moved: the sum of the absolute changes of the mean probabilities, from 0 to 2.",
        "Probabilities are means over the models, of the class that most of them take.",
        "Pruning the same share in every layer and pruning by one threshold over all hurt different examples.",
        "More examples change where accuracy falls: compare methods at equal accuracy.",
    ]
    text = element("ul", "".join(element("li", escape(one)) for one in notes), class_="notes")
    command = found.get("command")
    again = element("p", "The same again:") + element("pre", escape(str(command))) if command else ""
    return element("section", element("h2", "Reading it") + text + again)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = element("thead", element("tr", "".join(element("th", escape(one)) for one in head)))
    body = element(
        "tbody", "".join(element("tr", "".join(element("td", escape(str(cell))) for cell in row)) for row in rows)
    )
    return element("div", element("table", top + body), class_="scroll")


def _number(value: Any, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _signed(value: Any) -> str:
    return "" if value is None else f"{value:+.3f}"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({type(error).__name__}); run the audit again") from None
    if not isinstance(found, dict):
        raise DataError(f"{path} cannot be read (no mapping); run the audit again")
    return found
