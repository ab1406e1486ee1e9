from __future__ import annotations

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

import dng_files
from conftest import BAYER_PHASES
from dng_files import COLOR_MATRIX, put_into_jpeg, write
from scotopic.develop import develop
from scotopic.dng.directory import read_dng_tags
from scotopic.dng.pixels import in_order
from scotopic.dng.read import read_dng
from scotopic.errors import DamagedFileError, ReadError, UnsupportedRawError
from scotopic.frame import X_TRANS, Linear, Mosaic
from scotopic.read import libraw_develop, opened, read
from scotopic.sensor.levels import COUNTS
from scotopic.traditional import develop_traditional

LEVELS = {50714: 512, 50717: 16383}
DEFLATE, OLD_DEFLATE, JPEG, LOSSY, JPEG_XL = 8, 32946, 7, 34892, 52546
TILES = {"tile": (32, 48)}
LOSSLESS_JPEG = {"compression": JPEG, "compressionargs": {"lossless": True, "bitspersample": 16}}
LOSSY_JPEG = {"compression": LOSSY, "compressionargs": {"level": 98}}
STORED = {
    "plain strips": {"rowsperstrip": 16},
    "plain tiles": TILES,
    "deflate": {"compression": DEFLATE},
    "deflate tiles": {"compression": DEFLATE, **TILES},
    "deflate, predicted": {"compression": DEFLATE, "predictor": 2, **TILES},
    "old deflate": {"compression": OLD_DEFLATE, "rowsperstrip": 16},
    "lossless JPEG": LOSSLESS_JPEG,
    "lossless JPEG tiles": LOSSLESS_JPEG | TILES,
    "JPEG XL": {"compression": JPEG_XL},
    "JPEG XL tiles": {"compression": JPEG_XL, **TILES},
    "big-endian": {"byteorder": ">"},
    "big-endian deflate": {"byteorder": ">", "compression": DEFLATE, "predictor": 2},
    "BigTIFF": {"bigtiff": True},
    "big-endian BigTIFF": {"bigtiff": True, "byteorder": ">"},
}


def counts(shape, top=16384, seed=0):
    return np.random.default_rng(seed).integers(0, top, shape).astype(np.uint16)


def light_of(data, black=512, white=16383):
    return ((data.astype(np.float64) - black) / (white - black)).astype(np.float32)


def other_way(path: Path):
    """Read without LibRaw."""
    dng = read_dng_tags(path)
    assert dng is not None
    return read_dng(path, dng, {})


@pytest.mark.parametrize("name", STORED)
def test_mosaics_are_read_bit_by_bit_however_they_are_stored(tmp_path, name):
    data = counts((64, 96))
    path = write(tmp_path / "a.dng", data, tags=LEVELS, **STORED[name])
    for mosaic in (read(path), other_way(path)):
        assert isinstance(mosaic, Mosaic)
        assert mosaic.data.dtype == np.uint16
        assert np.array_equal(mosaic.data, data)
        assert mosaic.cfa == ((0, 1), (1, 2))
        assert (mosaic.black == 512).all()
        assert mosaic.white == 16383
        assert mosaic.wb == pytest.approx((2, 1, 1.6))
        assert np.allclose(mosaic.xyz_to_camera, COLOR_MATRIX, atol=1e-6)


@pytest.mark.parametrize("name", STORED)
def test_linear_pictures_are_read_exactly_however_they_are_stored(tmp_path, name):
    data = counts((64, 96, 3))
    path = write(tmp_path / "a.dng", data, cell=None, tags=LEVELS, **STORED[name])
    for linear in (read(path), other_way(path)):
        assert isinstance(linear, Linear)
        assert linear.ratio == 1
        assert linear.data.dtype == np.float32
        assert np.allclose(linear.data, light_of(data), atol=1e-7)
        assert linear.wb == pytest.approx((2, 1, 1.6))
        assert not linear.monochrome


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("kind", ["float16", "float32"])
@pytest.mark.parametrize("predictor", [None, 3, 34894, 34895])
def test_floats_are_read_bit_by_bit_with_every_predictor(tmp_path, planes, kind, predictor):
    shape = (64, 96) if planes == 1 else (64, 96, 3)
    data = np.random.default_rng(0).random(shape).astype(kind)
    options = {"compression": DEFLATE, "predictor": predictor, **TILES} if predictor else {}
    cell = ((1, 0), (2, 1)) if planes == 1 else None
    picture = read(write(tmp_path / "f.dng", data, cell=cell, tags={50717: 1}, **options))
    assert picture.data.dtype == np.float32
    assert np.array_equal(picture.data, data.astype(np.float32) * (COUNTS if planes == 1 else 1))
    assert planes == 3 or picture.white == COUNTS


