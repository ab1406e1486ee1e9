from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from conftest import BAYER_PHASES
from scotopic.develop import srgb_profile
from scotopic.errors import SettingsError
from scotopic.frame import VALUE_MAX, X_TRANS, Linear, Mosaic, NoiseProfile, Rendered, check_light
from scotopic.metadata import Exif


def mosaic(cfa, **more):
    size = len(cfa)
    fields = {
        "data": np.arange(144, dtype=np.uint16).reshape(12, 12),
        "cfa": cfa,
        "black": np.zeros((size, size)),
        "white": 255.0,
        "saturation": 255.0,
        "wb": (2.0, 1.0, 1.5),
        **more,
    }
    return Mosaic(**fields)


@pytest.mark.parametrize("cfa", BAYER_PHASES)
def test_all_four_bayer_phases_are_bayer(cfa):
    assert mosaic(cfa).is_bayer


@pytest.mark.parametrize("cfa", [X_TRANS, ((1, 1), (0, 2)), ((0, 0), (1, 2)), ((0, 2), (1, 1))])
def test_other_patterns_are_not_bayer(cfa):
    assert not mosaic(cfa).is_bayer


def test_planes_hold_every_pixel_once_scaled_from_black_to_white():
    m = mosaic(BAYER_PHASES[0], black=np.array([[5.0, 6.0], [7.0, 8.0]]))
    planes = m.colour_planes()
    assert [c for c, _ in planes] == [0, 1, 1, 2]
    assert sum(p.size for _, p in planes) == m.data.size
    assert planes[3][1][0, 0] == pytest.approx((float(m.data[1, 1]) - 8) / 247)


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": np.zeros((4, 4, 3), np.uint16)},
        {"black": np.zeros((6, 6))},
        {"black": 5.0},
        {"black": [[1, 2], [3]]},
        {"black": np.full((2, 2), np.nan)},
        {"black": np.full((2, 2), 70000.0), "white": 80000.0, "saturation": 80000.0},
        {"white": 0.0},
        {"white": np.inf},
        {"white": "high"},
        {"saturation": 0.0},
        {"saturation": np.nan},
        {"saturation": 5.0, "black": np.full((2, 2), 5.0)},
        {"saturation": 256.0},
        {"data": None},
        {"data": np.zeros((12, 12), complex)},
        {"data": np.zeros((0, 0))},
        {"cfa": ((9, 1), (1, 2))},
        {"cfa": ((0.5, 1), (1, 2))},
        {"cfa": (("R", "G"), ("G", "B"))},
        {"cfa": ((0, 1), (1,))},
    ],
    ids=str,
)
def test_a_mosaic_that_does_not_fit_together_is_refused_by_the_name_of_what_is_wrong(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        mosaic(**{"cfa": BAYER_PHASES[0], **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"wb": (0, 1, 1)},
        {"wb": (1, 1)},
        {"wb": (-2, 1, 1)},
        {"wb": (np.nan, 1, 1)},
        {"wb": "camera"},
        {"wb": None},
        {"wb": ("2", "1", "1")},
        {"orientation": 0},
        {"orientation": 9},
        {"orientation": 1.5},
        {"orientation": "6"},
        {"orientation": None},
        {"iso": "100"},
        {"iso": 0},
        {"iso": np.inf},
        {"exposure_s": "1/60"},
        {"exposure_s": -1},
        {"exposure_s": np.nan},
        {"pixel_aspect": 0},
        {"pixel_aspect": np.nan},
        {"pixel_aspect": 1e6},
        {"xyz_to_camera": np.zeros((3, 3))},
        {"xyz_to_camera": np.ones((3, 3))},
        {"xyz_to_camera": np.eye(4)},
        {"xyz_to_camera": np.full((3, 3), np.inf)},
    ],
    ids=str,
)
def test_what_no_picture_can_have_is_refused_in_every_state_before_display(wrong):
    (name,) = wrong
    with pytest.raises(SettingsError, match=f"{name} ") as refused:
        mosaic(BAYER_PHASES[0], **wrong)
    assert ",," not in str(refused.value)
    with pytest.raises(SettingsError, match=f"{name} "):
        Linear(**{"data": np.zeros((4, 4, 3)), "clip": 1, "ratio": 1, "wb": (1, 1, 1), **wrong})


