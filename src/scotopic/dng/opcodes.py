"""Opcodes of a DNG that bend values: without them lossy files are not linear."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_MAP_TABLE, _MAP_POLYNOMIAL = 7, 8
_OPCODES_MAX = 1000

LIGHT_MAX = 2.0**20
"""No sensor and no merged exposure reaches so many times its white level; more is a broken value, which would
overflow on the way to a picture."""


@dataclass(frozen=True, eq=False)
class ToneMap:
    """An opcode that bends values: where it applies (rows, columns, planes) and how.

    `bend` holds the polynomial's coefficients, or a table over 0..65535 if `is_table`.
    """

    where: tuple[slice, slice, slice]
    bend: npt.NDArray[np.float64]
    is_table: bool

    def covers(self, height: int, width: int) -> bool:
        """Whether every pixel of a picture of this size is bent."""
        rows, columns, _ = self.where
        return (rows.start, rows.step, columns.start, columns.step) == (0, 1, 0, 1) and (
            rows.stop >= height and columns.stop >= width
        )

    def anywhere(self) -> ToneMap:
        """The same for pictures of any size."""
        whole = slice(0, 1 << 30, 1)
        return ToneMap((whole, whole, self.where[2]), self.bend, self.is_table)


def tone_maps(opcodes: bytes) -> tuple[ToneMap, ...]:
    """MapTable and MapPolynomial of an opcode list, which lossy files need to become linear.

    Others (gain maps, bad pixels) are left alone, as LibRaw does: they correct the lens, not the code.
    """
    count, at, maps = int.from_bytes(opcodes[:4], "big"), 4, []
    for _ in range(min(count, _OPCODES_MAX)):
        code, _, _, size = struct.unpack_from(">4I", opcodes, at)
        body = opcodes[at + 16 : at + 16 + size]
        at += 16 + size
        if code not in (_MAP_TABLE, _MAP_POLYNOMIAL):
            continue
        top, left, bottom, right, plane, planes, row_step, column_step, length = struct.unpack_from(
            ">9I", body
        )
        where = (
            slice(top, bottom, max(1, row_step)),
            slice(left, right, max(1, column_step)),
            slice(plane, plane + planes),
        )
        if code == _MAP_TABLE:
            bend = np.frombuffer(body, ">u2", length, 36).astype(np.float64)
        else:
            bend = np.frombuffer(body, ">f8", length + 1, 36).astype(np.float64)
        if bend.size and np.all(np.isfinite(bend)):
            maps.append(ToneMap(where, bend, code == _MAP_TABLE))
    return tuple(maps)


def bent(light: npt.NDArray[np.float32], maps: tuple[ToneMap, ...], top: int) -> None:
    """Apply `maps` in place to rows from `top` on of a picture (H, W, planes) of values 0..1."""
    for entry in maps:
        rows, columns, planes = entry.where
        step = rows.step or 1
        first = rows.start if rows.start >= top else rows.start + -(-(top - rows.start) // step) * step
        part = light[max(0, first - top) : max(0, rows.stop - top) : step, columns, planes]
        x = np.clip(part, 0, 1).astype(np.float64)
        if entry.is_table:
            places = np.minimum(np.rint(x * 65535).astype(np.int64), entry.bend.size - 1)
            part[...] = entry.bend[places] / 65535
        else:
            # Coefficients that make no sense may overflow.
            with np.errstate(over="ignore", invalid="ignore"):
                y = np.polynomial.polynomial.polyval(x, entry.bend)
            part[...] = np.clip(np.nan_to_num(y), -LIGHT_MAX, LIGHT_MAX)
