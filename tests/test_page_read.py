"""The page reads what Python reads: the same values from the same files, and words for what it cannot."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL.TiffImagePlugin import IFDRational

import dng_files
from conftest import BAYER_PHASES, SAMPLE
from dng_files import put_into_jpeg, write
from node_page import STATIC, read_all, run
from scotopic.errors import DamagedFileError, NotRawError, ReadError, TooSmallError, UnsupportedRawError
from scotopic.frame import X_TRANS, Captured, Linear, Mosaic
from scotopic.metadata import Exif, attach_to_tiff
from scotopic.read import read
from scotopic.sensor.shading import evened, evened_mosaic

CODES = {
    NotRawError: {"not-raw", "jpeg"},
    DamagedFileError: {"truncated"},
    TooSmallError: {"too-small"},
    UnsupportedRawError: {"unsupported"},
}
DEFLATE, JPEG, LOSSY, JPEG_XL = 8, 7, 34892, 52546
LEVELS = {50714: 512, 50717: 16383}
TILES = {"tile": (32, 48)}
LOSSLESS = {"compression": JPEG, "compressionargs": {"lossless": True, "bitspersample": 16}}
LOSSY_JPEG = {"compression": LOSSY, "compressionargs": {"level": 98}}


def check_same(page: dict[str, Any], python: Captured, matrix: float = 1e-9) -> None:
    """Everything but sums over many pixels and products of matrices must be the same to the last bit."""
    assert "code" not in page, page
    assert page["kind"] == ("mosaic" if isinstance(python, Mosaic) else "linear")
    assert page["data"].dtype == python.data.dtype
    np.testing.assert_array_equal(page["data"], python.data)
    if isinstance(python, Mosaic):
        assert page["cfa"] == [list(row) for row in python.cfa]
        np.testing.assert_array_equal(page["black"], python.black)
        assert page["white"] == python.white
        assert page["saturation"] == python.saturation
    else:
        assert isinstance(python, Linear)
        assert page["clip"] == pytest.approx(python.clip, rel=1e-12)
        assert page["monochrome"] == python.monochrome
    assert page["wb"] == pytest.approx(python.wb, rel=1e-6 if "grey" in python.wb_source else 1e-12)
    assert page["wbSource"] == python.wb_source
    if python.xyz_to_camera is None:
        assert page["xyzToCamera"] is None
    else:
        np.testing.assert_allclose(page["xyzToCamera"], python.xyz_to_camera, rtol=matrix, atol=matrix)
    for name in ("exposure_s", "iso", "make", "model", "orientation"):
        assert page[name] == getattr(python, name), name
    assert page["pixelAspect"] == python.pixel_aspect
    assert (page["shading"] is None) == (python.shading is None)
    assert len(page["notes"]) == len(python.notes)
    if python.noise is None:
        assert page["noise"] is None
    else:
        assert page["noise"]["shot"] == pytest.approx(python.noise.shot, rel=1e-12)
        assert page["noise"]["read"] == pytest.approx(python.noise.read, rel=1e-12)
        assert page["noise"]["source"] == python.noise.source


def check_alike(path: Path, page: dict[str, Any], matrix: float = 1e-9) -> None:
    """Either both read the same, or both refuse with the same kind of error."""
    try:
        python, refusal = read(path), None
    except ReadError as error:
        python, refusal = None, error
    if python is not None:
        check_same(page, python, matrix)
    else:
        assert page.get("code") in CODES[type(refusal)], (path, refusal, page)


def test_the_sample_reads_as_in_python(tmp_path: Path) -> None:
    check_same(read_all([SAMPLE], tmp_path)[SAMPLE], read(SAMPLE))


def test_real_files_of_every_camera_read_as_in_python(raws: Path, tmp_path: Path) -> None:
    paths = sorted(p for p in raws.iterdir() if p.is_file())
    for path, page in read_all(paths, tmp_path).items():
        if path.name == "adobe_jxl_linear_raw.dng":
            assert page["code"] == "not-here"
            assert page["facts"] == {"kind": "JPEG XL"}
            continue
        # Python has to estimate the matrix of this camera, which LibRaw does not tell it.
        check_alike(path, page, matrix=1e-3 if "DC120" in path.name else 1e-9)


def test_broken_files_are_refused_as_in_python(raws: Path, tmp_path: Path) -> None:
    for path, page in read_all(sorted((raws / "broken").iterdir()), tmp_path).items():
        check_alike(path, page)


def counts(shape: tuple[int, ...], top: int = 16384) -> np.ndarray:
    return np.random.default_rng(1).integers(0, top, shape).astype(np.uint16)


def lit(height: int = 64, width: int = 96, top: float = 16383) -> np.ndarray:
    """A ramp that ends in lamps at one value, as sensors clip."""
    ramp = np.linspace(600, 1.4 * top, height * width).reshape(height, width)
    return np.minimum(ramp, 0.93 * top).astype(np.uint16)


def curve() -> bytes:
    return dng_files.opcode_list(dng_files.polynomial((0.001, 0.2, 0.799), 64, 96, 0, 3))


def gain_map(planes: int, pitch: int = 1, top: int = 0) -> bytes:
    """The body of an opcode GainMap of 3x4 points."""
    head = struct.pack(">10I", top, 0, 64, 96, 0, planes, pitch, pitch, 3, 4)
    grid = (1 + np.random.default_rng(top).random(3 * 4 * planes)).astype(">f4")
    body = head + struct.pack(">4dI", 1 / 2, 1 / 3, 0.0, 0.0, planes) + grid.tobytes()
    return struct.pack(">4I", 9, 0x01030000, 0, len(body)) + body


MOSAIC, RGB = counts((64, 96)), counts((64, 96, 3))
FLOATS = np.random.default_rng(2).random((64, 96, 3)).astype(np.float32)
TABLE = (65535 * (np.arange(256) / 255) ** 2.2).astype(np.uint16)


def with_exif(path: Path, tags: dict[int, Any]) -> Path:
    """The file with an EXIF directory of these tags."""
    attach_to_tiff(path, *Exif({}, tags, {}).directories())
    return path


KINDS: dict[str, Callable[[Path], Path]] = {
    "every place has its black": lambda p: write(
        p, MOSAIC, tags=LEVELS | {50713: (2, 2), 50714: (9, 8, 7, 6)}
    ),
    "black of a large pattern": lambda p: write(p, MOSAIC, tags={50713: (4, 4), 50714: range(500, 516)}),
    "black by row and column": lambda p: write(
        p, MOSAIC, tags=LEVELS | {50715: np.arange(96) / 7, 50716: np.arange(64) / 9}
    ),
    "four blacks without dimensions": lambda p: write(p, MOSAIC, tags={50713: None, 50714: (9, 8, 7, 6)}),
    "masked pixels": lambda p: write(p, MOSAIC, tags={50829: (4, 6, 60, 90), 50830: (0, 0, 64, 5)}),
    "odd active area": lambda p: write(p, MOSAIC, tags=LEVELS | {50829: (3, 5, 60, 91)}),
    "active area beyond": lambda p: write(p, MOSAIC, tags=LEVELS | {50829: (0, 0, 70, 100)}),
    "clipped lamps": lambda p: write(p, lit(), tags=LEVELS),
    "no white balance": lambda p: write(p, counts((64, 96), 9000), tags=LEVELS | {50728: None}),
    "white balance as a place": lambda p: write(
        p, MOSAIC, tags=LEVELS | {50728: None, 50729: (0.31, 0.33)}
    ),
    "two matrices, calibrated": lambda p: write(
        p,
        MOSAIC,
        tags=LEVELS
        | {50778: 17, 50722: dng_files.COLOR_MATRIX * 1.1, 50779: 21, 50724: np.eye(3) * 1.02}
        | {50727: (1.0, 0.9, 1.1)},
    ),
    "noise profile": lambda p: write(
        p, MOSAIC, tags=LEVELS | {51041: (1e-4, 1e-6, 2e-4, 2e-6, 3e-4, 3e-6)}
    ),
    "noise profile of one": lambda p: write(p, MOSAIC, tags=LEVELS | {51041: (1e-4, 1e-6)}),
    "noise profile of no sense": lambda p: write(p, MOSAIC, tags=LEVELS | {51041: (1e-4, 3.0)}),
    "wide pixels, upside down": lambda p: write(p, MOSAIC, tags=LEVELS | {50718: (2.0, 1.0), 274: 3}),
    "the shot in the main directory": lambda p: write(p, MOSAIC, tags=LEVELS | {33434: 1 / 8, 34855: 3200}),
    "zeros in EXIF before the shot in the main directory": lambda p: with_exif(
        write(p, MOSAIC, tags=LEVELS | {33434: 1 / 8, 34855: 3200, 37380: 1.0}),
        {33434: IFDRational(0, 1), 34855: 0, 37380: IFDRational(0, 1)},
    ),
    "12 bits packed": lambda p: write(p, counts((64, 96), 4096), bitspersample=12),
    "14 bits packed, BigTIFF": lambda p: write(p, MOSAIC, bitspersample=14, bigtiff=True),
    "10 bits packed, odd": lambda p: write(
        p, counts((64, 95), 1024), bitspersample=10, tags={50829: (1, 1, 64, 95)}
    ),
    "8 bits": lambda p: write(p, counts((64, 96), 256).astype(np.uint8)),
    "32 bits": lambda p: write(p, RGB.astype(np.uint32) * 4, cell=None, tags={50717: (65532,) * 3}),
    "big-endian": lambda p: write(p, MOSAIC, tags=LEVELS, byteorder=">"),
    "big-endian BigTIFF": lambda p: write(p, MOSAIC, tags=LEVELS, byteorder=">", bigtiff=True),
    "tiles": lambda p: write(p, MOSAIC, tags=LEVELS, **TILES),
    "deflate, predicted": lambda p: write(
        p, MOSAIC, tags=LEVELS, compression=DEFLATE, predictor=2, **TILES
    ),
    "deflate, big-endian": lambda p: write(
        p, RGB, cell=None, tags=LEVELS, compression=DEFLATE, predictor=2, byteorder=">"
    ),
    "lossless JPEG": lambda p: write(p, MOSAIC, tags=LEVELS, **LOSSLESS),
    "lossless JPEG tiles, BigTIFF": lambda p: write(
        p, MOSAIC, tags=LEVELS, bigtiff=True, **LOSSLESS, **TILES
    ),
    "lossless JPEG with a curve": lambda p: write(
        p, RGB, cell=None, tags=LEVELS | {51009: curve()}, **LOSSLESS
    ),
    "lossless JPEG of colours": lambda p: write(p, RGB, cell=None, tags=LEVELS, **LOSSLESS, **TILES),
    "lossy JPEG through a table": lambda p: write(
        p, (RGB // 64).astype(np.uint8), cell=None, tags={50712: TABLE, 50717: (65535,) * 3}, **LOSSY_JPEG
    ),
    "lossy JPEG tiles with a curve": lambda p: write(
        p,
        (RGB // 64).astype(np.uint8),
        cell=None,
        tags={50717: (255,) * 3, 51009: curve()},
        **LOSSY_JPEG,
        **TILES,
    ),
    "lossy JPEG of a mosaic": lambda p: write(
        p, (MOSAIC // 64).astype(np.uint8), tags={50712: TABLE, 50717: 65535}, **LOSSY_JPEG
    ),
    "colours": lambda p: write(p, RGB, cell=None, tags=LEVELS),
    "separate colours": lambda p: write(
        p, np.moveaxis(RGB, -1, 0), cell=None, tags=LEVELS, planarconfig="separate", compression=DEFLATE
    ),
    "brightened colours": lambda p: write(
        p, RGB, cell=None, tags=LEVELS | {50730: 1.5, 51041: (1e-4, 1e-6)}
    ),
    "no colours": lambda p: dng_files.patched(
        write(p, MOSAIC, cell=None, kind=1, tags=LEVELS | {50721: None, 50728: None}), 262, dng_files.LINEAR
    ),
    "half floats": lambda p: write(p, FLOATS[..., 0].astype(np.float16), tags={50717: 1}),
    "floats above white": lambda p: write(
        p, FLOATS * 5, cell=None, tags={50717: 1}, compression=DEFLATE, predictor=3, **TILES
    ),
    "floats of every second pixel": lambda p: write(
        p,
        FLOATS.astype(np.float16),
        cell=None,
        tags={50717: 1},
        compression=DEFLATE,
        predictor=34894,
        **TILES,
    ),
    "overflown floats": lambda p: write(
        p,
        np.where(FLOATS > 0.9, np.inf, np.where(FLOATS < 0.1, np.nan, FLOATS)),
        cell=None,
        tags={50717: 1},
    ),
    "X-Trans": lambda p: write(p, counts((66, 96)), cell=X_TRANS, tags=LEVELS),
    "quadrants": lambda p: write(
        p,
        np.block([[MOSAIC[r::2, c::2] for c in (0, 1)] for r in (0, 1)]),
        tags=LEVELS | {50975: 2, 52547: 2},
        compression=DEFLATE,
    ),
    "shading of a phone": lambda p: write(
        p, MOSAIC, tags=LEVELS | {51009: dng_files.opcode_list(gain_map(1, 2), gain_map(1, 2, 1))}
    ),
    "a lens": lambda p: write(
        p, MOSAIC, tags=LEVELS | {51022: dng_files.opcode_list(gain_map(3), dng_files.vignette())}
    ),
    "a broken opcode": lambda p: write(p, MOSAIC, tags=LEVELS | {51009: gain_map(1)[:40]}),
    "white below black": lambda p: write(p, MOSAIC, tags={50714: 600, 50717: 500}),
    "too small": lambda p: write(p, MOSAIC[:16, :16]),
    "staggered": lambda p: write(p, MOSAIC, tags={50711: 2}),
    "complementary colours": lambda p: write(p, MOSAIC, cell=((0, 1), (1, 3))),
    "an active area outside": lambda p: write(p, MOSAIC, tags={50829: (70, 0, 80, 20)}),
    **{
        f"phase {number}": lambda p, cell=cell: write(p, MOSAIC, cell=cell, tags=LEVELS | {274: 6})
        for number, cell in enumerate(BAYER_PHASES)
    },
}


@pytest.fixture(scope="module")
def of_kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """A DNG of each kind, and what the page reads from it; one Node for all."""
    folder = tmp_path_factory.mktemp("kinds")
    paths = {name: make(folder / f"{number}.dng") for number, (name, make) in enumerate(KINDS.items())}
    pages = read_all(list(paths.values()), folder / "page")
    return {name: (path, pages[path]) for name, path in paths.items()}


@pytest.mark.parametrize("name", KINDS)
def test_a_dng_of_this_kind_reads_as_in_python(
    name: str, of_kinds: dict[str, tuple[Path, dict[str, Any]]]
) -> None:
    check_alike(*of_kinds[name])


def test_jpeg_xl_is_refused_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.dng", MOSAIC, tags=LEVELS, compression=JPEG_XL)
    page = read_all([path], tmp_path)[path]
    assert page["code"] == "not-here"
    assert page["facts"] == {"kind": "JPEG XL"}


def test_a_lossy_jpeg_whose_compression_says_lossless_is_known_by_its_frame(tmp_path: Path) -> None:
    """LibRaw decodes nothing of it, without an error; libjpeg-turbo reads the page's 8 bits and no 12."""
    eight, twelve = (
        write(
            tmp_path / f"{bits}.dng",
            (MOSAIC >> (14 - bits)).astype(np.uint8 if bits == 8 else np.uint16),
            tags={50717: 2**bits - 1},
            compression=JPEG,
            compressionargs={"level": 98, "bitspersample": bits},
            bitspersample=bits,
        )
        for bits in (8, 12)
    )
    filled, long = (tmp_path / f"{name}.dng" for name in ("filled", "long"))
    for path, before in (
        (filled, b"\xff\xff"),
        (long, b"\xff\xe1" + (5002).to_bytes(2, "big") + bytes(5000)),
    ):
        path.write_bytes(twelve.read_bytes())
        put_into_jpeg(path, before)
    pages = read_all([eight, twelve, filled, long], tmp_path)
    check_alike(eight, pages[eight])
    for path in (twelve, filled, long):
        assert pages[path]["code"] == "not-here", path.name
        assert pages[path]["facts"] == {"kind": "lossy JPEG of 12 bits"}


