"""The evolution loops, compiled: no Python between two programs.

State is a few flat arrays, so a run is saved by saving them and goes on bit for bit.

`run_classic` is regularized evolution as the original has it (and random search, its control). `run_live` keeps
programs in live form: a proposal is changed where it matters and is never scored twice, and a program that
scores the same bits as a member takes that member's place (a neutral move) instead of crowding others out.
"""

from __future__ import annotations

import numpy as np

from selftaught.programs.additions import (
    ADDITION,
    FROM_NOTHING,
    REFINING,
    ROUND,
    base_line,
    begin_run,
    note_length,
    stand_beside,
)
from selftaught.programs.classic import mutate_classic, random_program
from selftaught.programs.evaluate import evaluate_live, fingerprint
from selftaught.programs.jit import compiled
from selftaught.programs.layout import (
    ADD,
    COST_LIMIT,
    COSTS_AT,
    EPOCHS,
    FORGET_AFTER,
    HURDLE,
    HURDLE_ORDERS,
    HURDLE_TRAIN,
    HURDLE_VALUE,
    MODE,
    MOST,
    MUTATE,
    NAMES,
    NICHES,
    NUM_TRAIN,
    OPTIONS,
    ORDERS,
    PAPER,
    POPULATION,
    PRINTS,
    R_BORN,
    R_STRUCTURE,
    RANDOM,
    RESTART,
    SHAPE,
    START,
    TARGET,
    TASKS,
    TOURNAMENT,
    TRIES,
    WINDOW,
)  # fmt: skip
from selftaught.programs.liveness import canonical_key, has_random
from selftaught.programs.memo import count_hit, recall, remember, value_at
from selftaught.programs.people import (
    BEST_COUNT,
    EVALUATED,
    FILLED,
    HURDLE_SEEN,
    HURDLED,
    KEY_HITS,
    NEUTRAL,
    NEW_AT,
    NEXT,
    PRINT_HITS,
    PROGRAMS,
    RESTARTED_AT,
    RESTARTS,
    RUN_KIND,
    RUN_LENGTH,
    SHORTEN_AT,
    STEPS,
    STUCK,
    VAIN_RUNS,
    fitness_of,
    least_fit,
    note_best,
    put,
    take,
    tournament,
)  # fmt: skip
from selftaught.programs.proposals import copy_start, live_form, propose, propose_shorter
from selftaught.programs.streams import uniform

__all__ = ["run_classic", "run_live"]

SURVIVAL = 2  # draws among which the least fit member makes room: weak, so that partial ideas last
MOST_STUCK = 200  # proposals in vain, one after the other, before a search says that nothing new is left
SOON_STUCK = 10  # the same, before a run of additions or of refining gives way to the next one
REFINING_SHARE = 4  # a run of refining is this many times shorter than one from nothing
ADDITION_SHARE = 2  # a run of additions is this many times longer
SHORTENING = 0.004  # fitness that a program may lose when it is shortened, before additions stand beside it
TRY_STEPS = 20  # train steps that a try in vain counts as, so that a call keeps to its time


@compiled
def cost_of(numbers, code, sizes, rows):
    """Return the cost of a live program in ns of 16 lanes: setup once, the rest for every training example."""
    total = 0.0
    i = 0
    for part in range(3):
        weight = 1.0 if part == 0 else np.float64(rows)
        for _ in range(sizes[part]):
            total += weight * numbers[COSTS_AT + (code[i, 0] & 255)]
            i += 1
    return total


@compiled
def _recalled(value, out):
    """Give every task the mean: what was remembered is the mean only."""
    for task in range(out.shape[0]):
        out[task] = value
    return value


@compiled
def _first_stage(work, code, sizes, shape, marks, pad, out):
    """Score a program that trains on the first fifth of the examples, once."""
    orders, rows, epochs = work[ORDERS], work[NUM_TRAIN], work[EPOCHS]
    work[ORDERS], work[NUM_TRAIN], work[EPOCHS] = work[HURDLE_ORDERS], work[HURDLE_TRAIN], 1
    value, steps = evaluate_live(work, code, sizes, shape, marks, pad, out)
    work[ORDERS], work[NUM_TRAIN], work[EPOCHS] = orders, rows, epochs
    return value, steps


