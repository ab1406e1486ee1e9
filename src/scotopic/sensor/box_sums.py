"""Sums over the squares around pixels."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", np.float32, np.uint8)


def square_sums(values: npt.NDArray[Number], reach: int) -> npt.NDArray[Number]:
    """Sums over the squares that lie within, in the values' own type: (h, w) to (h - 2 * reach, w - 2 * reach)."""
    side = 2 * reach + 1
    height, width = values.shape[0] - 2 * reach, values.shape[1] - 2 * reach
    rows = values[:height].copy()
    for y in range(1, side):
        rows += values[y : y + height]
    sums = rows[:, :width].copy()
    for x in range(1, side):
        sums += rows[:, x : x + width]
    return sums
