"""Write what is generated in this folder: the table of operators, and the picture of the recorded run.

``python docs/generate.py``, or `make docs` with the measured pages. The tests hold both against what it would write.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from selftaught.programs.operators import OPERATOR_SETS, OPERATORS, ConstantKind, Operator
from selftaught.report import progress_picture, read_run, recording

__all__ = ["CONSTANTS", "generated", "operator_table"]

DOCS = Path(__file__).resolve().parent
PAGE, PICTURE = "program-format.md", "recorded-run.svg"
BEGIN, END = "<!-- operators: written by make docs, edits are lost -->\n", "<!-- end of operators -->\n"
#: The words that stand for constants in the table.
CONSTANTS: dict[ConstantKind, str] = {
    "value": "x", "index": "i", "low": "low", "high": "high", "mean": "mean", "std": "std",
}  # fmt: skip


def operator_table() -> str:
    """Return the table of operators as Markdown, a row an operator."""
    rows = [
        "| number | name | written | ns at 4, 16 features | also in the sets |",
        "|---:|---|---|---:|---|",
    ]
    for one in OPERATORS:
        four, sixteen = one.cost
        sets = ", ".join(name for name, given in OPERATOR_SETS.items() if name != "all" and _holds(given.values(), one))
        rows.append(f"| {one.id} | `{one.name}` | `{_written(one)}` | {four:.1f}, {sixteen:.1f} | {sets} |")
    return "\n".join(rows) + "\n"


def _holds(functions: Iterable[tuple[int, ...]], operator: Operator) -> bool:
    return any(operator.id in ids for ids in functions)


def _written(operator: Operator) -> str:
    """Return an example of an operator's text: slots 3, 1 and 2, and words for the constants."""
    words = [CONSTANTS[kind] for kind in operator.draw]
    if words[:2] == ["i", "i"]:
        words[1] = "j"
    constants = dict(zip(("c0", "c1", "c2"), words, strict=False))
    slots = {"out": f"{operator.out}3", "in1": f"{operator.in1}1", "in2": f"{operator.in2}2"}
    return operator.text.format(**slots, **constants)


def generated() -> dict[Path, str]:
    """Return each file with the text that it should hold."""
    page = (DOCS / PAGE).read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return {
        DOCS / PAGE: f"{before}{BEGIN}\n{operator_table()}\n{END}{after}",
        DOCS / PICTURE: progress_picture(read_run(recording())),
    }


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
