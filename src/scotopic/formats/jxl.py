"""Rendered pictures as JPEG XL: their light coded, their colour space named in the codestream's header.

libjxl as imagecodecs offers it codes floats as linear sRGB and writes that down; integers of 16 bits it takes
for linear light, too. In JPEG XL's own colours (XYB, which know no gamut) the space written down is but the one
that a decoder gives back. So the light goes in as linear sRGB, beyond 0..1 where the space is larger, and the
header is written anew with the picture's own space and depth.
"""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import numpy.typing as npt

from scotopic.colour import Primaries, srgb_to, srgb_to_linear
from scotopic.cores import usable_cores
from scotopic.formats.icc import space_of
from scotopic.frame import Rendered, Shown

DISTANCE, EFFORT = 0.25, 3
"""Butteraugli distance: 1 is where differences begin to be seen; a quarter of that leaves room for editing the
shadows. Chosen: experiments.md, 2026-11-23."""

_ROWS = 256
"""Rows converted at a time."""

_PRIMARIES: dict[Primaries, int] = {"srgb": 1, "rec2020": 9, "p3": 11}
_LINEAR, _SRGB = 8, 13
"""ISO/IEC 18181-1, E.2: the enumerations Primaries and TransferFunction."""

_D65, _RGB, _RELATIVE = 1, 0, 1
"""WhitePoint, ColourSpace, RenderingIntent."""


def encode(picture: Rendered, exif: bytes, packet: bytes) -> bytes:
    """A JPEG XL file of a 16-bit picture, with EXIF (a TIFF header and what follows) and XMP beside it.

    The boxes are those of ISO/IEC 18181-2; an Exif box begins with the offset of its TIFF header.
    Raises ValueError for an ICC profile that is none of `icc.profile`, and where the encoder's header is
    not what is expected.
    """
    space = space_of(picture.icc)
    if space is None:
        raise ValueError("JPEG XL needs one of the colour spaces of scotopic.formats.icc")
    codestream = imagecodecs.jpegxl_encode(
        linear_srgb(picture.data, *space),
        distance=DISTANCE,
        effort=EFFORT,
        usecontainer=False,
        numthreads=usable_cores(),
    )
    boxes = [
        (b"JXL ", b"\r\n\x87\n"),
        (b"ftyp", b"jxl \0\0\0\0jxl "),
        (b"Exif", bytes(4) + exif),
        (b"xml ", packet),
        (b"jxlc", in_space(bytes(codestream), *space)),
    ]
    return b"".join(_box(kind, content) for kind, content in boxes)


def linear_srgb(data: Shown, primaries: Primaries, linear: bool) -> npt.NDArray[np.float32]:
    """The light of written values (H, W, 3) with these primaries; negative where sRGB does not reach."""
    top = np.iinfo(data.dtype).max
    steps = np.arange(top + 1) / top
    light_of = (steps if linear else srgb_to_linear(steps)).astype(np.float32)
    to_srgb = np.linalg.inv(srgb_to(primaries)).astype(np.float32)
    out = np.empty(data.shape, np.float32)
    for y in range(0, len(data), _ROWS):
        light = light_of[data[y : y + _ROWS]]
        out[y : y + _ROWS] = light if primaries == "srgb" else light @ to_srgb.T
    return out


