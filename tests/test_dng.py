from __future__ import annotations

import io
import json
import shutil
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational
from typer.testing import CliRunner

import dng_files
from scotopic import batch
from scotopic.cli import app
from scotopic.develop import develop
from scotopic.dng.light import HALVINGS_MAX, SPECKS, TOP, Scaling, integers, scaling_of
from scotopic.dng.origin import Origin, is_opcode_list, read_origin
from scotopic.dng.write import COMPRESSIONS, camera_name, write_linear, write_mosaic
from scotopic.enhance import enhance
from scotopic.errors import FileExistsRefusal, SettingsError, WriteError
from scotopic.frame import Linear, Rendered
from scotopic.metadata import Exif, Words, is_enhanced, read_exif
from scotopic.models import find
from scotopic.read import read
from scotopic.run import Models
from scotopic.sensor.lateral import Lateral
from scotopic.sensor.simulated import expose, sony_a7s2
from scotopic.settings import Settings

EXIF = Exif(
    {
        0x010E: "a street",
        0x010F: "SONY",
        0x0110: "ILCE-7SM2",
        0x0132: "2026:11:22 01:02:03",
        0x013B: "José Núñez",
        0x4746: 4,
        0x8298: "© 2026 José",
    },
    {
        0x829A: IFDRational(1, 30),
        0x829D: IFDRational(28, 10),
        0x8822: 1,
        0x8827: 3200,
        0x9003: "2026:11:22 01:02:03",
        0x9004: "2026:11:22 01:02:03",
        0x9011: "+01:00",
        0x9204: IFDRational(-7, 10),
        0x9207: 5,
        0x920A: IFDRational(35, 1),
        0xA405: 35,
        0xA433: "Sony",
        0xA434: "FE 35mm F1.8",
    },
    {
        1: "N",
        2: (IFDRational(52, 1), IFDRational(30, 1), IFDRational(0, 1)),
        3: "E",
        4: (IFDRational(13, 1), IFDRational(24, 1), IFDRational(0, 1)),
    },
    Words(rating=4, title="Night", subjects=("street", "café")),
)

WB = (2.0, 1.0, 1.75)


def light(data: np.ndarray | None = None, **more) -> Linear:
    """A picture of odd size whose strips and tiles do not come out even; light up to 0.9."""
    if data is None:
        data = np.random.default_rng(0).random((277, 301, 3)) * 0.9
    known = {"wb": WB, "make": "SONY", "model": "ILCE-7SM2", "exif": EXIF, "clip": 100.0, "ratio": 100.0}
    camera = np.array([[0.5838, -0.143, -0.0246], [-0.3497, 1.1477, 0.2297], [-0.0748, 0.1885, 0.5778]])
    return Linear(**{"data": data.astype(np.float32), "xyz_to_camera": camera, **known, **more})


def whole(linear: Linear) -> np.ndarray:
    return np.concatenate(list(integers(linear, scaling_of(linear))))


@dataclass
class Page:
    tags: dict[int, object]
    data: np.ndarray


def pages(path) -> list[Page]:
    """Thumbnail, raw picture and preview."""
    with tifffile.TiffFile(path) as tiff:
        (first,) = tiff.pages
        return [
            Page({t.code: t.value for t in page.tags}, page.asarray()) for page in (first, *first.pages)
        ]


def tag(page: Page, code: int):
    return page.tags.get(code)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_values_come_back_bit_by_bit(tmp_path, compression):
    linear, path = light(), tmp_path / "a.dng"
    assert write_linear(path, linear, develop(linear), compression=compression) == Scaling(0, TOP)
    with tifffile.TiffFile(path) as tiff:
        assert np.array_equal(tiff.pages[0].pages[0].asarray(), whole(linear))
    back = read(path)
    assert isinstance(back, Linear)
    assert np.array_equal(np.rint(back.data * np.float32(TOP)).astype(np.uint16), whole(linear))
    assert np.abs(back.data - linear.data).max() <= 0.51 / TOP
    assert back.wb == pytest.approx(WB)
    assert np.allclose(back.xyz_to_camera, linear.xyz_to_camera, atol=1e-6)
    assert (back.make, back.model, back.iso) == ("SONY", "ILCE-7SM2", 3200)


