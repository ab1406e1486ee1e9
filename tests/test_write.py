from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from scotopic.develop import srgb_profile
from scotopic.disk.files import state_of
from scotopic.errors import FileExistsRefusal, SettingsError, WriteError
from scotopic.formats import avif, jpeg, jxl
from scotopic.formats.table import FACTS, FORMATS
from scotopic.frame import Rendered
from scotopic.metadata import EXIF_IFD, GPS_IFD, Exif, is_enhanced, read_exif
from scotopic.write import bits_of, check_place, encode, place, write

EXIF = Exif(
    {0x010F: "SONY", 0x0110: "ILCE-7SM2", 0x0132: "2026:11:22 01:02:03", 0x8298: "me"},
    {
        0x829A: IFDRational(1, 30),
        0x8827: 3200,
        0x829D: IFDRational(28, 10),
        0x9003: "2026:11:22 01:02:03",
        0x920A: IFDRational(35, 1),
        0xA434: "FE 35mm F1.8",
    },
    {
        1: "N",
        2: (IFDRational(52, 1), IFDRational(30, 1), IFDRational(0, 1)),
        3: "E",
        4: (IFDRational(13, 1), IFDRational(24, 1), IFDRational(0, 1)),
    },
)


def picture(kind: str, bits: int | None = None, **more) -> Rendered:
    deep = bits_of(kind, bits) == 16
    top = 65536 if deep else 256
    data = np.random.default_rng(0).integers(0, top, (40, 60, 3)).astype(np.uint16 if deep else np.uint8)
    return Rendered(**{"data": data, "icc": srgb_profile(), "exif": EXIF, **more})


LOSS = {"jpg": 10, "png": 0, "tiff": 0, "avif": 10, "jxl": 10}
"""Mean difference allowed on noise, the hardest of pictures, in levels of 256."""


def pixels(path):
    match path.suffix:
        case ".tiff":
            return tifffile.imread(path)
        case ".jxl":
            return imagecodecs.jpegxl_decode(path.read_bytes())
        case ".png":
            return imagecodecs.png_decode(path.read_bytes())
        case ".avif":
            return imagecodecs.avif_decode(path.read_bytes())
        case _:
            with Image.open(path) as image:
                return np.asarray(image)


def boxes(path):
    content, found, at = path.read_bytes(), {}, 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 4])
        found[content[at + 4 : at + 8]] = content[at + 8 : at + length]
        at += length
    return found


def icc_of(path):
    with Image.open(path) as image:
        return image.info["icc_profile"]


def pillow_exif(path):
    """The main, EXIF and GPS directories as Pillow sees them."""
    if path.suffix == ".jxl":
        exif = Image.Exif()
        exif.load(boxes(path)[b"Exif"][4:])
        return dict(exif), exif.get_ifd(EXIF_IFD), exif.get_ifd(GPS_IFD)
    with Image.open(path) as image:
        exif = image.getexif()
        return dict(exif), exif.get_ifd(EXIF_IFD), exif.get_ifd(GPS_IFD)


EVERY = [(kind, bits) for kind in FORMATS for bits in FACTS[kind].depths]


def test_a_name_may_be_text(tmp_path):
    write(str(tmp_path / "a.jpg"), picture("jpg", 8), "jpg")
    assert not is_enhanced(str(tmp_path / "a.jpg"))


@pytest.mark.parametrize(("kind", "bits"), EVERY)
def test_every_format_and_depth_carries_pixels_profile_exif_and_place(tmp_path, kind, bits):
    path = tmp_path / f"a.{kind}"
    shown = picture(kind, bits)
    write(path, shown, kind)
    back, top = pixels(path), np.iinfo(shown.data.dtype).max
    assert back.dtype == (np.uint8 if bits == 8 else np.uint16)
    off = np.abs(back / (2**bits - 1) - shown.data / top)
    assert off.mean() * 255 <= LOSS[kind]
    if kind == "avif":
        assert path.read_bytes().count(b"pixi" + bytes(4) + bytes([3, bits, bits, bits])) == 1
    if kind != "jxl":
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_of(path)))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
    back = read_exif(path)
    for tag, value in EXIF.main.items():
        assert back.main[tag] == value
    for tag, value in EXIF.exif.items():
        assert back.exif[tag] == value
    assert back.gps[2] == EXIF.gps[2]
    main, exif, gps = pillow_exif(path)
    assert main.get(0x0112, 1) == 1
    assert main[0x0131].startswith("scotopic")
    assert exif[0x8827] == 3200
    assert exif[0xA001] == 1
    # A TIFF says its size itself.
    assert exif.get(0xA002) == (None if kind == "tiff" else 60)
    assert gps[1] == "N"
    if kind in ("png", "avif"):
        with Image.open(path) as image:
            assert b"scotopic" in image.info["xmp"]


