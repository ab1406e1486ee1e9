from __future__ import annotations

import numpy as np
import pytest

from conftest import BAYER_PHASES
from scotopic.errors import SettingsError
from scotopic.frame import X_TRANS, Linear, Mosaic


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
        {"white": 0.0},
    ],
)
def test_a_mosaic_that_does_not_fit_together_is_refused(wrong):
    with pytest.raises(SettingsError):
        mosaic(BAYER_PHASES[0], **wrong)


def test_a_linear_picture_has_three_colours():
    with pytest.raises(SettingsError, match="got"):
        Linear(data=np.zeros((4, 4), np.float32), clip=1, ratio=1, wb=(1, 1, 1))
