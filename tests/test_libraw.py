from __future__ import annotations

import numpy as np
import pytest

import dng_files
from conftest import BAYER_PHASES
from dng_files import write
from scotopic import libraw
from scotopic.colour import camera_to_srgb
from scotopic.errors import DamagedFileError, UnsupportedRawError
from scotopic.frame import X_TRANS, Linear
from scotopic.read import as_libraw_sees_it, opened, read

LEVELS = {50714: 256, 50717: 4000}


def counts(shape=(64, 96), top=4096):
    return np.random.default_rng(0).integers(0, top, shape).astype(np.uint16)


@pytest.mark.parametrize("cell", [*BAYER_PHASES, X_TRANS])
def test_the_cell_is_right_behind_margins_of_every_size(tmp_path, cell):
    size = len(cell)
    black = np.arange(size * size).reshape(size, size) + 100
    tags = {50717: 4000, 50713: (size, size), 50714: black}
    for top in range(size):
        for left in range(size):
            area = {50829: (top, left, 60, 90)}
            path = write(tmp_path / "a.dng", counts(), cell=cell, tags=tags | area)
            mosaic = read(path)
            with opened(path) as raw:
                seen, _ = libraw.cell(raw, path)
                visible = raw.raw_image_visible.copy()
            assert seen == mosaic.cfa
            assert np.array_equal(visible, mosaic.data)


@pytest.mark.parametrize("phase", BAYER_PHASES)
def test_a_mosaic_that_libraw_alone_describes_is_the_same(tmp_path, phase):
    tags = {50713: (2, 2), 50714: (100, 110, 120, 130), 50717: 4000, 50829: (2, 4, 60, 90), 274: 6}
    path = write(tmp_path / "a.dng", counts(), cell=phase, tags=tags)
    ours = read(path)
    with opened(path) as raw:
        theirs = as_libraw_sees_it(raw, path)
    assert np.array_equal(theirs.data, ours.data)
    assert np.array_equal(theirs.black, ours.black)
    assert (theirs.cfa, theirs.white, theirs.saturation) == (ours.cfa, ours.white, ours.saturation)
    assert theirs.wb == pytest.approx(ours.wb)
    assert theirs.orientation == ours.orientation == 6
    assert np.allclose(camera_to_srgb(theirs.xyz_to_camera), camera_to_srgb(ours.xyz_to_camera), atol=2e-4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_linear_picture_that_libraw_alone_describes_is_the_same(tmp_path, orientation):
    tags = LEVELS | {274: orientation}
    path = write(tmp_path / "a.dng", counts((64, 96, 3)), cell=None, tags=tags)
    ours = read(path)
    with opened(path) as raw:
        theirs = as_libraw_sees_it(raw, path)
    assert isinstance(theirs, Linear)
    assert np.allclose(theirs.data, ours.data, atol=1e-6)
    assert theirs.clip == pytest.approx(ours.clip)
    assert theirs.wb == pytest.approx(ours.wb)
    assert theirs.orientation == ours.orientation == orientation


def test_a_mono_picture_that_libraw_alone_describes_is_the_same(tmp_path):
    path = write(tmp_path / "a.dng", counts(), cell=None, kind=1, tags=LEVELS)
    dng_files.patched(path, 262, dng_files.LINEAR)
    ours = read(path)
    with opened(path) as raw:
        theirs = as_libraw_sees_it(raw, path)
    assert isinstance(theirs, Linear)
    assert theirs.monochrome
    assert np.allclose(theirs.data, ours.data, atol=1e-6)
    assert (theirs.wb, theirs.xyz_to_camera) == (ours.wb, ours.xyz_to_camera) == ((1, 1, 1), None)


def test_a_sensor_turned_by_45_degrees_is_refused_before_its_pixels_are_touched(tmp_path):
    path = write(tmp_path / "ccd.dng", counts(), tags=LEVELS | {50711: 2})
    with opened(path) as raw, pytest.raises(UnsupportedRawError, match="SuperCCD"):
        as_libraw_sees_it(raw, path)


def test_levels_that_contradict_each_other_are_damage(tmp_path):
    path = write(tmp_path / "l.dng", counts(), tags={50714: 900, 50717: 800})
    with opened(path) as raw, pytest.raises(DamagedFileError, match="white level 800"):
        as_libraw_sees_it(raw, path)