WAYS_TO_LIE = {
    "mirrored": lambda data: data[:, ::-1],
    "upside down": lambda data: data[::-1],
    "cut": lambda data: data[3:-5, 7:-2],
    "thinned": lambda data: data[::2, ::3],
    "turned": lambda data: data.transpose(1, 0, 2),
    "column by column": np.asfortranarray,
    "colours backwards": lambda data: data[..., ::-1],
}


@pytest.mark.parametrize("way", WAYS_TO_LIE)
@pytest.mark.parametrize(("kind", "bits"), EVERY)
def test_a_picture_is_written_however_it_lies_in_memory(tmp_path, kind, bits, way):
    data = WAYS_TO_LIE[way](picture(kind, bits).data)
    write(tmp_path / f"lying.{kind}", picture(kind, bits, data=data), kind)
    write(tmp_path / f"plain.{kind}", picture(kind, bits, data=np.array(data, order="C")), kind)
    assert np.array_equal(pixels(tmp_path / f"lying.{kind}"), pixels(tmp_path / f"plain.{kind}"))


@pytest.mark.parametrize(("kind", "bits"), [each for each in EVERY if each[0] != "jxl"])
def test_a_picture_without_a_profile_is_written_without_one(tmp_path, kind, bits):
    path = tmp_path / f"a.{kind}"
    write(path, picture(kind, bits, icc=b""), kind)
    assert pixels(path).shape == (40, 60, 3)
    with Image.open(path) as image:
        assert "icc_profile" not in image.info
    assert b"iCCP" not in path.read_bytes()
    assert b"colrprof" not in path.read_bytes()
    if kind == "tiff":
        with tifffile.TiffFile(path) as tiff:
            assert 34675 not in tiff.pages[0].tags


@pytest.mark.parametrize(("kind", "bits"), EVERY)
def test_what_is_encoded_in_memory_is_the_file_that_is_written(tmp_path, kind, bits):
    shown = picture(kind, bits)
    write(tmp_path / f"a.{kind}", shown, kind)
    assert encode(shown, kind) == (tmp_path / f"a.{kind}").read_bytes()


def test_sixteen_bits_of_png_come_back_to_the_value(tmp_path):
    shown = picture("png", 16)
    write(tmp_path / "a.png", shown, "png")
    assert np.array_equal(pixels(tmp_path / "a.png"), shown.data)


@pytest.mark.parametrize(
    ("kind", "bits"), [("avif", 8), ("avif", 10), ("jxl", 16), ("jpg", 8), ("png", 16)]
)
def test_the_number_of_cores_changes_no_byte_of_a_picture(monkeypatch, kind, bits):
    # Large enough for several strips, tiles and threads.
    top = 65536 if bits > 8 else 256
    data = (
        np.random.default_rng(0)
        .integers(0, top, (600, 700, 3))
        .astype(np.uint8 if bits == 8 else np.uint16)
    )
    files = set()
    for cores in (1, 2, 3):
        for module in (avif, jxl, jpeg):
            monkeypatch.setattr(module, "usable_cores", lambda cores=cores: cores)
        files.add(encode(picture(kind, bits, data=data), kind))
    assert len(files) == 1


def test_ten_bits_of_avif_show_gradients_that_eight_do_not(tmp_path):
    # Some forty levels of eight bits across: what a dark sky is made of.
    ramp = np.linspace(2000, 12000, 1024)[None, :, None] * np.ones((64, 1, 3))
    steps = {}
    for bits, data in ((8, np.rint(ramp / 257).astype(np.uint8)), (10, np.rint(ramp).astype(np.uint16))):
        shown = picture("avif", bits, data=data)
        write(tmp_path / f"{bits}.avif", shown, "avif")
        steps[bits] = np.unique(pixels(tmp_path / f"{bits}.avif")[32, :, 1]).size
    assert steps[10] > 3 * steps[8]


def test_an_encoder_that_says_something_new_is_noticed():
    integers, floats = picture("jxl").data, np.zeros((8, 8, 3), np.float32)
    for words, data, settings in (
        ("floats", integers, {"distance": 1}),
        ("no JPEG XL codestream", floats, {"lossless": True}),
        ("of 32 bits", floats.astype(np.float16), {"distance": 1}),
    ):
        with pytest.raises(ValueError, match=words):
            jxl.in_space(imagecodecs.jpegxl_encode(data, usecontainer=False, **settings), "p3", False)
    with pytest.raises(ValueError, match="properties"):
        avif.with_metadata(imagecodecs.avif_encode(np.zeros((8, 8, 4), np.uint8)), b"", b"", b"")