def test_floats_in_jpeg_xl_are_read_bit_by_bit(tmp_path):
    data = np.random.default_rng(0).random((64, 96)).astype(np.float16)
    path = write(tmp_path / "f.dng", data, tags={50717: 1}, compression=JPEG_XL)
    assert np.array_equal(read(path).data, data.astype(np.float32) * COUNTS)


def differences(lines, step):
    """A predictor's other direction."""
    out = lines.copy()
    out[:, step:] -= lines[:, :-step]
    return out


def rewritten(path: Path, segments: list[bytes], changed: dict[int, tuple[int, int]]) -> Path:
    """The first page's segments and short tags (type and value) replaced; for what tifffile cannot write."""
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        tags = {t.code: t for t in tiff.pages[0].tags}
        lists = [tags[code] for code in ((324, 325) if 324 in tags else (273, 279))]
        spots = [(t.valueoffset, t.dtype, t.count) for t in lists]
        assert spots[0][2] == len(segments)
        offsets = []
        for segment in segments:
            offsets.append(len(content))
            content += segment + b"\0" * (len(segment) % 2)
        for (offset, dtype, count), values in zip(
            spots, (offsets, [len(s) for s in segments]), strict=True
        ):
            struct.pack_into(f"<{count}{'H' if int(dtype) == 3 else 'I'}", content, offset, *values)
        for code, value in changed.items():
            for n in range(tags[code].count):
                struct.pack_into("<H", content, tags[code].valueoffset + 2 * n, value)
    path.write_bytes(content)
    return path


def test_24_bit_floats_are_read_bit_by_bit_with_every_predictor(tmp_path):
    values = np.random.default_rng(0).random((64, 96)).astype(np.float32)
    packed = np.frombuffer(imagecodecs.float24_encode(values, byteorder=">"), np.uint8).reshape(64, 96, 3)
    wanted = imagecodecs.float24_decode(packed.tobytes(), byteorder=">").reshape(64, 96)
    assert np.median(np.abs(wanted - values)) < 1e-5
    for predictor, step in ((3, 1), (34894, 2), (34895, 4)):
        lines = differences(np.ascontiguousarray(packed.transpose(0, 2, 1)).reshape(64, -1), step)
        strips = [zlib.compress(lines[y : y + 16].tobytes()) for y in range(0, 64, 16)]
        options = {"compression": DEFLATE, "predictor": 3, "rowsperstrip": 16}
        path = write(tmp_path / "f.dng", values, tags={50717: 1}, **options)
        rewritten(path, strips, {258: 24, 317: predictor})
        assert np.array_equal(read(path).data, wanted * COUNTS)


def test_floats_that_are_counts_stay_as_they_are(tmp_path):
    data = counts((64, 96)).astype(np.float32) + np.float32(0.25)
    mosaic = read(write(tmp_path / "f.dng", data, tags=LEVELS))
    assert np.array_equal(mosaic.data, data)
    assert (mosaic.white, mosaic.black.max()) == (16383, 512)


@pytest.mark.parametrize(("predictor", "step"), [(34892, 2), (34893, 4)])
@pytest.mark.parametrize("samples", [1, 3])
def test_integers_differenced_over_two_and_four_pixels_are_read(tmp_path, predictor, step, samples):
    data = counts((64, 96) if samples == 1 else (64, 96, 3))
    cell = ((0, 1), (1, 2)) if samples == 1 else None
    path = write(
        tmp_path / "p.dng", data, cell=cell, tags=LEVELS, compression=DEFLATE, predictor=2, **TILES
    )
    tiles = []
    for y in range(0, 64, 32):
        for x in range(0, 96, 48):
            lines = data[y : y + 32, x : x + 48].reshape(32, -1)
            tiles.append(zlib.compress(differences(lines, samples * step).tobytes()))
    rewritten(path, tiles, {317: predictor})
    wanted = data if samples == 1 else light_of(data)
    assert np.allclose(other_way(path).data, wanted, atol=1e-7)


