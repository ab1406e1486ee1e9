from __future__ import annotations

import io
import shutil
import subprocess

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from scotopic import colour
from scotopic.develop import COLOUR_SPACES, LOOKS, Rendering, develop
from scotopic.errors import SettingsError
from scotopic.formats.icc import profile
from scotopic.formats.table import FORMATS
from scotopic.frame import Linear, Rendered
from scotopic.metadata import EXIF_IFD, Exif
from scotopic.write import bits_of, check_space, write
from test_write import icc_of

KNOWN = np.array(
    [
        [0.18, 0.18, 0.18],
        [0.60, 0.60, 0.60],
        [0.30, 0.10, 0.05],
        [0.05, 0.30, 0.10],
        [0.06, 0.08, 0.35],
        [0.40, 0.35, 0.05],
        [0.35, 0.25, 0.20],
    ]
)
"""Linear sRGB of patches that every space here can show."""

D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD_D65_TO_D50 = np.array(
    [
        [1.0478112, 0.0228866, -0.0501270],
        [0.0295424, 0.9904844, -0.0170491],
        [-0.0092345, 0.0150436, 0.7521316],
    ]
)
"""As Bruce Lindbloom tabulates it."""


def patches(light) -> Linear:
    """Light as a camera sees it whose colours are those of sRGB."""
    return Linear(
        data=np.asarray(light, np.float32).reshape(1, -1, 3),
        wb=(1.0, 1.0, 1.0),
        clip=100.0,
        ratio=100.0,
        xyz_to_camera=np.linalg.inv(colour.XYZ_FROM_SRGB),
    )


def lab(xyz: np.ndarray) -> np.ndarray:
    ratio = xyz / D50
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1
    )


def through_the_profile(shown: np.ndarray, icc: bytes) -> np.ndarray:
    """XYZ (D50) that Little CMS makes of written values."""
    return imagecodecs.cms_transform(
        shown.astype(np.float32) / np.iinfo(shown.dtype).max,
        icc,
        imagecodecs.cms_profile("xyz"),
        colorspace="rgb",
        outcolorspace="xyz",
        outdtype="float32",
    )


def expected(light: np.ndarray) -> np.ndarray:
    return light @ colour.XYZ_FROM_SRGB.T @ BRADFORD_D65_TO_D50.T


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.square(lab(a) - lab(b)).sum(axis=-1)).max())


@pytest.mark.parametrize("space", COLOUR_SPACES)
def test_light_comes_back_through_each_profile(space):
    shown = develop(patches(KNOWN), look="linear", space=space, bits=16)
    assert apart(through_the_profile(shown.data, shown.icc)[0], expected(KNOWN)) < 1


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("space", ["srgb", "p3"])
def test_developed_colours_are_the_same_in_each_space(space, bits):
    shown = develop(patches(KNOWN), look="libraw", space=space, bits=bits)
    # LibRaw's curve is BT.709's and its display sRGB's: that is the look.
    meant = colour.srgb_to_linear(colour.bt709_curve(KNOWN))
    if space == "srgb":
        assert apart(through_the_profile(shown.data, shown.icc)[0], expected(meant)) < 1
    else:
        # The curve works colour by colour, so that other primaries are not wholly the same.
        assert apart(through_the_profile(shown.data, shown.icc)[0], expected(meant)) < 2.5


def test_a_picture_looks_alike_in_the_linear_space():
    looks = develop(patches(KNOWN), look="natural", space="rec2020-linear", bits=16)
    usual = develop(patches(KNOWN), look="natural", bits=16)
    ours, theirs = (through_the_profile(p.data, p.icc)[0] for p in (looks, usual))
    assert apart(ours, theirs) < 3


@pytest.mark.parametrize("primaries", ["srgb", "p3", "rec2020"])
@pytest.mark.parametrize("linear", [False, True])
def test_profiles_are_taken_by_little_cms(primaries, linear):
    icc = profile(primaries, linear=linear)
    opened = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    assert int.from_bytes(icc[:4]) == len(icc)
    assert opened.profile.is_matrix_shaper
    assert opened.profile.xcolor_space.strip() == "RGB"
    # Half grey to sRGB, as an editor would convert it.
    grey = Image.new("RGB", (1, 1), (128, 128, 128))
    there = ImageCms.profileToProfile(grey, opened, ImageCms.createProfile("sRGB")).getpixel((0, 0))
    assert there == pytest.approx((188,) * 3 if linear else (128,) * 3, abs=1)


@pytest.mark.parametrize("space", COLOUR_SPACES)
def test_neutral_is_neutral_in_each_space(space):
    for matrix in colour.CAMERA_MATRICES.values():
        grey = patches(np.full((4, 3), 0.2)).with_changes(xyz_to_camera=np.array(matrix))
        shown = develop(grey, look="linear", space=space, bits=16).data.astype(int)
        assert np.ptp(shown) <= 16


