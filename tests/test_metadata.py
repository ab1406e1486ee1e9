from __future__ import annotations

import dataclasses
import logging
import struct
import threading

import exifread
import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

import dng_files
from scotopic import batch
from scotopic.develop import develop, srgb_profile
from scotopic.disk.sidecars import words_beside
from scotopic.dng.write import write_mosaic
from scotopic.errors import UnsupportedRawError
from scotopic.formats.table import FORMATS
from scotopic.frame import Linear, Mosaic, Rendered
from scotopic.jobs.layout import find_files, lay_out
from scotopic.metadata import XMP, Exif, Words, attach_to_tiff, is_enhanced, read_exif, xmp_packet
from scotopic.metadata.xmp import build, parse
from scotopic.read import read
from scotopic.run import Models
from scotopic.settings import Settings
from scotopic.write import bits_of, encode, write
from test_write import pillow_exif

SET_BY_US = {0xA000, 0xA001, 0xA002, 0xA003}
"""FlashpixVersion, ColorSpace and the picture's size."""

OF_JPEG = {0x011A, 0x011B, 0x0128, 0x0213, 0x9101}
"""Resolution, its unit, position and order of the components."""

RICH = Exif(
    {
        0x010E: "Moon over the café",
        0x010F: "SONY",
        0x0110: "ILCE-7SM2",
        0x0132: "2026:11:22 01:02:03",
        0x013B: "Zoë Østergård",
        0x8298: "© 2026 Zoë",
    },
    {
        0x829A: IFDRational(1, 30),
        0x829D: IFDRational(18, 10),
        0x8827: 3200,
        0x8830: 2,
        0x9000: b"0232",
        0x9003: "2026:11:22 01:02:03",
        0x9011: "+01:00",
        0x9291: "042",
        0x9204: IFDRational(-2, 3),
        0x9207: 5,
        0x9209: 16,
        0x920A: IFDRational(35, 1),
        0xA405: 35,
        0xA430: "Zoë Østergård",
        0xA431: "1234567",
        0xA432: (IFDRational(35, 1), IFDRational(35, 1), IFDRational(18, 10), IFDRational(18, 10)),
        0xA433: "Sony",
        0xA434: "FE 35mm F1.8",
        0xA435: "7654321",
    },
    {
        0: b"\x02\x03\x00\x00",
        1: "S",
        2: (IFDRational(33, 1), IFDRational(52, 1), IFDRational(1234, 100)),
        3: "E",
        4: (IFDRational(151, 1), IFDRational(12, 1), IFDRational(0, 1)),
        5: b"\x00",
        6: IFDRational(39, 1),
        7: (IFDRational(14, 1), IFDRational(2, 1), IFDRational(3, 1)),
        29: "2026:11:22",
    },
)

FOREIGN = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
  xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
  xmlns:darktable="http://darktable.sf.net/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
  xmlns:dc="http://purl.org/dc/elements/1.1/" xmp:Rating="4" xmp:Label="Blue"
  xmp:CreatorTool="ILCE-7SM2 v3.00" crs:Exposure2012="+3.50" darktable:history_end="12"
  exif:GPSLatitude="33,52.2S" photoshop:City="Sydney">
  <dc:title><rdf:Alt><rdf:li xml:lang="fr">Nuit</rdf:li><rdf:li xml:lang="x-default">Night &amp; day</rdf:li>
  </rdf:Alt></dc:title>
  <dc:subject><rdf:Bag><rdf:li>night</rdf:li><rdf:li>café</rdf:li></rdf:Bag></dc:subject>
  <dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© Zoë</rdf:li></rdf:Alt></dc:rights>
  <dc:creator><rdf:Seq><rdf:li>Zoë Østergård</rdf:li></rdf:Seq></dc:creator>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()

WORDS = Words(
    rating=4,
    label="Blue",
    title="Night & day",
    subjects=("night", "café"),
    rights="© Zoë",
    creators=("Zoë Østergård",),
    city="Sydney",
)

FOLLOWING = {**RICH.main, 0x4746: 4, 0x8298: "© Zoë"}
"""RICH's main directory as FOREIGN's words make it."""


