"""The sections of a report, each a pure function from a run to HTML whose every text is escaped."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from selftaught.report.code import code_of_text
from selftaught.report.counts import programs_at
from selftaught.report.forest_plot import contestants, forest_plot
from selftaught.report.lineage import Descent, Step, line_of_descent
from selftaught.report.listing import diff_listing, program_listing
from selftaught.report.numbers import clock, count, fitness, short_count
from selftaught.report.progress_chart import best_so_far, progress_chart
from selftaught.report.record import Record, RunRecord, TechniqueFound
from selftaught.report.svg import element
from selftaught.report.timeline import Appearance, appearances, techniques_at
from selftaught.report.verdict import FITNESS_MEANS, REASONS, known_as, verdict

__all__ = [
    "beside_baselines", "descent", "given", "headline", "notes", "progress", "repeat", "repeat_command", "techniques",
    "winner",
]  # fmt: skip

_NARROW = 400  # units of the drawings for phones
_ROUNDING = 1e-9  # fitness is a mean of float64: two orders of adding give two last digits
_OPEN = 3  # steps of the line of descent whose changes are shown at once
_BIAS = {
    "free": "The search was given operators, sizes and rules that hold for any program: no dead instruction, no "
    "duplicates, diversity. Nothing in it is shaped like learning.",
    "learner": "Beyond operators and sizes the search was given rules shaped like learning: a parameter's update "
    "depends on its old value, the label and the prediction. This is not a result from nothing.",
}
_LINKS = {
    "chosen": "the winner: the selection tasks chose it among the best programs, though it was not better than all "
    "before it; compared with the best of its time, which may or may not be an ancestor",
    "first": "made at the start of a population, without a parent",
    "child": "a child of the step above",
    "gap": "its parent was no improvement and was not kept; compared with the best of its island before that parent",
}


def techniques_of(run: RunRecord) -> tuple[str, ...]:
    """Return the techniques in the winner: those of its explanation, or those named when the run ended."""
    return tuple(one.name for one in run.explanation.techniques) if run.explanation else run.techniques


def headline(run: RunRecord) -> str:
    """Say what was searched and who won, with the few figures that matter."""
    sentence = verdict(run.test, run.baselines, run.bias)
    found = appearances(run)
    shown = [
        ("on unseen tasks", fitness(run.test.mean), f"fitness, 95 % interval {fitness(run.test.low)} to "
         f"{fitness(run.test.high)}, {run.test.tasks} tasks"),
        ("programs tried", short_count(run.programs), f"{short_count(run.programs_per_second)} a second"),
        ("time", clock(run.elapsed), REASONS.get(run.reason, run.reason)),
        ("lines of code", str(sum(len(lines) for lines in code_of_text(run.program).values())),
         f"found after {count(run.best_after)} programs"),
    ]  # fmt: skip
    of_winner = techniques_of(run)
    named = of_winner or tuple(one.name for one in found)
    if named:
        where = "techniques in it" if of_winner else "techniques seen"
        shown.insert(1, (where, str(len(named)), ", ".join(named[:3]) + (" …" if len(named) > 3 else "")))
    tiles = "".join(
        element(
            "div",
            element("span", escape(what)) + element("strong", escape(value)) + element("span", escape(more)),
            class_="tile first" if number == 0 else "tile",
        )
        for number, (what, value, more) in enumerate(shown)
    )
    facts = f"{escape(run.name)} · bias {escape(run.bias)} · search {escape(run.kind)} · seed {run.seed}"
    won = "beats every baseline" in sentence
    known = known_as(of_winner)
    return element(
        "header",
        element("p", f"<b>selftaught</b> · {facts}", class_="eyebrow")
        + (
            element("h1", escape(known[0].upper() + known[1:]))
            + element("p", _stressed(escape(sentence)), class_="verdict")
            if known
            else element("h1", _stressed(escape(sentence)), class_="verdict")
        )
        + element("p", escape(_lead(run)), class_="lead")
        + element("div", tiles, class_="tiles"),
        class_="won" if won else "open",
    )


def _stressed(sentence: str) -> str:
    for words in ("beats every baseline", "does not beat the best baseline", "draws level", "call it a tie"):
        sentence = sentence.replace(words, element("em", words))
    return sentence


def _lead(run: RunRecord) -> str:
    start = run.settings.get("start", "empty")
    origin = "programs that do nothing" if start == "empty" else f"the start {str(start)[:60]!r}"
    worth = "what each line of it is worth" if run.explanation and run.explanation.drops else "how it came about"
    return (
        f"Evolution began with {origin} and basic mathematics, and proposed {count(run.programs)} programs in "
        f"{clock(run.elapsed)}. This page shows what it found, {worth}, and how to repeat it."
    )


def progress(run: RunRecord) -> str:
    """Show the best fitness over programs tried, and its figures as a table."""
    if not run.history:
        return _section("Progress", "There is no history.jsonl, so the course of the run is not known.")
    means = FITNESS_MEANS.get(str(run.tasks.get("metric")), "fitness runs from 0 to 1")
    told = (
        "The curve is the best fitness on the search tasks, which guided the search and flatter it. The ring at the "
        "right is the winner on tasks that nothing saw before, with its 95 % interval; the dashed lines are the "
        f"baselines on these same tasks. {means[0].upper()}{means[1:]}."
    )
    if run.islands > 1:
        told += f" {run.islands} islands searched side by side; programs are counted over all of them."
    rows = [(clock(one.elapsed), count(_counted(run, one)), fitness(one.fitness)) for one in best_so_far(run.history)]
    table = _table(("time", "programs", "best fitness on the search tasks"), rows)
    figures = element("details", element("summary", "The figures of this chart") + table)
    return _section("Progress", told, _both(progress_chart, run, "progress") + figures)


def winner(run: RunRecord) -> str:
    """Show the winner's code with what each line is worth, its formulas and its short form."""
    explained, several = run.explanation, _several(run)
    found = code_of_text(run.program)
    code = code_of_text(explained.program) if explained else found
    told = "setup runs once, predict for every example, learn after each training example. "
    told += (
        "v0 holds the features, v1 the label and v2 the prediction."
        if several
        else "v0 holds the features, s0 the label and s1 the prediction."
    )
    parts = []
    if explained and explained.drops:
        told += (
            " The bar beside a line is the fitness lost on unseen tasks when that line is taken away, the thin line "
            f"its 95 % interval; grey bars are within the noise ({fitness(explained.floor)})."
        )
    dead = sum(map(len, found.values())) - sum(map(len, code.values()))
    if dead > 0:
        told += (
            f" {dead} line{'s' * (dead > 1)} of it that cannot change anything {'are' if dead > 1 else 'is'} left out."
        )
    parts.append(program_listing(code, explanation=explained, several_classes=several))
    if explained is None:
        parts.append(_how_to_explain(run))
    parts.append(_in_short(run, several))
    text = element("details", element("summary", "As text, to copy") + element("pre", escape(run.program)))
    return _section("The program", told, "".join(parts) + text)


