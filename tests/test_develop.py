from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import SAMPLE
from scotopic import colour
from scotopic.develop import develop
from scotopic.enhance import enhance
from scotopic.errors import SettingsError
from scotopic.frame import Linear
from scotopic.read import libraw_develop, read
from scotopic.traditional import develop_traditional


def linear(data, **more) -> Linear:
    fields = {"wb": (2.0, 1.0, 1.5), "clip": 100.0, "ratio": 100.0, **more}
    return Linear(data=np.asarray(data, np.float32), **fields)


def lab(shown: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of 8-bit sRGB means (..., 3)."""
    xyz = colour.srgb_to_linear(shown / 255) @ colour.XYZ_FROM_SRGB.T
    ratio = xyz / colour.XYZ_FROM_SRGB.sum(axis=1)
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1
    )


def blocks(shown: np.ndarray) -> np.ndarray:
    high, wide = (n // 64 for n in shown.shape[:2])
    return shown[: high * 64, : wide * 64].reshape(high, 64, wide, 64, 3).transpose(0, 2, 1, 3, 4)


def colour_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean CIE76 difference of the means of unclipped 64x64 blocks."""
    assert ours.shape == theirs.shape
    a, b = blocks(ours), blocks(theirs)
    unclipped = (a.max(axis=(2, 3, 4)) < 250) & (b.max(axis=(2, 3, 4)) < 250)
    assert unclipped.sum() > 10
    apart = lab(a.mean(axis=(2, 3))) - lab(b.mean(axis=(2, 3)))
    return float(np.sqrt(np.square(apart).sum(axis=-1))[unclipped].mean())


REAL = (
    "sony_a7r3_iso3200_concert.ARW canon_30d.CR2 Canon_PowerShot_S40_CRW_0104.CRW "
    "Kodak_DC120_DC120IMG_P003908.KDC canon_kissx4_colorchart.dng nikon_rggb.dng nikon_bggr.dng "
    "nikon_grbg.dng nikon_gbrg.dng"
).split()


@pytest.mark.parametrize("name", REAL)
def test_colours_are_those_of_libraw_on_real_files(raws, model, name):
    path = raws / name
    plain = enhance(read(path), model, ratio=1, strength=0)
    assert colour_difference(develop(plain, look="libraw").data, libraw_develop(path)) < 2


def test_colours_are_those_of_libraw_on_the_sample_amplified(model):
    mosaic = read(SAMPLE)
    plain = enhance(mosaic, model, ratio=100, strength=0)
    ours = develop(plain, look="libraw").data
    theirs = develop_traditional(SAMPLE, mosaic, ratio=100).data
    # LibRaw clips noise below black, which lifts its shadows: hence 3 and not 2.
    assert colour_difference(ours, theirs) < 3


def test_the_traditional_way_is_as_bright_as_told(photo, rng, tmp_path):
    from scotopic.dng.write import write_mosaic
    from scotopic.evaluate.scenes import WB, render
    from scotopic.sensor.simulated import expose, sony_a7s2

    mosaic = expose(photo, sony_a7s2(100), 30, rng, wb=WB, noisy=False)
    write_mosaic(tmp_path / "a.dng", mosaic)
    for bits in (8, 16):
        shown = develop_traditional(tmp_path / "a.dng", mosaic, ratio=30, srgb_curve=True, bits=bits).data
        assert shown.mean() / (2**bits - 1) == pytest.approx(render(photo).mean() / 255, rel=0.02)


@given(st.floats(0, 1), st.floats(0, 1))
def test_curves_rise_and_stay_in_range(a, b):
    low, high = sorted((a, b))
    for curve in (colour.srgb_curve, colour.bt709_curve):
        x, y = (float(curve(np.array(v))) for v in (low, high))
        assert 0 <= x <= y <= 1 + 1e-9


@given(st.floats(0, 1))
def test_the_srgb_curve_and_its_inverse_agree(value):
    there = colour.srgb_curve(np.array(value))
    assert float(colour.srgb_to_linear(there)) == pytest.approx(value, abs=1e-6)


def test_the_shoulder_leaves_the_middle_alone_and_keeps_lamps_apart():
    light = np.array([0.0, 0.2, colour.SHOULDER_STARTS, 1.0, 4.0, 16.0, 64.0])
    rolled = colour.shoulder(light, 64.0)
    assert rolled[:3] == pytest.approx(light[:3])
    assert np.all(np.diff(rolled) > 0.005)
    assert rolled[-1] == pytest.approx(1)


def test_neutral_stays_neutral_through_any_camera_matrix():
    grey = np.full((2, 2, 3), 0.2) / np.array([2.0, 1.0, 1.5])
    for matrix in colour.CAMERA_MATRICES.values():
        shown = develop(linear(grey, xyz_to_camera=np.array(matrix))).data.astype(int)
        assert np.ptp(shown) <= 1


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [
        (1, (0, 0)),
        (2, (0, -1)),
        (3, (-1, -1)),
        (4, (-1, 0)),
        (5, (0, 0)),
        (6, (0, -1)),
        (7, (-1, -1)),
        (8, (-1, 0)),
    ],
)
def test_pictures_stand_upright(orientation, corner):
    data = np.zeros((4, 6, 3))
    data[0, 0] = 0.5
    shown = develop(linear(data, orientation=orientation)).data
    assert shown.shape[:2] == ((4, 6) if orientation < 5 else (6, 4))
    assert shown[corner].max() > 100