def in_space(codestream: bytes, primaries: Primaries, linear: bool) -> bytes:
    """A codestream of linear sRGB floats in XYB, with a header that tells of 16-bit integers in another space.

    Size and frames stay as they are: only the ImageMetadata between them (ISO/IEC 18181-1, D.3) is written
    anew. Raises ValueError for a codestream of another kind.
    """
    old = _Bits(codestream)
    if codestream[:2] != b"\xff\x0a":
        raise ValueError("no JPEG XL codestream")
    old.take(16)
    _skip_size(old)
    size_ends = old.at
    expected = [
        ("metadata are not the default", 1, 0),
        ("no extra fields", 1, 0),
        ("floats", 1, 1),
        ("of 32 bits", 2, 0),
        ("with 8 bits of exponent", 4, 7),
    ]
    for words, count, value in expected:
        old.expect(words, count, value)
    small_buffers = old.take(1)
    old.expect("no extra channels", 2, 0)
    old.expect("XYB", 1, 1)
    old.expect("a colour encoding of its own", 1, 0)
    old.expect("no ICC profile", 1, 0)
    for name, value in (("RGB", _RGB), ("D65", _D65), ("sRGB primaries", _PRIMARIES["srgb"])):
        old.expect_enum(name, value)
    old.expect("no gamma", 1, 0)
    old.expect_enum("linear light", _LINEAR)
    old.expect_enum("relative intent", _RELATIVE)
    old.expect("no extensions", 2, 0)
    old.expect("XYB's usual matrix", 1, 1)

    new = _Bits(codestream[: (size_ends + 7) // 8], size_ends)
    new.put(1, 0)  # not all default
    new.put(1, 0)  # no extra fields
    new.put(1, 0)  # integers
    new.put(2, 3)  # of
    new.put(6, 16 - 1)  # 16 bits
    new.put(1, small_buffers)
    new.put(2, 0)  # no extra channels
    new.put(1, 1)  # XYB
    new.put(1, 0)  # a colour encoding of its own
    new.put(1, 0)  # no ICC profile
    for value in (_RGB, _D65, _PRIMARIES[primaries]):
        new.put_enum(value)
    new.put(1, 0)  # no gamma
    new.put_enum(_LINEAR if linear else _SRGB)
    new.put_enum(_RELATIVE)
    new.put(2, 0)  # no extensions
    new.put(1, 1)  # XYB's usual matrix
    # Frames begin at whole bytes.
    return new.whole() + codestream[(old.at + 7) // 8 :]


def _skip_size(bits: _Bits) -> None:
    """SizeHeader (D.2): height, and width by a ratio or for itself, in eights or not."""
    eights = bits.take(1)
    for is_width in (False, True):
        if is_width and bits.take(3):
            return
        bits.take(5 if eights else (9, 13, 18, 30)[bits.take(2)])


class _Bits:
    """Bits of a codestream, the least significant of each byte first (ISO/IEC 18181-1, B.2)."""

    def __init__(self, content: bytes, at: int = 0) -> None:
        # A header is some twenty bytes.
        self._value = int.from_bytes(content[:64], "little") & ((1 << at) - 1 if at else -1)
        self.at = at

    def take(self, count: int) -> int:
        value = (self._value >> self.at) & ((1 << count) - 1)
        self.at += count
        return value

    def expect(self, words: str, count: int, value: int) -> None:
        if self.take(count) != value:
            raise ValueError(f"libjxl's header is not as expected: {words}")

    def expect_enum(self, words: str, value: int) -> None:
        selector = self.take(2)
        found = selector if selector < 2 else self.take(4) + 2 if selector == 2 else self.take(6) + 18
        if found != value:
            raise ValueError(f"libjxl's header is not as expected: {words}")

    def put(self, count: int, value: int) -> None:
        self._value |= value << self.at
        self.at += count

    def put_enum(self, value: int) -> None:
        """Enum (B.2.3): 0 and 1 in two bits, up to 17 in six."""
        if value < 2:
            self.put(2, value)
        else:
            self.put(2, 2)
            self.put(4, value - 2)

    def whole(self) -> bytes:
        return self._value.to_bytes((self.at + 7) // 8, "little")


def _box(kind: bytes, content: bytes) -> bytes:
    """An ISO base media box; a large one has its length in 64 bits."""
    length = len(content) + 8
    if length < 1 << 32:
        return struct.pack(">I", length) + kind + content
    return struct.pack(">I", 1) + kind + struct.pack(">Q", length + 8) + content
