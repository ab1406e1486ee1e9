"""What EXIF wants of single tags, whatever the source's say: types, versions, numbers that are none, the photographer's
words."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from scotopic.develop import develop
from scotopic.dng.write import write_linear, write_mosaic
from scotopic.formats.table import FORMATS
from scotopic.frame import Linear, Mosaic
from scotopic.metadata import Exif, Words, attach_to_tiff, filled_in, read_exif, read_tags, xmp, xmp_packet
from scotopic.metadata.exiftags import iso_of, packed_size, turned, version_for, with_iso, writes
from scotopic.metadata.xmp import build, parse
from scotopic.read import read
from scotopic.sandbox import read_sandboxed
from scotopic.write import encode, write
from test_metadata import FOREIGN, RICH, shown, tiff_with

ARTIST, COPYRIGHT, DESCRIPTION, RATING = 0x013B, 0x8298, 0x010E, 0x4746
EXPOSURE, APERTURE, ISO, LENS = 0x829A, 0x829D, 0x8827, 0xA432

NOTHING = IFDRational(0, 0)


def entries(path: Path) -> dict[tuple[str, int], tuple[int, bytes]]:
    """Type and bytes of all tags in the EXIF and GPS directories of a DNG or TIFF, as they are stored."""
    content = path.read_bytes()

    def number(at: int, size: int) -> int:
        return int.from_bytes(content[at : at + size], "little")

    def directory(at: int) -> dict[int, tuple[int, bytes]]:
        found = {}
        for entry in range(at + 2, at + 2 + 12 * number(at, 2), 12):
            kind, count = number(entry + 2, 2), number(entry + 4, 4)
            size = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 8: 2, 9: 4, 10: 8, 12: 8, 13: 4}[kind] * count
            place = entry + 8 if size <= 4 else number(entry + 8, 4)
            found[number(entry, 2)] = (kind, content[place : place + size])
        return found

    main = directory(number(4, 4))
    inner = {"main": main}
    for name, pointer in (("exif", 0x8769), ("gps", 0x8825)):
        if pointer in main:
            inner[name] = directory(int.from_bytes(main[pointer][1], "little"))
    return {(name, tag): value for name, tags in inner.items() for tag, value in tags.items()}


def through(folder: Path, exif: Exif, packet: bytes = b"") -> tuple[Exif, dict]:
    """What is read of a source with these tags, and how a TIFF of it stores them."""
    source = read_exif(tiff_with(folder / "source.tif", exif, packet))
    write(folder / "a.tiff", shown("tiff", source), "tiff", overwrite=True)
    return source, entries(folder / "a.tiff")


def test_exif_says_what_the_photographers_words_say(tmp_path):
    path = tiff_with(tmp_path / "IMG_1.tif", RICH, b"")
    words = Words(description="Owl at night", rights="(c) Jane Roe", creators=("Jane Roe", "Jo Poe"))
    (tmp_path / "IMG_1.xmp").write_bytes(build(words, enhanced=False))
    main = read_exif(path).main
    assert main[DESCRIPTION] == "Owl at night"
    assert main[COPYRIGHT] == "(c) Jane Roe"
    assert main[ARTIST] == "Jane Roe; Jo Poe"
    assert main[0x010F] == RICH.main[0x010F]


def test_exif_stays_where_the_words_say_nothing(tmp_path):
    path = tiff_with(tmp_path / "a.tif", RICH, build(Words(title="Owl"), enhanced=False))
    assert read_exif(path).main == RICH.main


def test_a_picture_rejected_in_its_sidecar_has_none_of_the_cameras_stars(tmp_path, dark: Mosaic):
    write_mosaic(tmp_path / "IMG_1.dng", dark.with_changes(data=dark.data[:64, :96]))
    path = tiff_with(tmp_path / "IMG_1.tif", RICH, build(Words(rating=4), enhanced=False))
    (tmp_path / "IMG_1.xmp").write_bytes(build(Words(rating=-1), enhanced=False))
    exif = read_exif(path)
    assert RATING not in exif.main
    assert parse(xmp_packet(exif))[0].rating == -1


def test_stars_beyond_five_are_none(tmp_path):
    for stars, kept in ((99, None), (5, 5), (0, 0)):
        path = tmp_path / "a.tif"
        tags = [(RATING, 3, 1, stars, True)]
        tifffile.imwrite(path, np.zeros((8, 8), np.uint16), byteorder="<", metadata=None, extratags=tags)
        attach_to_tiff(path, *RICH.directories())
        assert read_exif(path).main.get(RATING) == kept
        assert parse(xmp_packet(Exif({RATING: stars})))[0].rating == kept


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("notice", ["Jane Roe\0Agency Ltd 2025", " \0Agency Ltd 2025", "© Zoë\0Bücher"])
def test_the_editors_half_of_the_copyright_is_kept(tmp_path, kind, notice):
    source = read_exif(tiff_with(tmp_path / "source.tif", Exif({COPYRIGHT: notice}, RICH.exif), b""))
    assert source.main[COPYRIGHT] == notice
    assert notice.encode() + b"\0" in encode(shown(kind, source), kind)


def test_the_editors_half_stays_beside_words_that_say_the_photographers(tmp_path):
    exif = Exif({COPYRIGHT: "Jane Roe\0Agency"}, RICH.exif)
    for rights, kept in (("Jane Roe", "Jane Roe\0Agency"), ("Jo Poe", "Jo Poe")):
        path = tiff_with(tmp_path / "a.tif", exif, build(Words(rights=rights), enhanced=False))
        assert read_exif(path).main[COPYRIGHT] == kept


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        (b"J\xc3\xbcr\xc3", "Jür"),
        ("山田太郎".encode()[:-1], "山田太"),
        (b"Nacht\xe5\xb1", "Nacht"),
        (b"Andr\xe9", "André"),
        (b"J\xfcrgen", "Jürgen"),
        ("Jürgen".encode(), "Jürgen"),
    ],
)
def test_a_name_cut_in_the_midst_of_a_letter_keeps_the_others(tmp_path, stored, text):
    path = tmp_path / "a.tif"
    tags = [(ARTIST, 2, 0, stored, True)]
    tifffile.imwrite(path, np.zeros((8, 8), np.uint16), byteorder="<", metadata=None, extratags=tags)
    attach_to_tiff(path, *RICH.directories())
    assert read_exif(path).main[ARTIST] == text


def test_fractions_that_are_no_numbers_are_left_out(tmp_path):
    lens = (IFDRational(24, 1), IFDRational(70, 1), NOTHING, NOTHING)
    exif = {EXPOSURE: IFDRational(1, 0), APERTURE: NOTHING, LENS: lens, 0x920A: IFDRational(35, 1)}
    source, stored = through(tmp_path, Exif({}, exif))
    assert not {EXPOSURE, APERTURE} & source.exif.keys()
    assert source.exif[0x920A] == 35
    assert stored["exif", LENS][1][16:] == bytes(16), "an unknown aperture is 0/0"


def test_libraw_is_not_asked_for_what_the_file_says_badly(tmp_path, dark: Mosaic):
    small = dark.with_changes(data=dark.data[:64, :96], exif=Exif({}, {EXPOSURE: IFDRational(1, 0)}))
    write_mosaic(tmp_path / "a.dng", small.with_changes(exposure_s=None))
    found = read(tmp_path / "a.dng")
    assert found.exposure_s is None
    assert EXPOSURE not in found.exif.exif


@pytest.mark.parametrize(("broken", "left"), [(2, {5, 6, 7}), (4, {5, 6, 7}), (6, {1, 2, 3, 4, 7})])
def test_of_a_place_that_is_none_no_part_is_left(tmp_path, broken, left):
    degrees = (IFDRational(50, 1), IFDRational(5, 1), IFDRational(1, 1))
    gps = {
        0: b"\2\3\0\0",
        1: "N",
        2: degrees,
        3: "E",
        4: degrees,
        5: b"\0",
        6: IFDRational(9, 1),
        7: degrees,
    }
    gps[broken] = NOTHING if broken == 6 else (degrees[0], NOTHING, NOTHING)
    source, _ = through(tmp_path, Exif({}, RICH.exif, gps))
    assert source.gps.keys() == {0} | left


def test_no_directory_of_the_place_is_left_where_nothing_in_it_is_sound(tmp_path):
    source, stored = through(tmp_path, Exif({}, RICH.exif, {0: b"\2\3\0\0", 1: "N", 2: (NOTHING,) * 3}))
    assert not source.gps
    assert ("main", 0x8825) not in stored


def test_bytes_are_stored_under_the_type_that_exif_wants(tmp_path):
    exif = dict.fromkeys((0x8828, 0xA20C, 0xA40B, 0xA462, 0xA302, 0xA300), b"\1\2\3\4\5")
    _, stored = through(
        tmp_path, Exif({}, exif, {0: b"\2\3\0\0", 5: b"\0", 27: b"ASCII\0\0\0GPS", 28: b"x"})
    )
    for tag in exif:
        assert stored["exif", tag][0] == 7
    assert [stored["gps", tag][0] for tag in (0, 5, 27, 28)] == [1, 1, 7, 7]


def test_what_may_be_negative_is_signed(tmp_path):
    tags = dict.fromkeys((0x9204, 0x9400, 0x9403, 0x9405), IFDRational(5, 2))
    _, stored = through(tmp_path, Exif({}, tags))
    assert {stored["exif", tag][0] for tag in tags} == {10}


@pytest.mark.parametrize(
    ("tags", "stated", "version"),
    [
        ({0x9003: "x"}, b"0221", b"0221"),
        ({0xA434: "lens"}, b"0221", b"0230"),
        ({0x9011: "+01:00"}, b"0230", b"0231"),
        ({0xA460: 2}, b"0221", b"0232"),
        ({0xA438: "editor"}, b"0232", b"0300"),
        ({0xA434: "lens"}, b"0300", b"0300"),
        ({}, None, b"0232"),
        ({}, "0220", b"0220"),
        ({}, b"ab", b"0232"),
    ],
)
def test_the_version_is_what_the_tags_need(tags, stated, version):
    assert version_for(tags | ({} if stated is None else {0x9000: stated})) == version


def test_a_lens_that_libraw_knows_raises_the_version(tmp_path):
    exif = filled_in(Exif({}, {0x9000: b"0221"}), lens="FE 35mm F1.8")
    write(tmp_path / "a.tiff", shown("tiff", exif), "tiff")
    assert entries(tmp_path / "a.tiff")["exif", 0x9000] == (7, b"0230")


@pytest.mark.parametrize(
    ("tags", "iso"),
    [
        ({ISO: 3200}, 3200),
        ({ISO: (3200, 0)}, 3200),
        ({ISO: 102400}, 102400),
        ({ISO: 65535, 0x8830: 2, 0x8832: 102400}, 102400),
        ({ISO: 65535, 0x8830: 1, 0x8831: 204800}, 204800),
        ({ISO: 65535}, 65535),
        ({ISO: 800, 0x8832: 102400}, 800),
        ({ISO: 0}, None),
        ({}, None),
    ],
)
def test_a_sensitivity_beyond_16_bits_is_understood(tags, iso):
    assert iso_of(tags) == iso


def test_a_sensitivity_beyond_16_bits_is_stored_as_exif_does(tmp_path):
    for known in (
        with_iso({ISO: 102400}, 102400),
        with_iso({}, 102400),
        filled_in(Exif(), iso=102400).exif,
    ):
        assert known == {ISO: 65535, 0x8830: 2, 0x8832: 102400}
        assert iso_of(known) == 102400
        assert with_iso(known, 102400) == known
    assert with_iso({ISO: 65535, 0x8830: 1, 0x8831: 204800}, None)[0x8830] == 1
    assert with_iso({ISO: 3200}, 102400) == {ISO: 3200}
    assert with_iso({}, 6400) == {ISO: 6400}
    assert with_iso({}, None) == {}
    write(tmp_path / "a.tiff", shown("tiff", filled_in(Exif(), iso=102400)), "tiff")
    stored = entries(tmp_path / "a.tiff")
    assert stored["exif", ISO] == (3, b"\xff\xff")
    assert stored["exif", 0x8832] == (4, (102400).to_bytes(4, "little"))


def test_a_sensitivity_that_the_file_has_in_32_bits_is_read_whole(tmp_path, dark: Mosaic):
    write_mosaic(tmp_path / "a.dng", dark.with_changes(data=dark.data[:64, :96], exif=RICH))
    content = bytearray((tmp_path / "a.dng").read_bytes())
    # RICH's 3200 as a SHORT becomes 102400 as a LONG.
    at = content.index((ISO).to_bytes(2, "little") + b"\3\0\1\0\0\0")
    content[at : at + 12] = ISO.to_bytes(2, "little") + b"\4\0\1\0\0\0" + (102400).to_bytes(4, "little")
    (tmp_path / "a.dng").write_bytes(content)
    found = read(tmp_path / "a.dng")
    assert found.iso == 102400
    assert found.exif.exif[ISO] == 65535
    assert found.exif.exif[0x8832] == 102400


def test_what_lies_in_the_picture_is_not_said_of_the_turned_one():
    x, y = IFDRational(100, 1), IFDRational(200, 1)
    exif = {0x9214: (10, 20, 5), 0xA214: (10, 20), 0xA20E: x, 0xA20F: y, 0xA20C: b"x", ISO: 100}
    assert turned(exif, 1) == exif
    assert turned(exif, 3) == {0xA20E: x, 0xA20F: y, 0xA20C: b"x", ISO: 100}
    for orientation in (5, 6, 7, 8):
        assert turned(exif, orientation) == {0xA20E: y, 0xA20F: x, ISO: 100}
    assert turned({0xA20E: x}, 6) == {0xA20F: x}


def test_a_developed_picture_is_turned_with_its_tags_and_a_dng_is_not(tmp_path):
    exif = Exif(RICH.main, {**RICH.exif, 0xA214: (10, 20)})
    light = np.zeros((16, 24, 3), np.float32)
    linear = Linear(
        data=light, clip=1.0, ratio=1.0, wb=(1, 1, 1), make="SONY", model="A", orientation=6, exif=exif
    )
    picture = develop(linear)
    assert 0xA214 not in picture.exif.exif
    write_linear(tmp_path / "a.dng", linear, picture)
    assert read_exif(tmp_path / "a.dng").exif[0xA214] == (10, 20)


def test_tags_that_are_not_kept_are_not_complained_of(tmp_path):
    path = tmp_path / "a.tif"
    tags = [(33723, 4, 3, (1, 2, 3), True), *RICH.texts()]
    tifffile.imwrite(path, np.zeros((8, 8), np.uint16), byteorder="<", metadata=None, extratags=tags)
    attach_to_tiff(path, *RICH.directories())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_exif(path).main == RICH.main
        # Of a kept one that should have a single value, the first is taken.
        assert writes(EXPOSURE, (IFDRational(1, 30), IFDRational(1, 60)))


LICENSED = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"
  xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
  xmlns:core="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/" xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
  xmlns:dc="http://purl.org/dc/elements/1.1/" xmpRights:Marked="True" photoshop:Credit="Agency" photoshop:City="Köln">
  <xmpRights:UsageTerms><rdf:Alt><rdf:li xml:lang="x-default">no AI training</rdf:li></rdf:Alt></xmpRights:UsageTerms>
  <xmpRights:WebStatement>https://x/y?a=1&amp;b=2</xmpRights:WebStatement>
  <xmpRights:Owner><rdf:Bag><rdf:li>Zoë</rdf:li><rdf:li>Bob</rdf:li></rdf:Bag></xmpRights:Owner>
  <photoshop:Instructions>not before &lt;May&gt;</photoshop:Instructions>
  <lr:hierarchicalSubject><rdf:Bag><rdf:li>places|Köln</rdf:li></rdf:Bag></lr:hierarchicalSubject>
  <ext:PersonInImage><rdf:Bag><rdf:li>Bob</rdf:li></rdf:Bag></ext:PersonInImage>
  CONTACT
</rdf:Description></rdf:RDF></x:xmpmeta>"""

