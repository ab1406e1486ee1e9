from __future__ import annotations

import numpy as np
import pytest

from conftest import SAMPLE
from scotopic import colour
from scotopic.balance import CAST_FARTHEST, balanced, for_network, parse, rebalanced
from scotopic.develop import develop
from scotopic.enhance import enhance, finished
from scotopic.errors import SettingsError
from scotopic.frame import RGGB, X_TRANS, Linear
from scotopic.read import read
from scotopic.sensor.simulated import expose, sony_a7s2

MATRIX = np.array(colour.CAMERA_MATRICES["Sony ILCE-7SM2"])


def scene(light, wb=(2.0, 1.0, 1.8), side=256, **more) -> Linear:
    """A brown table with a white card on it, in a light of this colour, as the camera sees it."""
    rng = np.random.default_rng(3)
    surface = np.array([0.20, 0.12, 0.07]) * rng.uniform(0.7, 1.3, (side, side, 1))
    surface[side // 3 : 2 * side // 3, side // 3 : 2 * side // 3] = 0.55
    data = (surface * np.asarray(light)).astype(np.float32)
    return Linear(data=data, wb=wb, clip=50.0, ratio=50.0, **more)


@pytest.mark.parametrize("light", [(0.5, 1, 0.55), (0.7, 1, 0.4), (0.4, 1, 0.8)])
def test_the_automatic_balance_makes_the_white_card_white(light):
    found = balanced(scene(light), "auto")
    assert found.wb_source == "auto"
    assert np.array(found.wb) * light == pytest.approx([1, 1, 1], rel=0.03)


def test_the_automatic_balance_leaves_a_good_one_alone_on_a_real_photo(model):
    light = enhance(read(SAMPLE), model, ratio=100, strength=0)
    found = balanced(light, "auto")
    assert np.array(found.wb) == pytest.approx(light.wb, rel=0.15)


def test_the_automatic_balance_stays_within_a_factor_of_the_cameras():
    found = balanced(scene((0.02, 1, 3)), "auto")
    assert np.all(np.array(found.wb) / (2.0, 1.0, 1.8) <= 4.001)
    assert np.all(np.array(found.wb) / (2.0, 1.0, 1.8) >= 0.249)


@pytest.mark.parametrize("level", [0.0, -0.01, 100.0])
def test_where_there_is_nothing_to_judge_by_the_cameras_balance_stays(level):
    flat = Linear(data=np.full((64, 64, 3), level, np.float32), wb=(2.0, 1.0, 1.8), clip=50.0, ratio=50.0)
    found = balanced(flat, "auto")
    assert found.wb == (2.0, 1.0, 1.8)
    assert "too little" in found.wb_source


def test_lamps_do_not_decide():
    lit = scene((0.5, 1, 0.55))
    data = lit.data.copy()
    data[:20, :20] = (40, 5, 0.5)
    found = balanced(lit.with_changes(data=data), "auto")
    assert found.wb == pytest.approx(balanced(lit, "auto").wb, rel=0.02)


@pytest.mark.parametrize("stops", [-1, 1, 2])
def test_how_bright_a_picture_is_asked_to_be_does_not_change_its_balance(stops):
    lit = scene((0.5, 1, 0.55))
    data = lit.data.copy()
    data[:20, :20] = (40, 5, 0.5)
    data[-30:, -60:] = (0.9, 0.8, 0.2)  # brightened, a lamp by its light alone
    lit, gain = lit.with_changes(data=data), np.float32(2.0**stops)
    other = lit.with_changes(data=data * gain, clip=lit.clip * float(gain), ratio=lit.ratio * float(gain))
    assert balanced(other, "auto").wb == pytest.approx(balanced(lit, "auto").wb, rel=1e-4)


def test_daylight_is_neutral_by_daylights_balance():
    seen = MATRIX @ colour.D65_XYZ
    data = np.broadcast_to(0.3 * seen / seen.max(), (4, 4, 3)).astype(np.float32)
    light = Linear(data=data, wb=(1.3, 1.0, 3.0), clip=50.0, ratio=50.0, xyz_to_camera=MATRIX)
    found = balanced(light, "daylight")
    assert found.wb_source == "daylight"
    assert np.ptp(develop(found).data.astype(int)) <= 1
    assert np.ptp(develop(light).data.astype(int)) > 20


def test_daylight_of_an_unknown_camera_is_refused():
    with pytest.raises(SettingsError, match="matrix is not known"):
        balanced(scene((1, 1, 1)), "daylight")


def test_given_gains_are_taken_with_green_as_one():
    found = balanced(scene((1, 1, 1)), parse("4, 2, 3"))
    assert found.wb == (2.0, 1.0, 1.5)
    assert found.wb_source == "given"


def test_the_cameras_balance_changes_nothing():
    light = scene((1, 1, 1))
    assert balanced(light, parse("camera")) is light


@pytest.mark.parametrize(
    "text", ["", "warm", "1,2", "1,2,3,4", "1,,2", "0,1,1", "-1,1,1", "nan,1,1", "1000,1,1"]
)
def test_what_is_no_balance_is_refused(text):
    with pytest.raises(SettingsError, match="white balance"):
        parse(text)


@pytest.mark.parametrize(
    "gains", [np.array([4.0, 2.0, 3.0]), [4, 2, 3], (np.float32(4), 2, 3.0)], ids=["array", "list", "mixed"]
)
def test_gains_may_come_in_an_array(model, gains):
    light = scene((1, 1, 1))
    for found in (balanced(light, gains), rebalanced(light, gains)):
        assert found.wb == (2.0, 1.0, 1.5)
        assert all(type(gain) is float for gain in found.wb)
    mosaic = read(SAMPLE)
    mosaic = mosaic.with_changes(data=mosaic.data[:64, :64])
    by_array, by_tuple = (finished(mosaic, model, ratio=4, wb=wb).data for wb in (gains, (4, 2, 3)))
    assert np.array_equal(by_array, by_tuple)


@pytest.mark.parametrize(
    "choice",
    [
        None,
        "warm",
        "2,1,1.5",
        2.0,
        (1, 2),
        (1, 2, 3, 4),
        np.ones((3, 3)),
        ("a", 1, 2),
        (0, 1, 1),
        (np.nan, 1, 1),
        "215",
        b"215",
        bytearray(b"215"),
        {2: "r", 1: "g", 1.5: "b"},
        (10**400, 1, 1),
        (10**5000, 1, 1),
    ],
    ids=lambda choice: type(choice).__name__,
)
def test_what_is_no_balance_is_refused_in_words(model, choice):
    with pytest.raises(SettingsError, match="white balance"):
        balanced(scene((1, 1, 1)), choice)
    with pytest.raises(SettingsError, match="white balance"):
        finished(read(SAMPLE), model, wb=choice)


def test_what_is_judged_from_light_is_not_for_a_picture_without():
    with pytest.raises(SettingsError, match="judged from enhanced light"):
        rebalanced(read(SAMPLE), "auto")


def told(light, ratio=10, iso=800, cfa=RGGB) -> np.ndarray:
    """The gains that a network works in, over the camera's, for a grey wall in a light of this colour."""
    wall, sensor = np.full((96, 96, 3), 0.3) * np.asarray(light), sony_a7s2(iso)
    mosaic = expose(wall, sensor, ratio, np.random.default_rng(1), cfa=cfa)
    return np.array(for_network(mosaic, sensor.noise_profile())) / mosaic.wb


@pytest.mark.parametrize("light", [(1, 1, 1), (0.6, 0.9, 1), (1, 0.8, 0.55)])
def test_a_network_works_in_the_cameras_balance_where_light_has_hardly_a_colour(light):
    assert told(light).tolist() == [1, 1, 1]


@pytest.mark.parametrize("cfa", [RGGB, X_TRANS], ids=["bayer", "xtrans"])
def test_a_network_works_nearer_to_neutral_in_coloured_light(cfa):
    blue = told((0.05, 0.15, 1), cfa=cfa)
    assert blue[0] > blue[1] > blue[2]
    assert pytest.approx(blue[0]) == CAST_FARTHEST
    assert blue[2] == pytest.approx(1 / CAST_FARTHEST)
    assert told((1, 0.15, 0.05), cfa=cfa) == pytest.approx(blue[::-1], rel=0.05)


def test_where_there_is_no_light_noise_and_black_make_no_cast():
    assert told((0, 0, 0), ratio=300, iso=25600).tolist() == [1, 1, 1]
    off = sony_a7s2(25600)
    dark = expose(np.zeros((96, 96, 3)), off, 300, np.random.default_rng(2))
    # Black of red alone by a twentieth of the read noise lower than is told.
    dark = dark.with_changes(black=dark.black - np.array([[0.05, 0], [0, 0]]) * off.read_std_dn)
    assert for_network(dark, off.noise_profile()) == dark.wb


def test_lamps_that_saturate_make_no_cast_of_a_picture_and_hide_none():
    rng, sensor = np.random.default_rng(4), sony_a7s2(3200)
    for light, lamp in (((1, 1, 1), (900.0, 90, 45)), ((0.05, 0.15, 1), (900.0, 900, 900))):
        wall = np.full((96, 96, 3), 0.3) * light
        dark = expose(wall, sensor, 30, rng)
        wall[40:56, 40:56] = lamp
        lit = expose(wall, sensor, 30, rng)
        without, with_lamp = (for_network(m, sensor.noise_profile()) for m in (dark, lit))
        assert with_lamp == pytest.approx(without, rel=0.02)
    # All of it saturated, it is judged by what there is.
    blown = expose(np.full((96, 96, 3), 900.0), sensor, 30, rng)
    assert np.isfinite(for_network(blown, sensor.noise_profile())).all()