@pytest.mark.parametrize("compression", ["none", "lossless-jpeg"])
def test_libraw_reads_the_values_bit_by_bit_and_develops_as_we_do(tmp_path, compression, photo):
    linear = light(photo / np.array(WB), orientation=6, clip=1.0)
    path, ours = tmp_path / "a.dng", develop(linear, look="libraw")
    write_linear(path, linear, ours, compression=compression)
    with rawpy.imread(str(path)) as raw:
        assert np.array_equal(raw.raw_image_visible[..., :3], whole(linear))
        assert raw.white_level == scaling_of(linear).white
        assert raw.black_level_per_channel[:3] == [0, 0, 0]
        assert raw.camera_whitebalance[:3] == pytest.approx(WB)
        brighter = 2 ** scaling_of(linear).baseline_ev
        shown = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, adjust_maximum_thr=0, bright=brighter, output_bps=8
        )
    assert shown.shape == ours.data.shape
    assert np.abs(shown.astype(int) - ours.data).mean() < 1


def test_no_directory_has_both_strips_and_tiles_and_each_says_what_it_is(tmp_path):
    for compression in COMPRESSIONS:
        linear, path = light(), tmp_path / f"{compression}.dng"
        write_linear(path, linear, develop(linear), compression=compression)
        thumbnail, raw, preview = pages(path)
        for page in (thumbnail, raw, preview):
            assert (273 in page.tags) != (324 in page.tags)
        assert [tag(page, 254) for page in (thumbnail, raw, preview)] == [1, 0, 1]
        assert tag(raw, 262) == 34892
        assert tag(raw, 258) == (16, 16, 16)
        assert (tag(raw, 50714), tag(raw, 50717)) == ((0, 0, 0), (TOP,) * 3)
        assert tag(raw, 50720) == (301, 277)
        assert max(thumbnail.data.shape[:2]) <= 256
        assert tag(preview, 50970) == 2
        version, readable = tag(thumbnail, 50706), tag(thumbnail, 50707)
        assert (version, readable) == (
            (b"\1\7\0\0", b"\1\7\0\0") if compression == "jxl" else (b"\1\4\0\0", b"\1\1\0\0")
        )


def test_sub_directories_stand_alone(tmp_path):
    linear, path = light(), tmp_path / "a.dng"
    write_linear(path, linear, develop(linear))
    content = path.read_bytes()
    starts = tag(pages(path)[0], 330)
    assert len(starts) == 2
    for start in (int.from_bytes(content[4:8], "little"), *starts):
        entries = int.from_bytes(content[start : start + 2], "little")
        numbers = [int.from_bytes(content[start + 2 + 12 * i :][:2], "little") for i in range(entries)]
        assert numbers == sorted(set(numbers)), "TIFF wants them in order"
        assert content[start + 2 + 12 * entries :][:4] == bytes(4), "no directory follows"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_data_stay_as_the_sensor_saw_them_and_the_preview_lies_over_them(tmp_path, orientation):
    data = np.zeros((64, 96, 3))
    data[:16, :48] = 0.5 / np.array(WB)
    linear = light(data, orientation=orientation)
    path, standing = tmp_path / "a.dng", develop(linear)
    write_linear(path, linear, standing)
    thumbnail, raw, preview = pages(path)
    assert tag(thumbnail, 274) == orientation
    assert np.array_equal(raw.data, whole(linear))
    lying = preview.data.astype(int)
    assert lying.shape == (64, 96, 3)
    assert np.abs(lying - develop(linear.with_changes(orientation=1)).data).max() < 12
    assert thumbnail.data[:8, :24].mean() > 100 > thumbnail.data[32:].mean()
    assert standing.data.shape[:2] == ((64, 96) if orientation < 5 else (96, 64))


