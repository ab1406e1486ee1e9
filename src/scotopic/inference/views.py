"""Several looks at one picture: turned or mirrored, and begun elsewhere, so that other pixels share a network's place.

What a network makes of them differs where it is unsure, and their mean is nearer to the truth than each (geometric
self-ensemble: Timofte, Rothe and Van Gool, "Seven ways to improve example-based single image super resolution", 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

from scotopic.errors import SettingsError
from scotopic.frame import Counts
from scotopic.sensor.pattern import Pattern, SensorKind, extended

Kept = tuple[slice, slice]
"""Rows and columns of a piece."""


@dataclass(frozen=True)
class View:
    """One look: rows and columns in reverse order or not, then so many of them put `before`.

    The mosaic begins with the same pattern as before, so a model takes it as it is.
    """

    reversed: tuple[bool, bool] = (False, False)
    before: tuple[int, int] = (0, 0)

    @property
    def steps(self) -> tuple[slice, slice]:
        """What turns rows and columns, and turns them back."""
        rows, columns = (slice(None, None, -1 if backwards else 1) for backwards in self.reversed)
        return rows, columns

    def of(
        self, piece: Counts, kept: Kept, pattern: Pattern, multiple: int, halo: int
    ) -> tuple[Counts, Kept]:
        """A piece (H, W) of a mosaic so seen, with sides that are multiples again, and where what is `kept` of it then
        lies. What is further from that than a `halo` decides nothing."""
        if self == View():
            return piece, kept
        margins, found = [], []
        for length, inside, backwards, ahead in zip(
            piece.shape, kept, self.reversed, self.before, strict=True
        ):
            start, stop = (
                (length - inside.stop, length - inside.start) if backwards else (inside.start, inside.stop)
            )
            # A few of a whole halo's pixels may be pushed out at the end; else they are as near as the picture's edge.
            pushed_out = length - stop >= max(halo, ahead)
            margins.append((ahead, 0 if pushed_out else -(length + ahead) % multiple))
            found.append(slice(start + ahead, stop + ahead))
        seen = extended(piece[self.steps], margins, pattern.cell)
        height, width = (n - n % multiple for n in seen.shape)
        return seen[:height, :width], (found[0], found[1])


VIEWS: dict[SensorKind, tuple[View, ...]] = {
    "bayer": (
        View(),
        View((True, True), (1, 3)),
        View((True, False), (3, 2)),
        View((False, True), (2, 1)),
    ),
    "xtrans": (
        View(),
        View((True, True), (3, 3)),
        View((False, True), (3, 0)),
        View((True, False), (0, 3)),
    ),
}
"""Looks at a picture by kind of sensor, in the order in which they help most: experiments.md, 2026-11-30."""


def growth(looks: Sequence[View], multiple: int) -> int:
    """Rows and columns by which a piece whose sides are multiples grows at most, as one of these looks sees it."""
    return -(-max(ahead for look in looks for ahead in look.before) // multiple) * multiple


PASSES_MAX = 4
"""Looks at a picture, at most: more gain next to nothing (experiments.md, 2026-11-30)."""


def check_passes(passes: int) -> None:
    """Raise SettingsError for what is no number of passes."""
    if isinstance(passes, bool) or not isinstance(passes, Integral) or not 1 <= passes <= PASSES_MAX:
        raise SettingsError(f"passes {passes} is out of range: a whole number from 1 to {PASSES_MAX}")


def views(sensor: SensorKind, passes: int) -> tuple[View, ...]:
    """So many looks at mosaics of a kind of sensor, the first of them the mosaic as it is. Raises as `check_passes`."""
    check_passes(passes)
    return VIEWS[sensor][:passes]
