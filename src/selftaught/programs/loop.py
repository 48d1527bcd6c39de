"""The evolution loop, compiled: no Python between two programs.

State lives in flat arrays (`State`), so a run is saved by saving them and goes on bit for bit.

`classic` is regularized evolution as the original has it. `live` keeps programs in live form: a proposal is
mutated where it matters, never scored twice, and a program that behaves like one already there takes that
one's place (a neutral move) instead of crowding others out. `random` scores fresh programs only.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from selftaught.programs.classic import mutate_classic, random_program
from selftaught.programs.evaluate import evaluate_live, fingerprint
from selftaught.programs.grow import grow_program, mutate_live, splice
from selftaught.programs.jit import compiled
from selftaught.programs.liveness import canonical_key, compact, find_live, has_random
from selftaught.programs.memo import recall, remember
from selftaught.programs.screens import learns
from selftaught.programs.streams import below, uniform

__all__ = ["CLASSIC", "COUNTERS", "LIVE", "RANDOM", "Settings", "State", "run"]

CLASSIC, LIVE, RANDOM = 0, 1, 2

#: code (P, N, 4), sizes (P, 3), fitness (P,), key (P, 2), born (P,): the population. stream (4,): random numbers.
#: counters: see COUNTERS. best_*: the best distinct programs ever, best first. event_*: improvements not yet drained.
#: scores: rolling window of first-stage fitness for the hurdle.
State = namedtuple(
    "State",
    "code sizes fitness key born stream counters best_code best_sizes best_fitness best_key best_at "
    "event_code event_sizes event_fitness event_at event_parent event_move scores keys_seen prints_seen",
)

COUNTERS = (
    "programs", "evaluated", "key_hits", "print_hits", "steps", "filled", "next", "events", "best_count", "rejected",
    "hurdled", "window", "neutral", "screened", "improved_at", "spare",
)  # fmt: skip
PROGRAMS, EVALUATED, KEY_HITS, PRINT_HITS, STEPS, FILLED, NEXT, EVENTS, BEST, REJECTED, HURDLED, WINDOW, NEUTRAL, \
    SCREENED, IMPROVED, SPARE = range(16)  # fmt: skip

#: mode, population, tournament, use_prints, screen (1: learns), paper, max tries for a fresh program, start (0 random,
#: 1 given, 2 empty); numbers: mutate_prob, splice_prob, more_prob (another move), target fitness, max cost (0: none)
Settings = namedtuple("Settings", "options numbers moves start_code start_sizes costs")
MODE, POPULATION, TOURNAMENT, PRINTS, SCREEN, PAPER, TRIES, START, AGEING = range(9)
MUTATE, SPLICE, MORE, TARGET, COST, FRESH = range(6)


@compiled
def _note_best(state, code, sizes, fitness, low, high, parent, move):  # type: ignore[no-untyped-def]
    """Keep the best distinct programs ever seen and record an event for each new best."""
    counters = state.counters
    count = counters[BEST]
    room = state.best_fitness.shape[0]
    if count == room and fitness <= state.best_fitness[room - 1]:
        return
    for i in range(count):
        if state.best_key[i, 0] == low and state.best_key[i, 1] == high:
            return
    if count == 0 or fitness > state.best_fitness[0]:
        counters[IMPROVED] = counters[PROGRAMS]
        event = counters[EVENTS] % state.event_fitness.shape[0]
        state.event_code[event] = code[: state.event_code.shape[1]]
        state.event_sizes[event] = sizes
        state.event_fitness[event] = fitness
        state.event_at[event] = counters[PROGRAMS]
        state.event_parent[event] = parent
        state.event_move[event] = move
        counters[EVENTS] += 1
    at = count if count < room else room - 1
    while at > 0 and state.best_fitness[at - 1] < fitness:
        state.best_code[at] = state.best_code[at - 1]
        state.best_sizes[at] = state.best_sizes[at - 1]
        state.best_fitness[at] = state.best_fitness[at - 1]
        state.best_key[at] = state.best_key[at - 1]
        state.best_at[at] = state.best_at[at - 1]
        at -= 1
    state.best_code[at] = code[: state.best_code.shape[1]]
    state.best_sizes[at] = sizes
    state.best_fitness[at] = fitness
    state.best_key[at, 0] = low
    state.best_key[at, 1] = high
    state.best_at[at] = counters[PROGRAMS]
    if count < room:
        counters[BEST] += 1


@compiled
def _cost(settings, code, sizes, rows):  # type: ignore[no-untyped-def]
    """Return the cost of a live program: setup once, predict and learn for every training example."""
    total = 0.0
    i = 0
    for part in range(3):
        weight = 1.0 if part == 0 else rows
        for _ in range(sizes[part]):
            total += weight * settings.costs[code[i, 0] & 255]
            i += 1
    return total


@compiled
def _score(state, settings, rules, work, scratch, code, sizes, low, high, out):  # type: ignore[no-untyped-def]
    """Score a program in live form (liveness known), from memory where it was scored before."""
    counters = state.counters
    place = recall(state.keys_seen, low, high)
    stochastic = has_random(code, sizes)
    if place >= 0:
        state.keys_seen.hits[place] += 1
        counters[KEY_HITS] += 1
        return state.keys_seen.value[place]
    if settings.numbers[COST] > 0.0 and _cost(settings, code, sizes, work.train.shape[1]) > settings.numbers[COST]:
        remember(state.keys_seen, low, high, 0.0, counters[PROGRAMS])
        return 0.0
    print_low, print_high = np.uint64(0), np.uint64(0)
    if settings.options[PRINTS] and not stochastic:
        print_low, print_high = fingerprint(work, scratch, code, sizes, rules.shape)
        place = recall(state.prints_seen, print_low, print_high)
        if place >= 0:
            counters[PRINT_HITS] += 1
            value = state.prints_seen.value[place]
            remember(state.keys_seen, low, high, value, counters[PROGRAMS])
            return value
    value, steps = evaluate_live(work, scratch, code, sizes, rules.shape, out)
    counters[STEPS] += steps
    counters[EVALUATED] += 1
    remember(state.keys_seen, low, high, value, counters[PROGRAMS])
    if settings.options[PRINTS] and not stochastic:
        remember(state.prints_seen, print_low, print_high, value, counters[PROGRAMS])
    return value


@compiled
def _put(state, slot, code, sizes, fitness, low, high):  # type: ignore[no-untyped-def]
    state.code[slot] = code[: state.code.shape[1]]
    state.sizes[slot] = sizes
    state.fitness[slot] = fitness
    state.key[slot, 0] = low
    state.key[slot, 1] = high
    state.born[slot] = state.counters[PROGRAMS]


@compiled
def _tournament(state, settings, filled):  # type: ignore[no-untyped-def]
    """Return the fittest of T members drawn with replacement, the first drawn on a tie."""
    best = below(state.stream, filled)
    for _ in range(settings.options[TOURNAMENT] - 1):
        rival = below(state.stream, filled)
        if state.fitness[rival] > state.fitness[best]:
            best = rival
    return best


@compiled
def _classic_step(state, settings, rules, work, scratch, code, sizes, live_code, live_sizes, out):  # type: ignore[no-untyped-def]
    """One step of regularized evolution (or of random search): the child takes the oldest one's place."""
    counters = state.counters
    population = settings.options[POPULATION]
    slot = counters[NEXT]
    parent, move = np.int64(-1), np.int64(-1)
    if counters[FILLED] < population or settings.options[MODE] == RANDOM:
        if settings.options[START] == 0 or settings.options[MODE] == RANDOM:
            size = rules.most if settings.options[MODE] != RANDOM else rules.most
            random_program(state.stream, rules, size, code, sizes)
        else:
            code[: settings.start_code.shape[0]] = settings.start_code
            sizes[:] = settings.start_sizes
        counters[FILLED] = min(counters[FILLED] + 1, population)
    else:
        parent = _tournament(state, settings, population)
        code[: state.code.shape[1]] = state.code[parent]
        sizes[:] = state.sizes[parent]
        if uniform(state.stream) < settings.numbers[MUTATE]:
            move = mutate_classic(state.stream, rules, code, sizes, settings.options[PAPER] == 1)
    live_code[:] = code
    live_sizes[:] = sizes
    find_live(live_code, live_sizes, rules.shape, scratch.live, scratch.after)
    compact(live_code, live_sizes, scratch.live)
    find_live(live_code, live_sizes, rules.shape, scratch.live, scratch.after)
    low, high = canonical_key(live_code, live_sizes, rules.shape, scratch.names)
    counters[PROGRAMS] += 1
    fitness = _score(state, settings, rules, work, scratch, live_code, live_sizes, low, high, out)
    born = state.born[parent] if parent >= 0 else np.int64(-1)
    _put(state, slot, code, sizes, fitness, low, high)
    _note_best(state, live_code, live_sizes, fitness, low, high, born, move)
    counters[NEXT] = (slot + 1) % population


