from __future__ import annotations

import numpy as np
import pytest

from conftest import BAYER_PHASES
from dng_files import COLOR_MATRIX, write
from scotopic.colour import camera_to_srgb
from scotopic.develop import develop
from scotopic.errors import DamagedFileError, ReadError
from scotopic.frame import Linear, Mosaic
from scotopic.read import libraw_develop, opened, read, read_mosaic

JPEG_XL = 52546
WAYS = pytest.mark.parametrize("options", [{}, {"compression": JPEG_XL}], ids=["LibRaw", "ours"])
"""What LibRaw decodes, and what it does not: both must be understood alike."""

OTHER = np.array([[0.9, -0.3, 0.0], [-0.4, 1.2, 0.2], [-0.1, 0.2, 0.7]])


def counts(shape=(64, 96), top=4096):
    return np.random.default_rng(0).integers(0, top, shape).astype(np.uint16)


@WAYS
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_read(tmp_path, options, orientation):
    for cell, shape in ((((0, 1), (1, 2)), (64, 96)), (None, (64, 96, 3))):
        path = write(tmp_path / "o.dng", counts(shape), cell=cell, tags={274: orientation}, **options)
        assert read(path).orientation == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_linear_picture_developed_is_what_libraw_makes_of_it_whichever_way_up(tmp_path, orientation):
    y, x = np.mgrid[0:64, 0:96]
    data = np.dstack([4000 + 150 * x, 6000 + 200 * y, 9000 - 80 * x + 40 * y]).astype(np.uint16)
    tags = {274: orientation, 50714: (200, 300, 400), 50717: (60000,) * 3}
    path = write(tmp_path / "l.dng", data, cell=None, tags=tags)
    linear = read(path)
    assert isinstance(linear, Linear)
    ours, theirs = develop(linear, look="libraw").data, libraw_develop(path)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 2


@WAYS
@pytest.mark.parametrize(
    ("scale", "aspect"), [((1, 2), 0.5), ((2, 1), 2.0), ((1, 1), 1.0), ((1, 0.999), 1.0)]
)
def test_pixels_that_are_not_square_are_known(tmp_path, options, scale, aspect):
    path = write(tmp_path / "a.dng", counts(), tags={50718: scale}, **options)
    assert read(path).pixel_aspect == pytest.approx(aspect)
    with opened(write(tmp_path / "b.dng", counts(), tags={50718: scale})) as raw:
        assert raw.sizes.pixel_aspect == pytest.approx(aspect)


@WAYS
@pytest.mark.parametrize("phase", BAYER_PHASES)
def test_a_black_for_every_place_belongs_to_the_active_area(tmp_path, options, phase):
    black = np.array([[10, 20], [30, 40]])
    for top in (0, 1, 2, 3):
        for left in (0, 1):
            tags = {50713: (2, 2), 50714: black, 50717: 4095, 50829: (top, left, 64, 96)}
            mosaic = read(write(tmp_path / "b.dng", counts(), cell=phase, tags=tags, **options))
            first = (top + top % 2, left + left % 2)
            assert np.array_equal(mosaic.data, counts()[first[0] :, first[1] :])
            for y in (0, 1):
                for x in (0, 1):
                    place = ((first[0] + y - top) % 2, (first[1] + x - left) % 2)
                    assert mosaic.cfa[y][x] == phase[place[0]][place[1]]
                    assert mosaic.black[y, x] == black[place]


@WAYS
def test_blacks_of_four_without_their_dimensions_are_those_of_the_cell(tmp_path, options):
    mosaic = read(write(tmp_path / "b.dng", counts(), tags={50714: (1, 2, 3, 4), 50717: 4095}, **options))
    assert mosaic.black.tolist() == [[1, 2], [3, 4]]


@WAYS
def test_black_that_differs_by_row_and_column_is_subtracted_where_it_differs(tmp_path, options):
    rng = np.random.default_rng(1)
    rows, columns = np.round(rng.normal(0, 5, 64), 2), np.round(rng.normal(0, 5, 96), 2)
    pattern = np.arange(16).reshape(4, 4) * 4.0
    light = rng.integers(500, 3000, (64, 96)).astype(float)
    dark = np.tile(pattern, (16, 24)) + 100 + rows[:, None] + columns
    data = np.round(light + dark).astype(np.uint16)
    tags = {50713: (4, 4), 50714: pattern + 100, 50715: columns, 50716: rows, 50717: 4095}
    mosaic = read(write(tmp_path / "d.dng", data, tags=tags, **options))
    assert mosaic.data.dtype == np.float32
    black = np.tile(mosaic.black, (32, 48))
    assert np.abs(mosaic.data - black - light).max() < 0.51
    assert np.abs(mosaic.black.mean() - dark.mean()) < 0.01