def test_the_preview_is_our_own_rendering_at_full_size(tmp_path, photo):
    linear = light(photo / np.array(WB))
    path, ours = tmp_path / "a.dng", develop(linear)
    write_linear(path, linear, ours)
    with rawpy.imread(str(path)) as raw:
        found = raw.extract_thumb()
    assert found.format == rawpy.ThumbFormat.JPEG
    with Image.open(io.BytesIO(found.data)) as image:
        assert image.size == ours.data.shape[1::-1]
        assert np.abs(np.asarray(image).astype(int) - ours.data).mean() < 3


def test_light_above_white_is_kept_and_said_to_be_brighter(tmp_path):
    data = np.full((64, 64, 3), 0.25)
    data[20:40, 20:40] = (30.0, 12.0, 3.0)
    linear, path = light(data), tmp_path / "a.dng"
    scaling = write_linear(path, linear, develop(linear))
    assert scaling.halvings == 5
    thumbnail, raw, _ = pages(path)
    above, below = tag(thumbnail, 50730)
    assert above / below == pytest.approx(np.log2(30), abs=1e-3)
    values = raw.data * 2.0**scaling.halvings / TOP
    assert np.abs(values - data).max() <= 2.0**scaling.halvings / TOP
    back = read(path)
    assert np.allclose(back.data, data, rtol=1e-3, atol=1e-3)
    assert back.clip == pytest.approx(30, rel=1e-3)


@pytest.mark.parametrize("part", [0.3, 0.75])
def test_where_light_is_halved_the_rest_is_rounded_by_chance(part):
    """Down or up alone, steps would show in dark gradients."""
    exact = 100 + part
    data = np.full((64, 64, 3), exact * 32 / TOP)
    data[-20:] = 30.0
    linear = light(data)
    assert scaling_of(linear).halvings == 5
    values = whole(linear)[:40]
    assert set(np.unique(values)) == {100, 101}
    assert values.mean() == pytest.approx(exact, abs=0.04)


def test_where_the_sensor_saturated_is_the_white_level_of_every_colour():
    data = np.full((64, 64, 3), 0.25)
    data[20:40, 20:40] = 1.55  # the demosaic rings above what the sensor counted
    linear = light(data, clip=1.5)
    scaling = scaling_of(linear)
    assert scaling.baseline_ev == pytest.approx(np.log2(1.5), abs=1e-4)
    assert (whole(linear)[25:35, 25:35] == scaling.white).all()
    assert scaling_of(light(clip=0.95)).white == round(0.95 * TOP)


@pytest.mark.parametrize("ratio", [0.5, 1, 7, 60, 300])
def test_by_the_sensor_s_white_all_frames_of_one_amplification_are_alike(ratio):
    def shown(data, clip=ratio):
        """The light (0.01 of what the sensor can count) as an editor shows it that knows no BaselineExposure."""
        linear = light(data, ratio=float(ratio), clip=float(clip))
        scaling = scaling_of(linear, "sensor")
        values = np.concatenate(list(integers(linear, scaling)))
        return values[10:50].mean() / scaling.white, scaling, values

    sky = np.full((64, 64, 3), 0.01 * min(ratio, 64))
    alone, scaling, _ = shown(sky)
    lit = sky.copy()
    lit[:4] = 0.8 * ratio
    assert shown(lit)[1] == scaling, "an aeroplane's lamp"
    lit[:4] = 0.9 * ratio
    level, of_short, values = shown(lit, clip=0.9 * ratio)
    assert level == pytest.approx(alone, rel=2e-3)
    assert (of_short.halvings, of_short.white) == (scaling.halvings, scaling.white)
    assert (values[:4] == scaling.white).all(), (
        "all colours end at once where a frame shows its sensor saturated"
    )
    assert scaling.baseline_ev == pytest.approx(np.log2(min(ratio, 64)), abs=1e-4)


