"""The page's JPEGs are what Python's are: the same picture, EXIF, XMP and profile to every reader."""

from __future__ import annotations

import base64
import io
import json
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import exifread
import numpy as np
import pytest
import rawpy
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

import dng_files
from conftest import SAMPLE
from node_page import run
from scotopic import metadata
from scotopic.develop import develop
from scotopic.dng.light import scaling_of
from scotopic.dng.opcodes import warped_as_green
from scotopic.dng.origin import read_origin
from scotopic.dng.write import write_linear
from scotopic.formats.icc import profile
from scotopic.frame import Capture, Linear, Rendered
from scotopic.metadata import exiftags, is_enhanced, xmp
from scotopic.read import read
from scotopic.web.constants import constants
from scotopic.write import write
from test_exiftags import entries

HEIGHT, WIDTH = 131, 203


@pytest.fixture
def picture(tmp_path: Path) -> np.ndarray:
    """A picture with colours and noise, laid down for Node."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    clean = np.dstack([x * 1.2, 255 - y * 1.5, (x + y) * 0.7])
    rgb = np.clip(clean + np.random.default_rng(0).normal(0, 4, clean.shape), 0, 255).astype(np.uint8)
    (tmp_path / "rgb.bin").write_bytes(rgb.tobytes())
    return rgb


def written(folder: Path, *paths: Path, **options: Any) -> list[Path]:
    told = run("write_files.mjs", folder, WIDTH, HEIGHT, *paths, OPTIONS=json.dumps(options))
    for one in told:
        assert one["size"] == Path(one["name"]).stat().st_size
        assert one["last"] == 1
    return [Path(one["name"]) for one in told]


def python_writes(raw: Path, rgb: np.ndarray, path: Path) -> Path:
    exif = read(raw).exif
    write(path, Rendered(data=rgb, icc=profile("srgb"), exif=exif.marked()), "jpg", overwrite=True)
    return path


def as_exifread_sees(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        found = exifread.process_file(file, details=False)
    left_out = ("Thumbnail", "JPEGThumbnail", "Image ExifOffset", "Image GPSInfo", "Image Software")
    return {
        name: [Fraction(v.num, v.den) if hasattr(v, "num") and v.den else str(v) for v in tag.values]
        if isinstance(tag.values, list)
        else tag.values
        for name, tag in found.items()
        if not name.startswith(left_out)
    }


def as_pillow_sees(path: Path) -> dict[int, Any]:
    with Image.open(path) as image:
        exif = image.getexif()
        main = {k: v for k, v in exif.items() if k not in (metadata.SOFTWARE, 0x8769, 0x8825)}
        return (
            main | dict(exif.get_ifd(0x8769)) | {1_000_000 + k: v for k, v in exif.get_ifd(0x8825).items()}
        )


def check_same_metadata(page: Path, python: Path) -> None:
    assert as_exifread_sees(page) == as_exifread_sees(python)
    assert str(as_pillow_sees(page)) == str(as_pillow_sees(python))
    assert is_enhanced(page)
    assert xmp.parse(xmp.packet_of(page)) == xmp.parse(xmp.packet_of(python))


def test_the_picture_is_the_one_that_pillow_writes(picture: np.ndarray, tmp_path: Path) -> None:
    (path,) = written(tmp_path, SAMPLE)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=95, subsampling="4:4:4")
    with Image.open(path) as image, Image.open(buffer) as theirs:
        assert image.size == (WIDTH, HEIGHT)
        assert image.quantization == theirs.quantization
        difference = np.abs(np.asarray(image).astype(int) - np.asarray(theirs))
    assert difference.max() <= 2
    assert difference.mean() < 0.1


def test_lower_quality_makes_smaller_files(picture: np.ndarray, tmp_path: Path) -> None:
    (fine,) = written(tmp_path, SAMPLE)
    size = fine.stat().st_size
    (coarse,) = written(tmp_path, SAMPLE, quality=60)
    assert coarse.stat().st_size < size / 2


def test_exif_and_xmp_of_the_sample_are_those_that_python_writes(
    picture: np.ndarray, tmp_path: Path
) -> None:
    (path,) = written(tmp_path, SAMPLE)
    check_same_metadata(path, python_writes(SAMPLE, picture, tmp_path / "python.jpg"))
    found = as_pillow_sees(path)
    assert found[metadata.ORIENTATION] == 1
    assert (found[0xA002], found[0xA003], found[0xA001]) == (WIDTH, HEIGHT, 1)
    with Image.open(path) as image:
        assert image.getexif()[metadata.SOFTWARE] == "scotopic 9.9"


def test_exif_and_xmp_of_real_files_are_those_that_python_writes(
    raws: Path, picture: np.ndarray, tmp_path: Path
) -> None:
    names = (
        "sony_a7r3_iso3200_concert.ARW",
        "canon_30d.CR2",
        "canon_kissx4_colorchart.dng",
        "Canon_PowerShot_S40_CRW_0104.CRW",
        "Kodak_DC120_DC120IMG_P003908.KDC",
        "adobe_linear_14.dng",
        "nikon_bggr.dng",
    )
    sources = [raws / name for name in names]
    for source, path in zip(sources, written(tmp_path, *sources), strict=True):
        check_same_metadata(path, python_writes(source, picture, tmp_path / "python.jpg"))


def labelled(folder: Path, name: str = "a.dng", words: xmp.Words | None = None) -> Path:
    """A DNG of a photographer with a name, a place and keywords."""
    path = folder / name
    words = words or xmp.Words(
        rating=4,
        label="Rot & gut",
        title='Nacht "eins"',
        description="unter <Sternen>",
        subjects=("Nacht", "Straße", "夜"),
        rights="© Müller",
        creators=("Zoë Müller", "B. Öst"),
    )
    packet = xmp.build(words, enhanced=False)
    tags = [
        *dng_files.extratags(dng_files.COMMON | dng_files.mosaic_tags() | {274: 6}),
        (0x013B, 2, 0, "Zoë Müller".encode(), True),
        (0x8298, 2, 0, "© Zoë".encode(), True),
        (700, 1, len(packet), packet, True),
    ]
    data = np.random.default_rng(0).integers(0, 9000, (40, 48)).astype(np.uint16)
    tifffile.imwrite(path, data, photometric=32803, metadata=None, software=False, extratags=tags)
    exif, gps = ImageFileDirectory_v2(), ImageFileDirectory_v2()
    exif[0x829A], exif[0x829D], exif[0x920A] = IFDRational(1, 40), IFDRational(18, 10), IFDRational(50)
    exif[0x8827], exif[0x9003], exif[0xA434] = 6400, "2026:01:02 03:04:05", "Nocti 50 mm"
    exif[0x9204] = IFDRational(-2, 3)
    exif[0x927C] = b"MakerNote" * 50
    gps[1], gps[2] = "N", (IFDRational(48), IFDRational(8), IFDRational(3012, 100))
    gps[3], gps[4] = "E", (IFDRational(11), IFDRational(34), IFDRational(5, 2))
    gps[6], gps[5] = IFDRational(1039, 2), b"\0"
    metadata.attach_to_tiff(path, exif, gps)
    return path


def test_names_places_and_keywords_come_along_with_their_accents(
    picture: np.ndarray, tmp_path: Path
) -> None:
    source = labelled(tmp_path)
    (path,) = written(tmp_path, source)
    check_same_metadata(path, python_writes(source, picture, tmp_path / "python.jpg"))
    found = as_exifread_sees(path)
    assert found["Image Artist"] == "Zoë Müller; B. Öst"
    assert found["EXIF ExposureBiasValue"] == [Fraction(-2, 3)]
    assert found["GPS GPSLatitude"] == [48, 8, Fraction(753, 25)]
    assert "EXIF MakerNote" not in found
    words, _ = xmp.parse(xmp.packet_of(path))
    assert words.subjects == ("Nacht", "Straße", "夜")
    assert words.creators == ("Zoë Müller", "B. Öst")


NOTHING = IFDRational(0, 0)

ODD: dict[str, dict[str, dict[int, Any]]] = {
    "zeros": {
        "exif": {
            0x829A: IFDRational(1, 0),
            0x829D: NOTHING,
            0xA432: (IFDRational(24), IFDRational(70), NOTHING, NOTHING),
        },
        "gps": {
            0: b"\2\3\0\0",
            1: "N",
            2: (IFDRational(50), NOTHING, NOTHING),
            5: b"\0",
            6: IFDRational(9),
        },
    },
    "no place": {"exif": {}, "gps": {0: b"\2\3\0\0", 1: "N", 2: (NOTHING,) * 3}},
    "iso": {"exif": {0x8827: 102400, 0x9000: b"0221"}},
    "iso told": {"exif": {0x8827: 65535, 0x8830: 1, 0x8831: 204800, 0x9000: b"0221"}},
    "versions": {"exif": {0x9000: b"0220", 0x9011: "+01:00", 0xA460: 2}},
    "notice": {"main": {0x8298: b"Jane Roe\0Agency Ltd\0"}},
    "notice of the editor": {"main": {0x8298: b" \0Agency Ltd\0"}},
    "cut": {"main": {0x013B: b"J\xc3\xbcr\xc3", 0x010E: b"Andr\xe9", 0x8298: "山田".encode()[:-1]}},
    "stars": {"main": {0x4746: 99}},
    "serial of DNGs": {"main": {50735: b"SN 17"}},
    "two serials": {"main": {50735: b"SN 17"}, "exif": {0xA431: "0017"}},
    "many numbers": {"exif": {0xD000 + i: (70_000,) * 999 for i in range(18)} | {0xA434: "Nocti"}},
    "long": {"exif": {0xFE00 + i: f"{i:02} " + "ü" * (900 + i) for i in range(50)} | {0xA434: "Nocti"}},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_tags_become_what_python_makes_of_them(picture: np.ndarray, tmp_path: Path, name: str) -> None:
    odd = {"main": {}, "exif": {}, "gps": {}} | ODD[name]
    source = tmp_path / "a.dng"
    tags = list(dng_files.extratags(dng_files.COMMON | dng_files.mosaic_tags()))
    for tag, value in odd["main"].items():
        tags.append((tag, 2, 0, value, True) if isinstance(value, bytes) else (tag, 3, 1, value, True))
    data = np.random.default_rng(0).integers(0, 9000, (40, 48)).astype(np.uint16)
    tifffile.imwrite(source, data, photometric=32803, metadata=None, software=False, extratags=tags)
    exif, gps = ImageFileDirectory_v2(), ImageFileDirectory_v2()
    for directory, found in ((exif, {0x920A: IFDRational(50)} | odd["exif"]), (gps, odd["gps"])):
        for tag, value in found.items():
            if tag == 0x8827 and value > 65535:
                directory.tagtype[tag] = 4
            if isinstance(value, str):
                directory.tagtype[tag], value = 2, value.encode()
            directory[tag] = value
    metadata.attach_to_tiff(source, exif, gps)
    (path,) = written(tmp_path, source)
    check_same_metadata(path, python_writes(source, picture, tmp_path / "python.jpg"))
    with Image.open(path) as image:
        assert image.info["dpi"] == (72, 72)


NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d"}


def with_exif(path: Path, tags: dict[int, tuple[int, int, bytes]]) -> Path:
    """The sample with these tags, each a type, a count and bytes, as its EXIF directory."""
    content = bytearray(SAMPLE.read_bytes())
    content += bytes(len(content) % 2)
    (at,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if struct.unpack_from("<H", content, entry) == (metadata.EXIF_IFD,):
            struct.pack_into("<I", content, entry + 8, len(content))
    behind = len(content) + 2 + 12 * len(tags) + 4
    content += struct.pack("<H", len(tags))
    values = b""
    for tag, (kind, many, value) in sorted(tags.items()):
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", behind + len(values))
        content += struct.pack("<HHI", tag, kind, many) + place
        values += b"" if len(value) <= 4 else value + bytes(len(value) % 2)
    path.write_bytes(content + bytes(4) + values)
    return path


def stored(path: Path) -> dict[tuple[str, int], tuple[int, bytes]]:
    """Types and bytes of a JPEG's EXIF and GPS tags."""
    content = path.read_bytes()
    block = path.with_suffix(".block")
    block.write_bytes(content[content.index(b"Exif\0\0") + 6 :])
    found = entries(block)
    return {place: found[place] for place in found if place[0] != "main"}