def shown(kind: str, exif: Exif) -> Rendered:
    data = np.zeros((16, 24, 3), np.uint16 if bits_of(kind) == 16 else np.uint8)
    return Rendered(data=data, icc=srgb_profile(), exif=exif)


def tiff_with(path, exif: Exif, packet: bytes):
    """A TIFF as a camera would begin its RAW file: EXIF, place and XMP."""
    tags = [(XMP, 1, len(packet), packet, True), *exif.texts()]
    tifffile.imwrite(path, np.zeros((8, 8), np.uint16), byteorder="<", metadata=None, extratags=tags)
    attach_to_tiff(path, *exif.directories())
    return path


def same(ours, theirs) -> bool:
    """Whether a value is the same however a reader wraps it: text in UTF-8, a byte, a tuple, a number."""
    if isinstance(ours, tuple) or isinstance(theirs, tuple):
        return np.allclose([float(v) for v in ours], [float(v) for v in theirs])
    if isinstance(ours, str) and isinstance(theirs, str):
        # Pillow reads EXIF's texts as Latin-1.
        return theirs in (ours, ours.encode().decode("latin-1"))
    return ours == theirs


def check_carried(source: Exif, path) -> None:
    """Both readers see in `path` all that the source holds."""
    back = read_exif(path)
    main, inner, gps = pillow_exif(path)
    for ours, exifread_sees, pillow_sees in (
        (source.main, back.main, main),
        (source.exif, back.exif, inner),
        (source.gps, back.gps, gps),
    ):
        for tag, value in ours.items():
            if tag not in SET_BY_US:
                assert same(value, exifread_sees[tag]), hex(tag)
                assert same(value, pillow_sees[tag]), hex(tag)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_tag_of_a_rich_file_is_seen_in_every_format(tmp_path, kind):
    source = read_exif(tiff_with(tmp_path / "source.tif", RICH, FOREIGN))
    assert source.main == FOLLOWING
    assert {t: v for t, v in source.exif.items() if t not in SET_BY_US} == RICH.exif
    assert source.gps == RICH.gps
    path = tmp_path / f"a.{kind}"
    write(path, shown(kind, source), kind)
    check_carried(source, path)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["sony_a7r3_iso3200_concert.ARW", "canon_30d.CR2"])
def test_every_tag_of_a_real_file_is_seen_in_every_format(raws, tmp_path, kind, name):
    source = read_exif(raws / name)
    assert len(source.exif) > 10
    path = tmp_path / f"a.{kind}"
    write(path, shown(kind, source), kind)
    check_carried(source, path)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_photographers_words_come_along_and_editors_settings_do_not(tmp_path, kind):
    source = read_exif(tiff_with(tmp_path / "source.tif", RICH, FOREIGN))
    assert source.words == WORDS
    path = tmp_path / f"a.{kind}"
    write(path, shown(kind, source), kind)
    assert read_exif(path).words == WORDS
    content = path.read_bytes()
    assert b"scotopic" in content
    for foreign in (b"crs:", b"darktable", b"Exposure2012", b"ILCE-7SM2 v3.00"):
        assert foreign not in content


@pytest.mark.parametrize("kind", FORMATS)
def test_no_trace_of_the_place_is_left_where_it_is_unwanted(tmp_path, kind):
    source = read_exif(tiff_with(tmp_path / "source.tif", RICH, FOREIGN)).without_gps()
    path = tmp_path / f"a.{kind}"
    write(path, shown(kind, source), kind)
    assert not read_exif(path).gps
    assert not pillow_exif(path)[2]
    assert b"GPS" not in path.read_bytes()
    assert b"Sydney" not in path.read_bytes()
    assert struct.pack("<II", 1234, 100) not in path.read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_the_mark_tells_enhanced_pictures_from_others(tmp_path, kind):
    plain, marked = tmp_path / f"plain.{kind}", tmp_path / f"marked.{kind}"
    write(plain, shown(kind, RICH), kind)
    write(marked, shown(kind, RICH.marked()), kind)
    assert is_enhanced(marked)
    assert read_exif(marked).enhanced
    assert not is_enhanced(plain)


