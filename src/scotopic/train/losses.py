"""What training minimises: differences as an eye would weigh them, not as a sensor would."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from scotopic.train.recipes import Kind, Loss

KNEE = 0.002
"""Where the encoding turns from a line to a root: the slope at black is then about sRGB's."""

ABOVE_WHITE = 0.25
"""Weight of encoded light above display white: it will be rolled off. With `squared` differences its root, so that fine
ones weigh the same."""


def encode_for_loss(linear: Tensor, above_white: float = ABOVE_WHITE) -> Tensor:
    """A root with a straight toe, 1 at white, flattened to `above_white` above it; straight below 0."""
    root = KNEE**0.5
    span = (1 + KNEE) ** 0.5 - root
    above = (linear.clamp_min(0) + KNEE).sqrt() - root
    encoded = (above + linear.clamp_max(0) / (2 * root)) / span
    flattened: Tensor = encoded.clamp_max(1) + above_white * (encoded - 1).clamp_min(0)
    return flattened


def render(linear: Tensor, to_srgb: Tensor, above_white: float = ABOVE_WHITE) -> Tensor:
    """Camera RGB (B, 3, H, W) through its matrix (B, 3, 3), encoded as for the loss."""
    return encode_for_loss(torch.einsum("bij,bjhw->bihw", to_srgb, linear), above_white)


def loss_named(name: Loss, rgb: Tensor, target: Tensor, to_srgb: Tensor, grid: int) -> Tensor:
    """The loss a recipe names: both (B, 3, H, W), linear for the encoded ones, else whatever the truth is.

    `grid` is the side of the packing in pixels.
    """
    match name:
        case "encoded" | "encoded-mse":
            return encoded_loss(rgb, target, to_srgb, grid, squared=name == "encoded-mse")
        case "l1":
            return F.l1_loss(rgb, target)
        case "mse":
            return F.mse_loss(rgb, target)


GRID_WEIGHT = 0.25
"""What a grid twice as strong as the truth's costs, as a logarithm of the distance: experiments.md,
2026-11-22."""

PATTERN_AREA = 8
"""Squares each way in the areas over which a pattern is looked for."""

STEP_LEAST = 1e-4
"""Least step between pixels, in encoded light, that counts as one."""

FLOOR = 0.002
"""Distance from the truth, in encoded light, below which a picture is pulled no more."""


def encoded_loss(
    rgb: Tensor, target: Tensor, to_srgb: Tensor, grid: int, *, squared: bool = False
) -> Tensor:
    """The logarithm of each picture's distance from its truth, averaged over the batch, and its grid.

    The distance is L1 on the rendered picture, or `squared` the root of the mean square, and L1 on its local means.
    The mean over 8x8 blocks is taken in linear light and then encoded: noise in an encoded domain would otherwise pull
    shadows off their true level, and blotches of colour would cost little. The mean over pixels `grid` apart shows
    patterns that come again from square to square. The logarithm gives every noise level the same say; else the
    pictures that nobody can save would drown the others (experiments.md, 2026-11-22).
    """
    above_white = ABOVE_WHITE**0.5 if squared else ABOVE_WHITE
    shown, truth = (render(v, to_srgb, above_white) for v in (rgb, target))
    apart = shown - truth
    places = (1, 2, 3)
    fine = (
        apart.square().mean(dim=places).clamp_min(1e-16).sqrt() if squared else apart.abs().mean(dim=places)
    )
    shown_means, true_means = (
        render(F.avg_pool2d(v.clamp_max(2), 8), to_srgb, above_white) for v in (rgb, target)
    )
    coarse = (shown_means - true_means).abs().mean(dim=(1, 2, 3))
    packed = F.pixel_unshuffle(apart, grid)
    area = min(PATTERN_AREA, *packed.shape[2:])
    pattern = F.avg_pool2d(packed, area).abs().mean(dim=(1, 2, 3))
    excess = (grid_strength(shown, grid) / grid_strength(truth, grid) - 1).relu()
    return ((fine + 0.5 * coarse + 0.5 * pattern + FLOOR).log() + GRID_WEIGHT * excess).mean()


def grid_strength(shown: Tensor, grid: int) -> Tensor:
    """How much stronger steps are between squares of `grid` pixels than inside them, a picture each: (B,).

    A network that decides for packed pixels leaves such steps where it is unsure, and L1 hardly minds. The
    steps inside count as given: else training would weaken the grid by making others (experiments.md).
    """
    ratios = []
    for axis in (2, 3):
        steps = shown.diff(dim=axis).abs().mean(dim=(1, 5 - axis))  # (B, length - 1)
        between = torch.arange(steps.shape[1], device=steps.device) % grid == grid - 1
        inside = steps[:, ~between].mean(1).detach()
        ratios.append((steps[:, between].mean(1) + STEP_LEAST) / (inside + STEP_LEAST))
    return (ratios[0] + ratios[1]) / 2


@torch.no_grad()
def psnr_by_picture(kind: Kind, rgb: Tensor, target: Tensor, to_srgb: Tensor) -> Tensor:
    """PSNR in dB of each picture of the batch in display sRGB, for watching training: (B,)."""
    shown, truth = (displayed(kind, v, to_srgb) for v in (rgb, target))
    error = (shown - truth).square().mean(dim=(1, 2, 3))
    return -10 * torch.log10(error.clamp_min(1e-10))


def displayed(kind: Kind, rgb: Tensor, to_srgb: Tensor) -> Tensor:
    """What a display shows, in 0..1: (B, 3, H, W)."""
    if kind == "srgb":
        return rgb.clamp(0, 1)
    v = torch.einsum("bij,bjhw->bihw", to_srgb, rgb).clamp(0, 1)
    return torch.where(v <= 0.0031308, 12.92 * v, 1.055 * v.clamp_min(0.003) ** (1 / 2.4) - 0.055)