SIGNED = (6, 8, 9, 10, 11, 12)


@pytest.mark.parametrize(
    ("kind", "sign"), [*((k, 1) for k in (*NUMBERS, 2, 5, 10)), *((k, -1) for k in SIGNED)]
)
def test_every_tag_has_exifs_type_whatever_the_source_says(
    picture: np.ndarray, tmp_path: Path, kind: int, sign: int
) -> None:
    count, value = 1, b""
    if kind == 2:
        count, value = 5, b"0230\0"
    elif kind in (5, 10):
        value = struct.pack("<iI", 7 * sign, 2)
    else:
        value = struct.pack(f"<{NUMBERS[kind]}", 3 * sign)
    tags = (0x829D, 0x8822, 0x8831, 0x8832, 0x9000, 0x9201, 0x9204, 0x9209, 0x9400, 0xA300, 0xA301, 0xA402)
    odd = dict.fromkeys((*tags, 0xA434, 0xA436, 0xD000), (kind, count, value))
    odd[0x829A], odd[0x8827] = (5, 1, struct.pack("<II", 1, 30)), (4, 1, struct.pack("<I", 320))
    source = with_exif(tmp_path / "a.dng", odd)
    (path,) = written(tmp_path, source)
    page, python = (stored(one) for one in (path, python_writes(source, picture, tmp_path / "python.jpg")))
    assert ("exif", 0xD000) in python
    assert python["exif", 0x8827] == (3, struct.pack("<H", 320))
    for size in (0xA002, 0xA003):
        # EXIF takes SHORT and LONG.
        assert int.from_bytes(page.pop(("exif", size))[1], "little") == int.from_bytes(
            python.pop(("exif", size))[1], "little"
        )
    assert page == python


