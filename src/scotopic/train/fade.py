"""Where the network's work is not kept: lamps and saturated light are left to the plain demosaic."""

from __future__ import annotations

import warnings
from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from scotopic.train.blocks import cut, times_plus_in_one
from scotopic.train.filters import unpack

LAMP_LIGHT = 2.0
"""Light, in units of display white, from which on a picture without noise is left to the plain demosaic."""

BINOMIAL_NOISE = 0.273
"""Share of a pixel's noise that the 5x5 binomial leaves: sqrt(sum of squared weights)."""

NEAR_SATURATION = (0.92, 0.98)
"""Shares of the sensor's range between which a pixel comes to count as saturated: not at all up to the first, wholly
from the second on."""

SATURATED_SHARE = (0.16, 0.32)
"""Weights of saturated pixels in the 5x5 binomial between which the network's work fades from whole to none: one pixel
weighs 0.14, two by two 0.39."""


WayBack = tuple[Tensor | None, Tensor | None]
"""Factors `square` and `straight` of `straightened`, by which bent values become light; None for values that are
light."""


def straightened(bent: Tensor, square: Optional[Tensor], straight: Optional[Tensor]) -> Tensor:  # noqa: UP045
    """Bent values as light: their square, above 0, and themselves, times a factor each; None for what is light.

    The graph does this last of all, as an operation that moves values would leave its result to be copied out.
    """
    # Written as what is compiled can read.
    if square is None or straight is None:
        return bent
    return bent * (bent.relu() * square + straight)


def straightened_one(bent: Tensor, square: Optional[Tensor], straight: Optional[Tensor]) -> Tensor:  # noqa: UP045
    """`straightened` of a single picture (1, C, h, w), which takes one pass over memory less."""
    if square is None or straight is None:
        return bent
    return bent * times_plus_in_one(bent.relu(), square, straight)


def lamp_threshold(slope: Tensor, offset: Tensor) -> Tensor:
    """The light from which on a picture of that noise is left to the plain demosaic."""
    return LAMP_LIGHT + 5 * BINOMIAL_NOISE * (slope * LAMP_LIGHT + offset).sqrt()


def _compiled(function: Any) -> Any:
    """Only in this form can an exported graph branch. What it calls is compiled with it; training calls those plain."""
    with warnings.catch_warnings():
        # torch would rather have `torch.compile`, which exports nothing.
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(function)


def kept(
    x: Tensor,
    lamps: Tensor,
    binomial: Tensor,
    near_saturation: tuple[float, float] = NEAR_SATURATION,
    saturated_share: tuple[float, float] = SATURATED_SHARE,
) -> Tensor:
    """How much of the network's work to keep, (B, P, h, w) in 0..1; `lamps` is light of which lamps begin at 1.

    None where the sensor is at or near saturation, and none where the light is far above display
    white with the noise far below it: lamps are not the network's business. A hot pixel alone
    weighs 0.14 in the 5x5 binomial and so passes for no lamp. The filters themselves do what they can, as each
    operation beside them is a pass over all pixels.
    """
    pixels = binomial.shape[0]
    below_lamps = F.conv2d(lamps, -binomial, lamps.new_full((pixels,), 2.0)).clamp(0, 1)
    low, high = near_saturation
    near = ((x - low) * (1 / (high - low))).clamp(0, 1)
    some, many = saturated_share
    per_share = 1 / (many - some)
    bias = lamps.new_full((pixels,), many * per_share)
    below_saturation = F.conv2d(near, binomial * -per_share, bias).clamp(0, 1)
    t = below_lamps.minimum(below_saturation)
    # A cubic from 0 at 0 to 1 at 1, even at both ends.
    return t * t * (3 - 2 * t)


def mixed(enhanced: Tensor, plain: Tensor, keep: Tensor) -> Tensor:
    """The one where it is kept, (B, 3*P, h, w), and the other where it is not."""
    colours = plain.reshape(plain.shape[0], 3, keep.shape[1], plain.shape[2], plain.shape[3])
    change = enhanced.reshape(colours.shape) - colours
    return (colours + keep[:, None] * change).flatten(1, 2)


def faded(
    enhanced: Tensor, x: Tensor, y: Tensor, lamps: Tensor, demosaic: Tensor, binomial: Tensor
) -> tuple[Tensor, Tensor]:
    """What the network made of light `y`, sensor values `x`, faded to the plain demosaic; and that demosaic."""
    plain = F.conv2d(y, demosaic)
    return mixed(enhanced, plain, kept(x, lamps, binomial)), plain


@_compiled
def faded_if_need_be(
    enhanced: Tensor,
    square: Optional[Tensor],  # noqa: UP045
    straight: Optional[Tensor],  # noqa: UP045
    packed: Tensor,
    dark: Tensor,
    per_dn: Tensor,
    gains: Tensor,
    tame: Tensor,
    lamp_starts: Tensor,
    demosaic: Tensor,
    binomial: Tensor,
    places: Tensor,
    with_plain: Tensor,
    cell: int,
    saturation: float = NEAR_SATURATION[0],
) -> tuple[Tensor, Tensor]:
    """`faded` for one picture, skipped where nothing is to fade; the result and the plain demosaic, (1, 3, H, W) each.

    P is the number of pixels of a packed place, cell * cell; margins are one place wide.

    - `enhanced` (1, 3*P, h, w): the network's result without `places`, bent; `square` and `straight` make light of it
      (`straightened`).
    - `packed` (1, P, h + 2, w + 2): the mosaic in DN with its margin, `places` still on it.
    - `dark`, `per_dn`, `gains` (1, P, 1, 1): black in DN, 1 / (white - black), and ratio times white balance.
    - `tame` like `packed`: light with hot pixels held down, in the network's units; `lamp_starts` (1, 1, 1, 1): where
      lamps begin, in these units.
    - `demosaic` (3*P, P, 3, 3), `binomial` (P, P, 3, 3): the fixed filters.
    - `places` (4,): packed places to leave out at the top, left, bottom and right.
    - `with_plain` (): whether the plain demosaic is asked for. If not, it is made only where something fades to it,
      and is else given empty (no rows), which saves a tenth of the graph's time.
    - `saturation`: share of the sensor's range above which a pixel may count as saturated.

    Each branch unpacks for itself, as what comes out of one is a copy.
    """
    # In steps from cheap to dear; hot pixels come as far as the second.
    brightest = ((packed.amax((2, 3), keepdim=True) - dark) * per_dn).max()
    if bool(with_plain | (brightest > saturation) | (tame.max() > lamp_starts.max())):
        x = (cut(packed, places) - dark) * per_dn
        keep = kept(x, cut(tame, places) * (1 / lamp_starts), binomial)
        if bool(with_plain | (keep.min() < 1)):
            demosaiced = F.conv2d(x * gains, demosaic)
            light = mixed(straightened(enhanced, square, straight), demosaiced, keep)
            rgb, plain = unpack(light, cell), unpack(demosaiced, cell)
        else:
            rgb, plain = straightened_one(unpack(enhanced, cell), square, straight), enhanced[:, :3, :0]
    else:
        rgb, plain = straightened_one(unpack(enhanced, cell), square, straight), enhanced[:, :3, :0]
    return rgb, plain