def _how_to_explain(run: RunRecord) -> str:
    command = element("code", escape(f"selftaught explain {shlex.quote(str(run.folder))}"))
    return element(
        "p",
        f"What each line is worth, a shorter form and formulas are measured by {command}, which writes this page anew.",
    )


def _counted(run: RunRecord, one: Record) -> int:
    """Return the programs proposed when an improvement was found, over all islands."""
    return one.programs if run.islands == 1 else programs_at(run, one.elapsed)


def _in_short(run: RunRecord, several: bool) -> str:
    """Show the short form and the formulas side by side; empty when neither is known."""
    explained = run.explanation
    if explained is None or (explained.short is None and not explained.formulas):
        return ""
    blocks = []
    if explained.short is not None:
        short = code_of_text(explained.short)
        blocks.append(element("div", program_listing(short, several_classes=several, name="short")))
    if explained.formulas:
        lines = "".join(element("p", escape(text.replace("<-", "←")), title=name) for name, text in explained.formulas)
        blocks.append(element("div", lines, class_="formulas"))
    words = element("p", escape(_short_words(run)), class_="lead") if explained.short is not None else ""
    return element("h3", "In short") + words + element("div", "".join(blocks), class_="two")


def _short_words(run: RunRecord) -> str:
    explained = run.explanation
    if explained is None or explained.short is None:
        return ""
    lines = [sum(map(len, code_of_text(one).values())) for one in (explained.program, explained.short)]
    words = f"{lines[1]} instead of {lines[0]} lines"
    if explained.bits:
        words += f", {explained.bits[1]:.0f} instead of {explained.bits[0]:.0f} bits"
    if explained.short_fitness and explained.fitness:
        long, short = explained.fitness, explained.short_fitness
        words += f"; fitness {fitness(short.mean)} [{fitness(short.low)}, {fitness(short.high)}] against "
        words += f"{fitness(long.mean)} [{fitness(long.low)}, {fitness(long.high)}] on {short.tasks} unseen tasks"
    return words + "."


