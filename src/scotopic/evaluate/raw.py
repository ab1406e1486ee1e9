"""The raw protocol of ELD (Wei et al., CVPR 2020): mosaics are compared, before white balance and colour.

The long frame's mosaic and the result, both as shares of the sensor's range above black, clipped to 0..1
and packed to four channels of half the size, are compared by PSNR and SSIM with peak 1. A model's result,
linear camera RGB, is mosaiced back: of each pixel the colour is taken that the sensor has there. Since light
sources drift between two exposures, each figure is also given after one factor for the whole picture, the
best over what is not saturated (`metrics.brightness_corrected`). The ratio is always the true one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.calibration.apply import Profiles
from scotopic.data.pairs import Camera, Split, find_pairs, find_sid, is_sid
from scotopic.errors import DatasetError
from scotopic.evaluate.figures import ALL, SID_VARIANTS
from scotopic.evaluate.methods import Chosen, Shot, in_range
from scotopic.evaluate.metrics import brightness_corrected, psnr, ssim
from scotopic.evaluate.pair_measures import TRUE, Judge, Measured, check_alike, measure
from scotopic.read import read_mosaic

AS_IT_IS, CORRECTED = "as it is", "brightness corrected"


@dataclass(frozen=True, eq=False)
class LongMosaic:
    """`light` (H, W) in 0..1 above black, and the colours of its cell."""

    light: npt.NDArray[np.float32]
    cfa: tuple[tuple[int, ...], ...]


def eld(
    root: Path,
    chosen: Chosen,
    *,
    camera: Camera = "Sony",
    split: Split | None = None,
    limit: int | None = None,
    with_wipes: bool = False,
    profiles: Profiles | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Measured:
    """ELD's protocol on the See-in-the-Dark dataset or on your own pairs, whichever `root` holds.

    `chosen` is of `methods.for_mosaics`. `split` None for the dataset's test set, or for all of your own
    pairs; `profiles` as in `plan`. Raises DatasetError for folders that hold neither, and as `real.sid`.
    """
    of_sid = is_sid(root, camera)
    wanted = split or ("test" if of_sid else None)
    pairs = find_sid(root, camera) if of_sid else find_pairs(root)
    whole = of_sid and (camera, wanted) == ("Sony", "test")
    facts: dict[str, Any] = {
        "protocol": "raw",
        "data": str(root),
        "camera": camera if of_sid else None,
        "split": wanted or "all",
        "whole_test_set": whole,
    }
    return measure(
        facts,
        [pair for pair in pairs if wanted in (None, pair.split)],
        chosen,
        Judge(_long_mosaic, _compare, (TRUE,), (AS_IT_IS, CORRECTED)),
        SID_VARIANTS if whole else (ALL,),
        limit=limit,
        with_wipes=with_wipes,
        profiles=profiles,
        progress=progress,
    )


def packed(plane: npt.NDArray[np.float32], size: int = 2) -> npt.NDArray[np.float32]:
    """A mosaic (H, W) with a channel for each place of its cell: (H / size, W / size, size * size).

    >>> packed(np.arange(4, dtype=np.float32).reshape(2, 2)).tolist()
    [[[0.0, 1.0, 2.0, 3.0]]]
    """
    height, width = (n - n % size for n in plane.shape)
    places = [plane[dy:height:size, dx:width:size] for dy in range(size) for dx in range(size)]
    return np.stack(places, axis=-1)


def _long_mosaic(path: Path) -> LongMosaic:
    mosaic = read_mosaic(path)
    return LongMosaic(in_range(mosaic), mosaic.cfa)


def _compare(shot: Shot, made: npt.NDArray[Any], truth: LongMosaic) -> dict[str, tuple[float, float]]:
    check_alike(shot.pair, made.shape, truth.light.shape)
    if shot.mosaic.cfa != truth.cfa:
        raise DatasetError(
            f"{shot.pair.short}: its colour pattern is {shot.mosaic.cfa}, that of {shot.pair.long.name} is "
            f"{truth.cfa}: both must come from one camera, uncropped"
        )
    size = len(truth.cfa)
    ours, theirs = packed(made, size), packed(truth.light, size)
    corrected = brightness_corrected(ours, theirs)
    return {
        AS_IT_IS: (psnr(ours, theirs, 1.0), ssim(ours, theirs, 1.0)),
        CORRECTED: (psnr(corrected, theirs, 1.0), ssim(corrected, theirs, 1.0)),
    }