def test_a_thumbnail_is_refused_as_too_small_as_in_python(tmp_path: Path) -> None:
    path = write(tmp_path / "x.dng", np.zeros((12, 16), np.uint16), tags=LEVELS)
    page = read_all([path], tmp_path)[path]
    assert (page["code"], page["facts"]) == ("too-small", {"width": 16, "height": 12})
    with pytest.raises(TooSmallError, match=r"16x12 pixels.*not a thumbnail"):
        read(path)


def test_the_shading_of_lenses_is_evened_out_as_in_python(tmp_path: Path) -> None:
    lists = {
        "phone": {51009: dng_files.opcode_list(gain_map(1, 2), gain_map(1, 2, 1))},
        "of colours": {51022: dng_files.opcode_list(gain_map(3))},
        "both, cut": {
            51009: dng_files.opcode_list(gain_map(1, 2, 1)),
            51022: dng_files.opcode_list(gain_map(2)),
            50829: (3, 5, 60, 91),
        },
    }
    paths = [
        write(tmp_path / f"{n}.dng", lit(), tags=LEVELS | tags) for n, tags in enumerate(lists.values())
    ]
    for path, told in zip(paths, run("shade_files.mjs", tmp_path, *paths), strict=True):
        mosaic = read(path)
        assert isinstance(mosaic, Mosaic)
        assert mosaic.shading is not None
        height, width = mosaic.data.shape
        light = evened(np.ones((height, width, 3), np.float32), mosaic.shading)
        page = np.fromfile(told["light"], np.float32).reshape(3, height, width)
        np.testing.assert_allclose(np.moveaxis(page, 0, -1), light, rtol=2e-6)
        for whole in (True, False):
            wanted = evened_mosaic(
                mosaic.data, mosaic.black, mosaic.saturation, mosaic.shading, whole=whole
            )
            page = np.fromfile(told["whole" if whole else "part"], np.float32).reshape(height, width)
            np.testing.assert_allclose(page, wanted, rtol=2e-6)
            assert not whole or not np.allclose(page, mosaic.data, rtol=1e-3)


