"""Columns and rows of the sensor that are off."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from scotopic.cli import app
from scotopic.develop import develop
from scotopic.dng.write import write_mosaic
from scotopic.enhance import enhance, plan
from scotopic.evaluate.metrics import psnr
from scotopic.evaluate.scenes import load_all
from scotopic.frame import RGGB, X_TRANS
from scotopic.sensor.lines import SensorLine, lines_off, pixels_of
from scotopic.sensor.simulated import expose, sony_a7s2

SENSOR = sony_a7s2(1600)
NOISE = SENSOR.noise_profile()
BY_CELL = pytest.mark.parametrize("cfa", [RGGB, X_TRANS], ids=["Bayer", "X-Trans"])


def with_offset(mosaic, sigmas, axis, places, start=0, stop=None):
    """Lines that are so many times the read noise brighter (darker), from `start` to `stop`."""
    data = mosaic.data.astype(np.float64)
    view = data if axis else data.T
    view[start:stop, places] += sigmas * SENSOR.read_std_dn
    return mosaic.with_changes(data=np.clip(data, 0, mosaic.white).astype(np.uint16))


@BY_CELL
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sigmas", [4, 20, 1000, -1000])
def test_lines_that_are_off_are_found_and_no_others(photo, rng, cfa, axis, sigmas):
    mosaic = expose(photo, SENSOR, 100, rng, cfa=cfa)
    places = [40, 101, 163]
    found = lines_off(with_offset(mosaic, sigmas, axis, places), NOISE)
    assert [(line.axis, line.place) for line in found] == [(axis, place) for place in places]
    assert all(line.start == 0 and line.stop == photo.shape[1 - axis] for line in found)


@pytest.mark.parametrize(("start", "stop"), [(0, 140), (100, 256), (37, 201)])
def test_a_line_may_end_inside_the_picture(photo, rng, start, stop):
    mosaic = expose(photo, SENSOR, 100, rng)
    (line,) = lines_off(with_offset(mosaic, 30, 1, [77], start, stop), NOISE)
    assert line.place == 77
    assert line.start <= start + 4
    assert line.stop >= stop - 4
    assert line.stop - line.start <= stop - start + 100


@pytest.mark.parametrize("sigmas", [0.25, -0.25])
def test_what_nobody_sees_is_left_alone(photo, rng, sigmas):
    mosaic = expose(photo, SENSOR, 100, rng)
    assert lines_off(with_offset(mosaic, sigmas, 1, [40, 163]), NOISE) == []


@pytest.mark.parametrize(
    "ratio", [pytest.param(4, marks=pytest.mark.slow), 30, pytest.param(300, marks=pytest.mark.slow)]
)
def test_the_world_has_no_such_lines(rng, ratio):
    for scene in load_all():
        mosaic = expose(scene.camera, SENSOR, ratio, rng)
        assert lines_off(mosaic, NOISE) == [], scene.name


@pytest.mark.parametrize("sigma", [0.5, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("offset", [0.0, 0.5])
@pytest.mark.parametrize("colour", [(1, 1, 1), (1, 0.05, 0.02), (0.05, 0.12, 1), (0.02, 1, 0.02)])
@BY_CELL
def test_a_wire_exactly_upright_is_no_column_that_is_off(rng, cfa, sigma, offset, colour):
    """A lens blurs it into the columns beside it; where these are of other colours, it shows in some pixels alone."""
    edges = np.arange(321) - 150.5 - offset
    across = np.diff([0.5 * math.erf(edge / (sigma * 2**0.5)) for edge in edges])
    for light in (0.5, -0.04):
        scene = 0.05 + light * across[None, :, None] * np.array(colour)[None, None]
        scene = np.broadcast_to(scene, (288, 320, 3))
        assert lines_off(expose(scene, SENSOR, 20, rng, cfa=cfa), NOISE) == []


def test_an_edge_exactly_upright_is_none_either(rng):
    scene = np.full((288, 320, 3), 0.02)
    scene[:, 151:] = 0.5
    scene[140:] *= 2
    assert lines_off(expose(scene, SENSOR, 20, rng), NOISE) == []


@BY_CELL
@pytest.mark.parametrize("sigmas", [20, 100, -100])
@pytest.mark.parametrize("cells", [1, 2, 3, 4])
def test_what_lies_between_two_columns_that_are_off_is_none(photo, rng, cfa, sigmas, cells):
    mosaic = expose(photo, SENSOR, 100, rng, cfa=cfa)
    pair = [98, 98 + cells * len(cfa)]
    found = lines_off(with_offset(mosaic, sigmas, 1, pair), NOISE)
    assert [line.place for line in found] == pair


@pytest.mark.parametrize("share", [0.15, 0.5, 1.0])
def test_noise_of_rows_is_no_row_that_is_off(rng, share):
    sensor = replace(SENSOR, row_std_dn=share * SENSOR.read_std_dn)
    assert len(lines_off(expose(np.full((1200, 320, 3), 0.05), sensor, 100, rng), NOISE)) < 4


def test_a_stray_star_does_not_hide_half_a_column(rng):
    scene = np.full((384, 320, 3), 0.02)
    scene[4:16, 150:153] = 0.3
    (line,) = lines_off(with_offset(expose(scene, SENSOR, 100, rng), 100, 1, [151], 128), NOISE)
    assert 96 <= line.start <= 128


def test_a_pattern_of_many_is_something_else(photo, rng):
    mosaic = expose(photo, SENSOR, 100, rng)
    assert lines_off(with_offset(mosaic, 30, 1, list(range(10, 300, 12))), NOISE) == []


@pytest.mark.parametrize("shape", [(255, 400), (400, 12), (6, 6)])
def test_small_pictures_say_nothing_of_it(rng, shape):
    mosaic = expose(np.full((*shape, 3), 0.1), SENSOR, 20, rng)
    assert all(line.axis == 0 for line in lines_off(with_offset(mosaic, 30, 1, [5]), NOISE))


def test_pixels_of_lines_are_told_once():
    places = pixels_of([SensorLine(1, 3, 0, 4), SensorLine(0, 2, 1, 6)])
    assert sorted(map(tuple, places.tolist())) == [
        (0, 3), (1, 3), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (3, 3),
    ]  # fmt: skip


@pytest.mark.parametrize("sigmas", [10, -1000])
def test_lines_that_are_off_cost_a_picture_next_to_nothing(model, photo, rng, sigmas):
    """Without their being replaced this costs 2 dB and more, and columns of colour stand around them."""
    mosaic = expose(photo, SENSOR, 100, rng).with_changes(make="", model="")
    truth = develop(enhance(expose(photo, SENSOR, 1, rng, noisy=False), model, ratio=1)).data
    spoilt = with_offset(mosaic, sigmas, 1, [60, 161, 242])
    clean, mended = (develop(enhance(m, model, ratio=100)).data for m in (mosaic, spoilt))
    assert psnr(mended, truth) > psnr(clean, truth) - 0.15
    made = plan(spoilt)
    assert made.exposure.ratio == pytest.approx(plan(mosaic).exposure.ratio, rel=0.05)
    bare = replace(made, prepared=replace(made.prepared, mosaic=spoilt))
    if sigmas > 0:
        as_it_was = develop(
            enhance(spoilt, model, plan_made=replace(bare, exposure=plan(spoilt, ratio=100).exposure))
        )
        assert psnr(as_it_was.data, truth) < psnr(clean, truth) - 1


def test_info_names_them(photo, rng, tmp_path):
    spoilt = with_offset(expose(photo, SENSOR, 100, rng), 20, 1, [60, 161])
    write_mosaic(tmp_path / "old.dng", with_offset(spoilt, 20, 0, [99]))
    words = CliRunner().invoke(app, ["info", str(tmp_path / "old.dng")]).output
    assert "columns   60, 161 are off, replaced by what is beside them" in words
    assert "rows      99 are off" in words
    facts = json.loads(CliRunner().invoke(app, ["info", "--json", str(tmp_path / "old.dng")]).output)
    assert (facts["columns_off"], facts["rows_off"]) == ([60, 161], [99])
