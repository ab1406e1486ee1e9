from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scotopic.errors import SettingsError
from scotopic.frame import X_TRANS
from scotopic.sensor.simulated import Sensor, eld_camera, expose, phone, sony_a7s2


@pytest.mark.parametrize(
    "sensor",
    [
        sony_a7s2(250),
        sony_a7s2(8000),
        eld_camera("NikonD850", 2.0),
        eld_camera("CanonEOS70D", 6.0),
        phone(800),
    ],
    ids=lambda s: f"{s.model} {s.iso:g}",
)
def test_the_noise_drawn_is_the_noise_stated(sensor: Sensor, rng):
    for level in (0.0, 0.3):
        scene = np.full((400, 400, 3), level)
        quiet = replace(sensor, row_std_dn=0.0)
        mosaic = expose(scene, quiet, 4, rng, wb=(1.0, 1.0, 1.0))
        _, plane = mosaic.colour_planes()[1]
        expected = float(sensor.noise_profile().variance(np.array(level / 4), 1))
        assert plane.mean() == pytest.approx(level / 4, abs=0.05 * expected**0.5)
        assert plane.var() == pytest.approx(expected, rel=0.05)


def test_row_noise_is_one_draw_a_row(rng):
    sensor = replace(sony_a7s2(1600), read_std_dn=0.01, row_std_dn=9.0)
    mosaic = expose(np.zeros((300, 40, 3)), sensor, 1, rng)
    rows = mosaic.data.astype(float).mean(axis=1)
    assert rows.std() == pytest.approx(9.0, rel=0.15)
    assert (mosaic.data - mosaic.data[:, :1].astype(float)).std() < 1


def test_bands_are_rows_off_alike_and_no_stronger(rng):
    rows = {}
    for width in (0.0, 6.0):
        sensor = replace(sony_a7s2(1600), read_std_dn=0.01, row_std_dn=9.0, band_rows=width)
        rows[width] = expose(np.zeros((2000, 16, 3)), sensor, 100, rng).data.mean(axis=1) - 512
    assert rows[6.0].std() == pytest.approx(9.0, rel=0.15)
    alike = {width: (row[6:] * row[:-6]).mean() / row.var() for width, row in rows.items()}
    # Of white noise smoothed by a Gaussian of this width, exp(-1 / 4) one width away.
    assert alike[0.0] == pytest.approx(0, abs=0.1)
    assert alike[6.0] == pytest.approx(np.exp(-0.25), abs=0.1)


def test_iso_is_never_interpolated_across_the_gain_switch():
    below, above = sony_a7s2(1999), sony_a7s2(2000)
    assert below.read_std_dn == pytest.approx(sony_a7s2(1600).read_std_dn)
    assert above.read_std_dn < 0.5 * below.read_std_dn


def test_an_iso_that_nobody_calibrated_is_refused():
    with pytest.raises(SettingsError, match="not calibrated"):
        sony_a7s2(51200)
    with pytest.raises(SettingsError, match="known are"):
        eld_camera("Leica", 1.0)


def test_hot_pixels_appear_at_the_stated_share(rng):
    sensor = replace(sony_a7s2(250), hot_share=0.01)
    mosaic = expose(np.zeros((400, 400, 3)), sensor, 1, rng)
    assert np.mean(mosaic.data > 600) == pytest.approx(0.01, rel=0.15)


def test_an_x_trans_sensor_samples_each_colour_at_its_places(rng):
    scene = np.broadcast_to(np.array([0.1, 0.4, 0.7]), (36, 36, 3))
    mosaic = expose(scene, sony_a7s2(100), 1, rng, wb=(1, 1, 1), cfa=X_TRANS, noisy=False)
    for colour, plane in mosaic.colour_planes():
        assert plane.mean() == pytest.approx((0.1, 0.4, 0.7)[colour], abs=1e-3)