CONTACTS = (
    '<core:CreatorContactInfo rdf:parseType="Resource"><core:CiEmailWork>z@x.y</core:CiEmailWork>'
    "<core:CiAdrCity>Bonn</core:CiAdrCity></core:CreatorContactInfo>",
    '<core:CreatorContactInfo core:CiEmailWork="z@x.y" core:CiAdrCity="Bonn"/>',
    '<core:CreatorContactInfo><rdf:Description core:CiEmailWork="z@x.y"><core:CiAdrCity>Bonn</core:CiAdrCity>'
    '</rdf:Description></core:CreatorContactInfo><dc:x core:CiTelWork="1"/>',
)


@pytest.mark.parametrize("contact", CONTACTS)
def test_terms_credit_persons_and_keyword_trees_come_along(contact):
    wanted = Words(
        keyword_trees=("places|Köln",),
        persons=("Bob",),
        marked="True",
        owners=("Zoë", "Bob"),
        usage_terms="no AI training",
        web_statement="https://x/y?a=1&b=2",
        credit="Agency",
        instructions="not before <May>",
        city="Köln",
        contact=(("CiEmailWork", "z@x.y"), ("CiAdrCity", "Bonn")),
    )
    words, _ = parse(LICENSED.replace("CONTACT", contact).encode())
    assert words == wanted
    assert parse(build(words, enhanced=True)) == (wanted, True)
    assert parse(build(words.without_place(), enhanced=False))[0] == dataclasses.replace(wanted, city="")