def test_what_saturates_below_the_white_level_is_stretched_up_to_it_without_a_step():
    ramp = np.broadcast_to(np.linspace(3, 4, 64, dtype=np.float32)[:, None, None], (64, 64, 3))
    linear = light(ramp, ratio=4.0, clip=3.6)
    kept = np.concatenate(list(integers(linear, scaling_of(linear, "sensor"))))[:, 0, 0] / (TOP / 4)
    below = ramp[:, 0, 0] < 0.95 * 3.6
    assert np.abs(kept - ramp[:, 0, 0])[below].max() < 1e-4
    assert (kept[ramp[:, 0, 0] >= 3.6] == 4).all()
    assert (np.diff(kept) >= 0).all()
    assert np.diff(kept).max() < 0.1


def test_another_white_than_there_is_is_refused(tmp_path):
    linear = light()
    with pytest.raises(SettingsError, match="known are light, sensor"):
        write_linear(tmp_path / "a.dng", linear, develop(linear), white="mean")
    assert not list(tmp_path.iterdir())


def test_a_few_specks_do_not_darken_a_picture_but_the_smallest_lamp_counts():
    data = np.full((64, 64, 3), 0.25)
    data.reshape(-1, 3)[: SPECKS * 7 : 7] = 50
    assert scaling_of(light(data)) == Scaling(0, TOP)
    data[30:33, 30:33] = 50
    assert scaling_of(light(data)).halvings == HALVINGS_MAX


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-3, 200), st.floats(0.5, 400), st.floats(0, 1))
def test_integers_are_within_one_of_the_light_and_never_beyond_white(peak, clip, share):
    data = np.random.default_rng(1).random((40, 30, 3)) * peak
    data[: int(40 * share)] *= 0.01
    linear = light(data, clip=clip)
    scaling = scaling_of(linear)
    values = whole(linear).astype(float)
    exact = np.clip(linear.data * (TOP / 2.0**scaling.halvings), 0, scaling.white)
    assert values.max() <= scaling.white <= TOP
    assert np.abs(values - exact).max() <= 1.01
    assert scaling.halvings <= HALVINGS_MAX


def test_noise_below_black_is_cut_and_what_that_costs_is_small_after_enhancing(model, photo, rng):
    scene = photo * 0.05
    short = expose(scene, sony_a7s2(3200), 100, rng)
    linear = enhance(short, model, ratio=100)
    kept = whole(linear) / TOP * 2.0 ** scaling_of(linear).halvings
    darkest = linear.data.mean(axis=2) < np.quantile(linear.data.mean(axis=2), 0.1)
    lift = float((kept - linear.data)[darkest].mean())
    assert 0 <= lift < 0.002, "of display white, in the darkest tenth of a picture five stops too dark"


def test_exif_is_the_source_s_for_every_tag_we_promise(tmp_path):
    linear, path = light(), tmp_path / "a.dng"
    write_linear(path, linear, develop(linear))
    back = read_exif(path)
    for number, value in EXIF.main.items():
        assert back.main[number] in (value, str(value).encode().decode("latin-1")), hex(number)
    for section, wanted in (("exif", EXIF.exif), ("gps", EXIF.gps)):
        for number, value in wanted.items():
            assert getattr(back, section)[number] == value, hex(number)
    with Image.open(path) as image:
        found = image.getexif()
        for number, value in EXIF.exif.items():
            assert found.get_ifd(0x8769)[number] == value, hex(number)
        assert found.get_ifd(0x8825)[2] == EXIF.gps[2]
        assert (found[0x010F], found[0x0110]) == ("SONY", "ILCE-7SM2")
        assert found[0x0131].startswith("scotopic")
        inner = found.get_ifd(0x8769)
        assert not {0xA002, 0xA003} & inner.keys(), "a TIFF says its size itself"
        assert inner[0xA001] == 0xFFFF, "the colours are the camera's own"


