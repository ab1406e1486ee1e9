"""LibRaw's own development is of the mosaic that the file tells, whatever way it is stored."""

from __future__ import annotations

import numpy as np
import pytest

from dng_files import opcode_list, polynomial, write
from scotopic import read
from scotopic.errors import ReadError
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


STORED = (
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
