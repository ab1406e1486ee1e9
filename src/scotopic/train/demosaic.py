"""Fixed demosaics of any colour pattern, each one convolution of packed pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from scotopic.train.filters import Packing, packed_weights

LINEAR, BENT = 0.6, 0.15
"""Variance of colour as a share of light's, in linear light (LINEAR) and in light about its square root (BENT), in
which colours differ less along edges: chosen, experiments.md, 2026-11-22 and 2026-11-28."""


def demosaic_weights(packing: Packing, colour_share: float) -> Tensor:
    """Demosaics a packed mosaic: (3*P, P, 3, 3) for P pixels of a place; `colour_share` LINEAR or BENT.

    1.2 dB better than Malvar, He and Cutler's filters for Bayer patterns (2004), on bent light by daylight 2.7 dB
    better still and as good as LibRaw's DHT, and made for any pattern.
    """
    return packed_weights(
        packing.cell, lambda y, x: [_cokriged(packing, y, x, c, colour_share) for c in range(3)]
    )


REACH = 3
"""Pixels each way that the cokriged filters look at: 7x7."""

RANGE = 12.0
"""Pixels over which light and colour stay alike: chosen with LINEAR and BENT."""


def _cokriged(packing: Packing, y: int, x: int, colour: int, colour_share: float) -> Tensor:
    """The best linear guess of a colour at a pixel from the 7x7 around it, (7, 7).

    Ordinary cokriging (Matheron 1971): light, and each colour's difference from it, are random fields
    whose covariance falls exponentially with distance. Each colour that is evenly lit comes out exactly: the
    weights of the colour sought sum to 1, those of the others to 0.
    """
    side = 2 * REACH + 1
    sites = [divmod(i, side) for i in range(side * side)]
    at = np.array(sites, dtype=np.float64)
    cfa = packing.pattern.cfa
    colours = np.array([cfa[(y + dy - REACH) % len(cfa)][(x + dx - REACH) % len(cfa)] for dy, dx in sites])
    count = len(sites)
    equations = np.zeros((count + 3, count + 3))
    equations[:count, :count] = _covariance(
        at[:, None] - at[None], colour_share * (colours[:, None] == colours[None])
    )
    for c in range(3):
        equations[count + c, :count] = equations[:count, count + c] = colours == c
    wanted = np.zeros(count + 3)
    wanted[:count] = _covariance(at - REACH, colour_share * (colours == colour))
    wanted[count + colour] = 1
    weights = np.linalg.solve(equations, wanted)[:count]
    return torch.from_numpy(weights.reshape(side, side).astype(np.float32))


def _covariance(
    apart: npt.NDArray[np.float64], colour_shares: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    distance = np.sqrt(np.square(apart).sum(-1))
    covariance: npt.NDArray[np.float64] = (1 + colour_shares) * np.exp(-distance / RANGE)
    return covariance
