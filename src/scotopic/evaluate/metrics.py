"""Figures of merit between two pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def psnr(picture: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB of two 8-bit pictures (H, W, 3), over all channels at once.

    >>> flat = np.zeros((4, 4, 3), np.uint8)
    >>> round(psnr(flat + np.uint8(1), flat), 2)
    48.13
    """
    error = np.mean(np.square(picture.astype(np.float64) - truth.astype(np.float64)))
    return float(10 * np.log10(255**2 / max(float(error), 1e-10)))


def ssim(picture: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> float:
    """Structural similarity (Wang et al. 2004: Gaussian window, sigma 1.5), mean over channels."""
    from skimage.metrics import structural_similarity

    value = structural_similarity(  # type: ignore[no-untyped-call]
        truth,
        picture,
        channel_axis=2,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)


def bias_by_decile(picture: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]) -> list[float]:
    """Mean linear error, relative to the truth's mean, in each tenth of the truth's brightness.

    Both (H, W, 3), linear. A loss in an encoded domain shows its bias here, in the first tenths.
    """
    light = truth.mean(axis=2).ravel()
    error = (picture - truth).mean(axis=2).ravel()
    order = np.argsort(light)
    return [float(error[part].mean() / max(light[part].mean(), 1e-6)) for part in np.array_split(order, 10)]
