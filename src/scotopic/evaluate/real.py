"""Protocols on real pairs, developed: the See-in-the-Dark paper's on its test set, and on your own pairs.

The truth is LibRaw's development of the long frame with the camera's white balance, 16 bit rounded to 8
(`pair_measures.long_picture`). Results are rounded to 8 bit before they are compared, by PSNR over all channels
and by SSIM. Every figure is given with the true ratio and with the automatic one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from scotopic.calibration.apply import Profiles
from scotopic.data.pairs import Camera, Split, find_pairs, find_sid
from scotopic.evaluate.figures import ALL, SID_VARIANTS
from scotopic.evaluate.methods import Chosen, Shot
from scotopic.evaluate.metrics import psnr, ssim
from scotopic.evaluate.pair_measures import (
    AUTOMATIC,
    TRUE,
    Judge,
    Measured,
    Picture,
    check_alike,
    long_picture,
    measure,
    turned_as,
)

WAYS = (TRUE, AUTOMATIC)


def sid(
    root: Path,
    chosen: Chosen,
    *,
    camera: Camera = "Sony",
    split: Split = "test",
    limit: int | None = None,
    ways: Sequence[str] = WAYS,
    with_wipes: bool = False,
    profiles: Profiles | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Measured:
    """The paper's protocol on the dataset below `root`, in every variant that papers use.

    `limit` takes so many pairs (`figures.sample`), `profiles` are as in `plan`. Raises DatasetError for a
    tree that is not the dataset's, and one that names every missing or damaged file, before anything is measured.
    """
    found = [pair for pair in find_sid(root, camera) if pair.split == split]
    whole = (camera, split) == ("Sony", "test")
    facts = {
        "protocol": "sid",
        "data": str(root),
        "camera": camera,
        "split": split,
        "whole_test_set": whole,
    }
    variants = SID_VARIANTS if whole else (ALL,)
    return measure(
        facts,
        found,
        chosen,
        _judge(ways),
        variants,
        limit=limit,
        with_wipes=with_wipes,
        profiles=profiles,
        progress=progress,
    )


def own(
    folder: Path,
    chosen: Chosen,
    *,
    split: Split | None = None,
    limit: int | None = None,
    ways: Sequence[str] = WAYS,
    with_wipes: bool = False,
    profiles: Profiles | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Measured:
    """The protocol of `sid` on your own pairs (`pairs.find_pairs`); `split` None for all of them. Errors as `sid`."""
    found = [pair for pair in find_pairs(folder) if split in (None, pair.split)]
    facts = {"protocol": "pairs", "data": str(folder), "split": split or "all"}
    return measure(
        facts,
        found,
        chosen,
        _judge(ways),
        (ALL,),
        limit=limit,
        with_wipes=with_wipes,
        profiles=profiles,
        progress=progress,
    )


def _judge(ways: Sequence[str]) -> Judge[Picture]:
    def compare(shot: Shot, made: npt.NDArray[Any], truth: Picture) -> dict[str, tuple[float, float]]:
        standing = turned_as(shot, truth)
        check_alike(shot.pair, made.shape, standing.shape)
        return {shot.way: (psnr(made, standing), ssim(made, standing))}

    in_order = tuple(way for way in WAYS if way in ways)
    return Judge(long_picture, compare, in_order, in_order)
