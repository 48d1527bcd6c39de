"""Places in the flat arrays that compiled functions share.

`work` (int64) holds what an evaluation works on: sizes and addresses. `pad` (int64) is scratch. Flat arrays
and addresses keep the compilation of the engine short: Numba takes a minute for the same code over tuples of
many arrays.
"""

from __future__ import annotations

__all__: list[str] = []

# ---- work
(
    TABLE, ENTER, FEATURES, LANES, HEADER_BYTES, EPOCHS, TASKS, MEDIAN, METRIC, BLOCKS, NUM_TRAIN, NUM_VALID,
    MAX_ERROR, NUM_CLASSES, TRAIN, TRAIN_STRIDE, VALID, VALID_STRIDE, SEEDS, ALIVE_LANES, ORDERS, VALID_ORDER,
    VALID_PASSES, PROBE_ORDERS, MEMORY, SAVED, RECORDS, BEST, LOSSES, KEPT,
    F_DATA, F_PREDICT, F_STOPPED, F_MAX_ERROR, F_CLASSES, F_ALIVE, F_LOSS, F_HASH1, F_HASH2, F_RNG,
    HURDLE_ORDERS, HURDLE_TRAIN, JUDGES,
) = range(43)  # fmt: skip
WORK_SIZE = JUDGES + 8  # four judges, each reading the prediction from memory or from acc

# ---- pad
OFFSETS = 0  # 80 places: a slot's byte offset, then zero slots (65..67), temporaries (69..70), bytes used so far
USED = 72
STARTS = 80  # 8 places
NAMES = 88  # 72 places
GRAPH = 160  # 256 places
PAD_SIZE = 416

# ---- rules: rows of an int64 array (RULE_ROWS, RULE_WIDTH)
OPS, NUM_OPS, LEAST, MOST, SHAPE, FIRST, SLOTS, ACTIONS, OPTIONS = 0, 3, 4, 5, 6, 7, 8, 9, 10
BESIDE = 11  # the slots, as a mask, of the program that additions stand beside; 0 in other runs
RULE_ROWS, RULE_WIDTH = 12, 256  # an operator's number is a byte

# ---- rules[OPTIONS]
(
    MODE, POPULATION, TOURNAMENT, PRINTS, SCREEN, PAPER, TRIES, START, NUM_ACTIONS,
    HURDLE, FORGET_AFTER, RESTART, LEXICASE, NICHES, ADD,
) = range(15)  # fmt: skip
CLASSIC, LIVE, RANDOM = 0, 1, 2

# ---- numbers (float64)
MUTATE, SPLICE, MORE, TARGET, COST_LIMIT, FRESH = range(6)
MOVES_AT, NUM_MOVES = 8, 10
COSTS_AT = 24
HURDLE_VALUE = COSTS_AT + 256  # the hurdle, then the first-stage fitness of the last WINDOW programs
WINDOW = 1000
NUMBERS_SIZE = HURDLE_VALUE + 1 + WINDOW

# ---- rows (int64): a line an individual
R_FITNESS, R_LOW, R_HIGH, R_BORN, R_PARENT, R_MOVE, R_STRUCTURE, R_SIZES = 0, 1, 2, 3, 4, 5, 6, 7
ROW_SIZE = 10  # then the fitness on each task (float64 bits): a row has ROW_SIZE + D places