def test_all_words_that_python_carries_come_along(picture: np.ndarray, tmp_path: Path) -> None:
    values: dict[str, Any] = {
        n: f"<{n}> & 夜" for n, p in xmp.PROPERTIES.items() if p.form in ("text", "alt")
    }
    values |= {n: ("a|b", n) for n, p in xmp.PROPERTIES.items() if p.form in ("bag", "seq")}
    words = xmp.Words(rating=3, contact=(("CiUrlWork", "https://a/?b&c"), ("CiTelWork", "1")), **values)
    source = labelled(tmp_path, words=words)
    (path,) = written(tmp_path, source)
    assert xmp.parse(xmp.packet_of(path))[0] == words
    check_same_metadata(path, python_writes(source, picture, tmp_path / "python.jpg"))
    (bare,) = written(tmp_path, source, stripGps=True)
    assert xmp.parse(xmp.packet_of(bare))[0] == words.without_place()


@pytest.mark.parametrize("rating", [-1, 0])
def test_a_rejected_picture_has_no_stars_of_the_cameras(
    picture: np.ndarray, tmp_path: Path, rating: int
) -> None:
    source = labelled(tmp_path, words=xmp.Words(rating=rating))
    (path,) = written(tmp_path, source)
    check_same_metadata(path, python_writes(source, picture, tmp_path / "python.jpg"))
    assert as_pillow_sees(path).get(0x4746) == (None if rating < 0 else 0)


