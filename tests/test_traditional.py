"""LibRaw's own development is of the mosaic that the file tells, whatever way it is stored."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import BAYER_PHASES
from dng_files import COLOR_MATRIX, NEUTRAL, gain_map, opcode_list, polynomial, write
from scotopic import read, traditional
from scotopic.colour import srgb_to_linear
from scotopic.errors import ReadError
from scotopic.frame import X_TRANS, Mosaic
from scotopic.traditional import develop_traditional, truth_of

BLACK, WHITE = 512, 16383
SIZE = 96, 128


@pytest.fixture
def counts(rng):
    """A mosaic (H, W) of grey under the camera's light, in DN."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    light = (0.3 + 0.1 * np.sin(x / 20) * np.cos(y / 17)) * np.where(
        (y + x) % 2, 1, np.where(y % 2, 0.625, 0.5)
    )
    return np.rint(BLACK + (light / 4 + rng.normal(0, 0.001, SIZE)) * (WHITE - BLACK)).astype(np.uint16)


LEVELS = {50714: BLACK, 50717: WHITE}


def as_floats(path, counts):
    light = ((counts - np.float32(BLACK)) / (WHITE - BLACK)).astype(np.float32)
    return write(path, light, tags={50717: 1}, compression=8, predictor=3, tile=(64, 64))


def as_wide_integers(path, counts):
    return write(path, counts.astype(np.uint32) << 16, tags={50714: BLACK << 16, 50717: WHITE << 16})


def deflated(path, counts):
    return write(path, counts, tags=LEVELS, compression=8, predictor=2, tile=(64, 64))


def in_jpeg_xl(path, counts):
    return write(path, counts, tags=LEVELS, compression=52546, tile=(64, 64))


