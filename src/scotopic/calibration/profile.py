"""A camera's profile: what its owner measured of it with dark and flat frames, kept in one JSON file.

Noise by ISO and exposure, the true black, the fixed pattern of dark frames and the hot pixels. How it is
measured: `calibrate.py`. How it is used: `apply.py`.
"""

from __future__ import annotations

import base64
import bisect
import io
import json
import math
import zipfile
import zlib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scotopic.calibration.packed import arrays_of, text_of
from scotopic.disk.files import check_there
from scotopic.errors import SettingsError
from scotopic.frame import Mosaic, NoiseProfile
from scotopic.libraw import is_black_of_margin
from scotopic.metadata import camera_in_words
from scotopic.metadata.exifsource import BODY_SERIAL
from scotopic.sensor.simulated import QUANTISATION_VARIANCE_DN2, Sensor
from scotopic.write import place_bytes

FORMAT_OF_ANY_VERSION = "scotopic camera profile "
FORMAT = FORMAT_OF_ANY_VERSION + "2"
"""First entry of a profile's file; a file that begins with another number has another form."""

FORMAT_BEFORE = FORMAT_OF_ANY_VERSION + "1"
"""First entry of older profiles, of the same form; but where black is measured on masked columns (Canon's own files)
theirs was off LibRaw's whole numbers."""

GAIN_SWITCH = 0.85
"""Read noise in DN grows with ISO within one gain of the sensor. Where it falls to less than this share at
a higher ISO, the sensor has switched its gain: nothing is interpolated across. At the A7S II's switch it falls
to 0.42 (calibrations.toml)."""

SAME_BITS = 0.5
"""White levels less than this apart, in powers of two, are of one bit depth: some cameras change theirs with ISO."""

SAME_ISO = 0.01
"""ISO values this near, relatively, are one."""

_DAMAGED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    OSError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    MemoryError,
)
"""What a damaged file raises on reading."""

GainSource = Literal["flats", "flats at another ISO", "table", ""]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Setting:
    """What was measured at one ISO and exposure. In DN, as the camera's files count."""

    iso: float
    exposure_s: float | None
    dark_frames: int
    read_std_dn: float
    """Read noise in DN: standard deviation of one pixel from frame to frame, without row noise and rounding."""
    row_std_dn: float
    """Row noise in DN: standard deviation of a whole row from frame to frame."""
    black_error_dn: tuple[float, ...]
    """True black above the file's (as it is read), for each place of the cell in reading order."""
    hot_share: float
    tukey_lambda: float | None = None
    """Shape of the read noise; None where it is Gaussian or could not be told."""
    gain_dn_per_e: float | None = None
    """DN per electron; None where neither flats nor a table told it."""
    gain_source: GainSource = ""


@dataclass(frozen=True, eq=False)
class Pattern:
    """The fixed pattern at a setting, in DN above the true black.

    `coarse` (h, w) lies evenly over the picture; `rows` (H,) and `columns` (W,) are added; `hot` (n, 2) are rows
    and columns of pixels not to be used.
    """

    coarse: Floats
    rows: Floats
    columns: Floats
    hot: npt.NDArray[np.uint16]

    @property
    def is_uneven(self) -> bool:
        """Whether there is anything but hot pixels."""
        return any(part.any() for part in (self.coarse, self.rows, self.columns))

    def shading(self, start: int = 0, stop: int | None = None) -> Floats:
        """(H, W) in DN, or the rows from `start` to `stop` of it."""
        smooth = enlarged(self.coarse, (self.rows.size, self.columns.size), start, stop)
        smooth += self.rows[start:stop, None]
        smooth += self.columns[None, :]
        return smooth