@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("phase", BAYER_PHASES)
def test_packed_mosaics_of_every_depth_are_read_both_ways(tmp_path, bits, phase):
    data = counts((40, 48), 2**bits)
    data = data.astype(np.uint8) if bits == 8 else data
    black = [16, 17, 18, 19]
    tags = {50713: (2, 2), 50714: black}
    path = write(tmp_path / "p.dng", data, cell=phase, tags=tags, bitspersample=bits)
    for mosaic in (read(path), other_way(path)):
        assert np.array_equal(mosaic.data, data)
        assert mosaic.data.dtype == np.uint16
        assert mosaic.cfa == phase
        assert mosaic.black.ravel().tolist() == black
        assert mosaic.white == 2**bits - 1


@settings(max_examples=40, deadline=None)
@given(
    phase=st.sampled_from(BAYER_PHASES),
    top=st.integers(0, 7),
    left=st.integers(0, 7),
    bottom=st.integers(0, 7),
    right=st.integers(0, 7),
    repeat=st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2), (4, 4)]),
    seed=st.integers(0, 99),
    orientation=st.integers(1, 8),
)
def test_both_ways_give_the_same_mosaic(
    tmp_path_factory, phase, top, left, bottom, right, repeat, seed, orientation
):
    path = tmp_path_factory.mktemp("d") / "a.dng"
    rng = np.random.default_rng(seed)
    tags = {
        50713: repeat,
        50714: rng.integers(0, 800, repeat),
        50717: 15000,
        50829: (top, left, 64 - bottom, 80 - right),
        274: orientation,
    }
    write(path, counts((64, 80), seed=seed), cell=phase, tags=tags)
    with opened(path) as raw:
        sizes = raw.sizes
        seen = [
            [raw.raw_color(sizes.top_margin + y, sizes.left_margin + x) for x in (0, 1)] for y in (0, 1)
        ]
        visible = raw.raw_image_visible.copy()
    one, other = read(path), other_way(path)
    assert one.cfa == other.cfa == tuple(tuple(c if c < 3 else 1 for c in row) for row in seen)
    assert one.cfa == tuple(tuple(phase[(y + top) % 2][(x + left) % 2] for x in (0, 1)) for y in (0, 1))
    if repeat != (4, 4):
        assert np.array_equal(one.data, visible)
    assert one.data.dtype == other.data.dtype
    assert np.array_equal(one.data, other.data)
    assert np.array_equal(one.black, other.black)
    assert (one.white, one.saturation, one.wb) == (other.white, other.saturation, other.wb)
    assert one.orientation == other.orientation == orientation
    assert np.array_equal(one.xyz_to_camera, other.xyz_to_camera)


def test_quadrants_of_a_mosaic_in_jpeg_xl_are_put_in_order(tmp_path):
    for shape in ((64, 96), (63, 95)):
        data = counts(shape)
        fields = np.block([[data[r::2, c::2] for c in (0, 1)] for r in (0, 1)])
        tags = LEVELS | {50975: 2, 52547: 2}
        path = write(tmp_path / "i.dng", fields, tags=tags, compression=JPEG_XL)
        assert np.array_equal(read(path).data, data)


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    fields=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_fields_lie_one_after_the_other(shape, fields):
    data = np.arange(shape[0] * shape[1]).reshape(shape)
    rows = [y for first in range(fields[0]) for y in range(first, shape[0], fields[0])]
    columns = [x for first in range(fields[1]) for x in range(first, shape[1], fields[1])]
    assert np.array_equal(in_order(data[rows][:, columns], fields), data)


def curve(stored):
    """A curve of 8 to 16 bits as phones and Adobe use it."""
    return (65535 * (stored / 255) ** 2.2).astype(np.uint16)


def test_lossy_jpegs_go_through_their_table(tmp_path):
    ramp = np.linspace(20, 235, 96)[None, :, None] * np.ones((64, 1, 3))
    stored = np.round(ramp).astype(np.uint8)
    tags = {50712: curve(np.arange(256)), 50717: (65535,) * 3}
    options = {"compression": LOSSY, "compressionargs": {"level": 98}}
    linear = read(write(tmp_path / "l.dng", stored, cell=None, tags=tags, **options))
    wanted = (ramp / 255) ** 2.2
    assert linear.clip == 1
    assert np.abs(linear.data - wanted).max() < 0.02