def test_words_of_a_part_are_not_the_photos():
    part = '<ext:Part><rdf:Bag><rdf:li><rdf:Description photoshop:Headline="of a part"/></rdf:li></rdf:Bag></ext:Part>'
    words = parse(LICENSED.replace("CONTACT", part).encode())[0]
    assert words.credit == "Agency"
    assert words.headline == ""


@pytest.mark.parametrize(
    "inside",
    [
        "<rdf:Description/>" * 200_000,
        "<rdf:Description><dc:subject>" * 20_000 + "</dc:subject></rdf:Description>" * 20_000,
        "<rdf:RDF><rdf:Description/></rdf:RDF>" * 100_000,
    ],
)
def test_a_packet_of_nothing_but_descriptions_is_looked_through_once(monkeypatch, inside):
    looked = []
    simple = xmp._simple
    monkeypatch.setattr(xmp, "_simple", lambda *given: looked.append(1) or simple(*given))
    head, tail = LICENSED.split("<rdf:Description", 1)[0], "</rdf:RDF></x:xmpmeta>"
    head = head.replace("<rdf:RDF", '<rdf:RDF xmlns:dc="http://purl.org/dc/elements/1.1/"')
    assert parse((head + inside + tail).encode()) == (Words(), False)
    assert len(looked) <= 30 * xmp.DESCRIPTIONS_MAX


