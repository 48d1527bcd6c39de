"""Examples for a person to look at: the furthest moved first, as pictures or rows, with what the models said."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.exemplars import taxicab
from selftaught.audit.population import Population, join, modal_labels
from selftaught.errors import InputError
from selftaught.examples import Examples

__all__ = ["example_sheet", "png"]

MOST_COLUMNS = 40


def example_sheet(before: Population, after: Population, examples: Examples, *, top: int = 48) -> list[dict[str, Any]]:
    """Return the examples whose mean probabilities moved furthest, in JSON's own types; neither labels nor groups rank.

    Args:
        before, after: joined with each other and the examples by id.
        examples: their inputs, and labels where there are some.
        top: how many.

    Returns:
        For each: `id`, `rank` from 1, `taxicab`, `changed` (the modal label is another), `given` (its label, or None),
        `before` and `after` (the modal class and its mean probability over the models), and either `image`, a PNG in
        base64, or `row`, the columns' values.

    Raises:
        InputError: no id is in common.
    """
    place = {str(one): k for k, one in enumerate(examples.ids)}
    joined = join(before, after)
    there = np.array([str(one) in place for one in joined.before.ids])
    if not there.any():
        raise InputError(f"no id of {before.name} is in {examples.name!r}; give the data that was predicted")
    old, new = joined.before.take(there), joined.after.take(there)
    moved = taxicab(old, new)
    names = examples.class_names or tuple(str(c) for c in range(old.probabilities.shape[2]))
    sides = [(modal_labels(one.probabilities)[0], one.probabilities.mean(axis=0)) for one in (old, new)]
    found = []
    for rank, row in enumerate(np.argsort(-moved, kind="stable")[:top], start=1):
        own = place[str(old.ids[row])]
        told: dict[str, Any] = {
            "id": str(old.ids[row]), "rank": rank, "taxicab": round(float(moved[row]), 4),
            "changed": bool(sides[0][0][row] != sides[1][0][row]),
            "given": None if examples.labels is None else names[int(examples.labels[own])],
        }  # fmt: skip
        for side, (modal, mean) in zip(("before", "after"), sides, strict=True):
            told[side] = {"class": names[modal[row]], "probability": round(float(mean[row, modal[row]]), 4)}
        values = examples.inputs[own]
        if values.ndim >= 2:
            told["image"] = base64.b64encode(png(values)).decode()
        else:
            columns = examples.feature_names or tuple(str(k) for k in range(len(values)))
            pairs = list(zip(columns, values.tolist(), strict=True))[:MOST_COLUMNS]
            told["row"] = [[name, round(float(value), 6)] for name, value in pairs]
        found.append(told)
    return found


def png(image: NDArray[Any]) -> bytes:
    """Return an image as a PNG file (W3C Recommendation, third edition): 8 bits, grey or RGB, without a filter.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3); uint8, or floats, which are stretched from their least to their largest
            value unless they lie from 0 to 1.

    Raises:
        InputError: it has another shape.

    >>> png(np.zeros((2, 3), np.uint8))[1:4]
    b'PNG'
    """
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise InputError(f"an image must have shape (H, W), (H, W, 1) or (H, W, 3), got {np.shape(image)}")
    if pixels.dtype != np.uint8:
        numbers = np.nan_to_num(pixels.astype(np.float64))
        low, high = float(numbers.min()), float(numbers.max())
        low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
        pixels = np.clip((numbers - low) / (high - low or 1.0) * 255, 0, 255).round().astype(np.uint8)
    height, width = pixels.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
