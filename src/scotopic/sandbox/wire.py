"""Pictures on their way from the child: one JSON header of plain values and one array's bytes, never a pickle.

Whoever took the child over may send anything; `unpacked` takes nothing for granted. Every value is checked for its
type and its range before it becomes part of a picture.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import asdict
from typing import Any, NoReturn, assert_never

import numpy as np
import numpy.typing as npt
from PIL.TiffImagePlugin import IFDRational

from scotopic.dng.directory import PIXELS_MAX, SIDE_MAX
from scotopic.dng.origin import Origin, Tag, is_opcode_list
from scotopic.frame import Captured, Linear, Mosaic, NoiseProfile
from scotopic.metadata import Exif, Words, writes
from scotopic.metadata.xmp import PART, PROPERTIES
from scotopic.sensor.shading import GAIN_MAX, GainMap, Shading

HEADER_MAX = 1 << 25
"""Bytes of a header, at most, EXIF and XMP together; `xmp.LARGEST_PACKET` and a maker's largest tags fit in several
times over."""

_TEXT_MAX, _LIST_MAX = 1 << 22, 1 << 20
_TYPES: dict[str, np.dtype[Any]] = {
    "uint8": np.dtype(np.uint8),
    "uint16": np.dtype(np.uint16),
    "float32": np.dtype(np.float32),
}
_TYPES_OF = {"mosaic": ("uint16", "float32"), "linear": ("float32",), "shown": ("uint8", "uint16")}
_COLOUR_TAGS = range(50706, 52600)
"""Where DNG's own tags lie."""

_KINDS_OF_TAG = range(1, 13)
"""TIFF's types of values."""

_NUMBER_MAX = 1e30
"""Largest number that a header may hold: no level, gain or exposure is beyond; within it float32 does not overflow."""


class WireError(ValueError):
    """What the child sent is no picture."""


def packed(captured: Captured) -> tuple[dict[str, Any], npt.NDArray[Any]]:
    """A picture as a header of plain values and its data."""
    noise, matrix, exif = captured.noise, captured.xyz_to_camera, captured.exif
    header: dict[str, Any] = {
        "kind": "mosaic" if isinstance(captured, Mosaic) else "linear",
        "dtype": captured.data.dtype.name,
        "shape": list(captured.data.shape),
        "wb": list(map(float, captured.wb)),
        "wb_source": captured.wb_source,
        "xyz_to_camera": None if matrix is None else matrix.tolist(),
        "exposure_s": captured.exposure_s,
        "iso": captured.iso,
        "make": captured.make,
        "model": captured.model,
        "orientation": captured.orientation,
        "pixel_aspect": captured.pixel_aspect,
        "noise": None if noise is None else asdict(noise),
        "shading": None if captured.shading is None else _packed_shading(captured.shading),
        "notes": list(captured.notes),
        "exif": {
            "main": _pairs(exif.main),
            "exif": _pairs(exif.exif),
            "gps": _pairs(exif.gps),
            "words": asdict(exif.words),
            "enhanced": exif.enhanced,
        },
    }
    if isinstance(captured, Mosaic):
        header |= {
            "cfa": captured.cfa,
            "black": captured.black.tolist(),
            "white": float(captured.white),
            "saturation": float(captured.saturation),
        }
    else:
        header |= {
            "clip": float(captured.clip),
            "ratio": float(captured.ratio),
            "monochrome": captured.monochrome,
        }
    return header, captured.data


def room(header: dict[str, Any], memory_bytes: int) -> npt.NDArray[Any]:
    """An array to take the data that the header announces. Raises WireError for what no picture is."""
    kind, dtype = str(header.get("kind")), str(header.get("dtype"))
    if dtype not in _TYPES_OF.get(kind, ()):
        raise WireError(f"a {kind} of {dtype}")
    sides = _numbers(header.get("shape"), 2 if kind == "mosaic" else 3)
    whole = [int(side) for side in sides]
    fits = whole == sides and min(whole) > 0 and max(whole) <= SIDE_MAX
    if not fits or whole[0] * whole[1] > PIXELS_MAX or (kind != "mosaic" and whole[2] != 3):
        raise WireError(f"a picture of {whole}")
    if math.prod(whole) * _TYPES[dtype].itemsize > memory_bytes:
        raise WireError(f"a picture of {whole}, more than the child could hold")
    return np.empty(whole, _TYPES[dtype])