def test_linear_is_in_proportion_to_light():
    ramp = np.linspace(0, 1, 101)[:, None] * np.ones(3)
    shown = develop(patches(ramp), look="linear", bits=16).data[0, :, 1].astype(float)
    assert np.abs(shown / 65535 - ramp[:, 1]).max() < 1 / 4096


def test_linear_is_the_look_of_the_linear_space_unless_another_is_asked_for():
    silent = develop(patches(KNOWN), space="rec2020-linear", bits=16).data
    assert np.array_equal(
        silent, develop(patches(KNOWN), look="linear", space="rec2020-linear", bits=16).data
    )


def test_the_file_says_which_space_it_is_in(tmp_path):
    for kind, bits, space, number in (
        ("jpg", 8, "srgb", 1),
        ("jpg", 8, "p3", 65535),
        ("avif", 8, "p3", 65535),
    ):
        path = tmp_path / f"{space}.{kind}"
        write(path, develop(patches(KNOWN), space=space, bits=bits), kind)
        with Image.open(path) as image:
            assert image.getexif().get_ifd(EXIF_IFD)[0xA001] == number
            name = ImageCms.getProfileDescription(
                ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            )
        assert ("P3" in name) == (space == "p3")
    write(tmp_path / "a.tiff", develop(patches(KNOWN), space="rec2020-linear", bits=16), "tiff")
    with tifffile.TiffFile(tmp_path / "a.tiff") as tiff:
        assert tiff.pages[0].tags[34675].value == profile("rec2020", linear=True)


@pytest.mark.parametrize(
    ("look", "space", "bits", "words"),
    [
        ("vintage", "srgb", 8, "known are"),
        ("natural", "adobe", 8, "known are"),
        ("linear", "srgb", 8, "TIFF"),
        ("natural", "rec2020-linear", 8, "TIFF"),
    ],
)
def test_what_does_not_go_together_is_refused(look, space, bits, words):
    with pytest.raises(SettingsError, match=words):
        Rendering(look, space, bits)


STRONG = np.array(
    [[0.7, 0.02, 0.02], [0.02, 0.6, 0.02], [0.03, 0.03, 0.6], [0.5, 0.4, 0.02], [0.2, 0.2, 0.2]]
)
"""Light in the primaries of a space: mostly beyond sRGB where the space is."""


def blocks(space) -> Rendered:
    """Squares of strong colours, large enough that no codec blurs them, and what they are in XYZ (D50)."""
    primaries = "rec2020" if space == "rec2020-linear" else space
    linear = space == "rec2020-linear"
    shown = STRONG if linear else colour.srgb_curve(STRONG)
    tall = np.repeat(np.repeat(shown[None], 64, axis=0), 64, axis=1)
    return Rendered(
        data=np.rint(tall * 65535).astype(np.uint16), icc=profile(primaries, linear=linear), exif=Exif()
    )


def middles(picture: np.ndarray) -> np.ndarray:
    return np.stack(
        [picture[16:48, 64 * n + 16 : 64 * n + 48].mean(axis=(0, 1)) for n in range(len(STRONG))]
    )


def light_of(space) -> np.ndarray:
    """XYZ (D50) of the squares."""
    primaries = "rec2020" if space == "rec2020-linear" else space
    return STRONG @ colour.xyz_from_rgb(primaries).T @ BRADFORD_D65_TO_D50.T


@pytest.mark.parametrize("space", COLOUR_SPACES)
def test_jpeg_xl_gives_back_the_values_of_its_space(tmp_path, space):
    write(tmp_path / "a.jxl", blocks(space), "jxl")
    back = imagecodecs.jpegxl_decode((tmp_path / "a.jxl").read_bytes())
    assert back.dtype == np.uint16
    # It is lossy: what is dark in one colour and bright in another is a little off.
    assert np.abs(middles(back) - middles(blocks(space).data)).max() < 0.015 * 65535


@pytest.mark.parametrize("space", COLOUR_SPACES)
def test_jpeg_xl_shows_the_right_colours_in_another_program(tmp_path, space):
    djxl = shutil.which("djxl")
    if djxl is None:
        pytest.skip("djxl is not installed (apt-get install libjxl-tools)")
    write(tmp_path / "a.jxl", blocks(space), "jxl")
    subprocess.run([djxl, tmp_path / "a.jxl", tmp_path / "a.png"], check=True, capture_output=True)
    told = subprocess.run(
        ["jxlinfo", tmp_path / "a.jxl"], check=True, capture_output=True, text=True
    ).stdout
    names = {"srgb": "sRGB primaries, sRGB", "p3": "P3 primaries, sRGB"}
    assert names.get(space, "Rec.2100 primaries, Linear") in told
    assert "16-bit RGB" in told
    # The profile is the one that libjxl makes of the header, not ours.
    icc = icc_of(tmp_path / "a.png")
    assert icc != blocks(space).icc
    shown = imagecodecs.png_decode((tmp_path / "a.png").read_bytes())
    seen = through_the_profile(np.rint(middles(shown)).astype(np.uint16)[None], icc)[0]
    assert apart(seen, light_of(space)) < 2


