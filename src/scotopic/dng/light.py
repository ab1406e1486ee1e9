"""Linear light to the 16-bit integers of a DNG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, assert_never, get_args

import numpy as np
import numpy.typing as npt

from scotopic.frame import Linear

DngWhite = Literal["light", "sensor"]
DNG_WHITES: tuple[DngWhite, ...] = get_args(DngWhite)
"""What WhiteLevel stands for: the brightest light of the picture, or where the sensor saturates, whatever it saw."""

TOP = 65535
"""The largest value of a 16-bit integer, which stands for display white where no light exceeds it."""

HALVINGS_MAX = 6
"""Light is halved at most so often to fit in: 64 times display white, `develop.LIGHT_MAX`. Each halving takes
one bit from the shadows."""

SPECKS = 8
"""Pixels brighter than all others that are still specks, at most, and no lamp: a bright point alone spreads over nine
by demosaicing."""

SPECK_ABOVE = 2.0
"""Specks are so many times as bright as the brightest pixel that is none of them."""

SATURATING = 0.95
"""Where WhiteLevel lies above the light at which the sensor stopped counting, light from this share of it on is
stretched up to WhiteLevel."""

ROWS = 256
"""Rows converted at a time: memory stays bounded. Also the strip's height, and the tile's side."""


@dataclass(frozen=True)
class Scaling:
    """How light becomes integers: light * TOP / 2**halvings, at most `white`."""

    halvings: int
    white: int
    clip: float = np.inf
    """Light that is stored as `white`, since the sensor saturated there."""

    @property
    def baseline_ev(self) -> float:
        """Stops by which a reader that shows `white` as white must brighten: BaselineExposure.

        >>> Scaling(5, TOP).baseline_ev
        5.0
        """
        return float(np.log2(self.white / TOP)) + self.halvings


def scaling_of(linear: Linear, white: DngWhite = "light") -> Scaling:
    """The least scaling down into which the light fits, or, for "sensor", any light at this amplification.

    Of "light" `white` is no higher than the light there is, a few specks aside, since some editors show it as white
    and know no BaselineExposure, and no higher than where the sensor saturated: there all colours end at once, which
    editors take for neutral as in any other RAW file. Of "sensor" it tells of the amplification alone, so that the
    frames of a sequence are alike: where a frame shows that its sensor stops counting below the level that its file
    states, colours are made to end at once.
    """
    most = 2.0**HALVINGS_MAX
    match white:
        case "sensor":
            top, clip = min(max(linear.ratio, linear.clip), most), linear.clip
        case "light":
            top, clip = min(_brightest(linear.data), linear.clip, most), np.inf
        case _:
            assert_never(white)
    halvings = max(0, int(np.ceil(np.log2(top))))
    return Scaling(halvings, max(round(top / 2**halvings * TOP), 1), clip if clip < top else np.inf)


def _brightest(data: npt.NDArray[np.float32]) -> float:
    """The largest value, at least 1; specks that stand out of everything else do not count."""
    above = []
    for _, rows in _bands(data):
        # Three times as fast as numpy's own maximum over a short last axis.
        light = np.maximum(np.maximum(rows[..., 0], rows[..., 1]), rows[..., 2])
        above.append(light[light > 1])
    bright = np.concatenate(above)
    if bright.size <= SPECKS:
        return 1.0
    usual, most = float(np.partition(bright, -SPECKS - 1)[-SPECKS - 1]), float(bright.max())
    return usual if most > SPECK_ABOVE * usual else most


def integers(linear: Linear, scaling: Scaling) -> Iterator[npt.NDArray[np.uint16]]:
    """The light as it is stored, ROWS rows at a time from the top.

    What lies below black becomes black. Where light is halved the rest is rounded up or down by chance, by
    its size, so that dark gradients do not turn into steps; the same picture gives the same file.
    """
    scale = np.float32(TOP / 2**scaling.halvings)
    for top, rows in _bands(linear.data):
        values = rows * scale
        if scaling.clip < np.inf:
            _stretch(values, scaling.clip * float(scale), scaling.white)
        if scaling.halvings:
            values += np.random.default_rng(top).random(values.shape, np.float32)
            np.floor(values, out=values)
        else:
            np.rint(values, out=values)
        np.clip(values, 0, scaling.white, out=values)
        yield values.astype(np.uint16)


def _stretch(values: npt.NDArray[np.float32], clip: float, white: int) -> None:
    """Bring what lies at `clip` to `white`, and what lies near below it in between, in place."""
    low = SATURATING * clip
    high = values > low
    values[high] = low + (values[high] - low) * ((white - low) / (clip - low))


def _bands(data: npt.NDArray[np.float32]) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    return ((top, data[top : top + ROWS]) for top in range(0, len(data), ROWS))