HANDED_OVER = {
    "a JPEG named DNG": (b"\xff\xd8\xff\xe1" + bytes(500), "jpeg", "JPEG"),
    "a HEIC": (b"\0\0\0\x24ftypheic" + bytes(500), "jpeg", "HEIC"),
    "a video": (b"\0\0\0\x18ftypmp42" + bytes(500), "not-raw", "video"),
    "a text": (b"dear diary\n" * 50, "not-raw", "document"),
    "a PDF": (b"%PDF-1.7\n\0" + bytes(500), "not-raw", "document"),
    "a PNG": (b"\x89PNG\r\n\x1a\n" + bytes(500), "not-raw", "PNG"),
    "a HEIC of several layers": (b"\0\0\0\x24ftypheis" + bytes(500), "jpeg", "HEIC"),
    "an old MOV": (b"\0\0\0\x08wide\0\0\x40\0mdat" + bytes(500), "not-raw", "video"),
    "an archive": (b"PK\x03\x04\x14\0" + bytes(500), "not-raw", "archive"),
    "nothing": (b"", "truncated", None),
    "zeros": (bytes(5000), "truncated", None),
    "a RAF's beginning": (b"FUJIFILMCCD-RAW 0201FF393101X-T2".ljust(120, b"\0"), "truncated", None),
    "a RAF without its light": (
        b"FUJIFILMCCD-RAW 0201".ljust(100, b"\0") + (9000).to_bytes(4, "big") + bytes(8000),
        "truncated",
        None,
    ),
    "chance": (np.random.default_rng(3).bytes(5000), "unsupported", "camera"),
}