def test_a_file_that_is_no_tiff_is_not_searched_to_its_end(tmp_path):
    packet = xmp_packet(RICH.marked())
    path = tmp_path / "copy.dng"
    for at, found in ((1 << 20, True), (1 << 30, False)):
        with path.open("wb") as file:
            file.seek(at)
            file.write(packet)
        assert is_enhanced(path) == found


def test_a_sidecars_words_go_before_the_files_own(tmp_path):
    path = tiff_with(tmp_path / "IMG_1.tif", RICH, FOREIGN)
    (tmp_path / "IMG_1.xmp").write_bytes(build(Words(rating=5, label="Red"), enhanced=False))
    (tmp_path / "IMG_1.tif.xmp").write_bytes(build(Words(rating=2), enhanced=True))
    assert words_beside(path) == Words(rating=2, label="Red")
    back = read_exif(path)
    assert back.words == dataclasses.replace(WORDS, rating=2, label="Red")
    assert back.main[0x4746] == 2
    # What lies beside a file says nothing of how the file was made.
    assert not back.enhanced


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"no xml",
        b"<x:xmpmeta",
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'></x:xmpmeta>",
        FOREIGN[: len(FOREIGN) // 2],
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><x:xmpmeta xmlns:x='adobe:ns:meta/'>&b;</x:xmpmeta>",
        b"\xff\xfe" + FOREIGN[3:],
    ],
)
def test_broken_packets_are_no_words_and_no_error(packet):
    assert parse(packet)[1] is False


def test_the_gamma_of_the_sources_values_is_not_carried_to_others(tmp_path):
    exif = Exif(RICH.main, {**RICH.exif, 0xA500: IFDRational(1, 1)}, {})
    source = read_exif(tiff_with(tmp_path / "source.tif", exif, FOREIGN))
    assert source.exif[0x8827] == RICH.exif[0x8827]
    assert 0xA500 not in source.exif


def test_what_exifread_says_is_kept_silent_for_us_alone(tmp_path, monkeypatch, caplog):
    logger = logging.getLogger("exifread")

    def complaining(_file, **_more):
        logger.warning("of a file that is read here")
        thread = threading.Thread(target=logger.warning, args=("of another thread",))
        thread.start()
        thread.join()
        return {}

    path = tiff_with(tmp_path / "source.tif", RICH, FOREIGN)
    monkeypatch.setattr(exifread, "process_file", complaining)
    with caplog.at_level(logging.DEBUG, logger="exifread"):
        read_exif(path)
        assert logger.level == logging.DEBUG
        logger.warning("of the application")
    assert caplog.messages == ["of another thread", "of the application"]


def test_ratings_out_of_range_are_no_ratings():
    for text, rating in (("5", 5), ("-1", -1), ("3.0", 3), ("99", None), ("nan", None), ("", None)):
        packet = FOREIGN.replace(b'xmp:Rating="4"', f'xmp:Rating="{text}"'.encode())
        assert parse(packet)[0].rating == rating


def test_words_survive_whatever_letters_they_hold():
    words = Words(title="a \"quote\" & <tag> 'b' ] ]]> é 夜 🌙", subjects=("x\x00y", "a&b"), label='"<&>"')
    back, enhanced = parse(build(words, enhanced=True))
    assert enhanced
    assert back == dataclasses.replace(words, subjects=("xy", "a&b"))


def test_a_jpeg_is_written_however_many_keywords_there_are(tmp_path):
    words = Words(rating=3, subjects=tuple(f"keyword number {n}" for n in range(5000)))
    exif = Exif({0x010E: "x" * 1999}, {}, {}, words)
    for kind in FORMATS:
        path = tmp_path / f"a.{kind}"
        write(path, shown(kind, exif), kind)
        assert read_exif(path).words.rating == 3
    assert read_exif(tmp_path / "a.png").words == words


def test_the_packet_says_what_made_the_picture():
    packet = xmp_packet(RICH.marked()).decode()
    assert 'xmp:CreatorTool="scotopic ' in packet
    assert "digitalsourcetype/algorithmicallyEnhanced" in packet
    assert "algorithmicallyEnhanced" not in xmp_packet(RICH).decode()