def test_every_field_of_the_words_is_written_and_read():
    values = {name: f"<{name}> & 夜" for name, p in xmp.PROPERTIES.items() if p.form in ("text", "alt")}
    values |= {name: ("a|b", name) for name, p in xmp.PROPERTIES.items() if p.form in ("bag", "seq")}
    words = Words(rating=3, contact=(("CiUrlWork", "https://a/"),), **values)
    assert words.spoken().keys() == {f.name for f in dataclasses.fields(Words)}
    assert parse(build(words, enhanced=False))[0] == words


def test_names_in_a_contact_that_are_none_are_left_out():
    odd = '<core:CreatorContactInfo core:CiTel-.Work="1" core:Évil="2" core:CiUrlWork="3" core:rating="4"/>'
    assert parse(LICENSED.replace("CONTACT", odd).encode())[0].contact == (("CiUrlWork", "3"),)


def test_all_words_come_through_the_sandbox(tmp_path, dark: Mosaic):
    write_mosaic(tmp_path / "a.dng", dark.with_changes(data=dark.data[:64, :96], exif=RICH))
    (tmp_path / "a.xmp").write_text(LICENSED.replace("CONTACT", CONTACTS[0]), encoding="utf-8")
    assert read_sandboxed(tmp_path / "a.dng").exif.words == read(tmp_path / "a.dng").exif.words
    assert read(tmp_path / "a.dng").exif.words.contact


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("declared", ["", '<?xml version="1.0" encoding="UTF-16"?>\n'])
def test_sidecars_in_every_encoding_of_xmp_are_read(encoding, declared):
    text = declared + FOREIGN.decode().split("?>", 1)[1]
    if encoding.endswith(("le", "be")):
        text = text.lstrip()
    assert parse(text.encode(encoding))[0] == parse(FOREIGN)[0]
    assert parse(text.replace("xmpmeta", "xapmeta").encode(encoding))[0].title == "Night & day"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-32"])
