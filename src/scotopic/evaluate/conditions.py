"""Under which conditions the synthetic benchmark takes its dark photos: cameras, ISO, ratio, and what goes wrong."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from scotopic.errors import SettingsError
from scotopic.evaluate.scenes import Scene
from scotopic.sensor.simulated import Sensor, calibrations, eld_camera, phone, sony_a7s2

LAMP_LIGHT = 30.0
"""How far above display white the lamps are that a condition puts into the scenes."""

LAMPS = 3
LAMP_RADII = (3, 9)
"""Lamps in a scene, and their radii in pixels."""

HOT_SHARE = 2e-4
"""Share of hot pixels where a condition has them: a warm sensor after a long day."""

LED_RED, LED_BLUE = (1.5, 0.06, 0.03), (0.06, 0.12, 1.5)
"""Coloured light as a condition has it, from the left and from the right, in the camera's own colours."""

LATERAL_PX = 1.5
"""Pixels by which red lies outside and blue inside of green in the corners, where a condition has lateral colour:
what a zoom lens does."""

LATERAL_EDGE = 4
"""Pixels by which a picture goes on as its mirror image before its colours are moved."""

BAND_NOISE = 0.3
BAND_ROWS = 4.0
"""Rows over which row noise is alike in the condition with bands (standard deviation of a Gaussian); BAND_NOISE is its
strength as a share of read noise."""


@dataclass(frozen=True)
class Condition:
    """One column of the benchmark; `sensor` is by ISO what takes the photos."""

    name: str
    ratio: float
    iso: float
    sensor: Callable[[float], Sensor] = sony_a7s2
    light: Callable[[Scene], npt.NDArray[np.float64]] | None = None
    """The light of a scene where it is not the scene's own."""

    @property
    def head(self) -> str:
        """For people: the ratio, the ISO, and the name where it is not just these."""
        words = _setting(self.ratio, self.iso)
        return words if self.name == words else f"{self.name}, {words}"

    def seed(self, scene: Scene) -> int:
        """Of the noise: by the scene's name, the ratio, the ISO and what makes the condition special."""
        words = _setting(self.ratio, self.iso)
        special = "" if self.name == words else f" {self.name}"
        return zlib.crc32(f"{scene.name} {words}{special}".encode())

    def scene(self, scene: Scene) -> Scene:
        """The scene as this condition has it."""
        return replace(scene, camera=self.light(scene)) if self.light else scene


def with_lamps(scene: Scene) -> npt.NDArray[np.float64]:
    """The scene's light with LAMPS discs of LAMP_LIGHT in it, always at the same places."""
    rng = np.random.default_rng(zlib.crc32(f"{scene.name} lamps".encode()))
    light = scene.camera.copy()
    height, width = light.shape[:2]
    y, x = np.mgrid[:height, :width]
    for _ in range(LAMPS):
        centre_y, centre_x = rng.uniform(0.1, 0.9) * height, rng.uniform(0.1, 0.9) * width
        inside = (y - centre_y) ** 2 + (x - centre_x) ** 2 < rng.integers(*LAMP_RADII) ** 2
        light[inside] = LAMP_LIGHT
    return light


def in_coloured_light(scene: Scene) -> npt.NDArray[np.float64]:
    """The scene between a red lamp on its left and a blue one on its right, as on a stage."""
    across = np.linspace(0, 1, scene.camera.shape[1])[:, None]
    lamps = (1 - across) * np.array(LED_RED) + across * np.array(LED_BLUE)
    lit: npt.NDArray[np.float64] = scene.camera * lamps
    return lit


