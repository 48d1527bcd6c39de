"""A sheet of images with their maps: what each explanation points at, beside the controls."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.picture import png, shown_channels
from selftaught.errors import InputError

__all__ = ["saliency_sheet"]

_CELL, _GAP, _TOP, _LEFT = 72, 6, 44, 96


def saliency_sheet(
    pixels: NDArray[np.floating], maps: Mapping[str, NDArray[np.floating]], titles: Sequence[str], *, fraction: float
) -> str:
    """Return one SVG with a line for each image: the image, then its maps, in which what is not removed is faint.

    Args:
        pixels: (n, height, width, channels) from 0 to 1; one channel is grey, more than three show the first three.
        maps: name -> (n, height, width) scores; each map is shown by rank within its image.
        titles: (n,) what stands beside each image.
        fraction: of the pixels that is removed; the others are drawn faint.

    Raises:
        InputError: shapes differ.
    """
    n = len(pixels)
    for name, scores in maps.items():
        if scores.shape != pixels.shape[:3]:
            raise InputError(f"the map {name!r} must have shape {pixels.shape[:3]} like the images, got {scores.shape}")
    if len(titles) != n:
        raise InputError(f"{n} images need as many titles, got {len(titles)}")
    width = _LEFT + (len(maps) + 1) * (_CELL + _GAP)
    height = _TOP + n * (_CELL + _GAP)
    parts = [_words(_LEFT + k * (_CELL + _GAP), name) for k, name in enumerate(("image", *maps))]
    low, high = float(pixels.min()), float(pixels.max())
    shown = (pixels - low) / (high - low or 1)
    for row in range(n):
        top = _TOP + row * (_CELL + _GAP)
        parts.append(f'<text x="{_GAP}" y="{top + _CELL / 2 + 4:g}">{escape(titles[row])}</text>')
        cells = [shown[row], *(_ranked(scores[row], fraction) for scores in maps.values())]
        for k, cell in enumerate(cells):
            data = base64.b64encode(png(shown_channels(_bytes(cell)))).decode()
            parts.append(
                f'<image x="{_LEFT + k * (_CELL + _GAP)}" y="{top}" width="{_CELL}" height="{_CELL}" '
                f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _bytes(pixels: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(pixels, 0, 1) * 255 + 0.5, np.uint8)


def _ranked(scores: NDArray[np.floating], fraction: float) -> NDArray[np.float64]:
    """Return ranks from 0 to 1, those below the fraction at a third of their brightness."""
    from scipy.stats import rankdata

    ranks = (rankdata(scores) - 1).reshape(scores.shape) / max(scores.size - 1, 1)
    return np.asarray(np.where(ranks >= 1 - fraction, ranks, ranks / 3))


def _words(left: int, name: str) -> str:
    """Return a column's title, on two lines where it has two parts."""
    first, plus, second = name.partition("+")
    lines = [first, f"+ {second}"] if plus else [first]
    return "".join(
        f'<text x="{left}" y="{_TOP - 8 - 13 * (len(lines) - 1 - k)}" font-size="9">{escape(line)}</text>'
        for k, line in enumerate(lines)
    )