@pytest.fixture
def source(tmp_path, dark: Mosaic):
    """A small RAW file with rich EXIF and a sidecar."""
    small = dark.with_changes(data=dark.data[:64, :96], exif=RICH)
    write_mosaic(tmp_path / "IMG_1.dng", small)
    (tmp_path / "IMG_1.xmp").write_bytes(FOREIGN)
    return tmp_path / "IMG_1.dng"


def treated(source, kind, **settings) -> batch.Outcome:
    (job,), chosen = lay_out(find_files([source]), None, kind)
    made = Settings(ratio=50, kind=chosen, overwrite=True, **settings)
    return batch.treated(job, made, Models(None, device="cpu"))


@pytest.mark.parametrize("kind", [*FORMATS, "dng"])
def test_the_whole_way_keeps_tags_words_and_sets_the_mark(source, kind):
    outcome = treated(source, kind)
    assert outcome.status == "done", outcome.error
    path = outcome.job.target
    back = read_exif(path)
    assert back.enhanced
    assert is_enhanced(path)
    assert back.words.rating == 4
    assert back.words.subjects == ("night", "café")
    for tag in (0x010F, 0x0110, 0x013B, 0x8298):
        assert back.main[tag] == FOLLOWING[tag]
    for tag in (0x829A, 0x8827, 0xA434, 0xA430):
        assert back.exif[tag] == RICH.exif[tag]
    assert back.gps == RICH.gps
    bare = treated(source, kind, strip_gps=True)
    assert bare.status == "done", bare.error
    assert not read_exif(bare.job.target).gps


@pytest.mark.parametrize(("kind", "size"), [("png", (64, 96)), ("dng", (96, 64))])
@pytest.mark.parametrize("dry_run", [True, False])
def test_the_size_told_is_the_results(tmp_path, dark: Mosaic, kind, size, dry_run):
    write_mosaic(tmp_path / "IMG_1.dng", dark.with_changes(data=dark.data[:64, :96], orientation=6))
    outcome = treated(tmp_path / "IMG_1.dng", kind, dry_run=dry_run)
    assert not outcome.error
    told = outcome.to_json()
    assert (told["width"], told["height"]) == (96, 64)
    assert (told["output_width"], told["output_height"]) == size
    if kind == "png" and not dry_run:
        with Image.open(outcome.job.target) as image:
            assert image.size == size


def test_what_is_enhanced_already_is_refused_unless_asked(source):
    first = treated(source, "dng").job.target
    again = treated(first, "jpg")
    assert again.status == "failed"
    assert "--again" in again.error
    for kind, more in (("jpg", {}), ("jpg", {"wb": "auto"}), ("dng", {})):
        outcome = treated(first, kind, again=True, **more)
        assert outcome.status == "done", outcome.error


def test_the_refusal_is_one_of_our_errors():
    from conftest import SAMPLE
    from scotopic.enhance import check_fresh

    mosaic = read(SAMPLE)
    check_fresh(mosaic)
    with pytest.raises(UnsupportedRawError, match="already"):
        check_fresh(mosaic.with_changes(exif=mosaic.exif.marked()))


def directory(tags) -> bytes:
    """A TIFF with one directory."""
    made = ImageFileDirectory_v2()
    for tag, value in tags.items():
        if isinstance(value, str):
            made.tagtype[tag] = 2
        made[tag] = value.encode() if isinstance(value, str) else value
    return b"II*\0\x08\0\0\0" + made.tobytes(8)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def test_exif_of_fujifilms_files_is_read(tmp_path):
    write(tmp_path / "a.jpg", shown("jpg", RICH), "jpg")
    jpeg = (tmp_path / "a.jpg").read_bytes()
    head = b"FUJIFILMCCD-RAW 0201FF393101X-T2".ljust(84, b"\0") + struct.pack(">II", 148, len(jpeg))
    (tmp_path / "a.raf").write_bytes(head.ljust(148, b"\0") + jpeg + bytes(1000))
    back = read_exif(tmp_path / "a.raf")
    assert back.main == RICH.main
    assert back.gps == RICH.gps
    assert {t: v for t, v in back.exif.items() if t not in SET_BY_US} == RICH.exif


