"""The models that come with the package, and any other model folder: found, verified, opened.

A model is a folder with `model.onnx`, `card.json` and `README.md`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scotopic.errors import ModelError, UnknownModelError
from scotopic.sensor.pattern import SensorKind

CARD_FORMAT = 1
INPUTS = ("mosaic", "black", "white", "wb", "shot", "read", "ratio")
OPTIONAL = {"trim": np.zeros(4, np.int64), "with_plain": np.array(True)}
"""What graphs of kind linear hold as constants by these names, and `with_optional` makes inputs. `trim`: pixels at the
top, left, bottom and right, multiples of the card's `edge`, that the outputs leave out; then the `edge` pixels at the
outputs' own edge are not to be used where the picture goes on. Without `with_plain`, `plain` may be empty."""

NETWORK = "/graph/net/"
"""How the names of the network's own nodes begin in an exported graph."""

OUTPUTS: dict[str, tuple[str, ...]] = {"linear": ("rgb", "plain"), "srgb": ("rgb",)}
"""Names of a graph's outputs, by the model's kind."""
Tier = Literal["fast", "best"]
DEFAULT = "bayer-fast"
DEFAULTS: dict[tuple[SensorKind, Tier], str] = {
    ("bayer", "fast"): DEFAULT,
    ("bayer", "best"): "bayer-best",
    ("xtrans", "fast"): "xtrans-fast",
}
"""The packaged model for a kind of sensor, by tier."""

GRAPH_MAX = 1 << 28
"""Bytes of a graph's file, at most; the paper's network, larger than any that is needed, takes 31 million."""

CARD_MAX = 1 << 20
SIDE_MAX = 4096
"""Size multiple and halo in pixels, at most: what is beyond is no network's."""

_HERE = Path(__file__).parent

_ELSEWHERE = re.compile(rb"(?:\x08|\x88\x80*\x00)location")
"""How ONNX begins to say that weights lie in another file: a key of eight letters, in whichever way protocol buffers
allow to write the eight. Parts of names do not match, since their lengths differ."""


@dataclass(frozen=True)
class Card:
    """What a model folder says of itself; `raw` is the whole of `card.json`."""

    folder: Path
    name: str
    version: str
    kind: str
    cfa: str
    size_multiple: int
    halo: int
    edge: int
    """Pixels at the edge of trimmed outputs that are not to be used (see OPTIONAL); 0 for a graph without these
    constants."""
    parameters: int
    sha256: str
    raw: dict[str, Any]

    @property
    def graph(self) -> Path:
        """The ONNX file."""
        return self.folder / "model.onnx"


def available() -> list[Card]:
    """The cards of all models in the package, by name."""
    return [load_card(p.parent) for p in sorted(_HERE.glob("*/card.json"))]


def find(name: str | Path) -> Card:
    """The model of that name in the package, or the model folder at that path.

    Raises UnknownModelError where there is none, ModelError where its card is broken.
    """
    packaged = _HERE / str(name)
    if str(name) and packaged.parent == _HERE and (packaged / "card.json").is_file():
        return load_card(packaged)
    folder = Path(name)
    if (folder / "card.json").is_file():
        return load_card(folder)
    if (folder / "recipe.json").is_file():
        raise UnknownModelError(
            f"{name}: is the folder of a training run and no model yet: 'scotopic models export {name} FOLDER' makes "
            "one of it"
        )
    known = ", ".join(card.name for card in available()) or "none"
    raise UnknownModelError(
        f"no model called {name!s}: known are {known}, or give a folder with model.onnx and card.json"
    )


def default_for(sensor: SensorKind, tier: Tier = "fast") -> str:
    """The name of the packaged model for a sensor. Raises ModelError for a tier that has none.

    >>> default_for("bayer")
    'bayer-fast'
    """
    if (sensor, tier) not in DEFAULTS:
        known = ", ".join(sorted({t for s, t in DEFAULTS if s == sensor}))
        raise ModelError(
            f"there is no model of the tier {tier} for {sensor} sensors yet: known are {known}"
        )
    return DEFAULTS[sensor, tier]


def check_fits(card: Card, sensor: SensorKind) -> None:
    """Raise ModelError for a model of another kind of sensor than a picture's."""
    if card.cfa != sensor:
        raise ModelError(
            f"{card.name}: is for {card.cfa} sensors, this picture is of the {sensor} kind; leave --model out to take "
            "the model that fits"
        )