def test_words_rating_and_the_mark_of_an_enhanced_picture_are_carried(tmp_path):
    linear, path = light(), tmp_path / "a.dng"
    write_linear(path, linear, develop(linear))
    back = read_exif(path)
    assert (back.words.rating, back.words.title, back.words.subjects) == (4, "Night", ("street", "café"))
    assert back.enhanced
    assert is_enhanced(path)


def test_the_place_can_be_left_out(tmp_path):
    linear, path = light(exif=EXIF.without_gps()), tmp_path / "a.dng"
    write_linear(path, linear, develop(linear))
    assert read_exif(path).gps == {}
    assert 0x8825 not in pages(path)[0].tags


def test_pixels_that_are_not_square_are_said_so(tmp_path):
    for aspect, scale in ((2.0, (2, 1, 1, 1)), (0.5, (1, 1, 2, 1))):
        linear, path = light(pixel_aspect=aspect), tmp_path / f"{aspect}.dng"
        write_linear(path, linear, develop(linear))
        assert tag(pages(path)[1], 50718) == scale
        assert read(path).pixel_aspect == aspect
        with rawpy.imread(str(path)) as raw:
            assert raw.sizes.pixel_aspect == pytest.approx(aspect)


def test_an_unknown_camera_is_shown_with_its_colours_as_they_are(tmp_path, photo):
    linear, path = light(photo / np.array(WB), xyz_to_camera=None, clip=1.0), tmp_path / "a.dng"
    write_linear(path, linear, develop(linear))
    shown = develop(read(path))
    assert np.abs(shown.data.astype(int) - develop(linear).data).mean() < 1


def with_tags(path, linear: Linear, extra: list, area: tuple | None = None) -> None:
    """A mosaic DNG with more tags in it, such as a phone or a converter writes."""
    height, width, _ = linear.data.shape
    tags = [
        (50706, 1, 4, b"\1\4\0\0", True),
        (50708, 2, 0, "Maker Phone 9", True),
        (50721, 10, 9, (1, 2) * 9, True),
        (50730, 10, 1, (2, 1), True),
        (50779, 3, 1, 21, True),
        (50964, 10, 9, (3, 4) * 9, True),
        (51009, 7, 20, opcode(9), True),
        (51109, 10, 1, (-1, 4), True),
        *extra,
    ]
    if area:
        tags.append((50829, 4, 4, area, True))
    tifffile.imwrite(
        path, np.zeros((height, width), np.uint16), photometric=32803, metadata=None, extratags=tags
    )


def opcode(number: int) -> bytes:
    return struct.pack(">5I", 1, number, 0x01030000, 1, 0)


def test_colours_and_lens_of_a_source_dng_are_carried_over(tmp_path):
    linear, source, path = light(), tmp_path / "source.dng", tmp_path / "a.dng"
    with_tags(source, linear, [(51022, 7, 20, opcode(1), True)])
    origin = read_origin(source, *linear.data.shape[:2])
    write_linear(path, linear, develop(linear), origin=origin)
    first, raw, _ = pages(path)
    assert tag(first, 50708) == "Maker Phone 9"
    assert tag(first, 50721) == (1, 2) * 9
    assert tag(first, 50964) == (3, 4) * 9
    assert tag(first, 50779) == 21
    assert tag(first, 50730)[0] == 0, "brightening is the amplification's"
    assert 51109 not in first.tags
    assert np.abs(read(path).data - linear.data.clip(0)).max() < 2e-5
    assert tag(first, 50827) == "source.dng"
    assert tag(first, 50707) == b"\1\3\0\0"
    assert tag(raw, 51022) == opcode(1)
    assert 51009 not in raw.tags, "works on the mosaic, which is gone"
    assert tag(first, 50728) == (1, 2, 1, 1, 4, 7), "white balance is the picture's own"


