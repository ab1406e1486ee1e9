from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import BAYER_PHASES, SAMPLE
from scotopic.colour import XYZ_FROM_SRGB, camera_to_srgb, srgb_to_linear
from scotopic.develop import develop
from scotopic.dng.write import write_mosaic
from scotopic.errors import DamagedFileError, NotRawError, ReadError, UnsupportedRawError
from scotopic.frame import X_TRANS, Linear, Mosaic, NoiseProfile
from scotopic.metadata import Exif, is_enhanced, read_exif
from scotopic.read import libraw_develop, opened, read
from scotopic.sandbox import read_sandboxed
from scotopic.sensor.levels import black_of_margin, grey_world

MATRIX = np.array([[0.6640, -0.1847, -0.0503], [-0.5238, 1.3010, 0.2474], [-0.0993, 0.1673, 0.6527]])


def made(data, cfa, black, white, **more):
    return Mosaic(
        data=data,
        cfa=cfa,
        black=np.array(black, float),
        white=white,
        saturation=white,
        wb=(2.0, 1.0, 1.5),
        xyz_to_camera=MATRIX,
        **more,
    )


@settings(max_examples=25, deadline=None)
@given(
    phase=st.sampled_from(BAYER_PHASES),
    bits=st.sampled_from([10, 12, 14, 16]),
    black=st.lists(st.integers(0, 60), min_size=4, max_size=4),
    height=st.integers(32, 61),
    width=st.integers(32, 61),
    orientation=st.sampled_from([1, 3, 6, 8]),
)
def test_a_written_mosaic_is_read_back_for_every_phase_depth_and_black(
    tmp_path_factory, phase, bits, black, height, width, orientation
):
    path = tmp_path_factory.mktemp("dng") / "a.dng"
    white = 2.0**bits - 1
    data = np.random.default_rng(height).integers(0, int(white) + 1, (height, width)).astype(np.uint16)
    mosaic = made(data, phase, np.reshape(black, (2, 2)), white, orientation=orientation, iso=800.0)
    write_mosaic(path, mosaic)
    back = read(path)
    assert np.array_equal(back.data, mosaic.data)
    assert back.cfa == phase
    assert back.black.tolist() == mosaic.black.tolist()
    assert back.white == white
    assert back.wb == pytest.approx(mosaic.wb, rel=1e-5)
    assert back.orientation == orientation
    assert back.iso == 800
    assert back.is_bayer


def test_the_data_outlive_the_file_they_came_from(tmp_path):
    first = read(SAMPLE)
    copy = first.data.copy()
    for _ in range(3):
        read(SAMPLE)
    assert np.array_equal(first.data, copy)


def test_x_trans_is_read_as_six_by_six(tmp_path):
    data = np.random.default_rng(0).integers(1000, 9000, (60, 66)).astype(np.uint16)
    mosaic = made(data, X_TRANS, np.full((6, 6), 1024.0), 16383.0)
    write_mosaic(tmp_path / "x.dng", mosaic)
    back = read(tmp_path / "x.dng")
    assert back.cfa == X_TRANS
    assert np.array_equal(back.data, data)
    assert back.black.shape == (6, 6)
    assert not back.is_bayer


def test_the_noise_profile_tag_is_read(tmp_path):
    data = np.full((32, 32), 600, np.uint16)
    profile = NoiseProfile((1e-3, 2e-3, 3e-3), (1e-6, 2e-6, 3e-6), "")
    write_mosaic(
        tmp_path / "n.dng", made(data, BAYER_PHASES[0], np.full((2, 2), 512.0), 4095, noise=profile)
    )
    noise = read(tmp_path / "n.dng").noise
    assert noise is not None
    assert noise.shot == pytest.approx(profile.shot)
    assert noise.read == pytest.approx(profile.read)


def test_a_noise_profile_of_four_colours_gives_blue_its_own(tmp_path):
    import struct

    path = tmp_path / "n.dng"
    profile = NoiseProfile((1e-3, 2e-3, 3e-3), (1e-6, 2e-6, 3e-6), "")
    data = np.full((32, 32), 600, np.uint16)
    write_mosaic(path, made(data, BAYER_PHASES[0], np.full((2, 2), 512.0), 4095, noise=profile))
    content = path.read_bytes()
    four = struct.pack("<8d", 1e-3, 1e-6, 2e-3, 2e-6, 4e-3, 4e-6, 5e-3, 5e-6)
    entry = content.rindex(struct.pack("<HHI", 51041, 12, 6))
    changed = content[: entry + 4] + struct.pack("<II", 8, len(content)) + content[entry + 12 :] + four
    path.write_bytes(changed)
    noise = read(path).noise
    assert noise is not None
    assert noise.shot == pytest.approx((1e-3, 3e-3, 5e-3))


