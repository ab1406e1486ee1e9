"""A profile's file as text and as arrays, of which a stranger may have made it: no further than any profile reaches."""

from __future__ import annotations

import base64
import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.disk.files import opened

FILE_BYTES_MAX = 128 << 20
"""Bytes of a profile's file, at most: a hundred times that of ten settings of a 24 MP camera. Ten megabytes a setting
are 3% hot pixels of 100 MP."""

ARRAYS_BYTES_MAX = 512 << 20
"""Bytes of a profile's arrays, at most, once they are unpacked."""


def text_of(path: Path) -> str:
    """A file's text. Raises OSError for what is no file, ValueError for what is too large or no text."""
    with opened(path) as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise ValueError(f"it is larger than {FILE_BYTES_MAX >> 20} MiB, as no profile is")
    return content.decode("utf-8")


def arrays_of(packed: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a .npz in base64, by name.

    Raises ValueError where they are not as large as they say, and whatever zipfile and numpy raise for damage.
    """
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(packed, validate=True))) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > ARRAYS_BYTES_MAX:
            raise ValueError(f"its patterns unpack to more than {ARRAYS_BYTES_MAX >> 20} MiB")
        return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{member.filename} is of another version of numpy's format")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    # Numpy asks for all the memory before it reads.
    if math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"{member.filename} says that it holds {math.prod(shape)} values, and holds fewer")
    with archive.open(member) as file:
        array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array