def test_the_place_stays_behind_when_asked(picture: np.ndarray, tmp_path: Path) -> None:
    (path,) = written(tmp_path, labelled(tmp_path), stripGps=True)
    assert not any(name.startswith("GPS") for name in as_exifread_sees(path))
    assert "Image GPSInfo" not in exifread.process_file(path.open("rb"), details=False)


def test_words_that_do_not_fit_leave_rating_and_label(picture: np.ndarray, tmp_path: Path) -> None:
    source = labelled(tmp_path, words=xmp.Words(rating=2, label="x", description="y" * 70_000))
    (path,) = written(tmp_path, source)
    words, enhanced = xmp.parse(xmp.packet_of(path))
    assert (words.rating, words.label, words.description, enhanced) == (2, "x", "", True)


def test_another_colour_space_has_its_profile(picture: np.ndarray, tmp_path: Path) -> None:
    # Larger than one segment holds.
    icc = profile("p3") + bytes(70_000)
    (path,) = written(tmp_path, SAMPLE, icc=base64.b64encode(icc).decode(), srgb=False)
    with Image.open(path) as image:
        assert image.info["icc_profile"] == icc
        assert image.getexif().get_ifd(0x8769)[0xA001] == 0xFFFF


def lit(rgb: np.ndarray, lamp: float, folder: Path) -> np.ndarray:
    """Light that goes with the picture, with a lamp in it, laid down for Node: (H, W, 3)."""
    light = (rgb / 255.0).astype(np.float32) ** 2
    light[40:50, 60:70] = lamp
    np.moveaxis(light, -1, 0).tofile(folder / "light.bin")
    return light