def test_a_sensor_that_clips_below_its_white_level_is_noticed(tmp_path):
    data = np.random.default_rng(0).integers(512, 9000, (64, 64)).astype(np.uint16)
    data[10:30, 10:30] = 15360
    write_mosaic(tmp_path / "s.dng", made(data, BAYER_PHASES[0], np.full((2, 2), 512.0), 16383))
    assert read(tmp_path / "s.dng").saturation == 15360


@pytest.mark.parametrize("level", [0.86, 0.92, 0.98])
def test_a_bright_sky_does_not_pass_for_a_clipped_sensor(tmp_path, level):
    sky = np.random.default_rng(0).normal(level * 4095, 40, (1000, 1200))
    data = np.clip(sky, 0, 4095).astype(np.uint16)
    write_mosaic(tmp_path / "t.dng", made(data, BAYER_PHASES[0], np.full((2, 2), 128.0), 4095))
    saturation = read(tmp_path / "t.dng").saturation
    assert saturation == 4095


def test_a_high_black_level_is_never_above_saturation(tmp_path):
    data = np.random.default_rng(0).integers(3600, 3700, (64, 64)).astype(np.uint16)
    write_mosaic(tmp_path / "t.dng", made(data, BAYER_PHASES[0], np.full((2, 2), 3600.0), 4095))
    mosaic = read(tmp_path / "t.dng")
    assert mosaic.black.max() < mosaic.saturation <= mosaic.white


TRUE_BLACK = np.array([[128.4, 127.7], [128.1, 128.9]])


