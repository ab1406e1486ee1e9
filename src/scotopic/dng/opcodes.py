"""Opcodes of a DNG: those that bend values, without which lossy files are not linear, and gains against shading.

Their numbers and bodies are those of the Digital Negative Specification 1.7.1, chapter 7; all big-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import numpy.typing as npt

from scotopic.frame import GREEN
from scotopic.sensor.shading import GAIN_MAX, GainMap

_MAP_TABLE, _MAP_POLYNOMIAL, _GAIN_MAP = 7, 8, 9
_OF_A_LENS = (1, 2, 3, 14)
"""Numbers of the opcodes that correct a lens: WarpRectilinear, WarpFisheye, FixVignetteRadial, WarpRectilinear2."""

_WARP_TAILS = {1: 16, 2: 16, 14: 20}
"""Bytes behind the planes' coefficients in the opcodes that warp each colour by its own."""

_OPCODES_MAX = 1000
_TABLE_MAX, _DEGREE_MAX = 65536, 8
"""The specification's limits for MapTable and MapPolynomial."""

_MAPS_MAX = 64
"""Maps that a list may hold, as each takes a pass over the whole picture: one a colour is usual, one for each place of
an X-Trans cell thinkable."""

_GAIN_HEAD = struct.Struct(">10I4dI")
"""Head of a GainMap's body: area, planes, pitches, points; spacing and origin; planes of the map."""

_POINTS_MAX = 1 << 20
"""Points of a gain map, at most: no lens needs more; larger grids are damage."""

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
        """This map over the whole of pictures of any size."""
        whole = slice(0, 1 << 30, 1)
        return ToneMap((whole, whole, self.where[2]), self.bend, self.is_table)


Opcode = tuple[int, bytes]
"""Number and body."""


def split(listed: bytes) -> list[Opcode]:
    """The opcodes of a list: a count, then of each number, version, flags, size and body.

    Raises ValueError for a list that is cut short.
    """
    if len(listed) < 4:
        raise ValueError("a list of opcodes without its number")
    count, at, found = int.from_bytes(listed[:4], "big"), 4, list[Opcode]()
    for _ in range(min(count, _OPCODES_MAX)):
        if at + 16 > len(listed):
            raise ValueError("a list of opcodes that is cut short")
        code, _, _, size = struct.unpack_from(">4I", listed, at)
        if at + 16 + size > len(listed):
            raise ValueError("an opcode that is cut short")
        found.append((code, listed[at + 16 : at + 16 + size]))
        at += 16 + size
    return found


def leading_gains(opcodes: list[Opcode]) -> list[Opcode]:
    """The gain maps before any other opcode.

    What comes behind a warp lies where the warp has put it; gains before it can be applied without it.
    """
    return list(takewhile(lambda opcode: opcode[0] == _GAIN_MAP, opcodes))


def corrects_lens(opcodes: list[Opcode]) -> bool:
    """Whether they undo what a lens does to shapes or to the brightness of corners, beside gain maps."""
    return any(code in _OF_A_LENS for code, _ in opcodes)


def without_leading_gains(listed: bytes) -> bytes:
    """The list without them; empty where nothing else is in it. Raises ValueError as `split`."""
    opcodes = split(listed)
    gains = leading_gains(opcodes)
    begin = 4 + sum(16 + len(body) for _, body in gains)
    left = len(opcodes) - len(gains)
    return left.to_bytes(4, "big") + listed[begin:] if left else b""


def warped_as_green(listed: bytes, colours: tuple[int, ...]) -> bytes:
    """The list with warps that move these colours as they move green: for those that lie upon it already.

    Raises ValueError as `split`.
    """
    changed, at = bytearray(listed), 4
    for code, body in split(listed):
        begin = at + 16
        if code in _WARP_TAILS and body[:4] == (3).to_bytes(4, "big"):
            size = (len(body) - 4 - _WARP_TAILS[code]) // 3
            if size > 0:
                green = body[4 + GREEN * size : 4 + (GREEN + 1) * size]
                for plane in colours:
                    changed[begin + 4 + plane * size : begin + 4 + (plane + 1) * size] = green
        at = begin + len(body)
    return bytes(changed)


def tone_maps(opcodes: list[Opcode]) -> tuple[ToneMap, ...]:
    """MapTable and MapPolynomial of an opcode list, which lossy files need to become linear.

    Raises ValueError for one that is broken.
    """
    maps: list[ToneMap] = []
    for code, body in opcodes:
        if code not in (_MAP_TABLE, _MAP_POLYNOMIAL):
            continue
        if len(body) < 36:
            raise ValueError("a curve that is cut short")
        top, left, bottom, right, plane, planes, row_step, column_step, length = struct.unpack_from(
            ">9I", body
        )
        where = (
            slice(top, bottom, max(1, row_step)),
            slice(left, right, max(1, column_step)),
            slice(plane, plane + planes),
        )
        if length > (_TABLE_MAX if code == _MAP_TABLE else _DEGREE_MAX) or len(maps) == _MAPS_MAX:
            raise ValueError("curves beyond all measure")
        if code == _MAP_TABLE:
            bend = np.frombuffer(body, ">u2", length, 36).astype(np.float64)
        else:
            bend = np.frombuffer(body, ">f8", length + 1, 36).astype(np.float64)
        if bend.size and np.all(np.isfinite(bend)):
            maps.append(ToneMap(where, bend, code == _MAP_TABLE))
    return tuple(maps)


def gain_maps(opcodes: list[Opcode], cell: int | None) -> tuple[GainMap, ...]:
    """The gain maps of an opcode list, for a mosaic whose cell has so many rows, or finished colours (None).

    Raises ValueError for one that is broken.
    """
    return tuple(_gain_map(body, cell) for code, body in opcodes if code == _GAIN_MAP)


def _gain_map(body: bytes, cell: int | None) -> GainMap:
    if len(body) < _GAIN_HEAD.size:
        raise ValueError("a gain map that is cut short")
    head = _GAIN_HEAD.unpack_from(body)
    top, left, bottom, right, plane, planes, row_pitch, column_pitch, down, across = head[:10]
    spacing, origin, deep = (head[10], head[11]), (head[12], head[13]), head[14]
    if not (top < bottom and left < right and planes):
        raise ValueError("a gain map for no pixels")
    if any((cell or 1) % pitch if pitch else True for pitch in (row_pitch, column_pitch)):
        raise ValueError(f"a gain map for every {row_pitch}th row and {column_pitch}th column")
    if (
        not 0 < down * across * deep <= _POINTS_MAX
        or len(body) < _GAIN_HEAD.size + 4 * down * across * deep
    ):
        raise ValueError(f"a gain map of {down}x{across}x{deep} points in {len(body)} bytes")
    if not np.all(np.isfinite([*spacing, *origin])) or not min(spacing) > 0:
        raise ValueError("a gain map without a place")
    grid = np.frombuffer(body, ">f4", down * across * deep, _GAIN_HEAD.size).astype(np.float32)
    if not np.all((grid > 0) & (grid <= GAIN_MAX)):
        raise ValueError(f"a gain map with gains beyond 0 to {GAIN_MAX:g}")
    return GainMap(
        area=(top, left, bottom, right),
        pitch=(row_pitch, column_pitch),
        planes=(plane, planes),
        origin=origin,
        spacing=spacing,
        grid=grid.reshape(down, across, deep),
        of_mosaic=cell is not None,
    )


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