def test_a_doctype_is_refused_in_every_encoding(encoding):
    text = '<!DOCTYPE a [<!ENTITY b "c">]>' + FOREIGN.decode().split("?>", 1)[1]
    assert parse(text.encode(encoding)) == (Words(), False)


def test_no_photo_is_lost_over_its_words(tmp_path):
    long = {tag: f"{tag} " + "ü" * 1900 for tag in (0x8824, 0x9290, 0xA430, 0xA431, 0xA433, 0xA435, 0xA420)}
    many = {0xFE00 + i: f"{i} " + "ü" * 1500 for i in range(30)}
    exif = Exif({**RICH.main, DESCRIPTION: "x" * 1990}, {**RICH.exif, **long, **many}, RICH.gps)
    words = Words(rating=3, title="Owl", description="y" * 70_000, usage_terms="CC BY")
    path = tmp_path / "a.jpg"
    write(path, shown("jpg", dataclasses.replace(exif, words=words)), "jpg")
    back = read_exif(path)
    assert back.exif[LENS] == RICH.exif[LENS]
    assert back.exif[0x9003] == RICH.exif[0x9003]
    assert back.gps == RICH.gps
    assert back.words == dataclasses.replace(words, description="")
    assert len(back.exif) > 25, "only what does not fit is left out"
    write(tmp_path / "a.png", shown("png", exif), "png")
    assert read_exif(tmp_path / "a.png").exif.keys() >= exif.exif.keys(), "other formats have room"