def test_lossy_jpegs_of_mosaics_go_through_their_table(tmp_path):
    stored = np.full((64, 96), 128, np.uint8)
    tags = {50712: curve(np.arange(256)), 50717: 65535}
    options = {"compression": LOSSY, "compressionargs": {"level": 98}}
    mosaic = read(write(tmp_path / "l.dng", stored, tags=tags, **options))
    assert mosaic.data.dtype == np.uint16
    assert np.abs(mosaic.data.astype(float) - float(curve(np.array(128)))).max() < 600


def test_opcodes_that_bend_values_are_followed(tmp_path):
    data = counts((64, 96, 3), 256).astype(np.uint8)
    curves = ((0.0, 0.1, 0.0, 0.9), (0.001, 0.3, 0.6), (0.0, 1.0))
    opcodes = [dng_files.polynomial(c, 64, 96, plane) for plane, c in enumerate(curves)]
    tags = {51009: dng_files.opcode_list(*opcodes), 50717: 255}
    linear = read(write(tmp_path / "o.dng", data, cell=None, tags=tags))
    x = data / 255.0
    wanted = np.stack([np.polynomial.polynomial.polyval(x[..., p], c) for p, c in enumerate(curves)], -1)
    assert np.allclose(linear.data, wanted, atol=1e-6)


def test_a_lossy_jpeg_is_known_by_its_frame_though_its_compression_says_lossless(tmp_path):
    """LibRaw decodes nothing of it, without an error, and gives what its memory held before."""
    y, x = np.mgrid[0:64, 0:96]
    data = (600 + 20 * y + 10 * x).astype(np.uint16)
    options = {"compression": JPEG, "compressionargs": {"level": 98, "bitspersample": 12}}
    path = write(
        tmp_path / "l.dng", data, tags={50714: 512, 50717: 4095}, bitspersample=12, **options, **TILES
    )
    assert read_dng_tags(path).beyond_libraw == "lossy JPEG"
    assert np.abs(read(path).data.astype(int) - data).max() < 60
    shown = develop_traditional(path, read(path)).data
    assert shown[-1].mean() > shown[0].mean() + 50
    cut = tmp_path / "cut.dng"
    with tifffile.TiffFile(path) as tiff:
        last = tiff.pages[0].dataoffsets[-1]
    cut.write_bytes(path.read_bytes()[: last + 200] + bytes(4000))
    with pytest.raises(DamagedFileError, match="breaks off"):
        read(cut)


@pytest.mark.parametrize("before", [b"\xff\xff", b"\xff\xe1" + (5002).to_bytes(2, "big") + bytes(5000)])
def test_a_jpegs_frame_is_found_behind_fill_bytes_and_long_segments(tmp_path, before):
    options = {"compression": JPEG, "compressionargs": {"level": 98, "bitspersample": 12}}
    data = np.full((64, 96), 2000, np.uint16)
    path = write(tmp_path / "l.dng", data, tags={50714: 512, 50717: 4095}, bitspersample=12, **options)
    put_into_jpeg(path, before)
    assert read_dng_tags(path).beyond_libraw == "lossy JPEG"
    assert np.abs(read(path).data.astype(int) - 2000).max() < 60


def test_lossy_jpegs_with_a_curve_look_as_libraw_develops_them(tmp_path):
    y, x = np.mgrid[0:64, 0:96]
    stored = np.dstack([30 + x * 1.5, 60 + y * 2, 200 - x]).astype(np.uint8)
    curves = ((0.0, 0.1, 0.9), (0.0, 0.2, 0.8), (0.0, 0.05, 0.15, 0.8))
    opcodes = [dng_files.polynomial(c, 64, 96, plane) for plane, c in enumerate(curves)]
    tags = {51009: dng_files.opcode_list(*opcodes), 50717: 255}
    options = LOSSY_JPEG | {"tile": (64, 96)}
    path = write(tmp_path / "l.dng", stored, cell=None, tags=tags, **options)
    ours, theirs = develop(read(path), look="libraw").data, libraw_develop(path)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_what_a_big_tiff_says_of_its_camera_is_known(tmp_path):
    mosaic = read(write(tmp_path / "b.dng", counts((64, 96)), tags=LEVELS, bigtiff=True))
    assert (mosaic.make, mosaic.model) == ("Test", "Camera")
    assert mosaic.exif.main[271] == "Test"


