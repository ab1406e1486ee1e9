"""Blocks of values of which a part was cut at 0 DN, as by cameras that subtract black, put right: their zeros tell how
much is missing."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

BLOCK = 16
"""Side of the blocks, in values of one colour, that are looked at for flatness."""

CUT_MAX = 0.7
"""Share of a block's values at 0 DN up to which its noise is worth putting right."""

CUT_SEEN_MAX = 2.0
"""A block brighter by this than its zeros and its noise make it was not cut: they are dead pixels, or a frame."""

Floats = npt.NDArray[np.float64]


@cache
def cut_normal() -> Floats:
    """For each number of zeros in a block, up to CUT_MAX of it: how many standard deviations its mean lies
    above 0 DN, the share of the variance that is left when what is below is 0, and how many its mean then is.

    >>> cut_normal()[64].round(2).tolist()
    [0.67, 0.63, 0.82]
    """
    normal, found = NormalDist(), []
    for zeros in range(int(CUT_MAX * BLOCK**2) + 1):
        below = max(zeros, 0.5) / BLOCK**2
        sigmas = -normal.inv_cdf(below)
        density, above = normal.pdf(sigmas), 1 - below
        mean = density + sigmas * above
        found.append((sigmas, (1 + sigmas**2) * above + sigmas * density - mean**2, mean))
    return np.array(found)


def put_right(
    mean: Floats, variance: Floats, cut: npt.NDArray[np.bool_], zeros: Floats, black: float
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Blocks as they were before some were `cut` at 0 DN, which lies `black` below black, and which are kept.

    `zeros` is their share in each; the mean of those that were cut is still what is seen above 0 DN. Blocks whose zeros
    are no cut are left out.
    """
    sigmas, shares, seen = cut_normal()[(zeros[cut] * BLOCK**2 + 0.5).astype(np.intp)].T
    whole = variance[cut] / shares
    keep = ~cut
    keep[cut] = mean[cut] <= CUT_SEEN_MAX * seen * np.sqrt(whole)
    mean[cut], variance[cut] = sigmas * np.sqrt(whole) - black, whole
    return mean[keep], variance[keep], keep