@pytest.mark.parametrize(
    "value", ["ü" * 999, b"x" * 1999, (70_000,) * 999, (3,) * 999, (IFDRational(1, 3),) * 500, (0.5,) * 400]
)
def test_a_jpeg_is_written_whatever_kind_of_value_is_too_much(tmp_path, value):
    many = {0xD000 + i: value for i in range(60)}
    path = tmp_path / "a.jpg"
    write(path, shown("jpg", Exif(RICH.main, {**RICH.exif, **many}, RICH.gps)), "jpg")
    with Image.open(path) as image:
        exif, gps = (image.getexif().get_ifd(pointer).keys() for pointer in (0x8769, 0x8825))
    assert exif >= RICH.exif.keys()
    assert gps == RICH.gps.keys()
    used, left = packed_size(0xD000, value), len(exif & many)
    assert 55_000 < left * used <= 65_527, "only what does not fit is left out"


def test_a_block_takes_what_it_may_and_no_byte_more():
    exif = Exif(RICH.main, {**RICH.exif, **{0xD000 + i: "x" * i for i in range(1, 200)}}, RICH.gps)
    whole = len(exif.to_bytes(8, 8, "test", jpeg=True))
    assert len(exif.to_bytes(8, 8, "test", jpeg=True, at_most=whole)) == whole
    for at_most in range(whole - 1, 2000, -997):
        # What goes last takes less than 250 bytes.
        assert at_most - 250 < len(exif.to_bytes(8, 8, "test", jpeg=True, at_most=at_most)) <= at_most