def beside_baselines(run: RunRecord) -> str:
    """Show every contestant with its interval on the final tasks."""
    told = (
        "All on the same final tasks, scored once. The linear learner and the two-layer net are written by hand in "
        "the same language and tuned; scikit-learn is its logistic or ridge regression on the same rows. Lines are "
        "95 % intervals, bootstrapped over tasks."
    )
    if not run.baselines:
        told = "The result names no baseline, so there is nothing to compare with."
    rows = [
        (who, fitness(one.mean), fitness(one.low), fitness(one.high), str(one.tasks)) for who, one in contestants(run)
    ]
    table = _table(("", "mean", "low", "high", "tasks"), rows)
    figures = element("details", element("summary", "The figures of this chart") + table)
    return _section("Beside the baselines", told, _both(forest_plot, run, "forest") + figures)


def techniques(run: RunRecord) -> str:
    """Show each technique: when it appeared, where it is, what it is worth; empty when none is known."""
    found = appearances(run)
    named = {one.name: one for one in run.explanation.techniques} if run.explanation else {}
    if run.timeline is None and run.explanation is None:
        return ""
    names = [one.name for one in found] + [name for name in named if name not in {one.name for one in found}]
    if not names:
        return _section("Techniques", "No technique with a name was found. What cannot be named stays unnamed.")
    first = {one.name: one for one in found}
    cards = "".join(_card(name, first.get(name), named.get(name), run.explanation is not None) for name in names)
    told = (
        "Named by tests of structure and behaviour, which can say no. The gain at the first appearance is that of the "
        "whole step, with all else it changed; the worth is what the winner loses without it on unseen tasks."
    )
    return _section("Techniques", told, element("div", cards, class_="techniques"))


def _card(name: str, first: Appearance | None, named: TechniqueFound | None, explained: bool) -> str:
    lines = [element("b", escape(name))]
    if named is not None and named.gain is not None:
        lines.append(element("span", f"worth {_signed(named.gain)} of fitness in the winner", class_="gain"))
    if named is None and explained:
        lines.append(element("span", "the winner no longer has it", class_="gone"))
    if first:
        told = f"First seen at {clock(first.elapsed)}, in program {count(first.programs)}; "
        told += f"the step that brought it gained {_signed(first.gain)}." if first.before else "the first of the run."
        lines.append(element("small", escape(told)))
    if named is not None:
        by = {"both": "By structure and behaviour", "": "Seen"}.get(named.found_by, f"By {named.found_by}")
        if named.evidence:
            lines.append(element("small", escape(f"{by}: {named.evidence}")))
        if named.instructions:
            where = ", ".join(f"{function} {line + 1}" for function, line in named.instructions)
            lines.append(element("small", escape(f"Lines: {where}")))
    return element("div", "".join(lines), class_="technique")