def test_names_beyond_ascii_and_extreme_gains_can_be_written(tmp_path):
    linear, source, path = light(wb=(2e-5, 1.0, 12345.678)), tmp_path / "Höhle.dng", tmp_path / "a.dng"
    with_tags(source, linear, [(50942, 2, 0, "© José".encode(), True)])
    origin = read_origin(source, *linear.data.shape[:2])
    write_linear(path, linear, develop(linear), origin=origin)
    content = path.read_bytes()
    assert "© José".encode() in content
    assert "Höhle.dng".encode() in content
    write_linear(tmp_path / "b.dng", light(make="Ænix", model="Ö1"), develop(linear))
    neutral = np.array(tag(pages(path)[0], 50728)).reshape(3, 2)
    assert neutral[:, 0] / neutral[:, 1] == pytest.approx([5e4, 1, 1 / 12345.678], rel=1e-3)


def test_lens_corrections_for_another_frame_or_cut_short_stay_behind(tmp_path):
    linear, source = light(), tmp_path / "source.dng"
    height, width, _ = linear.data.shape
    with_tags(source, linear, [(51022, 7, 20, opcode(1), True)], (8, 8, height, width))
    assert read_origin(str(source), height, width).lens == b""
    assert read_origin(source, height - 8, width - 8).lens == opcode(1)
    with_tags(source, linear, [(51022, 7, 18, opcode(1)[:18], True)])
    assert read_origin(source, height, width).lens == b""
    assert not is_opcode_list(struct.pack(">5I", 1, 1, 0, 0, 99))


@pytest.mark.parametrize(
    ("code", "length", "tail"),
    [(1, 6, struct.pack(">2d", 0.5, 0.5)), (2, 4, struct.pack(">2d", 0.5, 0.5)), (14, 19, b"\0" * 20)],
    ids=["WarpRectilinear", "WarpFisheye", "WarpRectilinear2"],
)
def test_where_fringes_are_gone_lens_corrections_move_all_colours_alike(
    tmp_path, monkeypatch, code, length, tail
):
    red, green, blue = ([plane + n / 7 for n in range(length)] for plane in range(3))
    stated, wanted, red_alone = (
        dng_files.opcode_list(
            dng_files.vignette(), dng_files.warp(planes, tail, code), dng_files.warp([blue], tail, code)
        )
        for planes in ([red, green, blue], [green, green, green], [green, green, blue])
    )
    source = dng_files.write(
        tmp_path / "a.dng",
        np.full((64, 96), 600, np.uint16),
        tags={51022: stated, 50714: 512, 50717: 16383},
    )
    lens: Lateral | None
    for fringes, lens, listed in (
        ("keep", Lateral((0, 0, 1, 0), (0, 0, -1, 0)), stated),
        ("remove", Lateral((0, 0, 1, 0), (0, 0, -1, 0)), wanted),
        ("remove", Lateral((0, 0, 1, 0), (0, 0, 0, 0)), red_alone),
        ("remove", None, stated),
    ):
        monkeypatch.setattr(sys.modules["scotopic.enhance"], "lateral_colour", lambda *_, lens=lens: lens)
        settings = Settings(kind="dng", ratio=4.0, fringes=fringes, overwrite=True)
        done = batch.treated(batch.Job(source, tmp_path / "result.dng"), settings, Models(device="cpu"))
        assert done.status == "done", done.error
        assert tag(pages(tmp_path / "result.dng")[1], 51022) == listed


def test_files_that_are_no_dng_hand_on_their_name_only(tmp_path):
    for name, content in (("a.ARW", b"II*\0\x08\0\0\0\0\0"), ("b.CR3", b"\0\0\0\x18ftypcrx "), ("c", b"")):
        (tmp_path / name).write_bytes(content)
        assert read_origin(tmp_path / name, 10, 10) == Origin(name)


def test_real_dngs_hand_on_what_they_say(raws):
    origin = read_origin(raws / "adobe_jxl_linear_raw.dng", 6336, 9504)
    assert origin.camera == "Sony ILCE-7RM4"
    assert {50721, 50722, 50937, 50938, 50964, 50982} <= {t[0] for t in origin.tags}
    for path in sorted(raws.glob("*.dng")):
        assert read_origin(path, 512, 768).file_name == path.name


