"""Pictures moved by parts of a pixel, colour by colour, as lenses do."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = 9
"""Pixels, in a row, that a moved value is made of: enough for two pixels each way."""


def moved(pictures: Tensor, by: Tensor) -> Tensor:
    """Pictures (B, C, H, W) whose colours are moved by so many pixels down and right, (B, C, 2), at most 2 each way.

    Beyond the edges a picture goes on as its mirror image. Values may overshoot at hard edges.
    """
    b, colours, h, w = pictures.shape
    edge = TAPS // 2
    reach = torch.arange(TAPS, device=pictures.device) - edge
    weights = cubic((reach + by[..., None]).abs()).view(b * colours, 2, TAPS)
    wide = F.pad(pictures, (edge,) * 4, mode="reflect").view(1, b * colours, h + 2 * edge, w + 2 * edge)
    wide = F.conv2d(wide, weights[:, :1, :, None], groups=b * colours)
    return F.conv2d(wide, weights[:, 1:, None, :], groups=b * colours).view(b, colours, h, w)


def cubic(far: Tensor) -> Tensor:
    """The weight of a value so many pixels away, for sampling between pixels (Keys 1981, a = -1/2)."""
    near = (1.5 * far - 2.5) * far.square() + 1
    beyond = ((2.5 - 0.5 * far) * far - 4) * far + 2
    return torch.where(far < 1, near, torch.where(far < 2, beyond, 0.0))
