"""Simulated sensors, from published calibrations: a scene in, the mosaic such a camera would count out.

The physics follows Wei et al. (CVPR 2020, TPAMI 2021): Poisson electrons, read noise that is Gaussian
or Tukey-lambda, one draw a row of row noise (or bands of rows alike), rounding to DN.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.colour import CAMERA_MATRICES
from scotopic.errors import SettingsError
from scotopic.frame import RGGB, Mosaic, NoiseProfile
from scotopic.metadata import Exif

QUANTISATION_VARIANCE_DN2 = 1 / 12

READ_ELECTRONS_MAX = 32.0
"""No sensor's read noise is higher; the networks have seen up to 8. Where more is told (a fit that found next to no
shot noise), colours go wrong (experiments.md, 2026-11-29)."""


@dataclass(frozen=True)
class Sensor:
    """A camera at one ISO. All in DN but for the camera's gain, in DN per electron."""

    make: str
    model: str
    iso: float
    gain_dn_per_e: float
    read_std_dn: float
    row_std_dn: float = 0.0
    band_rows: float = 0.0
    """Standard deviation, in rows, of the Gaussian over which neighbouring rows are off alike; at 0 each is off for
    itself."""
    tukey_lambda: float | None = None
    """Shape of the read noise; None for Gaussian."""
    black_dn: tuple[float, ...] = (512.0, 512.0, 512.0, 512.0)
    """For the places of the cell in reading order: 4, or 36 of X-Trans."""
    white_dn: float = 16383.0
    black_error_dn: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    """How far the true black lies above the stated one; for the same places as `black_dn`."""
    hot_share: float = 0.0
    shading_dn: npt.NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Dark shading (H, W): the fixed pattern above black, the same in every frame of that size."""
    source: str = ""
    """Whose calibration this is."""

    @property
    def full_well_e(self) -> float:
        """Electrons at the white level."""
        return (self.white_dn - float(np.mean(self.black_dn))) / self.gain_dn_per_e

    def noise_profile(self) -> NoiseProfile:
        """The true noise of a pixel in x (0..1 above black), row noise apart."""
        span = self.white_dn - float(np.mean(self.black_dn))
        shot = self.gain_dn_per_e / span
        read = (self.read_std_dn**2 + QUANTISATION_VARIANCE_DN2) / span**2
        return NoiseProfile((shot,) * 3, (read,) * 3, "the simulated sensor's own")


@cache
def calibrations() -> dict[str, Any]:
    """The published calibrations that come with the package, as the TOML file holds them."""
    return tomllib.loads((files("scotopic.sensor") / "calibrations.toml").read_text())


def sony_a7s2(iso: float) -> Sensor:
    """Sony A7S II by PMN's calibration (Feng et al. 2022), ISO 100 to 25600.

    Interpolated in log ISO, never across the gain switch between ISO 1600 and 2000.
    Raises SettingsError outside the calibrated range.

    >>> sony_a7s2(1600).read_std_dn > sony_a7s2(2000).read_std_dn
    True
    """
    table = calibrations()["pmn"]["SonyA7S2"]
    stops, read, row = (np.array(table[k]) for k in ("iso", "sigma_read", "sigma_row"))
    if not stops[0] <= iso <= stops[-1]:
        raise SettingsError(f"ISO {iso:g} is not calibrated; known are {stops[0]} to {stops[-1]}")
    low_gain = stops < 2000
    segment = low_gain if iso < 2000 else ~low_gain

    def at(values: npt.NDArray[np.float64]) -> float:
        logs = np.interp(math.log(iso), np.log(stops[segment]), np.log(values[segment]))
        return math.exp(float(logs))

    return Sensor(
        make="SONY",
        model="ILCE-7SM2",
        iso=iso,
        gain_dn_per_e=table["K_per_iso"] * iso,
        read_std_dn=at(read),
        row_std_dn=at(row),
        source=calibrations()["pmn"]["source"],
    )


def eld_camera(name: str, gain_dn_per_e: float) -> Sensor:
    """A camera of the ELD calibration at a system gain: the mean of its fitted line, Tukey read noise.

    Names as in the file: SonyA7S2, NikonD850, CanonEOS5D4, CanonEOS70D, CanonEOS700D.
    """
    cameras = calibrations()["eld"]
    if not isinstance(cameras.get(name), dict):
        known = ", ".join(k for k, v in cameras.items() if isinstance(v, dict))
        raise SettingsError(f"no calibration for {name}; known are {known}")
    camera = cameras[name]

    def line(kind: str) -> float:
        fit = camera[kind]
        return math.exp(fit["slope"] * math.log(gain_dn_per_e) + fit["bias"])

    return Sensor(
        make=name,
        model=name,
        iso=round(100 * gain_dn_per_e / camera["K_min"]),
        gain_dn_per_e=gain_dn_per_e,
        read_std_dn=line("gaussian"),
        row_std_dn=line("row"),
        tukey_lambda=float(np.mean(camera["tukey_lambda"])),
        source=cameras["source"],
    )


def phone(iso: float) -> Sensor:
    """A 10-bit phone (Oppo Reno 10x, PMRID's calibration) at an ISO."""
    table = calibrations()["phone"]["OppoReno10x"]
    gain, variance = table["K_of_iso"], table["variance_of_iso"]
    return Sensor(
        make="OPPO",
        model="Reno 10x",
        iso=iso,
        gain_dn_per_e=gain["per_iso"] * iso + gain["offset"],
        read_std_dn=math.sqrt(
            variance["per_iso2"] * iso**2 + variance["per_iso"] * iso + variance["offset"]
        ),
        black_dn=(64.0,) * 4,
        white_dn=1023.0,
        source=table["source"],
    )


def known_sensor(make: str, model: str, iso: float) -> Sensor | None:
    """The sensor of a camera, named as its files name it, at an ISO; None where no calibration covers it.

    Published calibrations only (calibrations.toml). Black and white levels are the calibration's, not the
    file's.

    >>> known_sensor("Canon", "Canon EOS REBEL T5i", 800).gain_dn_per_e  # doctest: +ELLIPSIS
    3.58...
    >>> known_sensor("SONY", "ILCE-7SM2", 51200) is None
    True
    """
    name = plain_name(f"{make} {model}")
    table = calibrations()

    def fits(entry: Any) -> bool:
        return isinstance(entry, dict) and name in map(plain_name, entry.get("exif", ()))

    sensor = None
    sony, oppo = table["pmn"]["SonyA7S2"], table["phone"]["OppoReno10x"]
    if fits(sony) and sony["iso"][0] <= iso <= sony["iso"][-1]:
        sensor = sony_a7s2(iso)
    elif fits(oppo) and oppo["iso"][0] <= iso <= oppo["iso"][1]:
        sensor = phone(iso)
    else:
        base, top = table["eld"]["iso"]
        for key, entry in table["eld"].items():
            if fits(entry) and base <= iso <= top:
                sensor = eld_camera(key, entry["K_min"] * iso / base)
    return None if sensor is None else replace(sensor, make=make, model=model, iso=iso)


def plain_name(name: str) -> str:
    """A name without case, spaces and a maker said twice.

    >>> plain_name("NIKON CORPORATION NIKON D850") == plain_name("Nikon D850")
    True
    """
    words = name.casefold().replace("corporation", " ").split()
    return " ".join(dict.fromkeys(words))


def expose(
    scene: npt.NDArray[np.floating],
    sensor: Sensor,
    ratio: float,
    rng: np.random.Generator,
    *,
    wb: tuple[float, float, float] = (2.0, 1.0, 1.7),
    cfa: tuple[tuple[int, ...], ...] = RGGB,
    xyz_to_camera: npt.ArrayLike = CAMERA_MATRICES["Sony ILCE-7SM2"],
    exposure_s: float = 0.1,
    noisy: bool = True,
) -> Mosaic:
    """Take a picture, `ratio` times too short.

    `scene` (H, W, 3) is linear, white-balanced camera RGB, 1.0 = display white at the right exposure.
    Bayer and X-Trans cells alike. Without noise only rounding is left.
    """
    height, width = scene.shape[:2]
    size = len(cfa)
    black, error = (_cell(values, size) for values in (sensor.black_dn, sensor.black_error_dn))
    light = np.empty((height, width))
    offset = np.empty((height, width))
    for dy in range(size):
        for dx in range(size):
            colour = cfa[dy][dx]
            light[dy::size, dx::size] = scene[dy::size, dx::size, colour] / (ratio * wb[colour])
            offset[dy::size, dx::size] = black[dy, dx] + error[dy, dx]
    if sensor.shading_dn is not None:
        if sensor.shading_dn.shape != (height, width):
            raise SettingsError(
                f"the sensor's dark shading is {sensor.shading_dn.shape}, the scene {(height, width)}"
            )
        offset += sensor.shading_dn
    electrons = np.maximum(light, 0) * sensor.full_well_e
    if noisy:
        electrons = rng.poisson(electrons).astype(np.float64)
    dn = electrons * sensor.gain_dn_per_e + offset
    if noisy:
        dn += _read_noise(sensor, rng, dn.shape)
        dn += _row_noise(sensor, rng, height)
        hot = rng.random(dn.shape) < sensor.hot_share
        dn[hot] = rng.uniform(dn[hot], sensor.white_dn)
    counted = np.clip(np.rint(dn), 0, sensor.white_dn).astype(np.uint16)
    exif = Exif({0x010F: sensor.make, 0x0110: sensor.model}, {}, {})
    return Mosaic(
        data=counted,
        cfa=cfa,
        black=black,
        white=sensor.white_dn,
        saturation=sensor.white_dn,
        wb=wb,
        xyz_to_camera=np.asarray(xyz_to_camera, dtype=np.float64),
        exposure_s=exposure_s,
        iso=sensor.iso,
        make=sensor.make,
        model=sensor.model,
        exif=exif,
    )


def _cell(values: tuple[float, ...], size: int) -> npt.NDArray[np.float64]:
    """Values of a 2x2 or 6x6 cell in reading order, repeated over a cell of `size` squared."""
    side = math.isqrt(len(values))
    if side * side != len(values) or size % side:
        raise SettingsError(
            f"{len(values)} black levels fit no {size}x{size} cell: 4 are needed, or one a place"
        )
    return np.tile(np.array(values, dtype=np.float64).reshape(side, side), (size // side, size // side))


def _read_noise(
    sensor: Sensor, rng: np.random.Generator, shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    shape_parameter = sensor.tukey_lambda
    if shape_parameter is None or abs(shape_parameter) < 1e-3:
        return rng.normal(0, sensor.read_std_dn, shape)
    u = rng.uniform(1e-7, 1 - 1e-7, shape)
    return tukey_quantiles(u, shape_parameter) * (sensor.read_std_dn / tukey_std(shape_parameter))


def _row_noise(sensor: Sensor, rng: np.random.Generator, height: int) -> npt.NDArray[np.float64]:
    """What each row is off by (H, 1), of the sensor's standard deviation."""
    drawn = rng.normal(0, sensor.row_std_dn, (height, 1))
    if not sensor.band_rows:
        return drawn
    rows = np.arange(height)
    alike = np.exp(-0.5 * ((rows[:, None] - rows) / sensor.band_rows) ** 2)
    bands: npt.NDArray[np.float64] = alike @ drawn / np.linalg.norm(alike, axis=1, keepdims=True)
    return bands


def tukey_quantiles(u: npt.NDArray[np.float64], shape_parameter: float) -> npt.NDArray[np.float64]:
    """The Tukey lambda distribution's value at shares `u` of it (above 0, below 1); shape not 0."""
    p = shape_parameter
    values: npt.NDArray[np.float64] = (u**p - (1 - u) ** p) / p
    return values


def tukey_std(shape_parameter: float) -> float:
    """Standard deviation of the Tukey lambda distribution (shape above -0.5, not 0).

    >>> round(tukey_std(1.0), 4)  # uniform on -1..1
    0.5774
    """
    p = shape_parameter
    beta = math.exp(2 * math.lgamma(p + 1) - math.lgamma(2 * p + 2))
    return math.sqrt(2 / p**2 * (1 / (1 + 2 * p) - beta))


def believable(shot: float, read: float, x: float) -> tuple[float, float]:
    """Noise of no more than READ_ELECTRONS_MAX, of the same variance at `x`."""
    if math.sqrt(read) <= READ_ELECTRONS_MAX * shot:
        return shot, read
    share, variance = READ_ELECTRONS_MAX**2, shot * x + read
    shot = 2 * variance / (math.sqrt(x * x + 4 * share * variance) + x)
    return shot, share * shot * shot