def unpacked(header: dict[str, Any], data: npt.NDArray[Any]) -> Captured:
    """The picture. Raises WireError for values that `read` never gives."""
    try:
        if data.dtype.kind == "f" and not (np.isfinite(data.min()) and np.isfinite(data.max())):
            raise WireError("light that is no number")
        values = _common(header)
        if header["kind"] == "linear":
            return Linear(
                data=data,
                clip=_number(header["clip"], above=0),
                ratio=_number(header["ratio"], above=0),
                monochrome=header["monochrome"] is True,
                **values,
            )
        cfa = tuple(tuple(int(c) for c in _numbers(row)) for row in _list(header["cfa"]))
        black = np.array([_numbers(row) for row in _list(header["black"])], np.float64)
        if {colour for row in cfa for colour in row} - {0, 1, 2}:
            raise WireError(f"colours {cfa}")
        white = _number(header["white"])
        saturation = _number(header["saturation"])
        if not float(black.max()) < saturation <= white:
            raise WireError(f"saturation {saturation}")
        return Mosaic(data=data, cfa=cfa, black=black, white=white, saturation=saturation, **values)
    except WireError:
        raise
    except Exception as error:
        raise WireError(str(error)) from error


def packed_origin(origin: Origin) -> dict[str, Any]:
    """What is carried over from a source DNG as plain values."""
    return {
        "camera": origin.camera,
        "tags": [[code, kind, count, _plain(value)] for code, kind, count, value, _ in origin.tags],
        "lens": _plain(origin.lens),
    }


def unpacked_origin(header: dict[str, Any], name: str) -> Origin:
    """The inverse of `packed_origin`, of a child's answer about the file of that name. Raises WireError."""
    try:
        tags: list[Tag] = []
        for entry in _list(header["tags"]):
            code, kind, count, value = entry
            if (
                type(code) is not int
                or code not in _COLOUR_TAGS
                or kind not in _KINDS_OF_TAG
                or type(count) is not int
                or count < 0
            ):
                raise WireError(f"tag {code!r}")
            tags.append((code, kind, count, _value(value), True))
        lens = _value(header["lens"])
        if not isinstance(lens, bytes) or (lens and not is_opcode_list(lens)):
            raise WireError("opcodes that are none")
        return Origin(name, clean(header["camera"]), tuple(tags), lens)
    except WireError:
        raise
    except Exception as error:
        raise WireError(str(error)) from error


def dumped(header: dict[str, Any]) -> bytes:
    """The header's bytes."""
    return json.dumps(header, allow_nan=False).encode("ascii")


def loaded(content: bytes) -> dict[str, Any]:
    """The header of its bytes. Raises WireError."""

    def refused(word: str) -> NoReturn:
        raise WireError(word)

    try:
        header = json.loads(content, parse_constant=refused)
    except (ValueError, RecursionError) as error:
        raise WireError(str(error)) from error
    if not isinstance(header, dict):
        raise WireError("no header")
    return header


def clean(text: Any) -> str:
    """One line of printable text: what comes from the child may end on somebody's terminal.

    >>> clean("a\\x1b[31m\\nb")
    'a [31m b'
    """
    return "".join(c if c.isprintable() else " " for c in str(text)[:2000])


def _common(header: dict[str, Any]) -> dict[str, Any]:
    red, green, blue = (_number(gain, above=0) for gain in _numbers(header["wb"], 3))
    matrix, noise, exif = header["xyz_to_camera"], header["noise"], header["exif"]
    orientation = _number(header["orientation"])
    if orientation not in range(1, 9):
        raise WireError(f"orientation {orientation}")
    return {
        "wb": (red, green, blue),
        "wb_source": clean(header["wb_source"]),
        "xyz_to_camera": None
        if matrix is None
        else np.array([_numbers(row, 3) for row in _list(matrix, 3)]),
        "exposure_s": _optional(header["exposure_s"]),
        "iso": _optional(header["iso"]),
        "make": clean(header["make"]),
        "model": clean(header["model"]),
        "orientation": int(orientation),
        "pixel_aspect": _number(header["pixel_aspect"], above=0),
        "noise": None if noise is None else _noise(noise),
        "shading": None if header["shading"] is None else _shading(header["shading"]),
        "notes": tuple(map(clean, _list(header["notes"]))),
        "exif": Exif(
            _tags(exif["main"]),
            _tags(exif["exif"]),
            _tags(exif["gps"]),
            _words(exif["words"]),
            exif["enhanced"] is True,
        ),
    }


def _noise(stated: dict[str, Any]) -> NoiseProfile:
    shot, read = ([_number(v, at_least=0) for v in _numbers(stated[n], 3)] for n in ("shot", "read"))
    return NoiseProfile((shot[0], shot[1], shot[2]), (read[0], read[1], read[2]), clean(stated["source"]))


def _packed_shading(shading: Shading) -> dict[str, Any]:
    maps = [
        {
            **{name: list(getattr(one, name)) for name in ("area", "pitch", "planes", "origin", "spacing")},
            "grid": _plain(one.grid.astype("<f4").tobytes()),
            "shape": list(one.grid.shape),
            "of_mosaic": one.of_mosaic,
        }
        for one in shading.maps
    ]
    size = {"height": shading.height, "width": shading.width, "left_out": list(shading.left_out)}
    return {"maps": maps, "cell": shading.cell, **size}