@compiled
def _within(sizes, rules):  # type: ignore[no-untyped-def]
    for part in range(3):
        if sizes[part] > rules.most[part]:
            return False
    return True


@compiled
def _live_form(code, sizes, rules, scratch):  # type: ignore[no-untyped-def]
    """Drop dead code until nothing is dead (dropping may free more), liveness left in `scratch`."""
    total = sizes[0] + sizes[1] + sizes[2]
    count = find_live(code, sizes, rules.shape, scratch.live, scratch.after)
    while count < total:
        compact(code, sizes, scratch.live)
        total = count
        count = find_live(code, sizes, rules.shape, scratch.live, scratch.after)
    return total


@compiled
def _live_step(state, settings, rules, work, scratch, code, sizes, spare, spare_sizes, out):  # type: ignore[no-untyped-def]
    """Propose a program never scored before, score it, and find its place; False when none could be proposed."""
    counters = state.counters
    population = settings.options[POPULATION]
    filled = counters[FILLED]
    stream = state.stream
    parent, move = np.int64(-1), np.int64(-1)
    low, high = np.uint64(0), np.uint64(0)
    found = False
    for _ in range(settings.options[TRIES]):
        fresh = filled < population and settings.options[START] == 0
        if fresh or filled == 0 or uniform(stream) < settings.numbers[FRESH]:
            parent, move = -1, -1
            if settings.options[START] == 0 or filled > 0:
                grow_program(stream, rules, code, sizes)
            else:
                code[: settings.start_code.shape[0]] = settings.start_code
                sizes[:] = settings.start_sizes
        else:
            parent = _tournament(state, settings, filled)
            code[: state.code.shape[1]] = state.code[parent]
            sizes[:] = state.sizes[parent]
            if uniform(stream) < settings.numbers[SPLICE]:
                other = _tournament(state, settings, filled)
                splice(stream, code, sizes, state.code[other], state.sizes[other])
                move = 100
            again = True
            while again:
                _live_form(code, sizes, rules, scratch)
                if not _within(sizes, rules):
                    break
                done = mutate_live(stream, rules, settings.moves, code, sizes, scratch.after)
                move = done if move < 0 else move
                again = uniform(stream) < settings.numbers[MORE]
        count = _live_form(code, sizes, rules, scratch)
        if not _within(sizes, rules) or (count == 0 and filled > 0):
            counters[REJECTED] += 1
            continue
        if settings.options[SCREEN] and not learns(code, sizes, rules.shape, scratch.sources):
            counters[SCREENED] += 1
            continue
        low, high = canonical_key(code, sizes, rules.shape, scratch.names)
        if recall(state.keys_seen, low, high) >= 0:
            counters[KEY_HITS] += 1
            continue
        found = True
        break
    if not found:
        return False
    counters[PROGRAMS] += 1
    fitness = _score(state, settings, rules, work, scratch, code, sizes, low, high, out)
    born = state.born[parent] if parent >= 0 else np.int64(-1)
    _note_best(state, code, sizes, fitness, low, high, born, move)
    # One member a fitness value: a program that scores the same bits behaves the same, and takes its place.
    for i in range(filled):
        if state.fitness[i] == fitness:
            counters[NEUTRAL] += 1
            _put(state, i, code, sizes, fitness, low, high)
            return True
    if filled < population:
        _put(state, filled, code, sizes, fitness, low, high)
        counters[FILLED] += 1
        return True
    if settings.options[AGEING]:
        slot = counters[NEXT]
        counters[NEXT] = (slot + 1) % population
        _put(state, slot, code, sizes, fitness, low, high)
        return True
    # The least fit of a few draws goes, if it is no better than the child.
    worst = below(stream, population)
    for _ in range(settings.options[TOURNAMENT] - 1):
        rival = below(stream, population)
        if state.fitness[rival] < state.fitness[worst]:
            worst = rival
    if state.fitness[worst] <= fitness:
        _put(state, worst, code, sizes, fitness, low, high)
    return True