def test_all_of_a_real_profile_survives_the_writing(raws, tmp_path):
    source, path, linear = raws / "adobe_jxl_linear_raw.dng", tmp_path / "a.dng", light()
    write_linear(path, linear, develop(linear), origin=read_origin(source, 277, 301))
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(path) as after:
        theirs, ours = before.pages[0].tags, after.pages[0].tags
        for code in (50721, 50722, 50723, 50727, 50936, 50937, 50938, 50939, 50964, 50965, 50981, 50982):
            assert np.array_equal(theirs[code].value, ours[code].value), code
            assert theirs[code].dtype == ours[code].dtype


def test_cameras_are_called_as_editors_call_them():
    assert camera_name("Canon", "Canon EOS 5D Mark IV") == "Canon EOS 5D Mark IV"
    assert camera_name("FUJIFILM", "X-T2") == "Fujifilm X-T2"
    assert camera_name("OLYMPUS IMAGING CORP.", "E-M10") == "Olympus E-M10"
    assert camera_name("Acme", "Acme One") == "Acme One"
    assert camera_name("", "") == "unknown"


def test_an_existing_file_is_kept_and_nothing_half_written_is_left(tmp_path, monkeypatch):
    linear, path = light(), tmp_path / "a.dng"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsRefusal, match="--overwrite"):
        write_linear(path, linear, develop(linear))
    assert path.read_bytes() == b"precious"
    write_linear(path, linear, develop(linear), overwrite=True)
    assert path.read_bytes()[:4] == b"II*\0"
    with pytest.raises(WriteError):
        write_linear(tmp_path / "none" / "a.dng", linear, develop(linear))
    with pytest.raises(SettingsError, match="lossless-jpeg"):
        write_linear(tmp_path / "b.dng", linear, develop(linear), compression="zip")
    with pytest.raises(SettingsError, match="8 bits"):
        write_linear(tmp_path / "b.dng", linear, develop(linear, bits=16))
    assert [p.name for p in tmp_path.iterdir()] == ["a.dng"]


def test_what_cannot_be_meant_is_refused_in_words_and_nothing_is_written(tmp_path):
    linear, path = light(), str(tmp_path / "a.dng")
    shown = develop(linear)
    dead = linear.data.copy()
    dead[3, 4, 1] = np.nan
    with pytest.raises(SettingsError, match="row 3, column 4"):
        write_linear(path, light(dead), shown)
    for strength in (-0.1, 1.5, 1e12, np.nan):
        with pytest.raises(SettingsError, match="strength"):
            write_linear(path, linear, shown, strength=strength)
    others = [
        Rendered(data=shown.data[:-1], icc=shown.icc, exif=shown.exif),
        Rendered(data=shown.data.transpose(1, 0, 2), icc=shown.icc, exif=shown.exif),
        develop(linear, space="p3"),
        develop(linear, look="linear", bits=16),
    ]
    for preview in others:
        with pytest.raises(SettingsError, match=r"upright \(301x277\), in sRGB, with 8 bits"):
            write_linear(path, linear, preview)
    assert not list(tmp_path.iterdir())
    write_linear(path, linear, shown)
    assert read(path).data.shape == linear.data.shape


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_the_preview_that_is_asked_for_is_what_develop_gives(tmp_path, orientation, aspect):
    linear = light(pixel_aspect=aspect, orientation=orientation)
    write_linear(tmp_path / "a.dng", linear, develop(linear))
    with pytest.raises(SettingsError, match="preview"):
        write_linear(tmp_path / "b.dng", linear, develop(light(pixel_aspect=3.0)))


def test_a_mosaic_that_was_not_counted_is_not_written_as_if_it_were(tmp_path, dark):
    with pytest.raises(SettingsError, match="uint16"):
        write_mosaic(tmp_path / "a.dng", dark.with_changes(data=dark.data.astype(np.float32)))
    assert not list(tmp_path.iterdir())
    write_mosaic(str(tmp_path / "a.dng"), dark)
    assert np.array_equal(read(str(tmp_path / "a.dng")).data, dark.data)