def test_opcodes_bend_a_part_of_a_mosaic(tmp_path):
    data = counts((64, 96), 4096)
    whole = struct.pack(">8I", 0, 0, 64, 96, 0, 1, 2, 2)
    table = (np.linspace(0, 1, 65536) ** 2 * 65535).round().astype(">u2")
    body = whole + struct.pack(">I", 65536) + table.tobytes()
    opcode = struct.pack(">4I", 7, 0x01030000, 0, len(body)) + body
    tags = {51009: dng_files.opcode_list(opcode), 50717: 4095, 50714: 95}
    mosaic = read(write(tmp_path / "o.dng", data, tags=tags))
    x = np.clip((data[::2, ::2] - 95.0) / 4000, 0, 1)
    assert np.allclose(mosaic.data[::2, ::2], x**2 * 4000 + 95, atol=0.2)
    assert np.allclose(mosaic.data[1::2], data[1::2], atol=0.01)


def test_a_mono_sensor_gives_three_equal_planes(tmp_path):
    data = counts((64, 96), 4096)
    for options in ({}, {"compression": JPEG_XL}):
        tags = {50714: 64, 50717: 4095, 50721: None, 50728: None}
        path = write(tmp_path / "m.dng", data, cell=None, kind=1, tags=tags, **options)
        linear = read(dng_files.patched(path, 262, dng_files.LINEAR))
        assert linear.monochrome
        assert linear.wb == (1, 1, 1)
        assert linear.xyz_to_camera is None
        for colour in range(3):
            assert np.allclose(linear.data[..., colour], light_of(data, 64, 4095), atol=1e-6)


def test_infinite_and_missing_floats_become_white_and_black(tmp_path):
    data = np.full((40, 48, 3), 0.25, np.float32)
    data[5, 5], data[6, 6], data[7, 7] = np.inf, np.nan, 4.0
    linear = read(write(tmp_path / "f.dng", data, cell=None, tags={50717: 1}))
    assert np.isfinite(linear.data).all()
    assert linear.clip == 4
    assert (linear.data[5, 5] == 4).all()
    assert (linear.data[6, 6] == 0).all()


def test_a_linear_picture_that_clips_below_its_white_says_where(tmp_path):
    data = counts((64, 64, 3), 9000)
    data[10:30, 10:30] = 15360
    linear = read(write(tmp_path / "c.dng", data, cell=None, tags=LEVELS))
    assert linear.clip == pytest.approx((15360 - 512) / (16383 - 512), abs=1e-6)


@pytest.mark.parametrize("cell", [((0, 1), (1, 2)), None])
def test_floats_beyond_belief_leave_the_picture_finite(tmp_path, rng, cell):
    data = rng.random((64, 96) if cell else (64, 96, 3)).astype(np.float32)
    whole = read(write(tmp_path / "whole.dng", data, cell=cell, tags={50717: 1})).data
    for i, value in enumerate((3e38, -3e38, np.inf, -np.inf, np.nan)):
        data.reshape(-1)[i] = value
    torn = read(write(tmp_path / "torn.dng", data, cell=cell, tags={50717: 1})).data
    assert np.isfinite(torn).all()
    assert np.abs(torn).max() <= 65536 * 2**20
    assert np.array_equal(torn.reshape(-1)[5:], whole.reshape(-1)[5:])


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 3)])
def test_integers_of_32_bits_need_no_table_of_all_their_values(tmp_path, rng, shape):
    """Looking for the saturation by counting each value took 32 GiB."""
    data = rng.integers(0, 2**32, shape).astype(np.uint32)
    data = np.minimum(data, np.uint32(4_000_000_000))
    cell = ((0, 1), (1, 2)) if len(shape) == 2 else None
    found = read(write(tmp_path / "wide.dng", data, cell=cell))
    ends = found.saturation / found.white if isinstance(found, Mosaic) else found.clip
    assert ends == pytest.approx(4_000_000_000 / 2**32, abs=1e-3)


def test_opcodes_that_overflow_leave_the_picture_finite(tmp_path):
    for cell, shape in ((((0, 1), (1, 2)), (64, 96)), (None, (64, 96, 3))):
        maps = dng_files.opcode_list(
            dng_files.polynomial([0, 1e308, -1e308, 1e308], 64, 96, 0, 3 if cell is None else 1)
        )
        path = write(tmp_path / "o.dng", counts(shape), cell=cell, tags={50717: 16383, 51009: maps})
        assert np.isfinite(read(path).data).all()