def _shading(stated: dict[str, Any]) -> Shading:
    maps = []
    for one in _list(stated["maps"]):
        shape = _wholes(one["shape"], 3, 1)
        grid = np.frombuffer(_value(one["grid"]), "<f4").astype(np.float32).reshape(shape)
        if not np.all((grid > 0) & (grid <= GAIN_MAX)):
            raise WireError("gains that are none")
        area, pitch, planes = (
            _wholes(one["area"], 4),
            _wholes(one["pitch"], 2, 1),
            _wholes(one["planes"], 2),
        )
        down, across = _numbers(one["origin"], 2)
        step_down, step_across = (_number(v, above=0) for v in _numbers(one["spacing"], 2))
        maps.append(
            GainMap(
                (area[0], area[1], area[2], area[3]),
                (pitch[0], pitch[1]),
                (planes[0], planes[1]),
                (down, across),
                (step_down, step_across),
                grid,
                one["of_mosaic"] is True,
            )
        )
    height, width = _wholes([stated["height"], stated["width"]], 2, 1)
    top, left = _wholes(stated["left_out"], 2)
    cell = stated["cell"]
    known = None if cell is None else tuple(tuple(_wholes(row, len(cell))) for row in _list(cell))
    return Shading(tuple(maps), height, width, known, (top, left))


def _wholes(value: Any, length: int, at_least: int = 0) -> list[int]:
    numbers = _numbers(value, length)
    if any(n != int(n) or n < at_least for n in numbers):
        raise WireError(f"numbers {numbers}")
    return [int(n) for n in numbers]


def _words(stated: dict[str, Any]) -> Words:
    rating = stated["rating"]
    if rating is not None and (type(rating) is not int or not -1 <= rating <= 5):
        raise WireError(f"rating {rating!r}")
    words: dict[str, Any] = {}
    for name, wanted in PROPERTIES.items():
        match wanted.form:
            case "text" | "alt":
                words[name] = _text(stated[name])
            case "structure":
                words[name] = tuple((_text(part), _text(text)) for part, text in _list(stated[name]))
            case "bag" | "seq":
                words[name] = tuple(map(_text, _list(stated[name])))
            case _:
                assert_never(wanted.form)
    if not all(PART.fullmatch(part) for part, _ in words["contact"]):
        raise WireError("a contact that is none")
    return Words(rating=rating, **words)


def _pairs(tags: dict[int, Any]) -> list[list[Any]]:
    return [[int(number), _plain(value)] for number, value in tags.items()]


def _plain(value: Any) -> Any:
    """EXIF values as JSON: what JSON lacks is an object of one entry."""
    match value:
        case bytes():
            return {"bytes": base64.b64encode(value).decode("ascii")}
        case IFDRational():
            return {"rational": [int(value.numerator), int(value.denominator)]}
        case tuple() | list():
            return [_plain(v) for v in value]
        case float() if not math.isfinite(value):
            return {"float": repr(value)}
        case _:
            return value


def _tags(stated: Any) -> dict[int, Any]:
    tags = {}
    for pair in _list(stated):
        number, value = pair
        if type(number) is not int or not 0 <= number <= 0xFFFF:
            raise WireError(f"tag {number!r}")
        tags[number] = _value(value)
        if not writes(number, tags[number]):
            raise WireError(f"a value of tag {number} that cannot be written")
    return tags


def _value(value: Any, *, inner: bool = False) -> Any:
    match value:
        case {"bytes": str(text)}:
            return base64.b64decode(text, validate=True)
        case {"rational": [int(above), int(below)]}:
            return IFDRational(above, below)
        case {"float": ("nan" | "inf" | "-inf") as text}:
            return float(text)
        case str():
            return _text(value)
        case bool():
            raise WireError("a tag that is true or false")
        case int() | float():
            return value
        case list() if not inner and len(value) <= _LIST_MAX:
            return tuple(_value(v, inner=True) for v in value)
        case _:
            raise WireError("a tag of an unknown kind")


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _TEXT_MAX:
        raise WireError("a text that is none")
    return value


def _list(value: Any, length: int | None = None) -> list[Any]:
    if not isinstance(value, list) or len(value) > _LIST_MAX or length not in (None, len(value)):
        raise WireError("a list that is none")
    return value


def _numbers(value: Any, length: int | None = None) -> list[float]:
    return [_number(v) for v in _list(value, length)]


def _number(value: Any, *, above: float = -math.inf, at_least: float = -math.inf) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not abs(value) <= _NUMBER_MAX or not value > above or not value >= at_least:
        raise WireError("a number out of its range")
    return float(value)


def _optional(value: Any) -> float | None:
    return None if value is None else _number(value, above=0)
