"""The other ways: what people can do without a network. Each gives 8-bit sRGB (H, W, 3)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scotopic.dng.write import write_mosaic
from scotopic.enhance import Plan, enhance
from scotopic.evaluate.metrics import psnr
from scotopic.evaluate.scenes import render
from scotopic.frame import Linear, Mosaic, NoiseProfile
from scotopic.run import Model
from scotopic.traditional import develop_traditional

Picture = npt.NDArray[np.uint8]

_LUMA_WIDTHS = (0.0, 0.5, 0.8, 1.2, 1.8, 2.5, 3.5, 5.0, 7.0, 10.0, 14.0)
_CHROMA_WIDTHS = (0.0, 0.8, 1.5, 2.5, 4.0, 6.0, 9.0, 14.0, 20.0, 30.0)
_TO_LUMA_CHROMA = np.array([[0.25, 0.5, 0.25], [1.0, -1.0, 0.0], [0.0, -1.0, 1.0]])


def libraw(mosaic: Mosaic, ratio: float, *, fbdd: bool = False, dht: bool = False) -> Picture:
    """LibRaw's own development of the mosaic, brightened, with its FBDD noise reduction or its DHT demosaic."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.dng"
        write_mosaic(path, mosaic)
        shown = develop_traditional(path, mosaic, ratio=ratio, fbdd=fbdd, dht=dht, srgb_curve=True)
        return np.asarray(shown.data, np.uint8)


def plain(mosaic: Mosaic, made: Plan, model: Model) -> npt.NDArray[np.float32]:
    """The plain demosaic: linear, white-balanced (H, W, 3)."""
    return white_balanced(enhance(mosaic, model, plan_made=made, strength=0))


def white_balanced(linear: Linear) -> npt.NDArray[np.float32]:
    """Linear camera RGB times its white balance gains, (H, W, 3) as `render` takes it."""
    return linear.data * np.array(linear.wb, np.float32)


def gaussians(demosaiced: npt.NDArray[np.float32], truth: Picture) -> Picture:
    """Gaussian blurs of luma and chroma in linear light, their widths chosen with the truth in hand."""
    from scipy.ndimage import gaussian_filter

    mixed = demosaiced @ _TO_LUMA_CHROMA.T.astype(np.float32)
    back = np.linalg.inv(_TO_LUMA_CHROMA).T.astype(np.float32)

    def blurred(width: float, planes: slice) -> npt.NDArray[np.float32]:
        part: npt.NDArray[np.float32] = mixed[..., planes]
        return gaussian_filter(part, (width, width, 0)) if width else part

    def picture(luma: npt.NDArray[np.float32], chroma: npt.NDArray[np.float32]) -> Picture:
        return render(np.concatenate([luma, chroma], axis=-1) @ back)

    def best(options: list[Picture]) -> int:
        return int(np.argmax([psnr(option, truth) for option in options]))

    lumas = [blurred(w, slice(0, 1)) for w in _LUMA_WIDTHS]
    chromas = [blurred(w, slice(1, 3)) for w in _CHROMA_WIDTHS]
    luma, chroma = 3, 5
    for _ in range(2):
        chroma = best([picture(lumas[luma], c) for c in chromas])
        luma = best([picture(v, chromas[chroma]) for v in lumas])
    return picture(lumas[luma], chromas[chroma])


def bm3d(mosaic: Mosaic, noise: NoiseProfile, made: Plan, model: Model) -> Picture:
    """BM3D on each colour plane of the mosaic (`bm3d_counts`), then demosaiced by the model's `plain`."""
    counted = bm3d_counts(mosaic, noise)
    linear = enhance(mosaic.with_changes(data=counted), model, plan_made=made, strength=0)
    return render(white_balanced(linear))


def bm3d_counts(mosaic: Mosaic, noise: NoiseProfile) -> npt.NDArray[np.float32]:
    """A Bayer mosaic denoised: (H, W) in DN. About 90 s a megapixel on two cores.

    BM3D on each colour plane after a variance-stabilising transform: the generalised Anscombe
    transform with the noise told, and its closed-form unbiased inverse (Makitalo and Foi 2013).
    """
    import bm3d as library

    counted = np.empty(mosaic.data.shape, np.float32)
    for place, (colour, plane) in enumerate(mosaic.colour_planes()):
        dy, dx = divmod(place, 2)
        black = float(mosaic.black[dy, dx])
        forward, inverse = anscombe(noise.shot[colour], noise.read[colour])
        stable = forward(plane.astype(np.float64))
        low, high = float(stable.min()), float(stable.max())
        if high > low:
            clean = library.bm3d((stable - low) / (high - low), sigma_psd=1 / (high - low))
            stable = clean * (high - low) + low
        counted[dy::2, dx::2] = inverse(stable) * (mosaic.white - black) + black
    return counted


def anscombe(
    shot: float, read: float
) -> tuple[
    Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
    Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
]:
    """The generalised Anscombe transform for variance = shot x + read, and its unbiased inverse.

    >>> forward, inverse = anscombe(0.001, 1e-6)
    >>> bool(abs(inverse(forward(np.array(0.3))) - 0.3) < 0.001)
    True
    """
    sigma2 = read / shot**2

    def forward(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        stable: npt.NDArray[np.float64] = 2 * np.sqrt(np.maximum(x / shot + 0.375 + sigma2, 0))
        return stable

    def inverse(d: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        d = np.maximum(d, 1.0)
        root = np.sqrt(1.5)
        electrons = d**2 / 4 + root / 4 / d - 11 / 8 / d**2 + 5 * root / 8 / d**3 - 1 / 8 - sigma2
        x: npt.NDArray[np.float64] = electrons * shot
        return x

    return forward, inverse