def test_exposure_and_iso_in_the_main_directory_are_read_where_exif_is_silent(tmp_path):
    """As TIFF/EP has them, which DNG follows."""
    shot = {33434: 0.125, 34855: 3200}
    dng_files.write(tmp_path / "a.dng", np.full((64, 96), 700, np.uint16), tags={50717: 16383} | shot)
    mosaic = read(tmp_path / "a.dng")
    assert (mosaic.iso, mosaic.exposure_s) == (3200, 0.125)
    assert mosaic.exif.exif[0x8827] == 3200, "and carried along"
    attach_to_tiff(tmp_path / "a.dng", *Exif({}, {0x8827: 6400}, {}).directories())
    told = read(tmp_path / "a.dng")
    assert (told.iso, told.exposure_s) == (6400, 0.125)


@pytest.mark.parametrize("nothing", [IFDRational(0, 1), IFDRational(1, 0)])
def test_a_zero_in_exif_hides_nothing_of_the_main_directory(tmp_path, nothing):
    """But an exposure bias of 0 is one."""
    shot = {33434: 0.125, 34855: 3200, 0x9204: 1.0}
    dng_files.write(tmp_path / "a.dng", np.full((64, 96), 700, np.uint16), tags={50717: 16383} | shot)
    exif = {33434: nothing, 0x8827: 0, 0x9003: "0000:00:00 00:00:00", 0x9204: IFDRational(0, 1)}
    attach_to_tiff(tmp_path / "a.dng", *Exif({}, exif, {}).directories())
    told = read(tmp_path / "a.dng")
    assert (told.iso, told.exposure_s) == (3200, 0.125)
    assert told.exif.exif[0x9204] == 0


def test_exif_of_canons_newer_files_is_read(tmp_path):
    canon = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
    blocks = box(b"CMT1", directory(RICH.main)) + box(b"CMT2", directory(RICH.exif))
    blocks += box(b"CMT3", directory({1: 5})) + box(b"CMT4", directory(RICH.gps))
    content = box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", box(b"uuid", canon + blocks))
    content += box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + FOREIGN)
    content += struct.pack(">I4sQ", 1, b"mdat", 1016) + bytes(1000)
    (tmp_path / "a.cr3").write_bytes(content)
    back = read_exif(tmp_path / "a.cr3")
    assert back.main == FOLLOWING
    assert back.exif == RICH.exif
    assert back.gps == RICH.gps
    assert back.words == WORDS


@pytest.mark.parametrize(
    "content",
    [b"", b"FUJIFILMCCD-RAW ", b"\0\0\0\x18ftypcrx \0\0", b"\0\0\0\x0cftypcrx \0\0\0\2moov", b"II*\0"],
)
def test_files_cut_short_have_no_exif_and_raise_nothing(tmp_path, content):
    (tmp_path / "a.raf").write_bytes(content)
    assert not read_exif(tmp_path / "a.raf").main


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "dng"])
def test_what_a_program_says_of_its_camera_is_in_finished_pictures(tmp_path, kind):
    light = Linear(
        data=np.full((32, 48, 3), 0.1, np.float32),
        clip=1.0,
        ratio=1.0,
        wb=(1, 1, 1),
        make="Maker",
        model="Model",
        exposure_s=1 / 60,
        iso=3200,
        exif=Exif({0x0110: "Its own"}, {}, {}),
    )
    path = tmp_path / f"a.{kind}"
    write(path, develop(light, bits=bits_of(kind, None, linear=False)), kind)
    main, exif, _ = pillow_exif(path)
    assert main[0x010F] == "Maker"
    assert main[0x0110] == "Its own"
    assert exif[0x829A] == pytest.approx(1 / 60)
    assert exif[0x8827] == 3200


def test_numbers_that_exif_cannot_hold_stay_out_of_it():
    light = Linear(
        data=np.full((32, 48, 3), 0.1, np.float32),
        clip=1.0,
        ratio=1.0,
        wb=(1, 1, 1),
        iso=1e12,
        exposure_s=1e12,
    )
    assert encode(develop(light), "jpg")
