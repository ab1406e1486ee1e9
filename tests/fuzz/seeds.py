"""Whole files to mutate: every way to store a DNG that the tests can make, and real ones where they are at hand."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import tifffile

import dng_files
from conftest import MORE_DATA, SAMPLE
from dng_files import write
from scotopic.dng.write import write_mosaic
from scotopic.frame import X_TRANS, Mosaic
from scotopic.metadata import ENHANCED_MARK, XMP, Exif, Words
from scotopic.metadata.xmp import build
from scotopic.read import read_mosaic

LEVELS = {50714: 512, 50717: 16383}
DEFLATE, OLD_DEFLATE, JPEG, LOSSY, JPEG_XL = 8, 32946, 7, 34892, 52546
TILES = {"tile": (32, 48)}
LOSSLESS = {"compression": JPEG, "compressionargs": {"lossless": True, "bitspersample": 16}}
STORED = {
    "plain": {"rowsperstrip": 16},
    "plain-tiles": TILES,
    "deflate": {"compression": DEFLATE, "predictor": 2, **TILES},
    "old-deflate": {"compression": OLD_DEFLATE, "rowsperstrip": 16},
    "lossless-jpeg": LOSSLESS | TILES,
    "jpeg-xl": {"compression": JPEG_XL, **TILES},
    "big-endian": {"byteorder": ">", "compression": DEFLATE, "predictor": 2},
    "bigtiff": {"bigtiff": True},
}
LARGE = 3_000_000
"""Bytes; files beyond it are decoded slowly and mutated seldom."""


def make_all(folder: Path) -> list[Path]:
    """The files, all small; made anew into `folder`."""
    rng = np.random.default_rng(0)
    mosaic = rng.integers(0, 16384, (64, 96)).astype(np.uint16)
    linear = rng.integers(0, 16384, (64, 96, 3)).astype(np.uint16)
    made = []
    for name, options in STORED.items():
        made.append(write(folder / f"{name}.dng", mosaic, tags=LEVELS, **options))
        made.append(write(folder / f"{name}-linear.dng", linear, cell=None, tags=LEVELS, **options))
    light = rng.random((64, 96, 3)).astype(np.float32)
    for predictor in (3, 34894):
        options = {"compression": DEFLATE, "predictor": predictor, **TILES}
        made.append(write(folder / f"float-{predictor}.dng", light, cell=None, tags={50717: 1}, **options))
    made.append(write(folder / "half.dng", light[..., 0].astype(np.float16), tags={50717: 1}))
    lossy = {"compression": LOSSY, "compressionargs": {"level": 98}}
    small = (mosaic >> 6).astype(np.uint8)
    table = (65535 * (np.arange(256) / 255) ** 2.2).astype(np.uint16)
    made.append(write(folder / "lossy.dng", small, tags={50712: table, 50717: 65535}, **lossy))
    made.append(write(folder / "opcodes.dng", mosaic, tags=LEVELS | {51009: _opcodes()}))
    made.append(
        write(folder / "fields.dng", mosaic, tags=LEVELS | {50975: 2, 52547: 2}, compression=JPEG_XL)
    )
    areas = {
        50829: (2, 3, 62, 93),
        50830: (0, 0, 2, 96),
        50714: None,
        50715: np.linspace(-1, 1, 90),
        50716: np.linspace(-2, 2, 60),
    }
    made.append(write(folder / "areas.dng", mosaic, tags=LEVELS | areas))
    made.append(
        write(
            folder / "x-trans.dng",
            mosaic[:60],
            cell=X_TRANS,
            tags=LEVELS | {50713: (6, 6), 50714: [1000] * 36},
        )
    )
    made.append(_with_pages(folder / "pages.dng", mosaic, linear))
    made.append(_spoken(folder / "spoken.dng"))
    made.append(_cut_sample(folder / "sample.dng"))
    return made


def real(most: int | None = None) -> list[Path]:
    """The sample, and other people's files and broken ones where they are; none above `most` bytes."""
    raws = MORE_DATA / "raws"
    found = [SAMPLE, *sorted(raws.glob("*.*")), *sorted((raws / "broken").glob("*"))]
    kept = [p for p in found if p.is_file() and p.suffix != ".md"]
    return [p for p in kept if most is None or p.stat().st_size <= most]


def _opcodes() -> bytes:
    where = struct.pack(">8I", 0, 0, 64, 96, 0, 1, 2, 2)
    table = (np.linspace(0, 1, 256) ** 2 * 65535).round().astype(">u2")
    body = where + struct.pack(">I", 256) + table.tobytes()
    return dng_files.opcode_list(
        struct.pack(">4I", 7, 0x01030000, 0, len(body)) + body,
        dng_files.polynomial((0.0, 0.1, 0.9), 64, 96),
        struct.pack(">4I", 9, 0x01030000, 1, 8) + bytes(8),
    )


def _with_pages(path: Path, mosaic: np.ndarray, linear: np.ndarray) -> Path:
    """A preview with two raw pictures below it."""
    own = {"metadata": None, "software": False}
    with tifffile.TiffWriter(path) as writer:
        writer.write(
            np.zeros((16, 24, 3), np.uint8),
            photometric="rgb",
            subfiletype=1,
            subifds=2,
            extratags=dng_files.extratags(dng_files.COMMON),
            **own,
        )
        for kind, data, tags, photometric in (
            (0, mosaic, LEVELS | dng_files.mosaic_tags(), dng_files.CFA),
            (16, linear, LEVELS, dng_files.LINEAR),
        ):
            writer.write(
                data,
                subfiletype=kind,
                photometric=photometric,
                extratags=dng_files.extratags(tags),
                **own,
            )
    return path


def _spoken(path: Path) -> Path:
    """With EXIF, a place and XMP."""
    packet = build(
        Words(rating=3, title="Night", subjects=("moon", "café"), creators=("Zoë",)), enhanced=False
    )
    exif = Exif(
        {0x010F: "SONY", 0x0110: "ILCE-7SM2", 0x013B: "Zoë"},
        {0x8827: 3200, 0x9003: "2026:11:22 01:02:03", 0xA434: "FE 35mm"},
        {1: "S", 3: "E", 29: "2026:11:22"},
    )
    data = np.random.default_rng(1).integers(400, 4000, (64, 96)).astype(np.uint16)
    mosaic = Mosaic(
        data=data,
        cfa=((0, 1), (1, 2)),
        black=np.full((2, 2), 512.0),
        white=16383,
        saturation=16383,
        wb=(2.0, 1.0, 1.5),
        exif=exif,
    )
    write_mosaic(path, mosaic)
    plain = path.with_name("packet.dng")
    tags = dng_files.extratags(dng_files.COMMON | LEVELS | dng_files.mosaic_tags())
    tags.append((XMP, 1, len(packet), packet, True))
    tifffile.imwrite(plain, data, photometric=dng_files.CFA, metadata=None, software=False, extratags=tags)
    assert ENHANCED_MARK.encode() not in packet
    return path


def _cut_sample(path: Path) -> Path:
    """A piece of the sample photo."""
    whole = read_mosaic(SAMPLE)
    write_mosaic(path, whole.with_changes(data=whole.data[200:328, 400:560].copy()))
    return path
