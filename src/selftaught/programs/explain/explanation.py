"""Everything there is to say about one program: `explain`, and the `Explanation` it returns."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from selftaught.errors import InputError
from selftaught.programs.explain.ablation import Drop, ablate
from selftaught.programs.explain.bits import Language
from selftaught.programs.explain.dataflow import flow_of
from selftaught.programs.explain.formula import Formula, formulas
from selftaught.programs.explain.places import Place, keep_live, places, without
from selftaught.programs.explain.scoring import Scorer
from selftaught.programs.explain.shortening import shorten
from selftaught.programs.explain.simpler import bypasses, zeroed
from selftaught.programs.explain.techniques import Technique, name_techniques
from selftaught.programs.explain.unseen import UnseenTasks, unseen_tasks
from selftaught.programs.operators import OPERATORS
from selftaught.programs.program import FUNCTIONS, Program
from selftaught.programs.result import FitnessInterval, bootstrap
from selftaught.programs.text import format_program

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """What a program does, and what each part of it is worth on tasks that no search saw.

    Args:
        program: the live form in the text format; lines of drops and techniques count in it.
        short: a shorter program whose loss is within the floor.
        fitness, short_fitness: of both on the reporting tasks.
        floor: the largest loss of mean fitness that chance alone explains.
        bits: description length in bits, "before" (live form) and "after" (short program).
        drops: the fitness lost without each instruction of the live form.
        techniques: those found, with their gain.
        formulas: the short program as algebra.
        instructions: how many there are: "given", "live" and "short".
        given_up: fitness lost by the short program, paired over tasks: "mean", "low", "high".
        control: mean fitness lost by taking out as many instructions at random.
        warnings: what a reader should know.
    """

    program: str
    short: str
    fitness: FitnessInterval
    short_fitness: FitnessInterval
    floor: float
    bits: Mapping[str, float]
    drops: tuple[Drop, ...]
    techniques: tuple[Technique, ...]
    formulas: tuple[Formula, ...]
    instructions: Mapping[str, int]
    given_up: Mapping[str, float]
    control: float
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what explanation.json holds."""
        return {
            "program": self.program,
            "short": self.short,
            "fitness": self.fitness.to_dict(),
            "short_fitness": self.short_fitness.to_dict(),
            "floor": self.floor,
            "bits": dict(self.bits),
            "drops": [drop.to_dict() for drop in self.drops],
            "techniques": [technique.to_dict() for technique in self.techniques],
            "formulas": [formula.to_dict() for formula in self.formulas],
            "instructions": dict(self.instructions),
            "given_up": dict(self.given_up),
            "control": self.control,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Explanation:
        """Read what `to_dict` gave, through JSON or not.

        Raises:
            InputError: something is missing or has another form.
        """
        try:
            techniques = tuple(
                Technique(
                    one["name"], one["found_by"], tuple((str(f), int(i)) for f, i in one["instructions"]),
                    one["evidence"], one["gain"],
                )
                for one in stored["techniques"]
            )  # fmt: skip
            return cls(
                program=str(stored["program"]), short=str(stored["short"]),
                fitness=FitnessInterval(**stored["fitness"]), short_fitness=FitnessInterval(**stored["short_fitness"]),
                floor=float(stored["floor"]), bits=dict(stored["bits"]),
                drops=tuple(Drop(**drop) for drop in stored["drops"]), techniques=techniques,
                formulas=tuple(Formula(**formula) for formula in stored["formulas"]),
                instructions=dict(stored["instructions"]), given_up=dict(stored["given_up"]),
                control=float(stored["control"]), warnings=tuple(str(one) for one in stored["warnings"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"this is no explanation ({type(error).__name__}: {error}); make it again") from None

    def __str__(self) -> str:
        count, short = self.instructions["live"], self.instructions["short"]
        lines = [
            f"{self.instructions['given']} instructions, {count} of them live; fitness {self.fitness} on "
            f"{self.fitness.tasks} unseen tasks",
            "",
            f"what each instruction is worth (floor {self.floor:.4f}: a smaller drop is chance)",
        ]
        width = max((len(drop.text) for drop in self.drops), default=0)
        for name in FUNCTIONS:
            lines.append(f"{name}:")
            part = [drop for drop in self.drops if drop.function == name]
            lines += [f"    {d.text:<{width}}  {_change(d.drop, d.low, d.high)}" for d in part] or ["    pass"]
        lines += ["", "techniques"]
        named = max((len(one.name) for one in self.techniques), default=0)
        for one in self.techniques:
            gain = "" if one.gain is None else f" {one.gain:+.4f}"
            lines.append(f"    {one.name:<{named}} {gain}  {one.evidence}")
        if not self.techniques:
            lines.append("    none that has a name here")
        lines += [
            "",
            f"shortened to {short} instructions ({self.bits['before']:.0f} to {self.bits['after']:.0f} bits), fitness "
            f"{self.short_fitness}; gave up {_change(*(self.given_up[key] for key in ('mean', 'low', 'high')))}, "
            f"removing as many at random {self.control:+.4f}",
            *("    " + line for line in self.short.splitlines()[3:]),
            "",
            "as formulas",
            *("    " + formula.text for formula in self.formulas),
        ]
        if self.warnings:
            lines += ["", *(f"note: {warning}" for warning in self.warnings)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def to_json(self) -> str:
        """Return explanation.json's text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"


def explain(
    program: Program,
    tasks: Any,
    *,
    count: int = 64,
    seeds: int = 3,
    seed: int = 0,
    slots: Sequence[int] | None = None,
    tell: Callable[[str], None] | None = None,
    **options: Any,
) -> Explanation:
    """Explain a program on tasks that no search saw.

    Args:
        program: what to explain.
        tasks: `UnseenTasks`, the `Problem` of a search, a built-in task's name or anything `selftaught.load` takes.
        count: tasks in each of three sets: one guides shortening, one confirms it, one reports.
        seeds: evaluation seeds.
        seed: of everything.
        slots: slot counts that description lengths are counted with; those of the search or of the program.
        tell: called with a few words whenever something else is measured.
        options: for `unseen_tasks`: target, task, missing, drop, id_column, resize, features, num_train,
            num_valid, epochs.

    Raises:
        InputError, DataError: the tasks cannot be made.
        ProgramError: the program does not fit them.

    >>> from selftaught.programs import linear_learner
    >>> found = explain(linear_learner(0.05), "linear", count=8, num_train=100, num_valid=20)  # doctest: +SKIP
    """
    say = tell or (lambda words: None)
    unseen = tasks if isinstance(tasks, UnseenTasks) else unseen_tasks(tasks, count=count, seed=seed, **options)
    guide, confirm, report = (
        Scorer(one, seeds=seeds, seed=seed) for one in (unseen.guide, unseen.confirm, unseen.report)
    )
    live = keep_live(program, report.kind)
    language = _language(live, slots or unseen.slots, unseen)
    shortening = shorten(live, guide, confirm, report, language=language, seed=seed, tell=say)
    say("scoring it without each of its instructions")
    fitness = report.score([live, shortening.program])
    kind = unseen.text_kind
    return Explanation(
        program=format_program(live, task=kind),
        short=format_program(shortening.program, task=kind),
        fitness=bootstrap(fitness[0], seed), short_fitness=bootstrap(fitness[1], seed), floor=shortening.floor,
        bits={"before": round(shortening.bits_before, 1), "after": round(shortening.bits_after, 1)},
        drops=ablate(live, report, seed=seed),
        techniques=_with_gains(live, name_techniques(live, unseen.guide), report),
        formulas=formulas(shortening.program, report.kind),
        instructions={"given": len(program), "live": len(live), "short": len(shortening.program)},
        given_up={"mean": shortening.given_up, "low": shortening.low, "high": shortening.high},
        control=shortening.control,
        warnings=tuple(_warnings(live, report, float(fitness[0].mean()), shortening.floor, shortening.low)),
    )  # fmt: skip


def _language(live: Program, slots: Sequence[int] | None, unseen: UnseenTasks) -> Language:
    needed = live.slots()
    wide = tuple(max(a, b) for a, b in zip(slots if slots is not None else needed, needed, strict=True))
    language = Language.of(live, wide)
    return replace(language, operators=unseen.operators) if unseen.operators else language


def _with_gains(live: Program, found: Sequence[Technique], report: Scorer) -> tuple[Technique, ...]:
    """Measure what each technique gains: the fitness lost without it, the least over the ways to take it out."""
    variants: list[Program] = [live]
    owner: list[int] = [-1]
    for number, technique in enumerate(found):
        ways = [without(live, technique.instructions)]
        for place in technique.instructions if len(technique.instructions) <= 2 else ():
            ways += [*bypasses(live, place), zeroed(live, place)]
        variants += ways
        owner += [number] * len(ways)
    fitness = report.score(variants).mean(axis=1)
    return tuple(
        replace(one, gain=float(fitness[0] - max(f for f, o in zip(fitness, owner, strict=True) if o == number)))
        for number, one in enumerate(found)
    )


def _warnings(live: Program, report: Scorer, fitness: float, floor: float, given_up: float) -> list[str]:
    found = []
    if not len(live):
        found.append("no instruction reaches the prediction: it is the same for every example")
    if given_up > floor:
        found.append(f"on the reporting tasks the short program gave up more than the floor, {given_up:.4f} or more")
    if fitness == 0.0:
        found.append("the program fails on these tasks (fitness 0): errors above 100 or values that are not finite")
    carried = stateful_slots(live, report.kind)
    if carried:
        turned = Scorer(
            replace(report.tasks, valid_x=report.tasks.valid_x[:, ::-1], valid_y=report.tasks.valid_y[:, ::-1]), seeds=1
        )
        other = float(turned.score([live]).mean())
        found.append(
            f"stateful_predict: Predict carries {', '.join(carried)} from one example to the next, so predictions "
            f"depend on the order of rows; with the validation rows in reverse the fitness is {other:.4f}"
        )
    return found


def stateful_slots(live: Program, kind: int) -> list[str]:
    """Return the slots that Predict writes and that reach a later prediction; Setup and Learn aside.

    A program with any predicts differently when rows are reordered.
    """
    flow = flow_of(live, kind)
    _, reached = flow.ever(flow.score)
    written = {(OPERATORS[i.op].out, i.out) for place, i in places(live) if _in_predict(place) and OPERATORS[i.op].out}
    from_predict = {slot for slot in written & flow.states(flow.score)}
    return [f"{letter}{number}" for letter, number in sorted(from_predict & reached)]


def _change(mean: float, low: float, high: float) -> str:
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


def _in_predict(place: Place) -> bool:
    return place[0] == "predict"