def test_words_and_mark_stay_where_the_exif_cannot_be_read(tmp_path, monkeypatch):
    path = tiff_with(tmp_path / "IMG_1.tif", RICH, build(Words(title="Owl"), enhanced=True))
    (tmp_path / "IMG_1.tif.xmp").write_bytes(build(Words(rating=4), enhanced=False))
    monkeypatch.setattr("scotopic.metadata.directories_of", lambda path: None)
    assert read_tags(path) is None
    exif = read_exif(path)
    assert (exif.words, exif.enhanced) == (Words(rating=4, title="Owl"), True)
    assert exif.main == {RATING: 4}
    (tmp_path / "IMG_2.tif.xmp").write_bytes(build(Words(rating=2), enhanced=False))
    assert read_exif(tmp_path / "IMG_2.tif").words == Words(rating=2)


def test_a_jpeg_says_its_resolution_once():
    content = encode(shown("jpg", RICH), "jpg")
    assert content[6:18] == b"JFIF\0\1\1\1\0\x48\0\x48"
    assert imagecodecs.jpeg8_decode(content).shape == (16, 24, 3)


KNOWN_WARNINGS = {
    # Windows' stars, which it and others read there.
    "[minor] Non-standard IFD0 tag 0x4746 Rating",
    # Deflate as Adobe numbered it, which every reader knows.
    "Invalid value for IFD0 tag 0x0103 Compression",
}


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("kind", [*FORMATS, "dng"])
def test_exiftool_has_nothing_against_our_files(tmp_path, kind):
    exif = dict.fromkeys((0x8828, 0xA20C, 0xA40B), b"\1\0\1\0x\0\0\0\0\1\0\0\0\1")
    exif |= {
        0x9400: IFDRational(21, 1),
        0x9405: IFDRational(3, 1),
        0x9214: (1, 2),
        0xA300: b"\3",
        0xA460: 2,
    }
    exif |= {ISO: 102400, 0x9000: b"0221"}
    gps = {27: b"ASCII\0\0\0GPS", 28: b"ASCII\0\0\0here", 30: 1, 31: IFDRational(3, 1)}
    rich = Exif(RICH.main, RICH.exif | exif, RICH.gps | gps)
    packet = LICENSED.replace("CONTACT", CONTACTS[0]).replace(
        "<rdf:Description", '<rdf:Description xmp:Rating="3"'
    )
    packet = packet.replace("xmlns:lr", 'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:lr').encode()
    source = read_exif(tiff_with(tmp_path / "source.tif", rich, packet)).marked()
    path = tmp_path / f"a.{kind}"
    if kind == "dng":
        light = np.random.default_rng(0).random((16, 24, 3), np.float32)
        linear = Linear(
            data=light, clip=1.0, ratio=1.0, wb=(1, 1, 1), make="SONY", model="ILCE-7SM2", exif=source
        )
        write_linear(path, linear, develop(linear))
    else:
        write(path, shown(kind, source), kind)
    told = subprocess.run(
        ["exiftool", "-validate", "-warning", "-error", "-a", "-s3", path],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    assert told, "exiftool said nothing at all"
    assert set(told[1:]) <= KNOWN_WARNINGS


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_the_camera_s_clock_is_right_on_any_computer(raws, zone):
    program = (
        "import sys; from pathlib import Path; from scotopic.read import read; "
        "print(read(Path(sys.argv[1])).exif.taken)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, raws / "Canon_PowerShot_S40_CRW_0104.CRW"],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.strip() == "2021:04:08 14:52:20"