def test_lists_arrays_and_other_numbers_are_taken_as_what_they_say():
    plain = mosaic(BAYER_PHASES[0], black=np.array([[5.0, 6.0], [7.0, 8.0]]), xyz_to_camera=np.eye(3))
    other = mosaic(
        np.array(BAYER_PHASES[0]),
        black=((5, 6), (7, 8)),
        white=np.int64(255),
        wb=np.array([2, 1, 1.5]),
        xyz_to_camera=np.eye(3).tolist(),
        orientation=np.uint8(6),
        iso=np.int64(100),
        exposure_s=Fraction(1, 60),
    )
    assert (other.orientation, other.iso, other.exposure_s) == (6, 100, 1 / 60)
    assert [type(value) for value in (other.orientation, other.iso, other.exposure_s)] == [
        int,
        float,
        float,
    ]
    for name in ("cfa", "white", "wb"):
        assert getattr(other, name) == getattr(plain, name)
        assert type(getattr(other, name)) is type(getattr(plain, name))
    assert np.array_equal(other.black, plain.black)
    assert np.array_equal(other.xyz_to_camera, plain.xyz_to_camera)


def test_finished_colours_sampled_back_may_saturate_above_white():
    data = np.ones((12, 12), np.float32)
    assert mosaic(BAYER_PHASES[0], data=data, saturation=1000).saturation == 1000


@pytest.mark.parametrize(
    ("given", "kept"),
    [("u1", "u2"), (">u2", "u2"), ("i4", "f4"), ("f8", "f4"), (">f4", "f4"), ("f4", "f4")],
)
def test_counts_of_other_kinds_become_one_of_the_two_there_are(given, kept):
    data = np.arange(144).reshape(12, 12).astype(given)
    converted = mosaic(BAYER_PHASES[0], data=data).data
    assert converted.dtype == np.dtype(kept)
    assert np.array_equal(converted, data)


@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_data_of_the_right_kind_are_not_copied(dtype):
    data = np.arange(144).reshape(12, 12).astype(dtype)
    assert mosaic(BAYER_PHASES[0], data=data).with_changes(iso=100).data is data


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2 * VALUE_MAX])
def test_what_is_no_light_is_told_with_its_place(value):
    data = np.zeros((3000, 60), np.float32)
    data[2000, 7], data[2500, 3] = value, value
    with pytest.raises(SettingsError, match=r"2 of them .*row 2000, column 7"):
        check_light(mosaic(BAYER_PHASES[0], data=data))
    light = np.zeros((3000, 60, 3), np.float32)
    light[2000, 7, 1] = value
    with pytest.raises(SettingsError, match=r"Linear .* 1 of them .*row 2000, column 7"):
        check_light(Linear(data=light, clip=1, ratio=1, wb=(1, 1, 1)))


def test_all_that_can_be_light_is_light():
    for data in (
        np.full((12, 12), VALUE_MAX, np.float32),
        np.full((12, 12), -1.0),
        np.ones((12, 12), "u2"),
    ):
        check_light(mosaic(BAYER_PHASES[0], data=data))


@pytest.mark.parametrize("wrong", [{"clip": 0}, {"clip": np.nan}, {"ratio": 0}, {"ratio": "much"}], ids=str)
def test_light_needs_a_clip_and_a_ratio_above_nothing(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Linear(**{"data": np.zeros((4, 4, 3)), "clip": 1, "ratio": 1, "wb": (1, 1, 1), **wrong})


@pytest.mark.parametrize("shot", [(-1, 0, 0), (np.nan,) * 3, (1,)], ids=str)
def test_noise_is_three_variances(shot):
    with pytest.raises(SettingsError, match="shot"):
        NoiseProfile(shot, (0, 0, 0), "nobody")


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int16),
    ],
    ids=lambda data: f"{data.shape} {data.dtype}",
)
def test_a_display_shows_three_colours_of_whole_numbers(data):
    with pytest.raises(SettingsError, match=r"Rendered .*got \("):
        Rendered(data=data, icc=srgb_profile(), exif=Exif())


def test_the_order_of_bytes_is_all_the_same_to_a_display():
    data = np.arange(48).reshape(4, 4, 3).astype(">u2") * 1000
    shown = Rendered(data=data, icc=srgb_profile(), exif=Exif()).data
    assert shown.dtype == np.uint16
    assert np.array_equal(shown, data)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3), (4, 0, 3)])
def test_a_linear_picture_has_three_colours_of_a_pixel_or_more(shape):
    with pytest.raises(SettingsError, match="got"):
        Linear(data=np.zeros(shape, np.float32), clip=1, ratio=1, wb=(1, 1, 1))