def with_lateral_colour(scene: Scene) -> npt.NDArray[np.float64]:
    """The scene through a lens that draws red a little larger than green and blue a little smaller."""
    light = scene.camera.copy()
    height, width = light.shape[:2]
    middle = np.array([width, height]) / 2 + LATERAL_EDGE
    for colour, way in ((0, 1), (2, -1)):
        plane = np.pad(light[..., colour].astype(np.float32), LATERAL_EDGE, mode="reflect")
        scale = 1 - way * LATERAL_PX / np.hypot(*(np.array([width, height]) / 2))
        left, top = middle * (1 - scale)
        whole = Image.fromarray(plane)
        moved = whole.transform(
            whole.size, Image.Transform.AFFINE, (scale, 0, left, 0, scale, top), Image.Resampling.BICUBIC
        )
        inner = slice(LATERAL_EDGE, -LATERAL_EDGE)
        light[..., colour] = np.maximum(np.asarray(moved)[inner, inner], 0)
    return light


def _setting(ratio: float, iso: float) -> str:
    return f"x{ratio:g} ISO {iso:g}"


def _sony(ratio: float, iso: float) -> Condition:
    return Condition(_setting(ratio, iso), ratio, iso)


def _hot_sony(iso: float) -> Sensor:
    return replace(sony_a7s2(iso), hot_share=HOT_SHARE)


def _banded_sony(iso: float) -> Sensor:
    sensor = sony_a7s2(iso)
    return replace(sensor, row_std_dn=BAND_NOISE * sensor.read_std_dn, band_rows=BAND_ROWS)


def _eld(name: str, iso: float) -> Sensor:
    # The calibration's least gain is that of ISO 100.
    return eld_camera(name, calibrations()["eld"][name]["K_min"] * iso / 100)


def _imx686(iso: float) -> Sensor:
    """A phone's IMX686 at ISO 6400, the one that is calibrated; 10 bit."""
    return Sensor(
        make="phone",
        model="IMX686",
        iso=iso,
        gain_dn_per_e=8.74 * iso / 6400,
        read_std_dn=13.6 * iso / 6400,
        black_dn=(64.0,) * 4,
        white_dn=1023.0,
        source="calibrations.toml, phone.IMX686",
    )


SONY = (_sony(100, 250), _sony(250, 8000), _sony(300, 320), _sony(300, 6400))
"""The Sony A7S II at the median ISO of each ratio in the See-in-the-Dark test set, and one extreme."""

CONDITIONS = (
    *SONY,
    _sony(300, 25600),
    Condition("Nikon D850", 30, 3200, partial(_eld, "NikonD850")),
    Condition("Canon 700D", 60, 1600, partial(_eld, "CanonEOS700D")),
    Condition("phone, Reno 10x", 16, 3200, phone),
    Condition("phone, IMX686", 4, 6400, _imx686),
    Condition("lamps", 100, 250, light=with_lamps),
    Condition("hot pixels", 100, 250, _hot_sony),
    Condition("bands", 100, 3200, _banded_sony),
    Condition("coloured light", 30, 3200, light=in_coloured_light),
    Condition("lateral colour", 4, 400, light=with_lateral_colour),
    Condition("daylight", 1, 100),
)
"""The whole benchmark. ISO 25600 at x300 counts 2 electrons at white: a stress test only. By daylight nothing is
to be done, and no harm either."""


def conditions_named(names: list[str]) -> tuple[Condition, ...]:
    """Conditions by their names or their heads, or `sony` for the four of the Sony, or `all`.

    Raises SettingsError for a name that there is not.

    >>> [c.head for c in conditions_named(["lamps", "daylight, x1 ISO 100", "x300 ISO 320"])]
    ['lamps, x100 ISO 250', 'daylight, x1 ISO 100', 'x300 ISO 320']
    """
    groups = {"sony": SONY, "all": CONDITIONS} | {c.name: (c,) for c in CONDITIONS}
    by_head = {c.head: c.name for c in CONDITIONS}
    chosen: dict[str, Condition] = {}
    for name in (by_head.get(name, name) for name in names):
        if name not in groups:
            known = ", ".join(f'"{name}"' for name in groups)
            raise SettingsError(f'no condition called "{name}": known are {known}')
        chosen |= {c.name: c for c in groups[name]}
    return tuple(chosen.values())