def test_the_same_picture_gives_the_same_file(tmp_path):
    linear = light(np.random.default_rng(0).random((300, 64, 3)) * 3)
    for name in ("a", "b"):
        write_linear(tmp_path / name, linear, develop(linear), compression="lossless-jpeg")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_mosaic_comes_back_as_it_was(tmp_path, dark):
    write_mosaic(tmp_path / "a.dng", dark)
    back = read(tmp_path / "a.dng")
    assert np.array_equal(back.data, dark.data)
    assert back.cfa == dark.cfa


def run(*words) -> object:
    return CliRunner().invoke(app, ["enhance", *map(str, words)])


@pytest.fixture
def night(tmp_path, photo) -> Path:
    """A folder with one dark photo, IMG_1.dng, that knows its place."""
    (tmp_path / "card").mkdir()
    short = expose(photo[:96, :128] * 0.7, sony_a7s2(800), 60, np.random.default_rng(1))
    write_mosaic(tmp_path / "card" / "IMG_1.dng", short.with_changes(exif=EXIF, orientation=6))
    return tmp_path / "card"


def test_a_raw_becomes_a_dng_beside_it_with_its_strength(night):
    assert run(night / "IMG_1.dng", "--format", "dng", "--ratio", 60).exit_code == 0
    assert sorted(p.name for p in night.iterdir()) == ["IMG_1-scotopic.dng", "IMG_1.dng"]
    done = run(night / "IMG_1.dng", "-o", night / "plain.dng", "--ratio", 60, "--strength", 0)
    assert done.exit_code == 0, done.output
    full, plain = (read(night / name) for name in ("IMG_1-scotopic.dng", "plain.dng"))
    assert full.data.shape == plain.data.shape == (96, 128, 3)
    assert full.orientation == 6
    assert full.exif.gps[2] == EXIF.gps[2]
    rough = [np.abs(np.diff(picture.data[..., 1], axis=0)).mean() for picture in (full, plain)]
    assert rough[0] < 0.6 * rough[1]
    applied = [tag(pages(night / name)[0], 50935) for name in ("IMG_1-scotopic.dng", "plain.dng")]
    assert applied == [(1, 1), (0, 1)]


def test_the_way_of_storing_and_the_place_are_as_asked(night):
    for compression, number in (("none", 1), ("lossless-jpeg", 7), ("jxl", 52546)):
        path = night / f"{compression}.dng"
        words = (night / "IMG_1.dng", "-o", path, "--ratio", 60, "--dng-compression", compression)
        done = run(*words, "--strip-gps")
        assert done.exit_code == 0, done.output
        assert tag(pages(path)[1], 259) == number
        assert read_exif(path).gps == {}
    first, *others = (pages(night / f"{c}.dng")[1].data for c in COMPRESSIONS)
    assert all(np.array_equal(first, other) for other in others)


def test_what_gives_finished_pictures_makes_no_dng(night, tmp_path):
    done = CliRunner().invoke(app, ["develop", str(night / "IMG_1.dng"), "--format", "dng"])
    assert done.exit_code == 2
    assert "enhance --format dng" in done.output
    folder = tmp_path / "paper"
    shutil.copytree(find("bayer-fast").folder, folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"kind": "srgb"}))
    done = run(night / "IMG_1.dng", "--format", "dng", "--model", folder)
    assert done.exit_code == 2
    assert "no linear light" in done.output
    assert [p.name for p in night.iterdir()] == ["IMG_1.dng"]


def test_a_name_and_a_format_that_contradict_are_an_error(night):
    done = run(night / "IMG_1.dng", "-o", night / "a.dng", "--format", "jpg")
    assert done.exit_code == 2
    assert "leave one of them out" in done.output
    assert "known are .avif" in run(night / "IMG_1.dng", "-o", night / "a.bmp").output