@compiled
def _sorted(values, count):
    """Return the first `count` values in order (Shell's sort: short to compile, and there are at most 1,000)."""
    held = np.empty(count)
    for i in range(count):
        held[i] = values[i]
    gap = count // 2
    while gap > 0:
        for i in range(gap, count):
            value = held[i]
            j = i
            while j >= gap and held[j - gap] > value:
                held[j] = held[j - gap]
                j -= gap
            held[j] = value
        gap //= 2
    return held


@compiled
def clears(counters, numbers, value):
    """Say whether a first-stage fitness clears the hurdle: the 75th percentile of the last 1,000 different ones.

    After the paper (arXiv 2003.03384, section 4); the hurdle is drawn anew every 100 programs.
    """
    window = numbers[HURDLE_VALUE + 1 : HURDLE_VALUE + 1 + WINDOW]
    seen = counters[HURDLE_SEEN]
    window[seen % WINDOW] = value
    counters[HURDLE_SEEN] += 1
    if seen % 100 == 99:
        held = _sorted(window, min(seen + 1, WINDOW))
        unique = 1
        for i in range(1, held.shape[0]):
            if held[i] != held[unique - 1]:
                held[unique] = held[i]
                unique += 1
        numbers[HURDLE_VALUE] = held[(3 * unique) // 4]
    return value >= numbers[HURDLE_VALUE]


@compiled
def score(counters, memo, prints, rules, numbers, work, pad, marks, code, sizes, low, high, out):
    """Score a program in live form (`marks` filled), from memory where it was scored before."""
    stochastic = has_random(code, sizes)
    place = recall(memo, low, high)
    if place >= 0:
        counters[KEY_HITS] += 1
        hits = count_hit(memo, place)
        if not stochastic or hits < rules[OPTIONS, FORGET_AFTER]:
            return _recalled(value_at(memo, place), out)
    stamp = counters[PROGRAMS]
    limit = numbers[COST_LIMIT]
    if limit > 0.0 and cost_of(numbers, code, sizes, work[NUM_TRAIN]) > limit:
        remember(memo, low, high, 0.0, stamp)
        return _recalled(0.0, out)
    look = rules[OPTIONS, PRINTS] == 1 and not stochastic
    print_low, print_high = np.uint64(0), np.uint64(0)
    if look:
        print_low, print_high = fingerprint(work, code, sizes, rules[SHAPE], marks, pad)
        place = recall(prints, print_low, print_high)
        if place >= 0:
            counters[PRINT_HITS] += 1
            value = value_at(prints, place)
            remember(memo, low, high, value, stamp)
            return _recalled(value, out)
    if rules[OPTIONS, HURDLE] == 1:
        value, steps = _first_stage(work, code, sizes, rules[SHAPE], marks, pad, out)
        counters[STEPS] += steps
        passed = clears(counters, numbers, value)
        if not passed:
            counters[HURDLED] += 1
            remember(memo, low, high, value, stamp)
            return value
    value, steps = evaluate_live(work, code, sizes, rules[SHAPE], marks, pad, out)
    counters[STEPS] += steps
    counters[EVALUATED] += 1
    remember(memo, low, high, value, stamp)
    if look:
        remember(prints, print_low, print_high, value, stamp)
    return value


@compiled
def _solved(rows, counters, rules, numbers):
    return counters[BEST_COUNT] > 0 and fitness_of(rows, rules[OPTIONS, POPULATION]) >= numbers[TARGET]


@compiled
def run_classic(rows, codes, counters, state, memo, prints, rules, numbers, start, work, pad, marks, until, max_steps):
    """Go on until `until` programs in all, the target fitness, or `max_steps` train steps in this call.

    `start` (m + 1, 4) int32 holds a start program: its sizes in line 0, then its code.

    Returns:
        0 when a limit was reached, 1 at the target.
    """
    spare = codes.shape[1] + 8
    code = np.zeros((spare, 4), np.int32)
    live = np.zeros((spare, 4), np.int32)
    sizes = np.zeros(3, np.int64)
    live_sizes = np.zeros(3, np.int64)
    out = np.zeros(work[TASKS] + 1)
    population = rules[OPTIONS, POPULATION]
    began = counters[STEPS]
    while counters[PROGRAMS] < until and counters[STEPS] - began < max_steps:
        if _solved(rows, counters, rules, numbers):
            return 1
        restart_when_due(rows, codes, counters, state, rules)
        slot = counters[NEXT]
        parent, move = np.int64(-1), np.int64(-1)
        if counters[FILLED] < population or rules[OPTIONS, MODE] == RANDOM:
            if rules[OPTIONS, START] == 0 or rules[OPTIONS, MODE] == RANDOM:
                random_program(state, rules, rules[MOST], code, sizes)
            else:
                copy_start(start, code, sizes)
            counters[FILLED] = min(counters[FILLED] + 1, population)
        else:
            chosen = tournament(state, rows, rules[OPTIONS, TOURNAMENT], population)
            parent = rows[chosen, R_BORN]
            take(rows, codes, chosen, code, sizes)
            if uniform(state) < numbers[MUTATE]:
                move = mutate_classic(state, rules, code, sizes, rules[OPTIONS, PAPER] == 1)
        for part in range(3):
            live_sizes[part] = sizes[part]
        for i in range(sizes[0] + sizes[1] + sizes[2]):
            for k in range(4):
                live[i, k] = code[i, k]
        live_form(live, live_sizes, rules[SHAPE], marks)
        low, high, structure = canonical_key(live, live_sizes, rules[SHAPE], pad[NAMES:])
        counters[PROGRAMS] += 1
        value = score(counters, memo, prints, rules, numbers, work, pad, marks, live, live_sizes, low, high, out)
        put(rows, codes, slot, code, sizes, value, low, high, structure, counters[PROGRAMS], parent, move, out)
        note_best(rows, codes, counters, population, live, live_sizes, value, low, high, structure, parent, move, out)
        counters[NEXT] = (slot + 1) % population
    return 1 if _solved(rows, counters, rules, numbers) else 0


@compiled
def restart_when_due(rows, codes, counters, state, rules):
    """Begin again with an empty population after a run's length; each run (or round) is half as long again.

    Runs succeed early or not at all, so many short runs beat a long one; the growth bounds what is lost on
    problems that need long ones. Scores, keys and the best programs are kept. Says whether a run began.
    """
    if rules[OPTIONS, RESTART] == 0:
        return False
    if counters[RUN_LENGTH] == 0:
        counters[RUN_LENGTH] = rules[OPTIONS, RESTART]
    length = counters[RUN_LENGTH]
    if counters[RUN_KIND] == REFINING:
        length //= REFINING_SHARE
    elif counters[RUN_KIND] == ADDITION:
        length *= ADDITION_SHARE
    if counters[PROGRAMS] - counters[RESTARTED_AT] < length:
        return False
    _restart(rows, codes, counters, state, rules)
    return True


@compiled
def _restart(rows, codes, counters, state, rules):
    new = counters[EVALUATED] + counters[HURDLED] + counters[PRINT_HITS]
    counters[VAIN_RUNS] = counters[VAIN_RUNS] + 1 if new == counters[NEW_AT] else 0
    counters[NEW_AT] = new
    counters[RESTARTED_AT] = counters[PROGRAMS]
    counters[RESTARTS] += 1
    if rules[OPTIONS, ADD] == 0 or counters[RESTARTS] % ROUND == 0:
        counters[RUN_LENGTH] += counters[RUN_LENGTH] // 2
    counters[FILLED] = 0
    counters[NEXT] = 0
    counters[STUCK] = 0
    if rules[OPTIONS, ADD] == 1:
        begin_run(rows, codes, counters, state, rules)


@compiled
def _keep_shorter(rows, codes, counters, rules, code, sizes, value, low, high, structure, parent, move, cases):
    """Let a shorter program take the place of the one that additions will stand beside where it is as good."""
    line = base_line(rules)
    longer = fitness_of(rows, line)
    if value >= longer - SHORTENING:
        put(rows, codes, line, code, sizes, longer, low, high, structure, counters[PROGRAMS], parent, move, cases)
        counters[SHORTEN_AT] -= 1


@compiled
def settle(rows, codes, counters, state, rules, code, sizes, value, low, high, structure, parent, move, cases):
    """Find a scored program its place in the population.

    One member a structure (the program without its constants), its best; one member a fitness value, the
    newest: the same bits mean the same behaviour, and drifting on such ties is how neutral moves pay.
    """
    filled = counters[FILLED]
    born = counters[PROGRAMS]
    place = np.int64(-1)
    if rules[OPTIONS, NICHES] == 1:
        for i in range(filled):
            if rows[i, R_STRUCTURE] == structure:
                if fitness_of(rows, i) > value:
                    return
                place = i
                break
    if place < 0:
        for i in range(filled):
            if fitness_of(rows, i) == value:
                counters[NEUTRAL] += 1
                place = i
                break
    if place < 0:
        if filled < rules[OPTIONS, POPULATION]:
            place = filled
            counters[FILLED] += 1
        else:
            worst = least_fit(state, rows, SURVIVAL, filled)
            if fitness_of(rows, worst) > value:
                return
            place = worst
    put(rows, codes, place, code, sizes, value, low, high, structure, born, parent, move, cases)


@compiled
def run_live(rows, codes, counters, state, memo, prints, rules, numbers, start, work, pad, marks, until, max_steps):
    """As `run_classic`, for the search that knows what is live.

    Returns:
        0 when a limit was reached, 1 at the target, 2 when nothing new could be proposed.
    """
    code = np.zeros((codes.shape[1] + 64, 4), np.int32)
    sizes = np.zeros(3, np.int64)
    whole = np.zeros((2 * codes.shape[1] + 64, 4), np.int32)
    whole_sizes = np.zeros(3, np.int64)
    base = np.zeros((codes.shape[1] + 64, 4), np.int32)
    base_sizes = np.zeros(3, np.int64)
    names = np.zeros((3, 64), np.int64)
    own = np.empty((rules.shape[0], rules.shape[1]), np.int64)
    adding, stale = False, True
    found = np.zeros(5, np.int64)
    out = np.zeros(work[TASKS] + 1)
    began = counters[STEPS]
    while counters[PROGRAMS] < until and counters[STEPS] - began < max_steps:
        if _solved(rows, counters, rules, numbers):
            return 1
        stale |= restart_when_due(rows, codes, counters, state, rules)
        if stale:
            adding = stand_beside(rows, codes, counters, rules, own, base, base_sizes, names)
        shortening = counters[RUN_KIND] == ADDITION and counters[SHORTEN_AT] >= 0
        if shortening:
            ready = propose_shorter(rows, codes, counters, rules, pad, marks, whole, whole_sizes, found)
        else:
            ready = propose(
                rows, codes, counters, state, memo, own, numbers, start, pad, marks, code, sizes, whole, whole_sizes,
                (base, base_sizes, names, adding), found,
            )  # fmt: skip
        if not ready and not shortening:
            counters[STUCK] += 1
            began -= TRY_STEPS * rules[OPTIONS, TRIES]
            if counters[STUCK] > (MOST_STUCK if counters[RUN_KIND] == FROM_NOTHING else SOON_STUCK):
                if rules[OPTIONS, ADD] == 0:
                    return 2
                # Another kind of run may still find something: its programs are longer, or sums.
                _restart(rows, codes, counters, state, rules)
                stale = True
                if counters[VAIN_RUNS] >= ROUND:
                    return 2
            continue
        if ready:
            counters[STUCK] = 0
            low, high, structure = np.uint64(found[2]), np.uint64(found[3]), found[4]
            counters[PROGRAMS] += 1
            value = score(counters, memo, prints, rules, numbers, work, pad, marks, whole, whole_sizes, low, high, out)
            about = (low, high, structure, found[0], found[1], out)
            note_best(rows, codes, counters, rules[OPTIONS, POPULATION], whole, whole_sizes, value, *about)
            if rules[OPTIONS, ADD] == 1:
                note_length(rows, codes, counters, rules, whole, whole_sizes, value, *about)
            if shortening:
                _keep_shorter(rows, codes, counters, rules, whole, whole_sizes, value, *about)
            else:
                settle(rows, codes, counters, state, rules, code, sizes, value, *about)
        stale = shortening
    return 1 if _solved(rows, counters, rules, numbers) else 0