@pytest.mark.parametrize(("kind", "space"), [("png", s) for s in COLOUR_SPACES] + [("avif", "p3")])
def test_deep_pictures_show_the_right_colours_by_their_own_profile(tmp_path, kind, space):
    path = tmp_path / f"a.{kind}"
    write(path, blocks(space), kind)
    decode, top = (imagecodecs.png_decode, 65535) if kind == "png" else (imagecodecs.avif_decode, 1023)
    shown = middles(decode(path.read_bytes())) / top
    seen = through_the_profile(np.rint(shown * 65535).astype(np.uint16)[None], icc_of(path))[0]
    assert apart(seen, light_of(space)) < 1
    # Pillow opens them too, in eight bits.
    with Image.open(path) as image:
        assert np.abs(middles(np.asarray(image.convert("RGB"))) / 255 - shown).max() < 0.01


def test_light_without_a_curve_takes_the_deepest_there_is():
    assert [bits_of(kind, linear=True) for kind in FORMATS] == [8, 16, 16, 8, 16]
    assert [bits_of(kind) for kind in FORMATS] == [8, 8, 16, 8, 16]
    assert bits_of("avif", 10) == bits_of("png", 16) == 16
    for kind, bits in (("jpg", 16), ("tiff", 8), ("jxl", 8), ("avif", 16), ("png", 10)):
        with pytest.raises(SettingsError, match="leave --bits"):
            bits_of(kind, bits)


@pytest.mark.parametrize(("space", "look"), [("rec2020-linear", "linear"), ("srgb", "linear")])
def test_linear_light_is_refused_where_steps_would_show(space, look):
    with pytest.raises(SettingsError, match="TIFF"):
        check_space("avif", space, look)


def test_jpeg_xl_needs_a_space_it_can_name(tmp_path):
    with pytest.raises(SettingsError, match="another ICC profile"):
        write(tmp_path / "a.jxl", Rendered(data=blocks("p3").data, icc=b"own", exif=Exif()), "jxl")
    assert not list(tmp_path.iterdir())


def test_every_look_and_space_goes_with_sixteen_bits():
    for look in LOOKS:
        for space in COLOUR_SPACES:
            assert develop(patches(KNOWN), look=look, space=space, bits=16).data.max() > 1000


LAMPS = {
    "sodium": (1, 0.45, 0.08),
    "tungsten": (1, 0.6, 0.25),
    "red": (1, 0.06, 0.04),
    "green": (0.1, 1, 0.25),
    "blue": (0.08, 0.15, 1),
    "magenta": (1, 0.15, 0.7),
    "cyan": (0.1, 0.8, 1),
}


@pytest.mark.parametrize("clip", [8.0, 64.0])
@pytest.mark.parametrize("lamp", LAMPS)
def test_lamps_keep_their_hue_and_their_shape(lamp, clip):
    light = np.geomspace(0.5, clip, 300)[:, None] * np.array(LAMPS[lamp])
    shown = develop(patches(light).with_changes(clip=clip), bits=16)
    seen = lab(through_the_profile(shown.data, shown.icc)[0])
    base = lab(expected(0.3 * np.array(LAMPS[lamp])))
    hues = np.degrees(np.arctan2(seen[:, 2], seen[:, 1]) - np.arctan2(base[2], base[1]))
    drift = np.abs((hues + 180) % 360 - 180)[np.hypot(seen[:, 1], seen[:, 2]) > 8]
    # Colour by colour, sodium light would turn yellow (32 degrees) and blue light cyan (72).
    assert drift.max() < 16
    assert np.diff(seen[:, 0]).min() > -0.01
    above = np.abs(light).max(axis=1) > 1
    assert np.unique(shown.data[0][above], axis=0).shape[0] > 0.9 * np.count_nonzero(above)


def test_a_lamp_thirty_times_above_white_is_no_white_disc():
    across = 30 * np.exp(-np.square(np.linspace(-2, 2, 201)))[:, None] * np.array(LAMPS["sodium"])
    shown = develop(patches(across)).data[0].astype(int)
    white = (shown > 252).all(axis=1)
    assert not white.any()
    assert np.all(np.diff(shown[:101].sum(axis=1)) >= 0)
    assert np.unique(shown[40:101].sum(axis=1)).size > 30


def test_below_the_shoulder_natural_is_libraw_exactly():
    light = np.random.default_rng(0).uniform(0, colour.SHOULDER_STARTS, (5000, 3))
    ours, theirs = (develop(patches(light), look=look, bits=16).data for look in ("natural", "libraw"))
    below = (light @ np.ones((3, 3)) >= 0).all(axis=1) & (ours.max(axis=2)[0] < 0.83 * 65535)
    assert below.sum() > 1000
    assert np.array_equal(ours[0][below], theirs[0][below])
