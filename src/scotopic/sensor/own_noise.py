"""How much of what a block shows is its own: noise is of each pixel alone, texture is seen by all colours.

What two sums of neighbours of other colours, left and right, above and below, explain of a pixel by least squares is
texture, whatever its period; the rest is noise, and what of texture they do not explain.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scotopic.frame import Counts, Linear32
from scotopic.sensor.smoothed import second_differences

OWN_OF_NOISE = 0.85
"""Share that neighbours of other colours leave unexplained in a block of 16x16 values of mere noise, at least: by
chance they explain 2% in the median, 9% in one block of fifty (experiments.md, 2026-12-01)."""

RIDGE = 1e-4
"""Share of the neighbours' own variance added to it where they are held against a pixel: two that are alike else tell
any weights."""

LEAST_DN2 = 1e-9
"""Sum of squares in DN² taken for none."""

Floats = npt.NDArray[np.float64]


def own_shares(data: Counts, quiet: npt.NDArray[np.bool_], step: int) -> Floats:
    """Of blocks of one place of a 2x2 cell the share of their variance that is noise, 1 where all of it may be.

    `data` begins at this place. `quiet` (blocks down, rows, blocks across) are the rows that are asked, `step` blocks
    lie between two rows of blocks. Second differences along rows are compared, as those tell the variance.

    >>> rng = np.random.default_rng(0)
    >>> stripes = 500 + 100 * np.sin(np.arange(64) * 1.7 + np.arange(64)[:, None] * 0.6)
    >>> all_rows = np.ones((2, 16, 2), bool)
    >>> bool(own_shares(stripes + rng.normal(0, 5, stripes.shape), all_rows, 1).max() < 0.05)
    True
    >>> float(own_shares(rng.normal(500, 5, stripes.shape), all_rows, 1).min())
    1.0
    """
    own, beside, below = (second_differences(_blocks(plane, quiet.shape, step)) for plane in _planes(data))
    inner = slice(1, -1)
    asked = quiet[:, inner, :, None]
    y = own[:, inner, :, inner] * asked
    across = (beside[:, inner, :, :-2] + beside[:, inner, :, inner]) * asked
    along = (below[:, :-2, :, inner] + below[:, inner, :, inner]) * asked
    ya, yb, aa, bb, ab, yy = (
        np.einsum("brmc,brmc->bm", one, other).astype(np.float64)
        for one, other in (
            (y, across),
            (y, along),
            (across, across),
            (along, along),
            (across, along),
            (y, y),
        )
    )
    ridge = RIDGE * (aa + bb) + LEAST_DN2
    aa, bb = aa + ridge, bb + ridge
    explained = (bb * ya**2 - 2 * ab * ya * yb + aa * yb**2) / (aa * bb - ab**2)
    left: Floats = np.clip((1 - explained / np.maximum(yy, LEAST_DN2)) / OWN_OF_NOISE, 0, 1)
    return left


def _planes(data: Counts) -> tuple[Counts, Counts, Counts]:
    """The place's own values, those to the right of each, those below."""
    return data[::2, ::2], data[::2, 1::2], data[1::2, ::2]


def _blocks(plane: Counts, shape: tuple[int, ...], step: int) -> Linear32:
    """Every `step`-th row of square blocks as (blocks down, rows, blocks across, columns); a last row or column that is
    not there, which none asks for, is made up."""
    down, side, across = shape
    tall, wide = ((down - 1) * step + 1) * side, across * side
    short = max(tall - plane.shape[0], 0), max(wide - plane.shape[1], 0)
    whole = np.pad(plane, ((0, short[0]), (0, short[1])), mode="edge") if any(short) else plane
    cut = whole[:tall, :wide].reshape(-1, side, across * side)[::step]
    return cut.reshape(down, side, across, side).astype(np.float32)
