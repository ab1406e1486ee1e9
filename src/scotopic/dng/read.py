"""A DNG's stored values and tags to a `Mosaic` or a `Linear`: the same whoever decoded it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.dng.directory import SIDE_MIN, Dng
from scotopic.dng.opcodes import LIGHT_MAX, bent
from scotopic.dng.pixels import stored_values
from scotopic.errors import DamagedFileError, TooSmallError
from scotopic.frame import Captured, Counts, Linear, Mosaic, NoiseProfile
from scotopic.sensor.levels import (
    COUNTS,
    COUNTS_FROM,
    GREY_WORLD,
    grey_world,
    grey_world_of_light,
    saturation,
)
from scotopic.sensor.pattern import Cell
from scotopic.sensor.shading import Shading

_ROWS = 256
"""Rows worked on at a time."""

Described = dict[str, Any]
"""Fields of a `Capture` that do not depend on the values: exposure, maker, EXIF and so on."""


def read_dng(path: Path, dng: Dng, described: Described) -> Captured:
    """Read the picture that `dng` describes without LibRaw.

    Raises UnsupportedRawError and DamagedFileError as `stored_values` and `captured` do.
    """
    values = stored_values(path, dng)
    if dng.table is not None and values.dtype.kind == "u":
        values = dng.table[np.minimum(values, dng.table.size - 1)]
    return captured(values, dng, described, path.name)


def captured(values: npt.NDArray[Any], dng: Dng, described: Described, name: str) -> Captured:
    """What `dng` makes of its decoded values, the whole stored picture with curves undone.

    Only the active area is kept; the default crop inside it is not applied, as LibRaw does not: neither
    are the pixels outside it wrong, nor would LibRaw's own development lie over ours.
    Raises DamagedFileError for levels that make no sense and pictures too small.
    """
    top, left, bottom, right = dng.area
    seen = values[top:bottom, left:right]
    cell = 1 if dng.cell is None else len(dng.cell)
    check_side(dng, name)
    black = dng.black if dng.black_is_stated or not dng.masked else _black_of_masked(values, dng, cell)
    fields = described | {
        "noise": dng.noise,
        "xyz_to_camera": dng.xyz_to_camera,
        "orientation": dng.orientation,
        "pixel_aspect": dng.pixel_aspect,
        "shading": Shading(dng.gains, bottom - top, right - left, dng.cell) if dng.gains else None,
        "notes": dng.notes,
    }
    # A mosaic's black keeps the mean of what differs by row and column; the rest is taken from its data.
    highest = float(black.max()) + sum(
        float(d.mean() if dng.cell is not None else d.max())
        for d in (dng.row_delta, dng.column_delta)
        if d is not None
    )
    if not dng.white.min() > highest:
        raise DamagedFileError(
            f"{name}: its white level {dng.white.min():g} is not above its black level {highest:g}"
        )
    return _linear(seen, dng, black, fields) if dng.cell is None else _mosaic(seen, dng, black, fields)


def check_side(dng: Dng, name: str) -> None:
    """Raise TooSmallError for pictures that no camera makes so small."""
    top, left, bottom, right = dng.area
    if min(bottom - top, right - left) < SIDE_MIN:
        raise TooSmallError(
            f"{name}: its picture is only {right - left}x{bottom - top} pixels, at least {SIDE_MIN} a side are "
            "needed: take the camera's own file and not a thumbnail, or copy it from the card again"
        )


def check_whole(values: npt.NDArray[Any], name: str) -> None:
    """Raise DamagedFileError where the last rows repeat: decoders fill up short files so.

    Noise never repeats; rows of one value may be honest black.
    """
    last = values[-4:]
    if last.shape[0] == 4 and np.array_equal(last[:2], last[2:]) and last[0].min() != last[0].max():
        raise DamagedFileError(
            f"{name}: the RAW file is cut short or damaged, its last rows repeat; copy it from the card again"
        )


def _black_of_masked(values: npt.NDArray[Any], dng: Dng, cell: int) -> npt.NDArray[np.float64]:
    """The mean of the pixels that see no light, for each place of the cell."""
    top, left = dng.area[:2]
    sums, counts = np.zeros((cell, cell, dng.samples)), np.zeros((cell, cell, dng.samples))
    for first, start, last, end in dng.masked:
        for dy in range(cell):
            for dx in range(cell):
                # The cell begins at the active area.
                y, x = first + (dy + top - first) % cell, start + (dx + left - start) % cell
                part = values[y:last:cell, x:end:cell]
                flat = part.reshape(-1, dng.samples)
                sums[dy, dx] += flat.sum(axis=0, dtype=np.float64)
                counts[dy, dx] += len(flat)
    everywhere = sums.sum() / max(1, counts.sum())
    means: npt.NDArray[np.float64] = np.where(counts > 0, sums / np.maximum(counts, 1), everywhere)
    return means


def _mosaic(seen: npt.NDArray[Any], dng: Dng, black: npt.NDArray[np.float64], fields: Described) -> Mosaic:
    assert dng.cell is not None
    cell, white = len(dng.cell), float(dng.white.min())
    at_places, shading = _by_place(black[..., 0], dng, cell, seen.shape)
    data: Counts
    if shading is None and not dng.maps and seen.dtype.kind == "u" and seen.dtype.itemsize <= 2:
        data = seen.astype(np.uint16)
    else:
        data = _finite(seen, white)
        if shading is not None:
            for y in range(0, len(data), _ROWS):
                data[y : y + _ROWS] -= shading(y, min(y + _ROWS, len(data)))
        if dng.maps:
            _bend_mosaic(data, dng, at_places, white)
    if dng.is_float and white < COUNTS_FROM:
        data, at_places, white = data * np.float32(COUNTS), at_places * COUNTS, white * COUNTS
    data, cfa, at_places, left_out = _from_even(data, dng, at_places)
    if fields["shading"] is not None:
        fields["shading"] = fields["shading"].cut(*left_out)
    if dng.wb is not None:
        wb, source = dng.wb, "camera"
    else:
        wb, source = grey_world(data, cfa, at_places, white), GREY_WORLD
    is_straight = dng.table is None and not dng.maps
    return Mosaic(
        data=data,
        cfa=cfa,
        black=at_places,
        white=white,
        saturation=saturation(data, float(at_places.max()), white) if is_straight else white,
        wb=wb,
        wb_source=source,
        **fields,
    )


def _from_even(
    data: Counts, dng: Dng, black: npt.NDArray[np.float64]
) -> tuple[Counts, Cell, npt.NDArray[np.float64], tuple[int, int]]:
    """A Bayer mosaic without the row and column before the first even ones, which LibRaw leaves out too.

    Its own development then lies over ours pixel by pixel. Behind the mosaic, its cell and black: how many
    rows and columns were left out.
    """
    assert dng.cell is not None
    if len(dng.cell) != 2 or not (dng.area[0] % 2 or dng.area[1] % 2):
        return data, dng.cell, black, (0, 0)
    down, across = dng.area[0] % 2, dng.area[1] % 2
    cfa = tuple(tuple(dng.cell[(y + down) % 2][(x + across) % 2] for x in (0, 1)) for y in (0, 1))
    cut = data[down:, across:].copy()
    return cut, cfa, np.roll(black, (-down, -across), axis=(0, 1)), (down, across)


def _by_place(
    black: npt.NDArray[np.float64], dng: Dng, cell: int, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.float64], Any]:
    """Black for each place of the cell, and what differs from it: None or rows of it by their numbers."""
    rows, columns = (int(np.lcm(n, cell)) for n in black.shape)
    over = np.tile(black, (rows // black.shape[0], columns // black.shape[1]))
    at_places = over.reshape(rows // cell, cell, columns // cell, cell).mean(axis=(0, 2))
    rest = over - np.tile(at_places, (rows // cell, columns // cell))
    row_delta = np.zeros(shape[0]) if dng.row_delta is None else dng.row_delta
    column_delta = np.zeros(shape[1]) if dng.column_delta is None else dng.column_delta
    at_places = at_places + row_delta.mean() + column_delta.mean()
    row_rest, column_rest = row_delta - row_delta.mean(), column_delta - column_delta.mean()
    if not (np.any(rest) or np.any(row_rest) or np.any(column_rest)):
        return at_places, None

    def shading(first: int, last: int) -> npt.NDArray[np.float32]:
        y, x = np.arange(first, last) % rows, np.arange(shape[1]) % columns
        whole: npt.NDArray[np.float64] = rest[y][:, x] + row_rest[first:last, None] + column_rest
        return whole.astype(np.float32)

    return at_places, shading


def _bend_mosaic(
    data: npt.NDArray[np.float32], dng: Dng, black: npt.NDArray[np.float64], white: float
) -> None:
    """Make a mosaic linear whose opcodes bend its values, in place; it stays in DN."""
    cell = len(black)
    for y in range(0, len(data), _ROWS - _ROWS % cell):
        rows = data[y : y + _ROWS - _ROWS % cell]
        whole = np.tile(black, (-(-rows.shape[0] // cell), -(-rows.shape[1] // cell)))
        level = whole[: rows.shape[0], : rows.shape[1]].astype(np.float32)
        light = (rows - level) / (white - level)
        bent(light[..., None], dng.maps, y)
        rows[...] = light * (white - level) + level


def _linear(seen: npt.NDArray[Any], dng: Dng, black: npt.NDArray[np.float64], fields: Described) -> Linear:
    planes = seen.reshape(*seen.shape[:2], dng.samples)
    data = _light(planes, dng, black)
    clip = 1.0
    if dng.is_float:
        # Merged exposures go on above the white level; what overflowed was at least as bright as the rest.
        clip = min(max(1.0, float(data[np.isfinite(data)].max(initial=0))), LIGHT_MAX)
        np.nan_to_num(data, copy=False, nan=0.0, posinf=clip, neginf=0.0)
        np.clip(data, -LIGHT_MAX, clip, out=data)
    if dng.table is None and not dng.maps and clip == 1:
        for plane, low, high in zip(
            np.moveaxis(planes, -1, 0), black.max(axis=(0, 1)), dng.white, strict=True
        ):
            clip = min(clip, (saturation(plane, float(low), float(high)) - low) / (high - low))
    if dng.baseline_ev:
        # Display white is 1, not the white level.
        brighter = 2.0**dng.baseline_ev
        data *= np.float32(brighter)
        clip *= brighter
        fields["noise"] = _brightened(dng.noise, brighter)
    wb, source = (dng.wb, "camera") if dng.samples == 3 else ((1.0, 1.0, 1.0), "none (no colour filters)")
    return Linear(
        data=data,
        clip=float(clip),
        ratio=1.0,
        monochrome=dng.samples == 1,
        wb=wb or grey_world_of_light(data),
        wb_source=source if wb else GREY_WORLD,
        **fields,
    )


def _brightened(noise: NoiseProfile | None, gain: float) -> NoiseProfile | None:
    """The noise of light that is multiplied."""
    if noise is None:
        return None
    shot, read = (
        (v[0] * g, v[1] * g, v[2] * g) for v, g in ((noise.shot, gain), (noise.read, gain * gain))
    )
    return NoiseProfile(shot, read, noise.source)


def _light(planes: npt.NDArray[Any], dng: Dng, black: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """(value - black) / (white - black) with the opcodes' curves: (H, W, 3) of (H, W, samples)."""
    height, width, samples = planes.shape
    data = np.empty((height, width, 3), np.float32)
    rows, columns, _ = black.shape
    deltas = [d for d in (dng.row_delta, dng.column_delta) if d is not None]
    row_delta = np.zeros(height) if dng.row_delta is None else dng.row_delta
    column_delta = np.zeros(width) if dng.column_delta is None else dng.column_delta
    # The specification scales by the highest black level of a plane.
    span = dng.white - (black.max(axis=(0, 1)) + sum(float(d.max()) for d in deltas))
    is_everywhere = rows == columns == 1 and not deltas and all(m.covers(height, width) for m in dng.maps)
    if is_everywhere and planes.dtype.kind == "u" and planes.dtype.itemsize <= 2:
        steps = np.arange(np.iinfo(planes.dtype).max + 1, dtype=np.float64)
        table = ((steps[:, None, None] - black) / span).astype(np.float32)
        bent(table, tuple(m.anywhere() for m in dng.maps), 0)
        for y in range(0, height, _ROWS):
            for colour in range(3):
                one = min(colour, samples - 1)
                data[y : y + _ROWS, :, colour] = table[:, 0, one].take(planes[y : y + _ROWS, :, one])
        return data
    across = np.arange(width) % columns
    for y in range(0, height, _ROWS):
        down = np.arange(y, min(y + _ROWS, height))
        level = black[down % rows][:, across] + row_delta[down, None, None] + column_delta[:, None]
        with np.errstate(over="ignore"):
            light = ((planes[y : y + _ROWS] - level) / span).astype(np.float32)
        bent(light, dng.maps, y)
        data[y : y + _ROWS] = light
    return data


def _finite(values: npt.NDArray[Any], white: float) -> npt.NDArray[np.float32]:
    """Floats without the infinities of overflown lamps."""
    with np.errstate(over="ignore"):
        data: npt.NDArray[np.float32] = values.astype(np.float32)
    np.nan_to_num(data, copy=False, nan=0.0, posinf=white, neginf=0.0)
    np.clip(data, -LIGHT_MAX * white, LIGHT_MAX * white, out=data)
    return data
