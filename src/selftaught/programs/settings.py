"""The settings of a search, checked once: everything that decides its result, and its budget."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from selftaught.errors import InputError, did_you_mean
from selftaught.programs.builtin import BUILTIN
from selftaught.programs.operators import BY_NAME, OPERATOR_SETS, OPERATORS
from selftaught.programs.presets import DATA_DEFAULTS, PRESETS
from selftaught.programs.program import FUNCTIONS, Slots

__all__ = ["ALIASES", "BUDGET", "LIVE_DEFAULTS", "Bias", "EvolveSettings", "Search", "resolve_settings"]

Search = Literal["live", "classic", "random"]
Bias = Literal["free", "learner"]
MutationStyle = Literal["code", "paper"]

#: Short names of built-in tasks.
ALIASES: Mapping[str, str] = MappingProxyType(
    {"linear": "linear_regression", "affine": "affine_regression", "teacher": "two_layer_teacher"}
)
STARTS = ("empty", "random", "linear", "network", "network_without_weights")
TASKS = ("pairs", "classes", "regression", "classification")

#: The numbers of the live search, in one place; `moves` are weights in the order of `grow.MOVES`.
LIVE_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "splice": 0.3,
        "more": 0.6,
        "fresh": 0.0,
        "moves": (2.0, 2.0, 1.0, 1.0, 2.0, 1.0, 1.0, 0.5, 0.5, 0.0),
        "tries": 50,
        "tries_learner": 20_000,
        "restart_populations": 50,  # a run lasts this many populations, then the search begins again
        "lexicase": 20,  # members in the pool a parent is chosen from, task by task
        "niches": 1,
        # Where the tasks have classes:
        "add": 1,  # four runs in six build on what earlier ones found
        "with_constant": 2.0,  # the weight of the move `with_constant`
    }
)
FORGET_AFTER = 100  # hits after which a program with random draws is scored again
CACHE_ENTRIES = 100_000
REGRESSION_TARGET = 0.9999
LARGEST_SEED = 2**63 - 1

#: Settings that say how long to search, not what is searched.
BUDGET = ("programs", "seconds")


class EvolveSettings(BaseModel):
    """Everything that decides what a search finds, resolved and checked.

    Sizes and counts are programs, instructions, tasks and examples. `most` and `least` are the instructions of
    Setup, Predict and Learn; `slots` the scalars, vectors and matrices; `judged` the training and validation
    examples of selection and final tasks, None for those of the search tasks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    digest: str = ""
    target: str | None = None
    task: str | None = None
    missing: str | None = None
    drop: tuple[str, ...] | None = None
    id_column: str | None = None
    resize: tuple[int, int] | None = None
    preset: str | None = None
    search: Search = "live"
    bias: Bias = "free"
    start: str = "empty"
    operators: dict[str, tuple[str, ...]]
    most: tuple[int, int, int]
    least: tuple[int, int, int] = (0, 0, 0)
    slots: tuple[int, int, int]
    features: int | None = None
    num_tasks: int = 16
    num_train: int | None = None
    num_valid: int | None = None
    judged: tuple[int, int] | None = None
    num_selection: int = 32
    num_final: int = 64
    epochs: int = 1
    population: int = 1000
    tournament: int = 10
    mutate_prob: float = 0.9
    actions: tuple[str, ...]
    mutation_style: MutationStyle = "code"
    hurdles: bool = False
    fingerprint: bool | Literal["auto"] = "auto"
    cost_factor: float | None = None
    cache_entries: int = CACHE_ENTRIES
    target_fitness: float | None = None
    seed: int = 0
    workers: int = 1
    migrate_every: int
    num_migrants: int
    live: dict[str, Any] = {}
    programs: int | None = None
    seconds: float | None = None

    @field_validator(
        "num_tasks", "num_selection", "num_final", "epochs", "population", "tournament", "workers", "migrate_every",
        "programs", "num_train", "num_valid", "features", "cache_entries",
    )  # fmt: skip
    @classmethod
    def _at_least_one(cls, value: int | None) -> int | None:
        if value is not None and value < 1:
            raise ValueError("must be a whole number of at least 1")
        return value

    @field_validator("features")
    @classmethod
    def _at_most_64(cls, value: int | None) -> int | None:
        if value is not None and value > 64:
            raise ValueError("must be 1 to 64")
        return value

    @field_validator("population")
    @classmethod
    def _room(cls, value: int) -> int:
        if not 2 <= value <= 1_000_000:
            raise ValueError("must be 2 to 1000000")
        return value

    @field_validator("workers")
    @classmethod
    def _few(cls, value: int) -> int:
        if value > 256:
            raise ValueError("must be 1 to 256")
        return value

    @field_validator("seed")
    @classmethod
    def _seed(cls, value: int) -> int:
        if not 0 <= value <= LARGEST_SEED:
            raise ValueError(f"must be 0 to {LARGEST_SEED}")
        return value

    @field_validator("seconds")
    @classmethod
    def _seconds(cls, value: float | None) -> float | None:
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError("must be a number of seconds above 0")
        return value

    @field_validator("target_fitness")
    @classmethod
    def _fitness(cls, value: float | None) -> float | None:
        if value is not None and not 0 < value <= 1:
            raise ValueError("must be above 0 and at most 1")
        return value

    @model_validator(mode="after")
    def _together(self) -> EvolveSettings:
        if self.bias == "learner" and self.search != "live":
            raise ValueError(f"bias 'learner' belongs to search 'live', not {self.search!r}; use bias 'free'")
        if any(low > high for low, high in zip(self.least, self.most, strict=True)):
            raise ValueError(f"sizes {_sizes_text(self.most)} lie below the least sizes {_sizes_text(self.least)}")
        return self

    @property
    def builtin(self) -> bool:
        """Whether the tasks are made from a recipe, not from data."""
        return self.digest == ""

    def defining(self) -> dict[str, Any]:
        """Return the settings that define the search: all but its budget, ready for JSON."""
        return {key: value for key, value in json.loads(self.model_dump_json()).items() if key not in BUDGET}