@dataclass(frozen=True, eq=False)
class CameraProfile:
    """All settings of one camera, by ISO, with a pattern each."""

    make: str
    model: str
    serial: str
    cfa: tuple[tuple[int, ...], ...]
    black_dn: tuple[float, ...]
    """Black as read from the files, in reading order of the cell."""
    white_dn: float
    height: int
    width: int
    settings: tuple[Setting, ...]
    patterns: tuple[Pattern, ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    """What the profile's maker was told when it was made."""

    @property
    def name(self) -> str:
        """The camera in words."""
        return camera_in_words(self.make, self.model)

    def matches(self, mosaic: Mosaic) -> bool:
        """Whether the file comes from this camera; serial numbers count where both are known."""
        return self.is_of(mosaic.make, mosaic.model, serial_of(mosaic))

    def is_of(self, make: str, model: str, serial: str) -> bool:
        """Whether a file that states this make, model and serial number comes from this camera."""
        same = (make, model) == (self.make, self.model)
        return same and (not serial or not self.serial or serial == self.serial)

    def at(self, iso: float | None, exposure_s: float | None = None) -> tuple[Setting, Pattern]:
        """What holds at an ISO and exposure: calibrated there, or in between, but never across a gain switch.

        Between two exposures at one ISO the pattern is interpolated, as dark current grows with time; beyond them the
        nearest is taken. Raises SettingsError, with the reason, for an ISO that is not covered.
        """
        if iso is None:
            raise SettingsError("the file does not say its ISO")
        by_iso: dict[float, list[tuple[Setting, Pattern]]] = {}
        for setting, pattern in zip(self.settings, self.patterns, strict=True):
            by_iso.setdefault(setting.iso, []).append((setting, pattern))
        known = sorted(by_iso)
        below = [each for each in known if each <= iso * (1 + SAME_ISO)]
        above = [each for each in known if each >= iso * (1 - SAME_ISO)]
        if not below or not above:
            raise SettingsError(f"calibrated are {_isos(known)}, not ISO {iso:g}")
        low, low_pattern = _at_exposure(by_iso[below[-1]], exposure_s)
        if below[-1] >= above[0]:
            return replace(low, iso=iso), low_pattern
        high, high_pattern = _at_exposure(by_iso[above[0]], exposure_s)
        if high.read_std_dn < GAIN_SWITCH * low.read_std_dn:
            raise SettingsError(
                f"the sensor switches its gain somewhere between ISO {low.iso:g} and {high.iso:g}; ISO {iso:g} "
                "is not calibrated"
            )
        share = math.log(iso / low.iso) / math.log(high.iso / low.iso)
        linear = (iso - low.iso) / (high.iso - low.iso)
        return _between(low, high, share, linear, iso), _pattern_between(low_pattern, high_pattern, linear)

    def for_mosaic(self, mosaic: Mosaic) -> tuple[Setting, Pattern]:
        """What holds for a file. Raises as `at`, and for one that counts in other bits or has another cell."""
        if mosaic.cfa != self.cfa:
            raise SettingsError("its colours lie otherwise than in the frames of the calibration")
        if abs(math.log2(mosaic.white / self.white_dn)) > SAME_BITS:
            raise SettingsError(
                f"its white level is {mosaic.white:g} DN, that of the frames of the calibration {self.white_dn:g}: "
                "it was taken with other bits"
            )
        return self.at(mosaic.iso, mosaic.exposure_s)

    def noise_profile(self, mosaic: Mosaic) -> NoiseProfile | None:
        """The noise of a file; None where the gain is not known. Raises as `for_mosaic`."""
        setting, _ = self.for_mosaic(mosaic)
        if setting.gain_dn_per_e is None:
            return None
        span = mosaic.white - float(np.mean(mosaic.black))
        shot = setting.gain_dn_per_e / span
        read = (setting.read_std_dn**2 + QUANTISATION_VARIANCE_DN2) / span**2
        words = f"your profile of this {self.name}"
        if setting.gain_source == "table":
            words += ", gain from the table"
        return NoiseProfile((shot,) * 3, (read,) * 3, words)

    def fits(self, mosaic: Mosaic) -> bool:
        """Whether the file has the size of the calibration frames, so that the pattern lies right."""
        return mosaic.data.shape == (self.height, self.width)

    def sensor(
        self, iso: float, exposure_s: float | None = None, shape: tuple[int, int] | None = None
    ) -> Sensor:
        """This camera to simulate with, or the top left part of it, `shape` rows and columns.

        Raises SettingsError where ISO or gain are not known, and for a shape larger than the camera's.
        """
        setting, pattern = self.at(iso, exposure_s)
        height, width = shape or (self.height, self.width)
        if height > self.height or width > self.width:
            raise SettingsError(
                f"{width}x{height} pixels are more than this {self.name} has, {self.width}x{self.height}"
            )
        if setting.gain_dn_per_e is None:
            raise SettingsError(
                f"the profile of this {self.name} knows no gain: calibrate it again with --flat"
            )
        return Sensor(
            make=self.make,
            model=self.model,
            iso=iso,
            gain_dn_per_e=setting.gain_dn_per_e,
            read_std_dn=setting.read_std_dn,
            row_std_dn=setting.row_std_dn,
            tukey_lambda=setting.tukey_lambda,
            black_dn=self.black_dn,
            white_dn=self.white_dn,
            black_error_dn=setting.black_error_dn,
            hot_share=setting.hot_share,
            shading_dn=pattern.shading()[:height, :width],
            source=f"profile of {self.name}",
        )

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the profile, whole or not at all. Raises FileExistsRefusal, WriteError."""
        place_bytes(path, self.to_json().encode(), overwrite=overwrite)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All patterns as the file holds them."""
        return {
            f"{name}_{i}": getattr(pattern, name).astype(np.uint16 if name == "hot" else np.float16)
            for i, pattern in enumerate(self.patterns)
            for name in ("coarse", "rows", "columns", "hot")
        }

    def to_json(self) -> str:
        """The file's text: figures as JSON, patterns as a compressed .npz in base64."""
        plain = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("settings", "patterns")
        }
        packed = io.BytesIO()
        np.savez_compressed(packed, allow_pickle=False, **self.arrays())
        whole = {"format": FORMAT, **plain, "settings": [asdict(s) for s in self.settings]}
        whole["patterns"] = base64.b64encode(packed.getvalue()).decode("ascii")
        return json.dumps(whole, indent=1) + "\n"