def with_black_by_colour(path, counts):
    more = np.tile(np.array([[40, 0], [90, 25]], np.uint16), (SIZE[0] // 2, SIZE[1] // 2))
    levels = [BLACK + n for n in (40, 0, 90, 25)]
    return write(path, counts + more, tags={50713: (2, 2), 50714: levels, 50717: WHITE})


def with_black_by_row(path, counts):
    more = np.arange(SIZE[0]) * 2
    return write(path, counts + more[:, None].astype(np.uint16), tags={**LEVELS, 50716: more})


def with_a_curve(path, counts):
    # What the file stores is the square root of the light, and its opcodes square it.
    light = (counts - float(BLACK)) / (WHITE - BLACK)
    stored = np.rint(np.sqrt(light.clip(0)) * (WHITE - BLACK) + BLACK).astype(np.uint16)
    opcodes = opcode_list(polynomial([0, 0, 1.0], *SIZE))
    return write(path, stored, tags={**LEVELS, 51009: opcodes})


def with_four_blacks_and_no_pattern(path, counts):
    """As some phones do: LibRaw then takes black for 0."""
    return write(path, counts, tags={50714: (BLACK,) * 4, 50717: WHITE})


def with_white_by_coordinates(path, counts):
    """LibRaw then knows no white balance."""
    light = np.linalg.solve(COLOR_MATRIX, NEUTRAL)
    return write(path, counts, tags={**LEVELS, 50728: None, 50729: light[:2] / light.sum()})


def behind_a_lens(path, counts):
    """Darker towards the right, by each colour otherwise, as the maps tell, of which LibRaw knows nothing."""
    gains = {(0, 0): 1.6, (0, 1): 1.4, (1, 0): 1.4, (1, 1): 1.2}
    maps, seen = [], counts.astype(float)
    for (y, x), most in gains.items():
        maps.append(gain_map(np.array([[[1.0], [most]]] * 2), (y, x, *SIZE), pitch=(2, 2)))
        fall = 1 + (most - 1) * (np.arange(SIZE[1]) + 0.5) / SIZE[1]
        seen[y::2, x::2] = BLACK + (seen[y::2, x::2] - BLACK) / fall[x::2]
    return write(path, np.rint(seen).astype(np.uint16), tags={**LEVELS, 51009: opcode_list(*maps)})


STORED = (
    with_four_blacks_and_no_pattern,
    with_white_by_coordinates,
    behind_a_lens,
    as_floats,
    as_wide_integers,
    deflated,
    in_jpeg_xl,
    with_black_by_colour,
    with_black_by_row,
    with_a_curve,
)


@pytest.mark.parametrize("stored", STORED, ids=lambda f: f.__name__)
@pytest.mark.parametrize("ratio", [1, 3])
def test_the_traditional_picture_is_that_of_the_mosaic_however_it_is_stored(
    counts, tmp_path, stored, ratio
):
    plain, other = (
        write(tmp_path / "plain.dng", counts, tags=LEVELS),
        stored(tmp_path / "other.dng", counts),
    )
    wanted, got = (develop_traditional(p, read(p), ratio=ratio).data.astype(int) for p in (plain, other))
    # Where the demosaic decides by a hair.
    assert np.abs(got - wanted).max() <= 6
    assert np.abs((got - wanted).mean((0, 1))).max() < 0.5


def test_a_file_that_libraw_reads_as_its_tags_say_is_read_by_libraw(counts, tmp_path, monkeypatch):
    monkeypatch.setattr(traditional, "write_mosaic", None)
    for stored in (with_black_by_colour, lambda path, counts: write(path, counts, tags=LEVELS)):
        path = stored(tmp_path / "a.dng", counts)
        develop_traditional(path, read(path), ratio=3)
        truth_of(path, "linear")


@pytest.mark.parametrize("cell", [*BAYER_PHASES, X_TRANS])
def test_what_libraw_is_handed_in_a_files_place_it_reads_as_that_says(rng, tmp_path, cell):
    """Whatever a mosaic's black, its colours or its white balance are."""
    size = len(cell)
    shape = (96, 132)
    mosaic = Mosaic(
        data=rng.uniform(600, 4000, shape).astype(np.float32),
        cfa=cell,
        black=rng.uniform(500, 540, (size, size)),
        white=16000.0,
        saturation=15000.0,
        wb=(2.113, 1.0, 1.477),
        xyz_to_camera=COLOR_MATRIX,
    )
    write(tmp_path / "a.dng", np.zeros((96, 128), np.float32), tags={50717: 1})
    shown = develop_traditional(tmp_path / "a.dng", mosaic, ratio=2).data
    assert shown.shape == (*shape, 3)
    assert shown.mean() > 50


def test_the_truth_of_a_frame_to_learn_from_lies_over_the_mosaic_as_it_was_counted(counts, tmp_path):
    path = behind_a_lens(tmp_path / "a.dng", counts)
    evened, counted = (truth_of(path, "linear", evened=evened) / 65535 for evened in (True, False))
    light = (read(path).data - float(BLACK)) / (WHITE - BLACK)
    assert np.abs(counted[8:-8:2, 8:-8:2, 0] - light[8:-8:2, 8:-8:2]).max() < 0.001
    assert evened[..., 0][:, -8:].mean() > 1.5 * counted[..., 0][:, -8:].mean()


def test_colours_without_a_matrix_are_libraws_own_however_they_are_stored(counts, tmp_path):
    blue = counts.copy()
    blue[::2, :64:2] -= (blue[::2, :64:2] - BLACK) // 2
    light = ((blue - np.float32(BLACK)) / (WHITE - BLACK)).astype(np.float32)
    plain = write(tmp_path / "plain.dng", blue, tags={**LEVELS, 50721: None})
    floats = write(tmp_path / "floats.dng", light, tags={50717: 1, 50721: None})
    wanted, got = (develop_traditional(p, read(p), ratio=3).data.astype(int) for p in (plain, floats))
    assert np.abs(wanted[..., 0] - wanted[..., 2]).mean() > 15
    assert np.abs(got - wanted).max() <= 6


def test_a_long_frame_that_is_gone_is_told_in_words(tmp_path):
    with pytest.raises(ReadError, match=r"gone\.dng: there is no such file"):
        truth_of(tmp_path / "gone.dng", "srgb")


@pytest.mark.parametrize("stored", STORED, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", ["srgb", "linear"])
def test_the_truth_of_a_long_frame_is_that_of_the_mosaic_however_it_is_stored(
    counts, tmp_path, stored, kind
):
    plain, other = (
        write(tmp_path / "plain.dng", counts, tags=LEVELS),
        stored(tmp_path / "other.dng", counts),
    )
    wanted, got = (truth_of(path, kind).astype(int) for path in (plain, other))
    assert np.abs(got - wanted).max() < 0.012 * 65535
    assert np.abs((got - wanted).mean((0, 1))).max() < 0.001 * 65535


def test_a_white_point_between_two_numbers_is_met_by_brightness(tmp_path):
    """At 300 times of 12 bits there are a dozen numbers up to white, and LibRaw knows whole ones alone."""
    whole, between = (4095 - BLACK) / 11.999, (4095 - BLACK) / 11.05
    assert whole < 300 < between
    tags = {50714: BLACK, 50717: 4095, 50728: (1.0, 1.0, 1.0)}
    path = write(tmp_path / "a.dng", np.full(SIZE, BLACK + 3, np.uint16), tags=tags)
    dark, bright = (
        srgb_to_linear(
            develop_traditional(path, read(path), ratio=ratio, bits=16).data[40:50, 40:50] / 65535
        ).mean()
        for ratio in (whole, between)
    )
    assert bright / dark == pytest.approx(between / whole, rel=0.03)