def resolve_settings(data: str, digest: str, options: Mapping[str, Any], *, rows: int = 0) -> EvolveSettings:
    """Fill in presets and defaults and check every option.

    Args:
        data: a name of `BUILTIN`, or what a data set is called.
        digest: identifies the content of a data set; empty for a built-in task.
        options: what the user gave; None stands for "not given".
        rows: examples of the data set; small sets are gone through several times.

    Raises:
        InputError: an option is unknown or out of its range, or options do not go together; one line.
    """
    given = {key: value for key, value in options.items() if value is not None}
    preset = given.get("preset")
    if preset is not None and preset not in PRESETS:
        raise InputError(
            f"unknown preset {preset!r}; choose from {', '.join(PRESETS)}{did_you_mean(str(preset), PRESETS)}"
        )
    for option, choices in (
        ("search", get_args(Search)), ("bias", get_args(Bias)), ("mutation_style", get_args(MutationStyle)),
        ("task", TASKS),
    ):  # fmt: skip
        _one_of(option, given.get(option), choices)
    values: dict[str, Any] = {**DATA_DEFAULTS}
    if not digest:
        values.update(
            features=4, num_train=1000, num_valid=100, num_selection=100, num_final=100,
            target_fitness=REGRESSION_TARGET if BUILTIN[data][1] == "rmse" else None,
        )  # fmt: skip
    chosen = PRESETS[preset] if preset is not None else {}
    values.update({key: value for key, value in chosen.items() if key not in ("examples", "fixed", "task")})
    values["task"] = chosen.get("task") if digest else None
    values.setdefault("epochs", epochs_for(given.get("num_train") or rows * 48 // 100) if digest else 1)
    search = given.get("search", "live")
    if digest:
        values.pop("judged", None)
    if "sizes" in given:
        values["least"] = (0, 0, 0)
    sizes = parse_sizes("sizes", given.pop("sizes", values.pop("sizes")))
    if chosen.get("fixed") and search != "live":
        values["least"] = sizes
    if preset is not None and search == "live" and "start" in values and values["start"] == "random":
        values["start"] = "empty"
    slots = parse_sizes("slots", given.pop("slots", values.pop("slots")))
    values.update(given)
    values.pop("sizes", None)
    least = tuple(values.pop("least"))
    population = _whole("population", values["population"])
    values.update(
        data=data, digest=digest, most=sizes, slots=slots, least=least,
        operators=parse_operators(values["operators"]),
        migrate_every=20 * population, num_migrants=max(1, min(50, population // 20)),
        live=dict(LIVE_DEFAULTS) if search == "live" else {},
    )  # fmt: skip
    if values["start"] == "random" and search == "classic" and "least" not in chosen:
        values["least"] = least
    try:
        Slots(*slots)
    except ValueError as error:
        raise InputError(f"slots {_sizes_text(slots)}: {error}") from None
    if values["start"] not in STARTS:
        _check_start_file(str(values["start"]))
    try:
        return EvolveSettings.model_validate(values)
    except ValidationError as error:
        raise InputError(_one_line(error)) from None


def epochs_for(num_train: int) -> int:
    """Return how often a task's training examples are gone through: about 1,000 steps, at most 10 times.

    >>> epochs_for(72), epochs_for(1000), epochs_for(8000)
    (10, 1, 1)
    """
    return max(1, min(10, 1000 // max(num_train, 1)))


def parse_sizes(option: str, value: Any) -> tuple[int, int, int]:
    """Read three whole numbers from "10/2/8" or a sequence.

    >>> parse_sizes("sizes", "10/2/8")
    (10, 2, 8)
    """
    example = "5/9/2 (scalars/vectors/matrices)" if option == "slots" else "10/2/8 (setup/predict/learn)"
    parts: Iterable[Any] = value.split("/") if isinstance(value, str) else value
    try:
        numbers = tuple(int(part) for part in parts)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 3 or min(numbers) < 0 or max(numbers) > 1000:
        raise InputError(f"{option} are three whole numbers such as {example}, got {value!r}")
    return numbers[0], numbers[1], numbers[2]


def parse_operators(value: Any) -> dict[str, tuple[str, ...]]:
    """Read the operators of each function: a set's name, names or ids for all, or a mapping function -> names.

    >>> parse_operators("linear")["predict"]
    ('vector_dot',)
    """
    if isinstance(value, str):
        if value in OPERATOR_SETS:
            value = OPERATOR_SETS[value]
        elif "," in value or value in BY_NAME:
            value = [word.strip() for word in value.split(",") if word.strip()]
        else:
            known = (*OPERATOR_SETS, *BY_NAME)
            raise InputError(
                f"unknown operators {value!r}; a set is one of {', '.join(OPERATOR_SETS)}{did_you_mean(value, known)}"
            )
    if not isinstance(value, Mapping):
        if not isinstance(value, Iterable):
            raise InputError(f"operators are a set's name, a list of names or a mapping, got {value!r}")
        names = tuple(value)
        value = dict.fromkeys(FUNCTIONS, names)
    for key in value:
        _one_of("operators: function", key, FUNCTIONS)
    result = {name: tuple(_operator_name(word) for word in value.get(name, ())) for name in FUNCTIONS}
    if not any(result.values()):
        raise InputError("operators are empty for all functions; name at least one, for example operators='full'")
    return result


def _operator_name(word: Any) -> str:
    if isinstance(word, int) and not isinstance(word, bool) and 0 <= word < len(OPERATORS):
        return OPERATORS[word].name
    if word not in BY_NAME:
        raise InputError(f"unknown operator {word!r}{did_you_mean(str(word), BY_NAME)}")
    return str(word)


def _check_start_file(start: str) -> None:
    from pathlib import Path

    if not Path(start).expanduser().is_file():
        names = STARTS[:4]
        raise InputError(f"start is {', '.join(names)} or a program's file, got {start!r}{did_you_mean(start, names)}")


def _one_of(option: str, value: Any, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise InputError(
            f"{option} must be one of {', '.join(choices)}, got {value!r}{did_you_mean(str(value), choices)}"
        )


def _whole(option: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{option} must be a whole number, got {value!r}")
    return value


def _sizes_text(sizes: Iterable[int]) -> str:
    return "/".join(str(size) for size in sizes)


def _one_line(error: ValidationError) -> str:
    """Say the first mistake pydantic found in one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][:1])
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{where} {message}, got {first['input']!r}" if where else message