def dng_written(folder: Path, source: Path, **options: Any) -> Path:
    (told,) = run("write_dngs.mjs", folder, WIDTH, HEIGHT, source, OPTIONS=json.dumps(options))
    path = Path(told["name"])
    assert told["size"] == path.stat().st_size
    return path


@pytest.mark.parametrize("lamp", [0.4, 3.0, 40.0])
def test_a_linear_dng_holds_the_light_as_python_scales_it(
    lamp: float, picture: np.ndarray, tmp_path: Path
) -> None:
    light = lit(picture, lamp, tmp_path)
    source = read(SAMPLE)
    path = dng_written(tmp_path, SAMPLE, clip=50.0, strength=0.8)
    theirs = Linear(
        data=light, clip=50.0, ratio=300, **{f: getattr(source, f) for f in Capture.__dataclass_fields__}
    )
    scaling = scaling_of(theirs)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].tags[50730].value[0] / tiff.pages[0].tags[50730].value[1] == pytest.approx(
            scaling.baseline_ev, abs=1e-4
        )
        raw, preview = tiff.pages[0].pages
        assert raw.tags[50717].value == (scaling.white,) * 3
        steps = raw.asarray().astype(np.float64) * 2**scaling.halvings / 65535
        shown = preview.asarray()
    assert np.abs(steps - light).max() <= 2**scaling.halvings / 65535 * (1 if scaling.halvings else 0.501)
    assert np.abs(steps - light).mean() < 2**scaling.halvings / 65535 / 2
    assert np.abs(shown.astype(int) - picture).mean() < 4


def test_a_linear_dng_is_read_by_python_and_by_libraw(picture: np.ndarray, tmp_path: Path) -> None:
    light = lit(picture, 3.0, tmp_path)
    source = labelled(tmp_path)
    path = dng_written(tmp_path, source, clip=3.0)
    before, after = read(source), read(path)
    assert isinstance(after, Linear)
    np.testing.assert_allclose(after.data, light, atol=2e-4)
    assert after.wb == pytest.approx(before.wb, rel=1e-5)
    assert before.xyz_to_camera is not None
    np.testing.assert_allclose(after.xyz_to_camera, before.xyz_to_camera, atol=1e-6)
    assert (after.make, after.model, after.iso, after.orientation) == ("Test", "Camera", 6400, 6)
    assert after.exposure_s == pytest.approx(1 / 40)
    assert is_enhanced(path)
    words, _ = xmp.parse(xmp.packet_of(path))
    assert words.subjects == ("Nacht", "Straße", "夜")
    seen = as_exifread_sees(path)
    assert seen["Image Artist"] == "Zoë Müller; B. Öst"
    assert seen["GPS GPSLatitude"] == [48, 8, Fraction(753, 25)]
    with rawpy.imread(str(path)) as raw:
        assert raw.raw_image.shape[:2] == (HEIGHT, WIDTH)
        thumbnail = raw.extract_thumb().data
        developed = raw.postprocess(use_camera_wb=True, no_auto_bright=True)
    assert np.abs(thumbnail.astype(int) - picture).mean() < 1
    assert developed.shape == (WIDTH, HEIGHT, 3)
    assert (developed[65, HEIGHT - 1 - 45] > 250).all()