@compiled
def run(state, settings, rules, work, scratch, until, max_steps):  # type: ignore[no-untyped-def]
    """Go on until `until` programs in all, the target, or `max_steps` train steps in this call.

    Returns:
        0 when a limit was reached, 1 at the target fitness, 2 when nothing new could be proposed.
    """
    spare = state.code.shape[1] + 40
    code = np.zeros((spare, 4), np.int32)
    other = np.zeros((spare, 4), np.int32)
    sizes = np.zeros(3, np.int64)
    other_sizes = np.zeros(3, np.int64)
    out = np.zeros(work.dims[4] + work.dims[1])
    counters = state.counters
    started = counters[STEPS]
    stuck = 0
    while counters[PROGRAMS] < until and counters[STEPS] - started < max_steps:
        if counters[BEST] and state.best_fitness[0] >= settings.numbers[TARGET]:
            return 1
        if settings.options[MODE] == LIVE:
            if _live_step(state, settings, rules, work, scratch, code, sizes, other, other_sizes, out):
                stuck = 0
            else:
                stuck += 1
                if stuck > 100:
                    return 2
        else:
            _classic_step(state, settings, rules, work, scratch, code, sizes, other, other_sizes, out)
        counters[SPARE] = 0
    return 1 if counters[BEST] and state.best_fitness[0] >= settings.numbers[TARGET] else 0