@pytest.mark.parametrize(
    ("height", "width"), [(40, 60), (64, 64), (1, 1), (8, 520), (300, 17), (1080, 1920)]
)
def test_jpeg_xl_of_any_size_has_its_header_written_anew(height, width):
    light = np.full((height, width, 3), 0.25, np.float32)
    plain = imagecodecs.jpegxl_encode(light, distance=1, usecontainer=False)
    told = imagecodecs.jpegxl_decode(jxl.in_space(plain, "srgb", linear=False))
    assert told.shape == (height, width, 3)
    assert told.dtype == np.uint16
    assert told.mean() / 65535 == pytest.approx(0.5371, abs=0.002)


@pytest.mark.parametrize("kind", FORMATS)
def test_names_with_accents_survive(tmp_path, kind):
    exif = Exif({0x013B: "José Núñez", 0x8298: "© 2026 José", 0x4746: 4}, {}, {})
    write(tmp_path / f"a.{kind}", picture(kind, exif=exif), kind)
    back = read_exif(tmp_path / f"a.{kind}").main
    assert back[0x013B] == "José Núñez"
    assert back[0x8298] == "© 2026 José"
    assert back[0x4746] == 4


def test_the_place_can_be_left_out(tmp_path):
    write(tmp_path / "a.jpg", picture("jpg", exif=EXIF.without_gps()), "jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert not image.getexif().get_ifd(GPS_IFD)
        assert image.getexif().get_ifd(EXIF_IFD)[0x8827] == 3200


def test_an_existing_file_is_kept_unless_asked(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsRefusal, match="--overwrite"):
        write(path, picture("jpg"), "jpg")
    assert path.read_bytes() == b"precious"
    write(path, picture("jpg"), "jpg", overwrite=True)
    assert path.read_bytes()[:2] == b"\xff\xd8"
    assert [p.name for p in tmp_path.iterdir()] == ["a.jpg"]


def test_a_file_that_appears_meanwhile_is_kept_too(tmp_path):
    path = tmp_path / "a.jpg"

    def fill(temporary):
        temporary.write_bytes(b"ours")
        path.write_bytes(b"theirs")

    with pytest.raises(FileExistsRefusal):
        place(path, fill, overwrite=False)
    assert path.read_bytes() == b"theirs"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("changing", [True, False])
def test_a_file_that_may_be_replaced_is_kept_where_it_changes_meanwhile(tmp_path, changing):
    path = tmp_path / "a.jpg"
    path.write_text("made before")
    known = state_of(path)

    def fill(temporary):
        temporary.write_text("made anew")
        if changing:
            path.write_text("somebody's own work")

    if changing:
        with pytest.raises(FileExistsRefusal):
            place(path, fill, overwrite=False, replaces=known)
    else:
        place(path, fill, overwrite=False, replaces=known)
    assert path.read_text() == ("somebody's own work" if changing else "made anew")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), MemoryError(), OSError(28, "No space left on device")]
)
def test_nothing_half_written_is_left(tmp_path, error):
    def fill(temporary):
        temporary.write_bytes(b"half")
        raise error

    with pytest.raises((KeyboardInterrupt, MemoryError, WriteError)):
        place(tmp_path / "a.jpg", fill, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_without_hard_links_files_are_still_never_overwritten(tmp_path, monkeypatch):
    def no_links(*_args, **_more):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "a.jpg"
    write(path, picture("jpg"), "jpg")
    assert path.read_bytes()[:2] == b"\xff\xd8"
    late = tmp_path / "b.jpg"

    def fill(temporary):
        temporary.write_bytes(b"ours")
        late.write_bytes(b"theirs")

    with pytest.raises(FileExistsRefusal):
        place(late, fill, overwrite=False)
    assert late.read_bytes() == b"theirs"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jpg", "b.jpg"]


def test_two_writers_of_one_name_leave_one_whole_file(tmp_path):
    path, outcomes = tmp_path / "a.png", []

    def one():
        try:
            write(path, picture("png"), "png")
            outcomes.append("written")
        except FileExistsRefusal:
            outcomes.append("refused")

    threads = [threading.Thread(target=one) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(outcomes) == ["refused"] * 3 + ["written"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_missing_folder_is_an_error_of_ours(tmp_path):
    with pytest.raises(WriteError, match=r"could not be written .*give another folder"):
        write(tmp_path / "none" / "a.jpg", picture("jpg"), "jpg")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_an_error_of_ours(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError):
        write(tmp_path / "a.jpg", picture("jpg"), "jpg")


def test_depth_and_format_must_fit(tmp_path):
    with pytest.raises(SettingsError, match="16 bits"):
        write(tmp_path / "a.tiff", picture("jpg"), "tiff")


def test_a_name_that_says_another_format_is_refused_and_nothing_written(tmp_path):
    for name, kind in (("a.png", "jpg"), ("a.JPG", "png"), ("a.tif", "avif"), ("a.jxl", "tiff")):
        with pytest.raises(SettingsError, match=f"but it was to be written as {kind}"):
            write(tmp_path / name, picture(kind), kind)
    assert not list(tmp_path.iterdir())
    for name in ("a.jpeg", "a.JPG", "a", "a.part", "a.2026"):
        write(tmp_path / name, picture("jpg"), "jpg")
        assert (tmp_path / name).read_bytes()[:2] == b"\xff\xd8"


@pytest.mark.parametrize("quality", [0, -5, 101, 95.5, "high"])
def test_a_quality_that_there_is_not_is_refused_and_nothing_written(tmp_path, quality):
    with pytest.raises(SettingsError, match="1 to 100"):
        write(tmp_path / "a.jpg", picture("jpg"), "jpg", quality=quality)
    assert not list(tmp_path.iterdir())


def test_a_quality_from_one_to_a_hundred_is_that_of_the_jpeg(tmp_path):
    sizes = []
    for quality in (1, 50, 95, 100):
        write(tmp_path / f"{quality}.jpg", picture("jpg"), "jpg", quality=quality)
        sizes.append((tmp_path / f"{quality}.jpg").stat().st_size)
    assert sizes == sorted(set(sizes))
    write(tmp_path / "usual.jpg", picture("jpg"), "jpg")
    assert (tmp_path / "usual.jpg").stat().st_size == sizes[2]


@pytest.mark.parametrize(("mask", "rights"), [(0o022, 0o644), (0o027, 0o640), (0o000, 0o666)])
def test_results_get_the_usual_rights(tmp_path, mask, rights):
    before = os.umask(mask)
    try:
        write(tmp_path / "a.jpg", picture("jpg"), "jpg")
    finally:
        os.umask(before)
    assert (tmp_path / "a.jpg").stat().st_mode & 0o777 == rights


def test_the_umask_which_all_threads_share_is_left_alone(tmp_path, monkeypatch):
    def forbidden(_mask):
        raise AssertionError("files that other threads make meanwhile would be open to everybody")

    monkeypatch.setattr(os, "umask", forbidden)
    write(tmp_path / "a.jpg", picture("jpg"), "jpg")


@pytest.mark.parametrize(
    "name", ["a" * 300 + ".jpg", "a\0.jpg", "a" * 300 + "/a.jpg"], ids=["long", "zero", "folder"]
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_name_that_no_file_can_have_is_an_error_of_ours(tmp_path, name, overwrite):
    path = tmp_path / name
    with pytest.raises(WriteError, match="nothing can have this name"):
        write(path, picture("jpg"), "jpg", overwrite=overwrite)
    with pytest.raises(WriteError, match="nothing can have this name"):
        check_place(path)
    with pytest.raises(WriteError, match="nothing can have this name"):
        check_place(tmp_path / "yet to be made" / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_picture_is_on_the_disk_before_it_bears_its_name(tmp_path, monkeypatch, overwrite):
    """Else a power cut leaves the name alone. What is brought there is open for writing, as Windows wants it."""
    path, events, content = tmp_path / "a.jpg", [], encode(picture("jpg"), "jpg")
    if overwrite:
        path.write_bytes(b"before")
    link, move, sync = os.link, Path.replace, os.fsync

    def synced(number):
        fcntl = pytest.importorskip("fcntl")
        assert fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
        events.append(("synced", os.fstat(number).st_ino, os.fstat(number).st_size))
        sync(number)

    def named(does):
        def name(source, target):
            state = Path(source).stat()
            events.append(("named", state.st_ino, state.st_size))
            return does(source, target)

        return name

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", named(link))
    monkeypatch.setattr(Path, "replace", named(move))
    write(path, picture("jpg"), "jpg", overwrite=overwrite)
    whole = path.stat().st_ino, len(content)
    assert events == [("synced", *whole), ("named", *whole)]


def test_what_does_not_go_into_a_format_is_refused_with_what_does():
    for kind, bits in (("tiff", 16), ("jxl", 16), ("jpg", 8)):
        with pytest.raises(SettingsError, match=rf"develop with bits={bits}$"):
            encode(picture("png", 24 - bits), kind)