def descent(run: RunRecord) -> str:
    """Show the line of descent with what changed at each step."""
    if not run.history:
        return ""
    line, several = line_of_descent(run), _several(run)
    biggest = sorted(line.steps, key=lambda step: -step.gain)[:_OPEN]
    known = [techniques_at(run.timeline or (), step.record.programs, step.record.island) for step in line.steps]
    items = []
    for number, step in enumerate(line.steps):
        new = [name for name in known[number] if not any(name in names for names in known[:number])]
        items.append(
            _step(step, new, number, last=number == len(line.steps) - 1, opened=step in biggest, several=several)
        )
    return _section("Line of descent", _descent_words(run, line), element("ol", "".join(items), class_="steps"))


def _descent_words(run: RunRecord, line: Descent) -> str:
    start = run.settings.get("start", "empty")
    origin = "the empty program" if start == "empty" else f"the start ({str(start)[:60]})"
    told = f"From {origin} to the winner, as far as it was recorded. "
    if not line.reaches_winner:
        told = (
            "The winner is not among the recorded improvements: it was one of the best programs, and the selection "
            "tasks chose it. This is the line of the best improvement instead. "
        )
    if line.gaps:
        told += (
            f"A run keeps improvements alone, so at {line.gaps} of {len(line.steps)} steps the parent was not kept; "
            "such a step is compared with the best program of its island before that parent was born, which may or "
            "may not be an ancestor. "
        )
    if not line.certain:
        told += "With several islands a parent's number may be that of a migrant, so links are likely and not sure. "
    return told + "Fitness is that on the search tasks."


def _step(step: Step, new: Sequence[str], number: int, *, last: bool, opened: bool, several: bool) -> str:
    """Show one step: its fitness, what it gained, the techniques it brought, and what changed."""
    record = step.record
    chips = "".join(element("span", escape(name), class_="chip") for name in new)
    size = f"{step.changed} line{'s' * (step.changed != 1)}" + (" changed" if number else "")
    when = "" if step.link == "chosen" else f"at {clock(record.elapsed)}, "
    gain = _gain(step.gain) + " " if number else ""
    small = element("small", f"{when}program {count(record.programs)}, {size}")
    summary = f"{fitness(record.fitness)} {gain}{small}"
    body = element("p", _LINKS[step.link]) + diff_listing(step.changes, several_classes=several)
    content = element("details", element("summary", summary) + body, open="open" if opened else None)
    kinds = " ".join(kind for kind, so in (("gap", step.link in ("gap", "chosen")), ("last", last)) if so)
    return element("li", content + chips, class_=kinds or None)


def given(run: RunRecord) -> str:
    """Show what the search was given: the bias level first, then every setting."""
    rows: list[tuple[str, str]] = [
        ("bias", run.bias), ("search", run.kind), ("seed", str(run.seed)),
        ("task", str(run.tasks.get("kind", "?"))), ("metric", str(run.tasks.get("metric", "?"))),
    ]  # fmt: skip
    for name in ("features", "search", "selection", "final"):
        if name in run.tasks:
            rows.append((name if name == "features" else f"{name} tasks", str(run.tasks[name])))
    known = {*dict(rows), "operators"}
    rows += [(key, _brief(value)) for key, value in run.settings.items() if key not in known]
    rows.append(("CPU seconds", f"{run.cpu_seconds:.1f}"))
    rows += [(f"recording: {key}", str(value)) for key, value in run.about.items()]
    body = element("details", element("summary", "Every setting") + _table(("setting", "value"), rows))
    operators = run.settings.get("operators")
    if isinstance(operators, Mapping):
        given = {name: [str(word) for word in words] for name, words in operators.items() if isinstance(words, list)}
        lists = [(name, ", ".join(words)) for name, words in given.items()]
        sizes = ", ".join(f"{len(words)} in {name}" for name, words in given.items())
        body = element("p", f"Operators: {escape(sizes)}.") + body
        body += element("details", element("summary", "Every operator") + _table(("function", "operators"), lists))
    told = f"Bias {run.bias}. " + _BIAS.get(run.bias, "")
    return _section("What the search was given", told, body)


