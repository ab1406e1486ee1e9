"""Flips and turns of a mosaic that keep its colour pattern, with the truth still lying over it.

A flip of an RGGB mosaic begins with another colour. So a turned picture is cut by the few rows and columns
after which it begins with the pattern again: draw a crop of `drawn` size, lay it by `laid`.

Row noise becomes column noise by a transposition: a network then sees both, as from different sensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from scotopic.errors import SettingsError
from scotopic.sensor.pattern import Cell

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", npt.NDArray[Any], "torch.Tensor")
"""A picture (H, W) or (H, W, C), in numpy or in torch alike."""


@dataclass(frozen=True)
class Turn:
    """One of the eight ways to lay a rectangle down: transposed first, then flipped."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False


TURNS = tuple(Turn(t, r, c) for t in (False, True) for r in (False, True) for c in (False, True))
"""All eight; the first changes nothing."""


def turned(picture: Array, turn: Turn) -> Array:
    """The whole picture laid down another way; its colour pattern changes with it.

    >>> turned(np.array([[1, 2], [3, 4]]), Turn(transpose=True, flip_rows=True)).tolist()
    [[2, 4], [1, 3]]
    """
    axes = tuple(i for i, flipped in enumerate((turn.flip_rows, turn.flip_columns)) if flipped)
    if isinstance(picture, np.ndarray):
        return np.flip(picture.swapaxes(0, 1) if turn.transpose else picture, axes)
    return (picture.transpose(0, 1) if turn.transpose else picture).flip(axes)


@cache
def shift(turn: Turn, cfa: Cell) -> tuple[int, int] | None:
    """Rows and columns to cut so that a turned mosaic of whole cells begins with `cfa` again.

    None where the pattern never comes back.

    >>> from scotopic.frame import RGGB
    >>> shift(Turn(flip_columns=True), RGGB), shift(Turn(transpose=True), RGGB)
    ((0, 1), (0, 0))
    """
    cell = np.array(cfa)
    other = turned(cell, turn)
    size = len(cfa)
    for top in range(size):
        for left in range(size):
            if np.array_equal(np.roll(other, (-top, -left), axis=(0, 1)), cell):
                return top, left
    return None


@cache
def turns_of(cfa: Cell) -> tuple[Turn, ...]:
    """The turns that a colour pattern bears.

    >>> from scotopic.frame import RGGB, X_TRANS
    >>> len(turns_of(RGGB)), len(turns_of(X_TRANS))
    (8, 8)
    """
    return tuple(turn for turn in TURNS if shift(turn, cfa) is not None)


@cache
def places(turn: Turn, cfa: Cell) -> tuple[int, ...]:
    """For each place of the cell, in reading order, the place it had before the turn.

    What is known by place goes along: a transposition swaps the two greens of a Bayer cell.

    >>> from scotopic.frame import RGGB
    >>> places(Turn(transpose=True), RGGB)
    (0, 2, 1, 3)
    """
    size = len(cfa)
    top, left = _shift(turn, cfa)
    numbers = np.arange(size * size).reshape(size, size)
    after = np.roll(turned(numbers, turn), (-top, -left), axis=(0, 1))
    return tuple(int(n) for n in after.ravel())


def drawn(turn: Turn, cfa: Cell, height: int, width: int) -> tuple[int, int]:
    """Rows and columns to draw, whole cells, so that `laid` can give `height` x `width`.

    >>> from scotopic.frame import RGGB
    >>> drawn(Turn(flip_columns=True), RGGB, 64, 64)
    (64, 66)
    """
    size = len(cfa)
    top, left = _shift(turn, cfa)
    rows, columns = (-(-n // size) * size for n in (height + top, width + left))
    return (columns, rows) if turn.transpose else (rows, columns)


def laid(
    mosaic: Array, truth: Array, turn: Turn, cfa: Cell, height: int, width: int
) -> tuple[Array, Array]:
    """Turn a mosaic (H, W) of pattern `cfa` and the truth over it (H, W, C), cut to `height` x `width`.

    Both are of `drawn` size or larger, in whole cells. The mosaic given back begins with `cfa` again.
    """
    top, left = _shift(turn, cfa)
    rows, columns = slice(top, top + height), slice(left, left + width)
    return turned(mosaic, turn)[rows, columns], turned(truth, turn)[rows, columns]


def _shift(turn: Turn, cfa: Cell) -> tuple[int, int]:
    found = shift(turn, cfa)
    if found is None:
        raise SettingsError(f"{turn} does not keep the pattern {cfa}; turns_of lists those that do")
    return found