def test_wide_pixels_become_square():
    assert develop(linear(np.zeros((10, 10, 3)), pixel_aspect=1.5)).data.shape == (10, 15, 3)
    assert develop(linear(np.zeros((10, 10, 3)), pixel_aspect=0.5)).data.shape == (20, 10, 3)


def test_sixteen_bits_are_finer_than_eight():
    ramp = np.linspace(0, 0.9, 3000).reshape(1, -1, 1).repeat(3, axis=2)
    fine = develop(linear(ramp), bits=16).data
    assert fine.dtype == np.uint16
    assert np.unique(fine).size > 2500


@pytest.mark.parametrize("ratio", [1, 2, 4, 100])
def test_where_the_sensor_saturates_the_picture_is_white(ratio):
    saturated = linear(np.full((4, 4, 3), ratio), clip=float(ratio), ratio=float(ratio))
    for look in ("natural", "libraw"):
        assert develop(saturated, look=look).data.min() >= 253


@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_a_red_rose_little_amplified_stays_red(ratio):
    petal = np.full((4, 4, 3), [1.0, 0.1, 0.12]) * ratio
    shown = develop(linear(petal, wb=(1.0, 1.0, 1.0), clip=float(ratio))).data[0, 0].astype(int)
    assert shown[0] >= 230
    assert max(shown[1:]) <= 0.82 * shown[0]


def test_an_unknown_look_is_refused():
    with pytest.raises(SettingsError, match="known are"):
        develop(linear(np.zeros((4, 4, 3))), look="vintage")


@pytest.mark.parametrize("bits", [0, 1, 10, 12, 32, "8", None])
def test_a_depth_that_there_is_not_is_refused(bits):
    with pytest.raises(SettingsError, match="8 or 16 bits"):
        develop(linear(np.zeros((4, 4, 3))), bits=bits)


def in_light(camera_light) -> Linear:
    """Balanced light of a camera whose colours go beyond the display's."""
    light = np.asarray(camera_light, np.float64).reshape(1, -1, 3) / np.array([2.0, 1.0, 1.5])
    return linear(light, xyz_to_camera=np.array(colour.CAMERA_MATRICES["Sony ILCE-7RM3"]))


BLUE_LED = np.linalg.inv(colour.camera_to_srgb(colour.CAMERA_MATRICES["Sony ILCE-7RM3"])) @ [
    -0.1,
    -0.03,
    1.0,
]


def test_deep_coloured_light_keeps_its_differences():
    things = np.random.default_rng(0).uniform(0.6, 1, (400, 3)) * 0.4
    ours, cut = (
        develop(in_light(things * BLUE_LED), look=look).data[0].astype(int)
        for look in ("natural", "libraw")
    )
    assert ((cut > 0).sum(axis=1) == 1).mean() > 0.5
    assert ((ours > 0).sum(axis=1) == 1).mean() < 0.05
    assert np.array_equal(ours[:, 2], cut[:, 2]), "the strongest colour stays"
    assert np.abs(ours - cut).max() < 60


def test_colours_go_beyond_the_gamut_without_a_step():
    across = np.linspace(0, 1, 4001)[:, None]
    grey = np.array([1.0, 1.0, 1.0])
    shown = develop(in_light(0.3 * (grey * (1 - across) + BLUE_LED * across)), bits=16).data[0].astype(int)
    steps = np.diff(shown, axis=0)
    assert np.abs(steps).max() < 120
    assert (steps[:, :2] <= 0).all(), "each colour falls until the end"
    assert shown[-1].min() > 0


def test_colours_well_within_the_gamut_are_those_of_libraw_exactly():
    rng = np.random.default_rng(1)
    shown = rng.uniform(0, colour.SHOULDER_STARTS, (5000, 3))
    inside = shown[shown.min(axis=1) > (colour.GAMUT_EDGE + 1e-4) * shown.max(axis=1)]
    camera = inside @ np.linalg.inv(colour.camera_to_srgb(colour.CAMERA_MATRICES["Sony ILCE-7RM3"])).T
    ours, theirs = (develop(in_light(camera), look=look, bits=16).data for look in ("natural", "libraw"))
    below = ours[0].max(axis=1) < 0.83 * 65535
    assert below.sum() > 1000
    assert np.array_equal(ours[0][below], theirs[0][below])


def test_noise_about_black_is_neither_raised_nor_tinted():
    noise = np.random.default_rng(2).normal(0, 0.002, (100000, 3))
    ours, theirs = (
        develop(in_light(noise), look=look).data[0].mean(axis=0) for look in ("natural", "libraw")
    )
    assert np.abs(ours - theirs).max() < 0.25
    assert develop(in_light(np.full((4, 3), -0.1))).data.max() == 0