def with_pages(path: Path, *pages: tuple[int, np.ndarray], first=None) -> Path:
    """A small preview, and raw pictures in SubIFDs, each with its NewSubFileType."""
    with tifffile.TiffWriter(path) as writer:
        preview = np.zeros((16, 24, 3), np.uint8)
        writer.write(
            preview,
            photometric="rgb",
            subfiletype=1,
            subifds=len(pages),
            metadata=None,
            software=False,
            extratags=dng_files.extratags(dng_files.COMMON),
        )
        for kind, data in pages:
            mosaic = data.ndim == 2
            tags = LEVELS | (dng_files.mosaic_tags() if mosaic else {})
            writer.write(
                data,
                photometric=dng_files.CFA if mosaic else dng_files.LINEAR,
                subfiletype=kind,
                metadata=None,
                software=False,
                extratags=dng_files.extratags(tags),
            )
    return path


def test_the_raw_picture_is_found_below_a_preview(tmp_path):
    data = counts((64, 96))
    mosaic = read(with_pages(tmp_path / "a.dng", (0, data)))
    assert np.array_equal(mosaic.data, data)
    assert mosaic.wb == pytest.approx((2, 1, 1.6))
    assert (mosaic.make, mosaic.model) == ("Test", "Camera")


def test_the_mosaic_is_taken_where_an_enhanced_picture_stands_beside_it(tmp_path):
    data, enhanced = counts((64, 96)), counts((64, 96, 3), seed=1)
    twice = counts((128, 192, 3), seed=2)
    for n, pages in enumerate(
        [
            ((0, data), (16, enhanced)),
            ((16, enhanced), (0, data)),
            ((16, twice), (0, data)),
            ((1, twice), (0, data)),
        ]
    ):
        mosaic = read(with_pages(tmp_path / f"{n}.dng", *pages))
        assert isinstance(mosaic, Mosaic)
        assert np.array_equal(mosaic.data, data)
    alone = read(with_pages(tmp_path / "alone.dng", (16, enhanced)))
    assert np.allclose(alone.data, light_of(enhanced), atol=1e-7)


def test_of_several_frames_the_first_is_taken(tmp_path):
    frames = [counts((64, 96), seed=n) for n in range(3)]
    mosaic = read(with_pages(tmp_path / "a.dng", *((0, f) for f in frames)))
    assert np.array_equal(mosaic.data, frames[0])


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("options", [STORED["deflate"], STORED["JPEG XL"], LOSSY_JPEG])
def test_streams_that_break_off_are_damaged_files(tmp_path, share, options):
    """The file is whole, its compressed data are not."""
    data = counts((64, 96))
    data = (data >> 6).astype(np.uint8) if options is LOSSY_JPEG else data
    path = write(tmp_path / "b.dng", data, tags=LEVELS if data.itemsize == 2 else {}, **options)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        start, length = page.dataoffsets[0], page.databytecounts[0]
    content = bytearray(path.read_bytes())
    content[start + int(share * length) : start + length] = bytes(length - int(share * length))
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"b\.dng"):
        read(path)


@pytest.mark.parametrize("compression", [1, DEFLATE, JPEG_XL])
@pytest.mark.parametrize("side", [50_000, 2_000_000_000])
def test_absurd_sizes_are_refused_before_memory_is_asked_for(tmp_path, compression, side):
    path = write(tmp_path / "big.dng", counts((64, 96)), tags=LEVELS, compression=compression)
    for code in (256, 257):
        dng_files.patched(path, code, side)
    with pytest.raises(ReadError) as caught:
        read(path)
    assert "big.dng" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_promises_that_the_bytes_cannot_keep_are_refused(tmp_path):
    path = write(tmp_path / "bomb.dng", np.zeros((64, 96), np.uint16), tags=LEVELS, compression=DEFLATE)
    for code in (256, 257, 278):
        dng_files.patched(path, code, 20_000)
    with pytest.raises(DamagedFileError, match=r"bomb\.dng"):
        other_way(path)