def test_what_is_no_raw_file_is_called_by_its_name(tmp_path: Path) -> None:
    paths = []
    for name, (content, _, _) in HANDED_OVER.items():
        paths.append(tmp_path / f"{name}.dng")
        paths[-1].write_bytes(content)
    pages = read_all(paths, tmp_path / "page")
    found = {path.stem: (page["code"], page["facts"].get("kind")) for path, page in pages.items()}
    assert found == {name: (code, kind) for name, (_, code, kind) in HANDED_OVER.items()}
    for path in paths:
        with pytest.raises(ReadError) as refusal:
            read(path)
        assert HANDED_OVER[path.stem][1] in CODES[type(refusal.value)]


def test_files_cut_short_anywhere_are_refused_with_words(tmp_path: Path) -> None:
    # One has its directory at the end, one at the beginning.
    seeds = [SAMPLE, write(tmp_path / "a.dng", MOSAIC, tags=LEVELS)]
    paths = []
    for whole in seeds:
        for share in (0.1, 0.3, 0.7, 0.99):
            paths.append(tmp_path / f"{share}-{whole.name}")
            paths[-1].write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    for page in read_all(paths, tmp_path / "page").values():
        assert page["code"] == "truncated", page


def test_real_files_cut_short_are_refused_with_words(raws: Path, tmp_path: Path) -> None:
    paths = []
    for name in ("canon_30d.CR2", "sony_a7r3_iso3200_concert.ARW", "Canon_PowerShot_S40_CRW_0104.CRW"):
        whole = (raws / name).read_bytes()
        for share in (0.2, 0.8):
            paths.append(tmp_path / f"{share}-{name}")
            paths[-1].write_bytes(whole[: int(share * len(whole))])
    for page in read_all(paths, tmp_path / "page").values():
        assert page.get("code") in {"truncated", "unsupported"}, page