def repeat_command(run: RunRecord) -> str:
    """Return the command that makes the run again; empty where its settings were not kept."""
    if not run.has_config:
        return ""
    return f"selftaught evolve --config {shlex.quote(str(run.folder / 'config.toml'))} --fresh"


def repeat(run: RunRecord) -> str:
    """Say how to make the run again, look at it again and go on from it."""
    command, folder = repeat_command(run), shlex.quote(str(run.folder))
    told = (
        "The same settings and seed propose the same programs; how many fit into a time depends on the machine, and "
        "the last digits may differ between kinds of processor."
    )
    if run.about:
        lines = ["# the same search", str(run.about.get("command", "selftaught evolve")), "# watch this one again"]
        lines.append("selftaught replay")
    else:
        lines = (
            ["# the same run again", command] if command else ["# config.toml is gone, and with it the exact command"]
        )
        lines += ["# watch it again, in the terminal", f"selftaught replay {folder}"]
        program = run.folder / "program.txt"
        if command and program.is_file():
            start = f"--start {shlex.quote(str(program))}"
            lines += ["# search on from the program above", f"{command.removesuffix(' --fresh')} {start}"]
    return _section("Repeat it", told, element("pre", escape("\n".join(lines))))


def notes(run: RunRecord) -> str:
    """Show the warnings of the run and of its explanation; empty when there are none."""
    said = dict.fromkeys([*run.warnings, *(run.explanation.warnings if run.explanation else ())])
    if not said:
        return ""
    items = "".join(element("li", escape(one)) for one in said)
    return _section("Warnings", "", element("ul", items, class_="notes"))


# ---- parts of sections


def _section(title: str, told: str, body: str = "") -> str:
    name = title.lower().replace(" ", "-")
    # A number and its sign stay on one line.
    words = element("p", escape(told.replace(" %", "\u00a0%"))) if told else ""
    return element("section", element("h2", escape(title), id=name) + words + body, aria_labelledby=name)


def _both(draw: Any, run: RunRecord, name: str) -> str:
    """Draw a chart twice, for wide screens and paper and for narrow ones; the style sheet shows one."""
    wide = element("div", draw(run, name=name), class_="wide")
    return wide + element("div", draw(run, width=_NARROW, name=f"{name}-narrow"), class_="narrow")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = element("tr", "".join(element("th", escape(one), scope="col") for one in heads)) if any(heads) else ""
    lines = [
        element("th", escape(row[0]), scope="row") + "".join(element("td", escape(one)) for one in row[1:])
        for row in rows
    ]
    body = "".join(element("tr", line) for line in lines)
    table = (element("thead", head) if head else "") + element("tbody", body)
    return element("div", element("table", table), class_="scroll")


def _gain(value: float) -> str:
    """Show what a step gained; a difference of rounding alone is none."""
    if abs(value) < _ROUNDING:
        return element("span", "±0", class_="gain level")
    words = f"{value:+.4f}" if abs(value) >= 5e-5 else f"{value:+.0e}"
    return element("span", words.replace("-", "−"), class_="gain")


def _signed(value: float) -> str:
    return f"{value:.4f}".replace("-", "−")


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return "/".join(str(one) for one in value) if len(value) <= 4 else ", ".join(str(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_brief(one)}" for key, one in value.items())
    return "-" if value is None else str(value)


def _several(run: RunRecord) -> bool:
    return str(run.tasks.get("kind", "")).startswith("classes")
