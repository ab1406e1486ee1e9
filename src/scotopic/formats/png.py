"""Rendered pictures as PNG of 8 or 16 bits: libpng's pixels, and the chunks around them.

Pillow writes colours of 8 bits only; imagecodecs writes both, but neither profile nor EXIF nor XMP.
"""

from __future__ import annotations

import io
import zlib

import imagecodecs
from PIL.PngImagePlugin import putchunk

from scotopic.frame import Rendered

LEVEL = 3
"""Level of zlib's compression, 0 to 9: higher ones make noisy pictures hardly smaller."""

_HEAD = 8 + 4 + 4 + 13 + 4
"""Bytes of the signature and of the chunk IHDR (PNG specification, third edition, 5.2 and 11.2.1)."""

_TEXT = b"XML:com.adobe.xmp" + bytes(5)
"""The keyword of XMP in an iTXt chunk; neither compressed nor in any language (11.3.3.4)."""


def encode(picture: Rendered, exif: bytes, packet: bytes) -> bytes:
    """A PNG file with ICC profile, EXIF (a TIFF header and what follows) and XMP."""
    pixels = bytes(imagecodecs.png_encode(picture.data, level=LEVEL))
    out = io.BytesIO()
    out.write(pixels[:_HEAD])
    if picture.icc:
        putchunk(out, b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc))
    putchunk(out, b"eXIf", exif)
    putchunk(out, b"iTXt", _TEXT + packet)
    out.write(pixels[_HEAD:])
    return out.getvalue()
