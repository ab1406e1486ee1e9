"""The fixed linear demosaic of any colour pattern, as one convolution of packed pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from scotopic.train.filters import Packing, packed_weights


def demosaic_weights(packing: Packing) -> Tensor:
    """Demosaics a packed mosaic: (3*P, P, 3, 3) for P pixels of a place.

    1.2 dB better than Malvar, He and Cutler's filters for Bayer patterns (2004), and made for any pattern:
    experiments.md, 2026-11-22.
    """
    return packed_weights(packing.cell, lambda y, x: [_cokriged(packing, y, x, c) for c in range(3)])


REACH = 3
"""The cokriged filters look at 7x7 pixels."""

RANGE, COLOUR_SHARE = 12.0, 0.6
"""Pixels over which light and colour stay alike, and the variance of colour as a share of light's: chosen,
experiments.md, 2026-11-22."""


def _cokriged(packing: Packing, y: int, x: int, colour: int) -> Tensor:
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
    equations[:count, :count] = _covariance(at[:, None] - at[None], colours[:, None] == colours[None])
    for c in range(3):
        equations[count + c, :count] = equations[:count, count + c] = colours == c
    wanted = np.zeros(count + 3)
    wanted[:count] = _covariance(at - REACH, colours == colour)
    wanted[count + colour] = 1
    weights = np.linalg.solve(equations, wanted)[:count]
    return torch.from_numpy(weights.reshape(side, side).astype(np.float32))


def _covariance(
    apart: npt.NDArray[np.float64], same_colour: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    distance = np.sqrt(np.square(apart).sum(-1))
    covariance: npt.NDArray[np.float64] = (1 + COLOUR_SHARE * same_colour) * np.exp(-distance / RANGE)
    return covariance