def load_card(folder: Path) -> Card:
    """Read and check `card.json`. Raises ModelError when it is broken or of an unknown format."""
    try:
        with (folder / "card.json").open("rb") as file:
            content = file.read(CARD_MAX + 1)
        if len(content) > CARD_MAX:
            raise ValueError(f"more than {CARD_MAX} bytes")
        raw = json.loads(content)
        card = Card(
            folder=folder,
            name=str(raw["name"]),
            version=str(raw["version"]),
            kind=str(raw["kind"]),
            cfa=str(raw["cfa"]),
            size_multiple=int(raw["size_multiple"]),
            halo=int(raw["halo"]),
            edge=int(raw.get("edge", 0)),
            parameters=int(raw["parameters"]),
            sha256=str(raw["sha256"]),
            raw=raw,
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ModelError(f"{folder / 'card.json'}: is no model card ({error})") from error
    if raw.get("format") != CARD_FORMAT:
        raise ModelError(
            f"{folder / 'card.json'}: has format {raw.get('format')}, this version reads {CARD_FORMAT}"
        )
    sides_fit = 1 <= card.size_multiple <= SIDE_MAX and 0 <= card.halo <= SIDE_MAX
    if not sides_fit or card.halo % card.size_multiple:
        raise ModelError(
            f"{folder / 'card.json'}: halo {card.halo} must be a multiple of {card.size_multiple}, both at most "
            f"{SIDE_MAX}"
        )
    if card.edge < 0 or (card.edge and card.size_multiple % card.edge):
        raise ModelError(
            f"{folder / 'card.json'}: edge {card.edge} must divide the size multiple, {card.size_multiple}"
        )
    return card


def verified(card: Card) -> bytes:
    """The graph's bytes, to be opened as they are: the file may change between two looks at it.

    Raises ModelError where it is not what the card was written for, or has weights in other files: those
    nobody has verified, and they may lie anywhere. A graph holds no code; its operators are ONNX Runtime's own.
    """
    try:
        with card.graph.open("rb") as file:
            content = file.read(GRAPH_MAX + 1)
    except OSError as error:
        raise ModelError(f"{card.graph}: cannot be read ({error.strerror})") from error
    if len(content) > GRAPH_MAX:
        raise ModelError(f"{card.graph}: holds more than {GRAPH_MAX >> 20} MiB, no network's size")
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise ModelError(
            f"{card.graph}: its SHA-256 is {found[:12]}..., the card says {card.sha256[:12]}...; the file "
            "was changed or damaged: install the model again"
        )
    if _ELSEWHERE.search(content):
        raise ModelError(
            f"{card.graph}: has weights in another file (external data), which the card's SHA-256 does not "
            "cover; store them inside: onnx.save(onnx.load(path), path)"
        )
    return content


def with_optional(graph: bytes) -> bytes:
    """An ONNX file with the constants of OPTIONAL for inputs that may be left out.

    Protocol buffers merge what is said twice, and add to lists: so these inputs are said once more, after the file.
    """
    types = {"int64": 7, "bool": 9}
    inputs = b""
    for name, value in OPTIONAL.items():
        dimensions = b"".join(_field(1, b"\x08" + bytes([n])) for n in value.shape)
        tensor = b"\x08" + bytes([types[value.dtype.name]]) + _field(2, dimensions)
        inputs += _field(11, _field(1, name.encode()) + _field(2, _field(1, tensor)))
    return graph + _field(7, inputs)


def _field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer that holds bytes or a message, at most 127 of them."""
    return bytes([number << 3 | 2, len(content)]) + content


FIELDS_MAX = 100_000
"""Fields of a graph's message, at most; ours have hundreds."""


def values_taken(graph: bytes, name: str) -> int | None:
    """How many values an ONNX file's input of that name takes in a row; None where that is not told.

    It is read here, as opening a graph is for the sandbox.
    """
    try:
        inputs = _inside(_inside([memoryview(graph)], 7), 11)
        found = [each for each in inputs if any(bytes(n) == name.encode() for n in _inside([each], 1))]
        # Its type, that of a tensor, its shape, the sizes of that.
        for number in (2, 1, 2, 1):
            found = _inside(found, number)
        (size,) = found
        return _number(size, 1)[0] if bytes(size[:1]) == b"\x08" else None
    except (ValueError, IndexError):
        return None


def kind_of(graph: bytes) -> str:
    """The kind of model that an ONNX file's outputs make it, read as there; `srgb` where that is not told."""
    try:
        found = {bytes(name).decode() for name in _inside(_inside(_inside([memoryview(graph)], 7), 12), 1)}
    except (ValueError, IndexError):
        found = set()
    return next((kind for kind, outputs in OUTPUTS.items() if found.issuperset(outputs)), "srgb")


def _inside(messages: list[memoryview], number: int) -> list[memoryview]:
    """The fields of that number that hold bytes or a message. Raises IndexError and ValueError for what is none."""
    found = []
    fields = 0
    for message in messages:
        at = 0
        while at < len(message):
            fields += 1
            if fields > FIELDS_MAX:
                raise ValueError(f"more than {FIELDS_MAX} fields")
            key, at = _number(message, at)
            size = {1: 8, 5: 4}.get(key & 7, 0)
            if key & 7 == 0:
                _, at = _number(message, at)
            elif key & 7 == 2:
                size, at = _number(message, at)
            if key == number << 3 | 2:
                found.append(message[at : at + size])
            at += size
    return found


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, and where it ends. Raises as `_inside`."""
    value = 0
    for shift in range(0, 64, 7):
        byte, at = message[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("no number has so many bytes")


def is_packaged(card: Card) -> bool:
    """Whether it came with the package, tried and tested."""
    return card.folder.resolve().parent == _HERE.resolve()


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