def test_no_broken_byte_crashes_the_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    seeds = [
        write(tmp_path / "a.dng", MOSAIC, tags=LEVELS | {51009: curve()}, **LOSSLESS),
        write(tmp_path / "b.dng", FLOATS, cell=None, tags={50717: 1}, compression=DEFLATE, predictor=3),
        write(tmp_path / "c.dng", (RGB // 64).astype(np.uint8), cell=None, **LOSSY_JPEG),
        write(tmp_path / "d.dng", MOSAIC, tags=LEVELS, **TILES),
    ]
    paths = []
    for seed in seeds:
        for number in range(25):
            content = bytearray(seed.read_bytes())
            # Half of them in the directories, which lie at the beginning or the end.
            span = 900 if number % 2 else len(content)
            for at in rng.integers(4, min(span, len(content)), 1 + number % 5):
                content[at] = rng.integers(256)
            paths.append(tmp_path / f"{seed.stem}{number}.dng")
            paths[-1].write_bytes(content)
    codes = [page.get("code", "read") for page in read_all(paths, tmp_path / "page").values()]
    assert set(codes) <= {"read", "truncated", "too-small", "unsupported", "not-here", "not-raw", "memory"}
    assert codes.count("read") > 10
    assert len(codes) - codes.count("read") > 10


def test_a_picture_too_large_for_the_device_is_refused_by_its_header(tmp_path: Path) -> None:
    path = write(tmp_path / "large.dng", np.zeros((9000, 12000), np.uint8), compression=DEFLATE)
    assert path.stat().st_size < 2_000_000
    page = read_all([path, SAMPLE], tmp_path, MEGAPIXELS_MAX="50")
    assert page[path]["code"] == "too-large"
    assert page[path]["facts"] == {"megapixels": 108, "limit": 50}
    assert "code" not in page[SAMPLE]


def test_memory_goes_back_when_a_picture_is_closed() -> None:
    held = [told["megabytes"] for told in run("memory.mjs", SAMPLE)]
    assert len(held) == 20
    # Each reading takes some 20 MB while it lasts.
    assert max(held[10:]) < min(held[:10]) + 40


def test_the_wasm_is_what_its_sources_gave() -> None:
    web = STATIC.parent
    told = [line.split() for line in (web / "libraw/SHA256SUMS").read_text().splitlines() if line[0] != "#"]
    for digest, name in told:
        seen = hashlib.sha256((web / name).read_bytes()).hexdigest()
        assert seen == digest, f"{name} is another than when the wasm was compiled: run make wasm"
    sources = {p.relative_to(web).as_posix() for p in (web / "libraw").rglob("*") if p.is_file()}
    assert {name for _, name in told} == sources - {"libraw/SHA256SUMS"} | {
        "static/libraw.wasm",
        "static/libraw.licences.txt",
    }


def test_the_wasm_is_small_and_asks_for_nothing_but_memory() -> None:
    assert (STATIC / "libraw.wasm").stat().st_size < 800_000
    (told,) = run("wasm_facts.mjs")
    assert "0.22.2" in told["version"]
    # Nothing that could reach a network or a file: output and environment, all of which do nothing in the page.
    assert set(told["imports"]) <= {
        "emscripten_notify_memory_growth",
        "proc_exit",
        "fd_write",
        "fd_close",
        "fd_seek",
        "fd_read",
        "environ_get",
        "environ_sizes_get",
    }
    licences = (STATIC / "libraw.licences.txt").read_text(errors="replace")
    for name in (
        "LESSER GENERAL PUBLIC LICENSE",
        "COMMON DEVELOPMENT AND DISTRIBUTION",
        "Independent JPEG Group",
    ):
        assert name in licences
