"""Static screens: what a program must look like before it is worth running.

`learns` are the rules of bias level `learner`, after the valid algorithm graphs of R. Mishima's master thesis
(Institute of Science Tokyo, 2025): a learned slot is updated from its own old value, and when the prediction uses
it, also from the label and from the prediction; the prediction depends on the features and on a learned slot.
"""

from __future__ import annotations

import numpy as np

from selftaught.programs.jit import compiled
from selftaught.programs.liveness import CLASSES, IN1, IN2, OUT, PARTIAL, U1, slot_bit

__all__ = ["learns"]


@compiled
def _follow(code, first, last, depends, shape):
    """Carry each slot's set of sources through instructions; return the mask of slots written."""
    written = np.uint64(0)
    for i in range(first, last):
        word = code[i, 0]
        op = word & 255
        if OUT[op] == 0:
            continue
        out = slot_bit(OUT[op], (word >> 8) & 255, shape)
        sources = depends[out] if PARTIAL[op] else np.uint64(0)
        if IN1[op]:
            sources |= depends[slot_bit(IN1[op], (word >> 16) & 255, shape)]
        if IN2[op]:
            sources |= depends[slot_bit(IN2[op], (word >> 24) & 255, shape)]
        depends[out] = sources
        written |= U1 << np.uint64(out)
    return written


@compiled
def _reads(code, first, last, shape):
    """Return the mask of slots whose old value instructions read before writing it."""
    reads = np.uint64(0)
    written = np.uint64(0)
    for i in range(first, last):
        word = code[i, 0]
        op = word & 255
        if OUT[op] == 0:
            continue
        if IN1[op]:
            reads |= (U1 << np.uint64(slot_bit(IN1[op], (word >> 16) & 255, shape))) & ~written
        if IN2[op]:
            reads |= (U1 << np.uint64(slot_bit(IN2[op], (word >> 24) & 255, shape))) & ~written
        bit = U1 << np.uint64(slot_bit(OUT[op], (word >> 8) & 255, shape))
        if PARTIAL[op]:
            reads |= bit & ~written
        written |= bit
    return reads


@compiled
def learns(code, sizes, shape, pad):
    """Say whether a program in live form is shaped like learning; `pad` is scratch, int64 (64,)."""
    depends = pad[:64].view(np.uint64)
    n1 = sizes[0]
    n2 = n1 + sizes[1]
    n3 = n2 + sizes[2]
    if n2 == n1 or n3 == n2:
        return False
    output = shape[0] + 2 if shape[3] == CLASSES else 1
    label = shape[0] + 1 if shape[3] == CLASSES else 0
    features = U1 << np.uint64(shape[0])
    prediction = U1 << np.uint64(output)
    label_bit = U1 << np.uint64(label)
    for slot in range(64):
        depends[slot] = U1 << np.uint64(slot)
    depends[label] = np.uint64(0)
    old_in_predict = _reads(code, n1, n2, shape)
    _follow(code, n1, n2, depends, shape)
    from_prediction = depends[output]
    # From here on the prediction and the label are sources of their own.
    depends[output] = prediction
    depends[label] = label_bit
    old_in_learn = _reads(code, n2, n3, shape)
    written = _follow(code, n2, n3, depends, shape)
    learned = np.uint64(0)
    for slot in range(1, shape[0] + shape[1] + shape[2]):
        bit = U1 << np.uint64(slot)
        if written & bit == 0 or slot == output:
            continue
        if old_in_predict & bit:
            if depends[slot] & bit == 0 or depends[slot] & label_bit == 0 or depends[slot] & prediction == 0:
                return False
            learned |= bit
        elif old_in_learn & bit and depends[slot] & bit == 0:
            return False
    return from_prediction & features != 0 and from_prediction & learned != 0
