"""The three states of a picture: what the sensor counted, linear light, what a display shows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from scotopic.errors import SettingsError
from scotopic.metadata import Exif
from scotopic.shading import Shading

Linear32 = npt.NDArray[np.float32]
Counts = npt.NDArray[np.uint16] | Linear32
"""A mosaic's values in DN."""

Shown = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Display values."""

RED, GREEN, BLUE = 0, 1, 2

RGGB = ((RED, GREEN), (GREEN, BLUE))
"""The Bayer phase that the network sees, in reading order."""


X_TRANS = (
    (1, 2, 1, 1, 0, 1),
    (0, 1, 0, 2, 1, 2),
    (1, 2, 1, 1, 0, 1),
    (1, 0, 1, 1, 2, 1),
    (2, 1, 2, 0, 1, 0),
    (1, 0, 1, 1, 2, 1),
)
"""The colours of Fujifilm's X-Trans sensors, in the phase that training uses."""


@dataclass(frozen=True)
class NoiseProfile:
    """variance(x) = shot * x + read for each colour, x in 0..1 of the sensor's range above black.

    `shot` and `read` hold one value for R, G, B. `source` says where they come from, in words.
    """

    shot: tuple[float, float, float]
    read: tuple[float, float, float]
    source: str

    def variance(self, x: npt.NDArray[np.floating], colour: int) -> npt.NDArray[np.floating]:
        """Variance of the value x (any shape) of a colour (0, 1 or 2).

        >>> profile = NoiseProfile((0.01,) * 3, (0.0001,) * 3, "an example")
        >>> float(profile.variance(np.array(0.5), GREEN))
        0.0051
        """
        variance: npt.NDArray[np.floating] = self.shot[colour] * np.maximum(x, 0) + self.read[colour]
        return variance


@dataclass(frozen=True, eq=False, kw_only=True)
class Capture:
    """What is known of how a picture was taken; common to all states before display."""

    wb: tuple[float, float, float]
    """Camera gains for R, G, B; green = 1."""
    wb_source: str = "camera"
    xyz_to_camera: npt.NDArray[np.float64] | None = None
    """(3, 3), XYZ (D65) to camera RGB before white balance; None where nobody knows it."""
    exposure_s: float | None = None
    iso: float | None = None
    make: str = ""
    model: str = ""
    orientation: int = 1
    """EXIF orientation, 1 to 8: how the picture must be turned to stand upright."""
    pixel_aspect: float = 1.0
    """Width over height of a pixel."""
    noise: NoiseProfile | None = None
    """What the file itself says of its noise."""
    shading: Shading | None = None
    """Gains that even out the lens's shading, as the file gives them, and are still to be applied."""
    notes: tuple[str, ...] = ()
    """What the user should know of how the file was read."""
    exif: Exif = field(default_factory=Exif)

    def with_changes(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, eq=False, kw_only=True)
class Mosaic(Capture):
    """What the sensor counted, one colour a pixel.

    `data` (H, W) in DN, uint16 or float32; `cfa` the colours (0 R, 1 G, 2 B) of the repeating cell in
    reading order from the top-left, 2x2 or 6x6; `black` in DN for each place of the cell; `white` in
    DN; `saturation` where this sensor stops counting, in DN, at most `white`.
    """

    data: Counts
    cfa: tuple[tuple[int, ...], ...]
    black: npt.NDArray[np.float64]
    white: float
    saturation: float

    def __post_init__(self) -> None:
        cell = np.shape(self.cfa)
        if self.data.ndim != 2 or cell not in ((2, 2), (6, 6)) or np.shape(self.black) != cell:
            raise SettingsError(
                f"a Mosaic needs data (H, W), a cfa of 2x2 or 6x6 and black of the same shape; got "
                f"data {self.data.shape}, cfa {cell}, black {np.shape(self.black)}"
            )
        if min(self.data.shape) < len(self.cfa):
            raise SettingsError(
                f"a Mosaic needs one whole cell of its colours, {cell[0]}x{cell[1]}; got data {self.data.shape}"
            )
        if not self.white > float(np.max(self.black)):
            raise SettingsError(f"white level {self.white} is not above black level {np.max(self.black)}")

    @property
    def is_bayer(self) -> bool:
        """Whether this is one of the four Bayer phases."""
        cell = self.cfa
        if len(cell) != 2:
            return False
        falling, rising = (cell[0][0], cell[1][1]), (cell[0][1], cell[1][0])
        return {frozenset(falling), frozenset(rising)} == {frozenset({GREEN}), frozenset({RED, BLUE})}

    def colour_planes(self) -> list[tuple[int, npt.NDArray[np.float32]]]:
        """One plane for each place of the cell: its colour and x = (data - black) / (white - black)."""
        size = len(self.cfa)
        planes = []
        for dy in range(size):
            for dx in range(size):
                black = np.float32(self.black[dy, dx])
                plane = self.data[dy::size, dx::size].astype(np.float32)
                plane -= black
                plane *= np.float32(1 / (self.white - float(black)))
                planes.append((self.cfa[dy][dx], plane))
        return planes


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Capture):
    """Scene-linear camera RGB before white balance, amplified.

    `data` (H, W, 3) float32; after white balance 1.0 is display white for a neutral patch, and light
    above it is kept. `clip` is the value at which the sensor saturated. `ratio` is the amplification.

    Files that hold finished colours a pixel (linear DNG, ProRAW) are read as one with ratio 1: 0 is black,
    1 display white, which is the file's white level unless its BaselineExposure says otherwise. `monochrome` says
    that the sensor has no colour filters; its three planes are the same.
    """

    data: npt.NDArray[np.float32]
    clip: float
    ratio: float
    monochrome: bool = False

    def __post_init__(self) -> None:
        if self.data.ndim != 3 or self.data.shape[2] != 3:
            raise SettingsError(f"a Linear needs data (H, W, 3); got {self.data.shape}")


Captured = Mosaic | Linear
"""What reading a file gives."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Rendered:
    """Display RGB: `data` (H, W, 3) uint8 or uint16, upright, with its ICC profile and EXIF."""

    data: Shown
    icc: bytes
    exif: Exif
