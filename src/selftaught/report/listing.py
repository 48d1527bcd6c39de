"""A program as a listing: each line with a bar of what it is worth, and a change from one program to the next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape

from selftaught.report.code import FUNCTIONS, Change, Code
from selftaught.report.record import Explanation, LineWorth
from selftaught.report.svg import element

__all__ = ["ablation_bar", "coloured", "diff_listing", "program_listing", "worth_of_lines"]

_ROLES = {"s0": "the label", "s1": "the prediction", "v0": "the features"}
_SEVERAL = {"v0": "the features", "v1": "the label", "v2": "the prediction"}
_AROUND = 2  # lines shown on both sides of a change
_WHEN = {"setup": "once, before training", "predict": "for every example", "learn": "after each training example"}
_TOKEN = re.compile(
    r"(?P<note>\#.*)|(?P<slot>\b[svm]\d+\b)|(?P<number>-?\b\d[\d.]*(?:e[-+]?\d+)?\b)|(?P<word>[a-z_]{2,})"
)


@lru_cache(maxsize=4096)  # the steps of a line of descent share most of their lines
def coloured(line: str, *, several_classes: bool = False) -> str:
    """Return a line of code as HTML, its slots, numbers and functions marked; every character is escaped.

    >>> coloured("s2 = <b>")
    '<span class="slot">s2</span> = &lt;b&gt;'
    """
    roles = _SEVERAL if several_classes else _ROLES
    parts, end = [], 0
    for found in _TOKEN.finditer(line):
        parts.append(escape(line[end : found.start()]))
        kind, word = str(found.lastgroup), found[0]
        role = roles.get(word) if kind == "slot" else None
        parts.append(element("span", escape(word), class_=f"{kind} role" if role else kind, title=role))
        end = found.end()
    return "".join([*parts, escape(line[end:])])


def worth_of_lines(code: Code, explanation: Explanation | None) -> dict[tuple[str, int], LineWorth]:
    """Return the worth of each line that was measured, by its function and number.

    A measurement belongs to the line it names when the texts agree; else to the first line of the function with its
    text that has none yet, for the explained program may have been shortened.
    """
    found: dict[tuple[str, int], LineWorth] = {}
    left = []
    for drop in explanation.drops if explanation else ():
        lines = code.get(drop.function, ())
        if 0 <= drop.line < len(lines) and _bare(lines[drop.line]) == _bare(drop.text):
            found[drop.function, drop.line] = drop
        else:
            left.append(drop)
    for drop in left:
        for number, line in enumerate(code.get(drop.function, ())):
            if (drop.function, number) not in found and _bare(line) == _bare(drop.text):
                found[drop.function, number] = drop
                break
    return found


def _bare(line: str) -> str:
    return " ".join(line.split("#", 1)[0].split())


def ablation_bar(worth: LineWorth, most: float, floor: float) -> str:
    """Draw what a line is worth: a bar from 0 to the mean loss with a whisker over its interval.

    Args:
        worth: of the line.
        most: the loss that fills the whole width.
        floor: the smallest loss that is not noise; smaller ones are drawn pale.
    """
    scale = 100.0 / most if most > 0 else 0.0
    place = [min(100.0, max(0.0, value * scale)) for value in (worth.drop, worth.low, worth.high)]
    words = f"without this line fitness falls by {worth.drop:.4f} [{worth.low:.4f}, {worth.high:.4f}]"
    if worth.drop < 0:
        words = f"without this line fitness rises by {-worth.drop:.4f} [{-worth.high:.4f}, {-worth.low:.4f}]"
    if worth.drop <= floor:
        words += f", not more than noise ({floor:.4f})"
    return element(
        "svg",
        element("title", words)
        + element("rect", class_="bar", x=0, y=3, width=place[0], height=8, rx=1)
        + element("line", class_="whisker", x1=place[1], x2=place[2], y1=7, y2=7),
        class_="worth" if worth.drop > floor else "worth idle", viewBox="0 0 100 14", preserveAspectRatio="none",
        role="img", aria_label=words, data_drop=repr(worth.drop), data_low=repr(worth.low), data_high=repr(worth.high),
    )  # fmt: skip


def program_listing(
    code: Code, *, explanation: Explanation | None = None, several_classes: bool = False, name: str = "program"
) -> str:
    """Return a program as HTML: its three functions, each line with its bar where it was measured.

    Args:
        code: the lines.
        explanation: what each line is worth, or None.
        several_classes: whether v1 is the label and v2 the prediction.
        name: the class of the listing.
    """
    worth = worth_of_lines(code, explanation)
    most = max([max(one.drop, one.high) for one in worth.values()] or [0.0])
    rows = []
    for function in FUNCTIONS:
        when = element("span", _WHEN[function], class_="when")
        rows.append(element("div", element("span", f"{function}:", class_="def") + when, class_="row head"))
        if not code[function]:
            rows.append(element("div", element("code", "pass", class_="pass"), class_="row"))
        for number, line in enumerate(code[function]):
            cells = element("code", coloured(line, several_classes=several_classes))
            drop = worth.get((function, number))
            if drop is not None:
                loss = f"{drop.drop:.4f}".replace("-", "−")
                cells += ablation_bar(drop, most, explanation.floor if explanation else 0.0)
                cells += element("span", "0" if loss.strip("−") == "0.0000" else loss, class_="loss")
            rows.append(element("div", cells, class_="row"))
    return element("div", "".join(rows), class_=f"listing {name}" + (" measured" if worth else ""))


def diff_listing(changes: Sequence[Change], *, several_classes: bool = False) -> str:
    """Return what changed from one program to the next as HTML, with the lines that stayed near it."""
    rows = []
    for function in FUNCTIONS:
        lines = [change for change in changes if change.function == function]
        changed = [number for number, change in enumerate(lines) if change.kind != " "]
        shown = {n for number in changed for n in range(number - _AROUND, number + _AROUND + 1)}
        if not changed:
            continue
        rows.append(element("div", element("span", f"{function}:", class_="def"), class_="row head"))
        hidden = 0
        for number, change in enumerate(lines):
            if number not in shown:
                hidden += 1
                continue
            rows += _stay(hidden)
            hidden = 0
            kind = {"+": "ins", "-": "del"}.get(change.kind)
            sign = element("span", {"+": "+", "-": "−"}.get(change.kind, " "), class_="sign")
            line = element("code", coloured(change.text, several_classes=several_classes))
            body = sign + (element(kind, line) if kind else line)
            rows.append(element("div", body, class_="row" + (f" {kind}" if kind else "")))
        rows += _stay(hidden)
    return element("div", "".join(rows) or "the same program", class_="listing diff")


def _stay(hidden: int) -> list[str]:
    words = f"… {hidden} line{'s' * (hidden > 1)} as before"
    return [element("div", element("span", words, class_="when"), class_="row")] if hidden else []