@WAYS
def test_linear_pictures_may_have_black_that_differs_by_plane_place_row_and_column(tmp_path, options):
    rng = np.random.default_rng(1)
    rows, columns = np.round(rng.normal(0, 5, 64), 2), np.round(rng.normal(0, 5, 96), 2)
    black = rng.integers(50, 90, (2, 2, 3)).astype(float)
    white = np.array([3000, 3500, 4000.0])
    data = counts((64, 96, 3))
    tags = {50713: (2, 2), 50714: black, 50715: columns, 50716: rows, 50717: white}
    linear = read(write(tmp_path / "d.dng", data, cell=None, tags=tags, **options))
    level = np.tile(black, (32, 48, 1)) + rows[:, None, None] + columns[:, None]
    span = white - black.max(axis=(0, 1)) - rows.max() - columns.max()
    assert np.allclose(linear.data, (data - level) / span, atol=1e-5)


@WAYS
def test_masked_pixels_tell_black_where_the_tags_are_silent(tmp_path, options):
    data = counts()
    for y in (0, 1):
        for x in (0, 1):
            data[y::2, x:20:2] = 100 + 10 * y + x
    tags = {50829: (0, 20, 64, 96), 50830: (0, 0, 64, 10, 4, 12, 60, 18), 50717: 4095}
    assert read(write(tmp_path / "m.dng", data, tags=tags, **options)).black.tolist() == [
        [100, 101],
        [110, 111],
    ]
    tags |= {50714: 64}
    assert (read(write(tmp_path / "s.dng", data, tags=tags, **options)).black == 64).all()


@WAYS
def test_white_levels_of_three_colours_are_each_its_own(tmp_path, options):
    data = counts((64, 96, 3))
    white = (3000, 3500, 4000)
    linear = read(write(tmp_path / "w.dng", data, cell=None, tags={50717: white}, **options))
    assert np.allclose(linear.data, data / np.array(white), atol=1e-6)
    assert linear.data.max() > 1
    mosaic = read(write(tmp_path / "m.dng", counts(), tags={50717: white}, **options))
    assert mosaic.white == 3000
    assert mosaic.data.max() > mosaic.white >= mosaic.saturation


@WAYS
def test_without_a_white_level_the_depth_tells_it(tmp_path, options):
    assert read(write(tmp_path / "w.dng", counts(), **options)).white == 65535
    table = np.minimum(np.arange(4096) * 4, 12000)
    mosaic = read(write(tmp_path / "t.dng", counts(), tags={50712: table}, **options))
    assert np.array_equal(mosaic.data, table[counts()])
    assert mosaic.white == 12000


@WAYS
def test_a_white_level_below_black_is_a_damaged_file(tmp_path, options):
    path = write(tmp_path / "w.dng", counts(), tags={50714: 600, 50717: 500}, **options)
    with pytest.raises(DamagedFileError, match="white level 500 is not above its black level 600"):
        read(path)


@WAYS
@pytest.mark.parametrize(
    ("tags", "words"),
    [({50714: 70000, 50717: 80000}, "black level 70000"), ({50728: (1, 10**8, 1)}, "wb of a Mosaic")],
    ids=["black above all counts", "gains of a hundred million"],
)
def test_what_no_picture_can_have_is_a_damaged_file(tmp_path, options, tags, words):
    with pytest.raises(DamagedFileError, match=f"w.dng: contradicts itself .*{words}"):
        read(write(tmp_path / "w.dng", counts(), tags=tags, **options))


def test_a_linear_picture_with_a_row_of_black_above_white_is_a_damaged_file(tmp_path):
    deltas = [2000] + [0] * 63
    path = write(
        tmp_path / "r.dng", counts((64, 96, 3)), cell=None, tags={50717: [1000] * 3, 50716: deltas}
    )
    with pytest.raises(DamagedFileError, match="white level"):
        read(path)


@WAYS
def test_white_balance_comes_from_the_neutral_the_white_point_or_the_picture(tmp_path, options):
    neutral = write(tmp_path / "n.dng", counts(), **options)
    assert read(neutral).wb == pytest.approx((2, 1, 1.6))
    assert read(neutral).wb_source == "camera"
    x, y = 0.3127, 0.3290
    wanted = COLOR_MATRIX @ [x / y, 1, (1 - x - y) / y]
    point = read(write(tmp_path / "p.dng", counts(), tags={50728: None, 50729: (x, y)}, **options))
    assert point.wb == pytest.approx(tuple(wanted[1] / wanted), rel=1e-4)
    assert point.wb_source == "camera"
    tinted = np.tile(np.array([[500, 1000], [1000, 2000]], np.uint16), (32, 48))
    tinted += counts(top=3)
    grey = read(write(tmp_path / "g.dng", tinted, tags={50728: None}, **options))
    assert grey.wb == pytest.approx((2, 1, 0.5), rel=0.01)
    assert "grey world" in grey.wb_source
    for bad in ((0, 0, 0), (1, 1)):
        picture = read(write(tmp_path / "b.dng", tinted, tags={50728: bad}, **options))
        assert "grey world" in picture.wb_source