OF_THE_FILE = {
    254,
    256,
    257,
    258,
    259,
    273,
    277,
    278,
    279,
    282,
    283,
    284,
    296,
    305,
    330,
    347,
    530,
    532,
    700,
    0x8769,
    0x8825,
}


def told_of(path: Path) -> list[dict[int, Any]]:
    """What each directory of a DNG says, but for how it is stored and by whom."""
    with tifffile.TiffFile(path) as tiff:
        whole = tiff.pages[0]
        return [
            {t.code: _plain(t) for t in page.tags if t.code not in OF_THE_FILE}
            for page in (whole, *whole.pages)
        ]


def _plain(tag: Any) -> Any:
    """Type and value; of fractions what they come to, to the fourth digit."""
    value = tag.value.tolist() if isinstance(tag.value, np.ndarray) else tag.value
    if tag.dtype in (5, 10):
        pairs = np.array(value).reshape(-1, 2)
        value = np.round(pairs[:, 0] / pairs[:, 1], 4).tolist()
    return int(tag.dtype), value


def opcode(number: int, body: bytes = b"") -> bytes:
    return struct.pack(">4I", number, 0x01030000, 0, len(body)) + body


def of_a_phone(folder: Path, more: dict[int, Any]) -> Path:
    """A DNG with two matrices, a profile, a lens and its own brightening; its pixels lie turned and are not square."""
    vignette = opcode(3, struct.pack(">7d", 0.3, 0.1, 0, 0, 0, 0.5, 0.5))
    gains = np.ones((3, 4, 1), np.float32)
    shading = dng_files.gain_map(gains, (0, 0, HEIGHT, WIDTH))
    matrices = {
        50722: dng_files.COLOR_MATRIX * 0.9,
        50779: 17,
        50723: np.eye(3) * 1.1,
        50724: np.eye(3),
        50727: (1, 0.9, 1),
    }
    tags = {
        50708: "Maker Phone 9",
        274: 6,
        50718: (1, 2),
        50730: 0.35,
        50721: dng_files.COLOR_MATRIX,
    } | matrices
    tags |= {
        51022: dng_files.opcode_list(shading, vignette),
        51009: dng_files.opcode_list(opcode(9)),
    } | more
    own = dng_files.extratags(dng_files.COMMON | dng_files.mosaic_tags() | tags)
    own += [
        (50936, 2, 0, "Näch".encode(), True),
        (50937, 4, 3, (2, 2, 1), True),
        (50938, 11, 12, tuple(i / 7 for i in range(12)), True),
        (50940, 11, 4, (0.0, 0.0, 1.0, 1.0), True),
        (50941, 4, 1, 3, True),
        (50942, 2, 0, "© José".encode(), True),
        (50964, 10, 9, (3, 4) * 9, True),
        (51109, 10, 1, (-1, 4), True),
        (51110, 4, 1, 1, True),
    ]
    path = folder / "höhle.dng"
    data = np.random.default_rng(0).integers(600, 9000, (HEIGHT, WIDTH)).astype(np.uint16)
    tifffile.imwrite(
        path, data, photometric=32803, metadata=None, software=False, extratags=own, byteorder=">"
    )
    return path


WARPS = dng_files.opcode_list(
    dng_files.warp([[plane + n / 7 for n in range(6)] for plane in range(3)], struct.pack(">2d", 0.5, 0.5)),
    dng_files.warp([[n / 7 for n in range(19)]] * 2 + [[1.0] * 19], b"\0" * 20, 14),
    dng_files.warp([[n / 9 for n in range(4)]], struct.pack(">2d", 0.5, 0.5), 2),
)
"""Corrections that move each colour by its own, as by three kinds of opcodes, one of which has a single plane."""


