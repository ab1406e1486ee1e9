from __future__ import annotations

import numpy as np
import pytest

from scotopic.errors import UnsupportedRawError
from scotopic.sensor.pattern import BAYER, PATTERNS, XTRANS, extended, missing, offset, pattern_of


def phases(pattern) -> list[tuple[tuple[int, ...], ...]]:
    cell = np.array(pattern.cfa)
    turned = [np.roll(cell, (y, x), axis=(0, 1)) for y in range(pattern.cell) for x in range(pattern.cell)]
    return [tuple(tuple(int(c) for c in row) for row in t) for t in turned]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: p.sensor)
def test_a_few_rows_and_columns_bring_every_phase_to_the_models(pattern):
    for cfa in phases(pattern):
        assert pattern_of(cfa) == pattern
        top, left = missing(cfa)
        assert 0 <= top < pattern.cell
        assert 0 <= left < pattern.cell
        size = pattern.cell
        mosaic = np.tile(np.array(cfa), (3, 4))[: 3 * size - 1, : 4 * size - 1]
        longer = extended(mosaic, [(top, 5), (left, 7)], size)
        whole = np.tile(np.array(pattern.cfa), (9, 9))[: longer.shape[0], : longer.shape[1]]
        assert longer.shape == (3 * size + top + 4, 4 * size + left + 6)
        assert np.array_equal(longer, whole)
        assert np.array_equal(longer[top:-5, left:-7], mosaic)


def test_bayer_mosaics_are_mirrored_about_the_edge_and_may_be_small():
    mosaic = np.arange(12).reshape(3, 4)
    assert np.array_equal(
        extended(mosaic, [(1, 2), (2, 3)], 2), np.pad(mosaic, [(1, 2), (2, 3)], mode="reflect")
    )
    assert extended(mosaic, [(0, 40), (0, 0)], 2).shape == (43, 4)


def test_other_patterns_are_refused_by_name():
    with pytest.raises(UnsupportedRawError, match="RG/RB"):
        pattern_of(((0, 1), (0, 2)))
    assert offset(BAYER.cfa, XTRANS.cfa) is None