def masked_margin(rng, columns, light=0.0):
    """Of a sensor of 12 bits with the noise of one at ISO 640, each column a little off."""
    black = np.tile(np.roll(TRUE_BLACK, columns, axis=1), (600, columns // 2 + 1))[:, :columns]
    return np.rint(black + rng.normal(0, 0.2, columns) + rng.normal(light, 2.3, black.shape)).astype(
        np.uint16
    )


@pytest.mark.parametrize("columns", [74, 75])
def test_masked_columns_tell_black_to_a_fraction_of_a_count(rng, columns):
    stated = np.floor(TRUE_BLACK)
    measured = black_of_margin(masked_margin(rng, columns), stated, 4095)
    assert np.abs(measured - TRUE_BLACK).max() < 0.2


@pytest.mark.parametrize(
    ("columns", "light"),
    [pytest.param(74, 12.0, id="light falls on it"), pytest.param(16, 0.0, id="narrow")],
)
def test_a_margin_that_tells_nothing_leaves_black_as_it_is_stated(rng, columns, light):
    stated = np.floor(TRUE_BLACK)
    assert black_of_margin(masked_margin(rng, columns, light), stated, 4095).tolist() == stated.tolist()


def test_the_black_of_a_real_canon_is_that_of_its_masked_columns(raws: Path):
    """LibRaw says 128, 128, 128 and 127: of the two greens, one would be off by nearly half of the noise."""
    black = read(raws / "canon_30d.CR2").black
    assert np.abs(black - 128).max() < 0.15


def test_the_grey_world_balances_a_tinted_scene():
    light = np.zeros((64, 64), np.uint16)
    light[0::2, 0::2], light[0::2, 1::2], light[1::2, 0::2], light[1::2, 1::2] = 1100, 2100, 2100, 600
    gains = grey_world(light, BAYER_PHASES[0], np.full((2, 2), 100.0), 16383)
    assert gains == pytest.approx((2.0, 1.0, 4.0))


def developed_files() -> dict[str, bytes]:
    """Pictures and other files as people drop them, under RAW names too."""

    def saved(kind: str) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (64, 48), (90, 80, 70)).save(buffer, kind)
        return buffer.getvalue()

    tiff = io.BytesIO()
    tifffile.imwrite(tiff, np.zeros((40, 40, 3), np.uint8), photometric="rgb")
    edited = io.BytesIO()
    picture = Image.new("RGB", (64, 48))
    exif = picture.getexif()
    exif[0x010F], exif[0x0131] = "SONY", "an editor"
    exif.get_ifd(0x8769)[0x8827] = 3200
    picture.save(edited, "TIFF", exif=exif)
    return {
        "picture.jpg": saved("JPEG"),
        "IMG_0001.DNG": saved("JPEG"),
        "picture.png": saved("PNG"),
        "picture.gif": saved("GIF"),
        "picture.bmp": saved("BMP"),
        "picture.webp": saved("WEBP"),
        "picture.tif": tiff.getvalue(),
        "edited.tif": edited.getvalue(),
        "picture.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
        "film.mp4": b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + bytes(200),
        "film.DNG": b"\0\0\0\x18ftypqt  \0\0\0\0qt  " + bytes(200),
        "notes.txt": b"exposure 1/30\niso 3200\n",
        "page.arw": b"<!DOCTYPE html><html></html>",
        "paper.pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    }


@pytest.mark.parametrize("name", sorted(developed_files()))
def test_bytes_and_not_names_decide_what_is_no_raw_file(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(developed_files()[name])
    with pytest.raises(NotRawError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(name)
    assert "RAW file" in message
    assert "\n" not in message


def test_an_empty_file_a_folder_and_nothing_at_all_are_told_apart(tmp_path):
    (tmp_path / "empty.arw").touch()
    with pytest.raises(DamagedFileError, match="empty"):
        read(tmp_path / "empty.arw")
    with pytest.raises(ReadError, match="folder"):
        read(tmp_path)
    with pytest.raises(ReadError, match="no such file"):
        read(tmp_path / "none.arw")


@pytest.mark.parametrize("reads", [read, read_sandboxed])
def test_what_is_no_file_is_refused_by_name_and_not_waited_for(tmp_path, reads):
    os.mkfifo(tmp_path / "pipe.dng")
    os.mknod(tmp_path / "socket.dng", stat.S_IFSOCK | 0o600)
    for name, kind in (("pipe.dng", "a pipe"), ("socket.dng", "a socket"), ("/dev/zero", "a device")):
        with pytest.raises(ReadError, match=f"is {kind}, not a file"):
            reads(tmp_path / name)


def test_a_pipe_beside_a_photo_or_in_place_of_a_result_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.dng")
    with pytest.raises(OSError, match="pipe"):
        is_enhanced(tmp_path / "pipe.dng")
    assert read_exif(tmp_path / "pipe.dng") == Exif()
    (tmp_path / "photo.dng").write_bytes(SAMPLE.read_bytes())
    os.mkfifo(tmp_path / "photo.xmp")
    assert read(tmp_path / "photo.dng").make == "SONY"


@pytest.mark.parametrize("reads", [read, read_sandboxed])
@pytest.mark.parametrize("name", ["a" * 300, "a\0.dng", "\ud800.dng"], ids=["long", "zero", "surrogate"])
def test_a_name_that_no_file_can_have_is_an_error_of_ours(tmp_path, reads, name):
    with pytest.raises(ReadError, match="cannot be read"):
        reads(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_an_error_of_ours(tmp_path):
    path = tmp_path / "locked.dng"
    path.write_bytes(SAMPLE.read_bytes())
    path.chmod(0)
    with pytest.raises(ReadError, match="Permission"):
        read(path)


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.5, 0.98])
def test_a_truncated_file_is_an_error_of_ours(tmp_path, share):
    whole = SAMPLE.read_bytes()
    path = tmp_path / "cut.dng"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ReadError):
        read(path)


def test_a_dng_cut_before_its_tags_is_said_to_be_cut(tmp_path):
    whole = (Path(__file__).parents[1] / "examples" / "dark_eagles.dng").read_bytes()
    assert int.from_bytes(whole[4:8], "little") > 900_000
    path = tmp_path / "cut.dng"
    path.write_bytes(whole[:900_000])
    with pytest.raises(DamagedFileError, match="900000 bytes are there"):
        read(path)


def test_random_bytes_are_an_error_of_ours(tmp_path):
    path = tmp_path / "noise.nef"
    path.write_bytes(np.random.default_rng(0).bytes(20_000))
    with pytest.raises(ReadError):
        read(path)


BROKEN = (
    "Canon-R6-pruned.CR3 IMG_1361.dng issue_1791_new.raf issue_839_poc.rw2 issue_857_coverage.raf "
    "issue_857_poc.raf nef_Issue_247-1.nef rw2_Issue_419.rw2 sample.dng"
).split()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_of_other_projects_are_errors_of_ours(raws: Path, name):
    with pytest.raises(ReadError) as caught:
        read(raws / "broken" / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_arw_is_damaged(raws: Path, tmp_path):
    whole = (raws / "sony_a7r3_iso3200_concert.ARW").read_bytes()
    path = tmp_path / "cut.ARW"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedFileError):
        read(path)


def test_a_real_arw_is_read_with_all_that_is_known(raws: Path):
    mosaic = read(raws / "sony_a7r3_iso3200_concert.ARW")
    assert mosaic.data.shape == (3464, 5184)
    assert mosaic.black.tolist() == [[512, 512], [512, 512]]
    assert mosaic.white == 16383
    assert mosaic.iso == 3200
    assert mosaic.exposure_s == pytest.approx(1 / 640)
    assert (mosaic.make, mosaic.model) == ("SONY", "ILCE-7RM3")
    assert mosaic.wb == pytest.approx((2528 / 1024, 1, 1564 / 1024))


def test_a_linear_dng_of_floats_is_read_bit_by_bit(raws: Path):
    path = raws / "adobe_linear_14.dng"
    linear = read(path)
    assert isinstance(linear, Linear)
    # BaselineExposure is two stops.
    assert np.array_equal(linear.data, 4 * tifffile.imread(path))
    assert linear.wb == (1, 1, 1)
    assert (linear.ratio, linear.clip, linear.monochrome) == (1, 4, False)


def test_a_makers_own_finished_colours_are_refused_with_a_way_out(raws: Path):
    with pytest.raises(UnsupportedRawError, match=r"no mosaic.*convert the file to DNG"):
        read(raws / "kodak_c330_not_a_mosaic.raw")


def test_pictures_with_all_colours_at_a_pixel_look_as_libraw_develops_them(raws: Path):
    name = "adobe_linear_14.dng"
    linear = read(raws / name)
    assert isinstance(linear, Linear)
    # LibRaw knows no BaselineExposure.
    as_libraw = linear.with_changes(data=linear.data / 4, clip=1.0)
    ours, theirs = develop(as_libraw, look="libraw").data, libraw_develop(raws / name)
    assert mean_difference(ours, theirs) < 0.5


def mean_difference(one, other, block=64):
    """CIE76 of the means of blocks in which neither picture clips."""
    rows, columns = (n // block for n in one.shape[:2])
    assert one.shape == other.shape

    def blocks(picture):
        cut = picture[: rows * block, : columns * block].reshape(rows, block, columns, block, 3)
        return cut.transpose(0, 2, 1, 3, 4).reshape(rows * columns, -1, 3)

    fits = (blocks(one).max(axis=(1, 2)) < 255) & (blocks(other).max(axis=(1, 2)) < 255)
    assert fits.any()
    labs = [_lab(blocks(p).mean(axis=1)[fits] / 255) for p in (one, other)]
    return float(np.linalg.norm(labs[0] - labs[1], axis=1).mean())


def _lab(shown):
    xyz = srgb_to_linear(shown) @ XYZ_FROM_SRGB.T / XYZ_FROM_SRGB.sum(axis=1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1
    )


@pytest.mark.slow
def test_a_linear_dng_in_jpeg_xl_is_read_which_libraw_cannot(raws: Path):
    """60 million pixels, whose opcodes bend each colour by another polynomial; judged by its own preview."""
    path = raws / "adobe_jxl_linear_raw.dng"
    with pytest.raises(ReadError), opened(path):
        pass
    linear = read(path)
    assert isinstance(linear, Linear)
    assert linear.data.shape == (6336, 9504, 3)
    assert linear.wb == pytest.approx((1 / 0.354571, 1, 1 / 0.703297))
    assert (linear.make, linear.model) == ("SONY", "ILCE-7RM4")
    assert (linear.exposure_s, linear.iso) == (pytest.approx(1 / 25), 100)
    assert linear.noise is not None
    brighter = 2**0.35  # BaselineExposure
    assert linear.noise.shot[0] == pytest.approx(2.6258e-5 * brighter, rel=1e-3)
    with tifffile.TiffFile(path) as tiff:
        preview = tiff.pages[0].asarray()
    # The preview is cut at 0.9349 of the height and adapted to its surroundings by its maker.
    seen = np.moveaxis(linear.data[: round(0.9349 * 6336) : 4, ::4] / brighter, -1, 0)
    small = [np.asarray(Image.fromarray(p).resize((256, 160), Image.Resampling.BOX)) for p in seen]
    gains = np.array(linear.wb) / min(linear.wb)
    ours = np.stack(small, axis=-1) * gains @ camera_to_srgb(linear.xyz_to_camera).T
    ours, theirs = (np.log(np.maximum(p, 1e-4)) for p in (ours, srgb_to_linear(preview / 255)))
    for colour in range(3):
        assert np.corrcoef(ours[..., colour].ravel(), theirs[..., colour].ravel())[0, 1] > 0.65
    for colour, sign in ((0, -1), (2, 1)):
        tints = [sign * np.median(p[..., colour] - p[..., 1]) for p in (ours, theirs)]
        assert min(tints) > 0
