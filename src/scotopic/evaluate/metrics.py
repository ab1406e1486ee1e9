"""Figures of merit between two pictures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

PSNR_MAX = 150.0
"""PSNR in dB that equal pictures are given: JSON knows no infinity."""

Values = npt.NDArray[np.uint8] | npt.NDArray[np.floating]


def psnr(picture: Values, truth: Values, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB of two pictures (H, W, C), over all channels at once.

    `peak` is the largest value there can be. Equal pictures give PSNR_MAX.

    >>> flat = np.zeros((4, 4, 3), np.uint8)
    >>> round(psnr(flat + np.uint8(1), flat), 2)
    48.13
    """
    # A square of a float32 difference is exact enough; their sum is not.
    difference = picture.astype(np.float32) - truth.astype(np.float32)
    error = float(np.mean(np.square(difference), dtype=np.float64)) / peak**2
    return float(min(-10 * np.log10(error), PSNR_MAX)) if error else PSNR_MAX


def ssim(picture: Values, truth: Values, peak: float = 255.0) -> float:
    """Structural similarity (Wang et al. 2004: Gaussian window, sigma 1.5), mean over channels.

    Both pictures (H, W, C), `peak` the largest value there can be.
    """
    from skimage.metrics import structural_similarity

    def of_channel(channel: int) -> float:
        value = structural_similarity(  # type: ignore[no-untyped-call]
            truth[..., channel].astype(np.float32),
            picture[..., channel].astype(np.float32),
            data_range=peak,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        return float(value)

    with ThreadPoolExecutor() as threads:
        return float(np.mean(list(threads.map(of_channel, range(truth.shape[2])))))


def brightness_corrected(
    plane: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]
) -> npt.NDArray[np.floating]:
    """`plane` times the one factor that brings it closest to `truth` where that is not saturated.

    Both of one shape, 0..1; the result is clipped to that too. From ELD's protocol (Wei et al. 2020).
    """
    fits = truth < 1
    ours, theirs = plane[fits].astype(np.float64), truth[fits].astype(np.float64)
    energy = float(ours @ ours)
    factor = float(ours @ theirs) / energy if energy else 1.0
    corrected: npt.NDArray[np.floating] = np.clip(plane * np.float32(factor), 0, 1)
    return corrected


def bias_by_decile(picture: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]) -> list[float]:
    """Mean linear error, relative to the truth's mean, in each tenth of the truth's brightness.

    Both (H, W, 3), linear. A loss in an encoded domain shows its bias here, in the first tenths.
    """
    light = truth.mean(axis=2).ravel()
    error = (picture - truth).mean(axis=2).ravel()
    order = np.argsort(light)
    return [float(error[part].mean() / max(light[part].mean(), 1e-6)) for part in np.array_split(order, 10)]


def grid(picture: npt.NDArray[np.uint8], period: int = 4) -> float:
    """How much stronger steps are at every `period`-th row and column than between them; 1 for no grid.

    A network that works at a part of the resolution may join its cells badly, which PSNR does not see. Of the
    mean of the three colours of (H, W, 3), both ways, the strongest of the phases.
    """
    light = picture.astype(np.float64).mean(axis=2)
    worst = []
    for axis in (0, 1):
        steps = np.abs(np.diff(light, axis=axis)).mean(axis=1 - axis)
        phases = np.array([steps[phase::period].mean() for phase in range(period)])
        rest = (phases.sum() - phases) / (period - 1)
        worst.append(float((phases / np.maximum(rest, 1e-6)).max()))
    return max(worst)


def pattern(picture: npt.NDArray[np.uint8], period: int = 4) -> float:
    """How much a pattern of `period` pixels or a whole part of it stands out of the spectrum; about 1 for none.

    `grid` does not see one whose steps lie inside the squares, such as a fine checkerboard. Of (H, W, 3): the
    amplitude at each frequency of such a pattern over that of its neighbours, the strongest.
    """
    side = CYCLES * period
    window = np.hanning(side)[:, None, None] * np.hanning(side)[None, :, None]
    power = np.zeros((side, side))
    for top in range(0, picture.shape[0] - side + 1, side):
        for left in range(0, picture.shape[1] - side + 1, side):
            tile = picture[top : top + side, left : left + side].astype(np.float64)
            spectrum = np.fft.fft2((tile - tile.mean(axis=(0, 1))) * window, axes=(0, 1))
            power += np.square(np.abs(spectrum)).sum(axis=2)
    amplitude = np.sqrt(power)
    strongest = 0.0
    for y in range(0, side, CYCLES):
        for x in range(0, side, CYCLES):
            # Along the axes straight edges of the scene stand out, which are no pattern.
            if y and x:
                around = [
                    amplitude[(y + dy) % side, (x + dx) % side]
                    for dy in (-3, 0, 3)
                    for dx in (-3, 0, 3)
                    if dy or dx
                ]
                strongest = max(strongest, float(amplitude[y, x] / max(float(np.median(around)), 1e-6)))
    return strongest


CYCLES = 16
"""Repeats of a pattern in the tiles whose spectrum is taken."""