def test_where_fringes_are_gone_the_pages_dng_moves_all_colours_as_pythons(
    picture: np.ndarray, tmp_path: Path
) -> None:
    lit(picture, 3.0, tmp_path)
    source = of_a_phone(tmp_path, {51022: WARPS})
    for gone in ((), (0,), (0, 2)):
        listed = warped_as_green(WARPS, gone)
        assert (listed == WARPS) == (not gone)
        path = dng_written(tmp_path, source, clip=3.0, uponGreen=list(gone))
        assert told_of(path)[1][51022][1] == listed


@pytest.mark.parametrize(
    "more", [{}, {50829: (2, 2, HEIGHT, WIDTH)}, {50721: None}, {51022: b"\0\0\0\1broken"}]
)
def test_a_linear_dng_says_of_camera_and_lens_what_pythons_says(
    more: dict[int, Any], picture: np.ndarray, tmp_path: Path
) -> None:
    shown = lit(picture, 3.0, tmp_path)
    source = of_a_phone(tmp_path, more)
    path = dng_written(tmp_path, source, clip=3.0, strength=0.8)
    fields = {f: getattr(read(source), f) for f in Capture.__dataclass_fields__}
    light = Linear(data=shown, clip=3.0, ratio=300, **(fields | {"shading": None}))
    theirs = tmp_path / "python.dng"
    write_linear(theirs, light, develop(light), strength=0.8, origin=read_origin(source, HEIGHT, WIDTH))
    page, python = told_of(path), told_of(theirs)
    for ours, wanted in zip(page, python, strict=True):
        differs = {
            c: (ours.get(c), wanted.get(c)) for c in ours.keys() | wanted if ours.get(c) != wanted.get(c)
        }
        assert not differs, str(differs)
    assert page[0][50708][1] == "Maker Phone 9"
    assert page[2][50970][1] == 2, "the preview is sRGB"
    assert (51022 in page[1]) == (more == {} or 50721 in more)
    assert (50722 in page[0]) == (50721 not in more)


def test_the_pages_dng_lies_as_the_sensor_saw_it_with_its_own_pixels(tmp_path: Path) -> None:
    (tmp_path / "constants.json").write_text(json.dumps(constants()))
    path = tmp_path / "a.dng"
    (told,) = run("picture_dng.mjs", tmp_path / "constants.json", path, 30, 40, 6, 2.0)
    assert told["name"] == "IMG_1-scotopic.dng"
    whole, raw, _ = told_of(path)
    assert whole[274] == (3, 6)
    assert whole[50827][1] == "IMG_1.KDC"
    assert raw[50718][1] == [2, 1]
    linear = read(path)
    assert linear.data.shape == (30, 40, 3)
    light = np.linspace(0, 1, 3 * 30 * 40, endpoint=False).reshape(3, 30, 40)
    np.testing.assert_allclose(linear.data * linear.wb, np.moveaxis(light, 0, -1), atol=1e-3)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].pages[1].shape == (30, 80, 3), "the preview is shown: its pixels are square"
        assert tiff.pages[0].shape[1] > 2 * tiff.pages[0].shape[0]


def test_a_picture_wider_than_jpeg_allows_is_refused(tmp_path: Path) -> None:
    (told,) = run("wide_picture.mjs", SAMPLE)
    assert told == {"code": "unsupported", "kind": "JPEG size"}


def test_what_lies_in_the_picture_is_not_said_of_the_turned_one() -> None:
    tags = {0x9214: 1, 0xA214: 2, 0xA20C: 3, 0xA20E: 4, 0xA20F: 5, 0x8827: 6}
    told = run("turned_tags.mjs", json.dumps(list(tags.items())))
    assert len(told) == 8
    for one in told:
        assert dict(one["tags"]) == exiftags.turned(tags, one["orientation"])
