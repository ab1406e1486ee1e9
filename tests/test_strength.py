from __future__ import annotations

import numpy as np
import pytest

from scotopic.enhance import enhance
from scotopic.sensor.simulated import expose, sony_a7s2

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.fixture(scope="module")
def greys(model):
    """A flat grey in the dark, enhanced with each strength: camera RGB without the edges."""
    rng = np.random.default_rng(11)
    mosaic = expose(np.full((192, 192, 3), 0.2), sony_a7s2(3200), 50, rng)
    return [enhance(mosaic, model, ratio=50, strength=s).data[16:-16, 16:-16] for s in STRENGTHS]


def test_grain_falls_in_proportion_to_strength(greys):
    grain = [float(g[..., 1].std()) for g in greys]
    assert grain[-1] < 0.3 * grain[0]
    for strength, std in zip(STRENGTHS, grain, strict=True):
        assert std == pytest.approx(grain[0] + strength * (grain[-1] - grain[0]), rel=0.15)


def test_brightness_and_colour_do_not_move_with_strength(greys):
    means = np.array([g.mean(axis=(0, 1)) for g in greys])
    assert means == pytest.approx(np.broadcast_to(means[0], means.shape), rel=0.02)


def test_strength_is_a_blend_of_both_ends(greys):
    plain, full = greys[0], greys[-1]
    for strength, blend in zip(STRENGTHS, greys, strict=True):
        assert np.allclose(blend, plain + strength * (full - plain), atol=1e-5)