@WAYS
def test_a_linear_picture_without_a_white_balance_is_made_grey(tmp_path, options):
    data = (np.array([200, 400, 100]) + counts((64, 96, 1), 40)).astype(np.uint16)
    linear = read(write(tmp_path / "g.dng", data, cell=None, tags={50728: None, 50717: 4095}, **options))
    means = data.mean(axis=(0, 1))
    assert linear.wb == pytest.approx(tuple(means[1] / means), rel=1e-3)
    assert "grey world" in linear.wb_source


@pytest.mark.parametrize(
    "tags",
    [
        {50721: COLOR_MATRIX, 50778: 21},
        {50721: OTHER, 50778: 17, 50722: COLOR_MATRIX, 50779: 21},
        {50721: COLOR_MATRIX, 50778: 21, 50722: OTHER, 50779: 17},
        {50721: OTHER, 50778: 17, 50722: COLOR_MATRIX, 50779: 23},
        {50721: OTHER, 50778: 17, 50722: COLOR_MATRIX, 50779: 10},
        {50721: COLOR_MATRIX, 50778: 21, 50727: (1.1, 1, 0.9), 50723: np.diag([1.02, 1, 0.97])},
    ],
)
def test_the_matrix_is_the_one_that_libraw_takes(tmp_path, tags):
    path = write(tmp_path / "m.dng", counts(), tags=tags)
    matrix = read(path).xyz_to_camera
    with opened(path) as raw:
        theirs = raw.color_matrix[:3, :3]
    assert np.allclose(camera_to_srgb(matrix), theirs, atol=2e-4)


@WAYS
def test_without_a_matrix_none_is_made_up(tmp_path, options):
    path = write(tmp_path / "m.dng", counts(), tags={50721: None, 50778: None}, **options)
    assert read(path).xyz_to_camera is None
    singular = write(tmp_path / "s.dng", counts(), tags={50721: np.ones((3, 3))}, **options)
    assert read(singular).xyz_to_camera is None


def test_a_camera_that_libraw_knows_needs_no_matrix_in_its_dng(tmp_path):
    camera = {271: "Canon", 272: "Canon EOS 5D Mark II", 50708: "Canon EOS 5D Mark II"}
    path = write(tmp_path / "c.dng", counts(), tags=camera | {50721: None, 50778: None})
    matrix = read(path).xyz_to_camera
    assert matrix is not None
    assert np.allclose(matrix[0], [0.4716, 0.0603, -0.0830], atol=1e-4)


@WAYS
@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        (None, None),
        ((1e-3, 1e-6), ((1e-3,) * 3, (1e-6,) * 3)),
        ((1e-3, 1e-6, 2e-3, 2e-6, 3e-3, 3e-6), ((1e-3, 2e-3, 3e-3), (1e-6, 2e-6, 3e-6))),
        ((1e-3, 1e-6, 2e-3), None),
        ((0, 0, 0, 0, 0, 0), None),
        ((-1e-3, 1e-6), None),
        ((float("nan"), 1e-6), None),
        ((1e300, 1e300), None),
    ],
)
def test_a_noise_profile_is_read_and_one_that_makes_no_sense_is_not(tmp_path, options, tag, wanted):
    noise = read(write(tmp_path / "n.dng", counts(), tags={51041: tag}, **options)).noise
    if wanted is None:
        assert noise is None
    else:
        assert (noise.shot, noise.read) == wanted


@WAYS
@pytest.mark.parametrize(
    ("area", "shape"),
    [((0, 0, 640, 960), (64, 96)), ((2, 4, 60, 90), (58, 86)), ((2**32 - 2, 0, 64, 96), None)],
)
def test_an_active_area_beyond_the_picture_is_cut(tmp_path, options, area, shape):
    if shape is None:
        path = write(tmp_path / "a.dng", counts(), tags={50829: area}, **options)
        with pytest.raises(DamagedFileError, match="active area"):
            read(path)
    else:
        path = write(tmp_path / "a.dng", counts(), tags={50829: area}, **options)
        assert read(path).data.shape == shape


@WAYS
def test_the_default_crop_is_not_applied_so_that_libraws_own_development_lies_over_ours(tmp_path, options):
    tags = {50719: (8, 8), 50720: (80, 48)}
    assert read(write(tmp_path / "c.dng", counts(), tags=tags, **options)).data.shape == (64, 96)


@WAYS
def test_a_picture_too_small_to_be_one_is_a_damaged_file(tmp_path, options):
    with pytest.raises(ReadError, match=r"s\.dng"):
        read(write(tmp_path / "s.dng", counts((12, 16)), **options))


def test_those_who_need_a_mosaic_are_told_why_there_is_none(tmp_path):
    path = write(tmp_path / "l.dng", counts((64, 96, 3)), cell=None)
    with pytest.raises(ReadError, match=r"l\.dng.*finished colours"):
        read_mosaic(path)
    assert isinstance(read_mosaic(write(tmp_path / "m.dng", counts())), Mosaic)