def test_missing_tiles_are_reported(tmp_path):
    path = write(tmp_path / "t.dng", counts((64, 96)), tags=LEVELS, compression=JPEG_XL, **TILES)
    dng_files.patched(path, 325, 0)
    with pytest.raises(DamagedFileError, match="3 of 4"):
        read(path)


def test_a_compression_that_nobody_knows_is_named(tmp_path):
    path = write(tmp_path / "u.dng", counts((64, 96)), tags=LEVELS)
    dng_files.patched(path, 259, 61234)
    with pytest.raises(ReadError, match=r"u\.dng"):
        read(path)
    with pytest.raises(UnsupportedRawError, match="61234"):
        other_way(path)


@pytest.mark.parametrize(
    ("cell", "tags", "words"),
    [
        (((0, 1), (3, 2)), {}, "red, green and blue.*RAW mode"),
        (((0, 0, 1, 1), (0, 0, 1, 1), (1, 1, 2, 2), (1, 1, 2, 2)), {}, "4x4.*ordinary resolution"),
        (((0, 1), (1, 2)), {50711: 2}, "staggered"),
    ],
)
def test_sensors_of_other_kinds_are_refused_in_words(tmp_path, cell, tags, words):
    path = write(tmp_path / "s.dng", counts((64, 96)), cell=cell, tags=LEVELS | tags)
    with pytest.raises(UnsupportedRawError, match=words):
        read(path)


def test_a_pattern_written_larger_than_it_is_is_made_small(tmp_path):
    cell = tuple(tuple(row) for row in np.tile(((2, 1), (1, 0)), (2, 4)).tolist())
    path = write(tmp_path / "s.dng", counts((64, 96)), cell=cell, tags=LEVELS, compression=JPEG_XL)
    assert read(path).cfa == ((2, 1), (1, 0))


def test_x_trans_is_read_with_blacks_that_differ_by_place(tmp_path):
    data = counts((66, 72))
    black = np.arange(36).reshape(6, 6) + 1000
    tags = {50713: (6, 6), 50714: black, 50717: 16383}
    path = write(tmp_path / "x.dng", data, cell=X_TRANS, tags=tags)
    for mosaic in (read(path), other_way(path)):
        assert mosaic.cfa == X_TRANS
        assert np.array_equal(mosaic.data, data)
        assert np.array_equal(mosaic.black, black)


KINDS = {
    "mosaic": (False, {}),
    "JPEG XL in quadrants": (False, {"compression": JPEG_XL, "tags": {50975: 2, 52547: 2}, **TILES}),
    "linear": (True, {}),
    "linear deflate": (True, {"compression": DEFLATE, "predictor": 2}),
    "BigTIFF": (
        False,
        {"bigtiff": True, "tags": {50713: (2, 2), 50714: (1, 2, 3, 4), 50716: np.arange(59)}},
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_whatever_a_broken_byte_says_is_read_or_refused_in_one_line(tmp_path, name):
    linear, options = KINDS[name]
    tags = LEVELS | {50829: (1, 2, 60, 90)} | options.get("tags", {})
    more = {k: v for k, v in options.items() if k != "tags"}
    data = counts((64, 96, 3) if linear else (64, 96))
    path = write(tmp_path / "a.dng", data, cell=None if linear else ((0, 1), (1, 2)), tags=tags, **more)
    whole = path.read_bytes()
    rng = np.random.default_rng(len(name))
    refused = 0
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            content[int(rng.integers(4, 900))] = int(rng.choice([0, 1, 2, 128, 255, rng.integers(256)]))
        path.write_bytes(content)
        try:
            read(path)
        except ReadError as error:
            refused += 1
            words = str(error)
        else:
            words = "a.dng"
        assert "a.dng" in words
        assert "\n" not in words
    assert refused


@pytest.mark.parametrize("cell", [((0, 1), (1, 2)), X_TRANS, None])
def test_pictures_are_read_down_to_the_smallest_and_refused_below_with_a_word(tmp_path, cell):
    for height, width in ((1, 1), (2, 2), (21, 22), (22, 22), (23, 640)):
        shape = (height, width) if cell else (height, width, 3)
        path = write(tmp_path / f"{height}.dng", counts(shape), cell=cell, tags=LEVELS)
        if min(height, width) < 22:
            with pytest.raises(DamagedFileError, match=f"only {width}x{height} pixels, at least 22"):
                read(path)
        else:
            assert read(path).data.shape == shape