def serial_of(mosaic: Mosaic) -> str:
    """The camera body's serial number as EXIF has it, or ''."""
    value = mosaic.exif.exif.get(BODY_SERIAL, "")
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return text.strip("\0 ")


def load(path: Path) -> CameraProfile:
    """Read a profile. Raises SettingsError for a file that is none, or a damaged one."""
    check_there(path, SettingsError)
    try:
        text = text_of(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise SettingsError(f"{path}: cannot be read as a camera profile ({why})") from error
    try:
        whole = json.loads(text)
        form = whole.pop("format", None) if isinstance(whole, dict) else None
        if form == FORMAT_BEFORE and is_black_of_margin(str(whole.get("make"))):
            raise ValueError(
                "the black it is off has been measured more finely since, on the sensor's masked columns"
            )
        if form not in (FORMAT, FORMAT_BEFORE):
            if isinstance(form, str) and form.startswith(FORMAT_OF_ANY_VERSION):
                raise ValueError(
                    f"it is a {form!r}, of another version of scotopic; this one reads {FORMAT!r}"
                )
            raise ValueError(f"its format is not {FORMAT!r}")
        settings = tuple(
            Setting(**entry | {"black_error_dn": tuple(entry["black_error_dn"])})
            for entry in whole.pop("settings")
        )
        arrays = arrays_of(whole.pop("patterns"))
        patterns = tuple(_pattern(arrays, i) for i in range(len(settings)))
        cfa = tuple(tuple(int(c) for c in row) for row in whole.pop("cfa"))
        whole |= {k: tuple(whole[k]) for k in ("black_dn", "notes")}
        profile = CameraProfile(**whole, cfa=cfa, settings=settings, patterns=patterns)
        _check(profile)
    except _DAMAGED as error:
        raise SettingsError(
            f"{path}: is no camera profile that can be used ({error}); make it again with 'scotopic calibrate'"
        ) from error
    return profile


def _pattern(arrays: Any, i: int) -> Pattern:
    coarse, rows, columns = (arrays[f"{n}_{i}"].astype(np.float32) for n in ("coarse", "rows", "columns"))
    return Pattern(coarse, rows, columns, arrays[f"hot_{i}"].astype(np.uint16))


def _check(profile: CameraProfile) -> None:
    """Raise ValueError for values that no calibration gives."""
    cell = len(profile.cfa) ** 2
    if not profile.settings or len(profile.black_dn) != cell:
        raise ValueError("it holds no settings, or black levels that do not fit its cell")
    if not all(isinstance(word, str) for word in (profile.make, profile.model, profile.serial)):
        raise ValueError("its camera's name is no text")
    levels = (profile.white_dn, *profile.black_dn)
    if not all(map(math.isfinite, levels)) or not profile.white_dn > max(*profile.black_dn, 0):
        raise ValueError(f"its white level {profile.white_dn} is not above its black levels")
    for s, pattern in zip(profile.settings, profile.patterns, strict=True):
        gain = 1.0 if s.gain_dn_per_e is None else s.gain_dn_per_e
        counts = [gain, s.read_std_dn, s.row_std_dn, *s.black_error_dn]
        others = [s.iso, s.hot_share, s.exposure_s or 0.0, s.tukey_lambda or 0.0]
        sound = all(map(math.isfinite, counts + others)) and max(map(abs, counts)) <= max(levels)
        sound = sound and min(s.iso, gain) > 0 and min(*counts[:3], *others[:3]) >= 0
        if not sound or len(s.black_error_dn) != cell:
            raise ValueError(f"its figures at ISO {s.iso} make no sense")
        sizes = (pattern.rows.shape, pattern.columns.shape, pattern.coarse.ndim, pattern.hot.shape[1:])
        if sizes != ((profile.height,), (profile.width,), 2, (2,)) or not pattern.coarse.size:
            raise ValueError(f"its pattern at ISO {s.iso} does not fit {profile.height}x{profile.width}")
        finite = all(np.isfinite(a).all() for a in (pattern.coarse, pattern.rows, pattern.columns))
        if not finite or np.any(pattern.hot >= (profile.height, profile.width)):
            raise ValueError(f"its pattern at ISO {s.iso} is damaged")


def _isos(known: list[float]) -> str:
    return f"ISO {known[0]:g}" if len(known) == 1 else f"ISO {known[0]:g} to {known[-1]:g}"


def _between(low: Setting, high: Setting, share: float, linear: float, iso: float) -> Setting:
    """Noise by its logarithm over the logarithm of ISO, offsets linearly, as amplification does."""

    def log_mean(a: float, b: float) -> float:
        return math.exp((1 - share) * math.log(a) + share * math.log(b)) if min(a, b) > 0 else (a + b) / 2

    gains, shapes = (low.gain_dn_per_e, high.gain_dn_per_e), (low.tukey_lambda, high.tukey_lambda)
    return replace(
        low,
        iso=iso,
        exposure_s=(low, high)[linear > 0.5].exposure_s,
        read_std_dn=log_mean(low.read_std_dn, high.read_std_dn),
        row_std_dn=log_mean(low.row_std_dn, high.row_std_dn),
        black_error_dn=tuple(
            (1 - linear) * a + linear * b
            for a, b in zip(low.black_error_dn, high.black_error_dn, strict=True)
        ),
        hot_share=(1 - linear) * low.hot_share + linear * high.hot_share,
        tukey_lambda=shapes[share > 0.5],
        gain_dn_per_e=log_mean(gains[0], gains[1]) if gains[0] and gains[1] else None,
    )


def _at_exposure(known: list[tuple[Setting, Pattern]], exposure_s: float | None) -> tuple[Setting, Pattern]:
    """Between two exposures: offsets and variances linearly over time, as dark current adds to them."""
    timed = sorted(((s.exposure_s, s, p) for s, p in known if s.exposure_s), key=lambda each: each[0])
    if not exposure_s or not timed:
        return known[0]
    times = [time for time, _, _ in timed]
    place = min(max(bisect.bisect_left(times, exposure_s), 1), len(timed) - 1) if len(timed) > 1 else 0
    (start, low, low_pattern), (end, high, high_pattern) = timed[max(place - 1, 0)], timed[place]
    share = min(max((exposure_s - start) / (end - start), 0.0), 1.0) if end > start else 0.0
    if share in (0.0, 1.0):
        return (high, high_pattern) if share else (low, low_pattern)
    between = _between(low, high, share, share, low.iso)
    std = {
        name: ((1 - share) * getattr(low, name) ** 2 + share * getattr(high, name) ** 2) ** 0.5
        for name in ("read_std_dn", "row_std_dn")
    }
    # Hot pixels are those of the exposure that is nearer in stops: a short one hardly has a long one's.
    hot = (low_pattern if exposure_s**2 < start * end else high_pattern).hot
    pattern = replace(_pattern_between(low_pattern, high_pattern, share), hot=hot)
    return replace(between, exposure_s=exposure_s, **std), pattern


def _pattern_between(low: Pattern, high: Pattern, share: float) -> Pattern:
    def mix(a: Floats, b: Floats) -> Floats:
        return ((1 - share) * a + share * b).astype(np.float32)

    if np.array_equal(low.hot, high.hot):
        hot = low.hot
    else:
        places = np.concatenate([low.hot, high.hot]).astype(np.uint32)
        rows, columns = np.divmod(np.unique(places[:, 0] << 16 | places[:, 1]), 1 << 16)
        hot = np.stack([rows, columns], axis=1).astype(np.uint16)
    return Pattern(
        mix(low.coarse, high.coarse), mix(low.rows, high.rows), mix(low.columns, high.columns), hot
    )


def enlarged(coarse: Floats, shape: tuple[int, int], start: int = 0, stop: int | None = None) -> Floats:
    """Values of even blocks to `shape`, or to some rows of it: bilinear, each in the middle of its block."""

    def places(n: int, few: int) -> tuple[Any, Any, Floats]:
        position = np.clip((np.arange(n) + 0.5) * few / n - 0.5, 0, few - 1)
        first = np.minimum(position.astype(np.intp), max(few - 2, 0))
        return first, np.minimum(first + 1, few - 1), (position - first).astype(np.float32)

    left, right, weight = places(shape[1], coarse.shape[1])
    wide = (1 - weight) * coarse[:, left] + weight * coarse[:, right]
    above, below, share = (v[start:stop] for v in places(shape[0], coarse.shape[0]))
    values: Floats = wide[below]
    values -= wide[above]
    values *= share[:, None]
    values += wide[above]
    return values
