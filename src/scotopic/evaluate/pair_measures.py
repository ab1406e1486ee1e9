"""The course of every evaluation on pairs: each long frame decoded once, every method on every short one."""

from __future__ import annotations

import importlib.metadata
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from scotopic.calibration.apply import Profiles, identity
from scotopic.data.pairs import Pair, check
from scotopic.data.pairs_check import Glance, glance_at, odd_frames, odd_times
from scotopic.develop import upright
from scotopic.enhance import plan
from scotopic.errors import DatasetError, ScotopicError
from scotopic.evaluate.figures import Tally, Variant, check_any, counted, ratio_labels, sample, summary
from scotopic.evaluate.methods import Chosen, Method, Shot, traditional_picture
from scotopic.frame import Mosaic
from scotopic.read import read_mosaic
from scotopic.traditional import truth_of
from scotopic.version import __version__

Picture = npt.NDArray[np.uint8]
Truth = TypeVar("Truth")

TRUE, AUTOMATIC = "true ratio", "automatic ratio"

PAGE_SIZE = (560, 840)
"""Height and width of the pictures in a page, at most: nine of them stay below 3 MB."""

SHRINK_MAX = 2
"""Factor by which pictures are shrunk for the page, at most: what is left of noise and detail must be seen."""

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Judge(Generic[Truth]):
    """What a protocol compares.

    `truth` decodes a long frame, `compare` gives PSNR and SSIM for each way from what a method made;
    `amplifications` are the ways to choose the ratio, each of which makes a shot.
    """

    truth: Callable[[Path], Truth]
    compare: Callable[[Shot, npt.NDArray[Any], Truth], dict[str, tuple[float, float]]]
    amplifications: tuple[str, ...]
    ways: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Wipe:
    """One pair shown: `pictures` are labels and (H, W, 3) 8-bit pictures of one size."""

    which: str
    pair: str
    psnr: float
    ratio: float
    pictures: tuple[tuple[str, Picture], ...]


@dataclass(frozen=True, eq=False)
class Measured:
    """All figures as plain values for JSON, and pictures of the best, the median and the worst pair."""

    result: dict[str, Any]
    wipes: list[Wipe]


def measure(
    facts: dict[str, Any],
    found: Sequence[Pair],
    chosen: Chosen,
    judge: Judge[Truth],
    variants: Sequence[Variant],
    *,
    limit: int | None,
    with_wipes: bool,
    profiles: Profiles | None = None,
    progress: Progress,
) -> Measured:
    """Every method on every pair. One truth and one shot are in memory at a time.

    `facts` open the result; `profiles` are as in `plan`. Raises DatasetError that names missing and damaged files
    before anything is measured.
    """
    check_any(found, str(facts["data"]))
    pairs = sample(found, limit)
    files = [path for pair in pairs for path in (pair.short, pair.long)]
    progress(f"checking {len(set(files))} files")
    check(files)
    tally = Tally(pairs, judge.ways, dict(chosen.left_out))
    methods = list(chosen.methods)
    decoded: tuple[Path, Truth] | None = None
    odd: list[list[str]] = []
    plans: list[dict[str, Any]] = []
    for index, pair in enumerate(pairs):
        progress(f"{index + 1}/{len(pairs)} {pair.name}")
        if decoded is None or decoded[0] != pair.long:
            decoded = None  # frees the last one before the next is decoded
            decoded = (pair.long, judge.truth(pair.long))
            long = read_mosaic(pair.long)
            bright, long_s = glance_at(long), long.exposure_s
            del long
        shots = take(pair, judge.amplifications, profiles)
        tally.automatic_ratios.append(shots[0].made.amplified(shots[0].mosaic).exposure.ratio)
        odd.append(_odd(pair, shots[0].mosaic, bright, long_s))
        served, warning = shots[0].made.profile, shots[0].made.noise.warning
        plans.append({"profile": served and identity(served), "warning": warning})
        if profiles is not None and profiles.asked and served is None:
            progress(f"note: {pair.name}: {warning}")
        for words in odd[-1]:
            progress(f"note: {pair.name}: {words}")
        for shot in shots:
            for method in list(methods):
                made = _attempt(method, shot, tally)
                if made is None:
                    methods.remove(method)
                    continue
                for way, (psnr, ssim) in judge.compare(shot, made, decoded[1]).items():
                    tally.add(way, method.name, index, psnr, ssim)
    stops_off = [float(np.log2(r / p.ratio)) for r, p in zip(tally.automatic_ratios, pairs, strict=True)]
    result = {
        **facts,
        "version": __version__,
        "rawpy": importlib.metadata.version("rawpy"),
        "models": chosen.models,
        "featured": chosen.featured,
        "left_out": tally.left_out,
        "pairs_found": len(found),
        "ways": [way for way in judge.ways if way in tally.figures],
        "variants": counted(tally, variants, bool(facts.get("whole_test_set"))),
        "summary": summary(tally, variants),
        "seconds_per_megapixel": tally.cost(),
        "automatic_ratio_stops_off": {
            "median": statistics.median(stops_off),
            "median_absolute": statistics.median(map(abs, stops_off)),
        },
        "pairs": [
            {
                "name": pair.name,
                "scene": pair.scene,
                "ratio": pair.ratio,
                "ratio_group": group,
                "automatic_ratio": automatic,
                "misaligned": pair.misaligned,
                "odd": words,
                **planned,
            }
            for pair, group, automatic, words, planned in zip(
                pairs, ratio_labels(pairs), tally.automatic_ratios, odd, plans, strict=True
            )
        ],
        "figures": tally.figures,
    }
    wipes = _wipes(tally, chosen, judge.amplifications[0], profiles, progress) if with_wipes else []
    return Measured(result, wipes)


def _odd(pair: Pair, short: Mosaic, bright: Glance, long_s: float | None) -> list[str]:
    """What is odd about a pair, in words; of scenes known not to lie over each other the result says so anyway."""
    frames = [] if pair.misaligned else odd_frames(pair, glance_at(short), bright)
    return [*frames, *odd_times(pair, short.exposure_s, long_s)]


def take(
    pair: Pair, amplifications: Sequence[str] = (TRUE,), profiles: Profiles | None = None
) -> list[Shot]:
    """The short frame, read and judged once, with each of the amplifications asked for."""
    start = time.perf_counter()
    mosaic = read_mosaic(pair.short)
    made = plan(mosaic, ratio=pair.ratio, profiles=profiles)
    prepared_s = time.perf_counter() - start
    return [
        Shot(pair, mosaic, made if way == TRUE else made.amplified(mosaic), way, prepared_s)
        for way in amplifications
    ]


def long_picture(path: Path) -> Picture:
    """The paper's ground truth: LibRaw's development of the long frame, 16 bit, then rounded to 8 bit.

    (H, W, 3), in the sensor's place: it is turned as the short frame is (`turned_as`), since a camera on
    a tripod that looks down may note either.
    """
    return to_8_bit(truth_of(path, "srgb"))


def turned_as(shot: Shot, picture: Picture) -> Picture:
    """A picture in the sensor's place turned upright by the short frame's orientation."""
    # LibRaw has made its pixels square already.
    capture = shot.mosaic.with_changes(pixel_aspect=1.0)
    return np.asarray(upright(picture, capture).data, np.uint8)


def to_8_bit(picture: npt.NDArray[np.uint16]) -> Picture:
    """16-bit values rounded to 8 bit.

    >>> to_8_bit(np.array([0, 128, 129, 65535], np.uint16)).tolist()
    [0, 0, 1, 255]
    """
    rounded: Picture = ((picture.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return rounded


def check_alike(pair: Pair, short: tuple[int, ...], long: tuple[int, ...]) -> None:
    """Raise DatasetError where the short and the long picture cannot be laid over each other."""
    if short != long:
        raise DatasetError(
            f"{pair.short}: gives a picture of {short[1]}x{short[0]}, {pair.long.name} one of "
            f"{long[1]}x{long[0]}: both must come from one camera in one position"
        )


def _attempt(method: Method, shot: Shot, tally: Tally) -> npt.NDArray[Any] | None:
    """What the method makes, its time noted; None where an optional one fails, which is noted too."""
    start = time.perf_counter()
    try:
        made = method.run(shot)
    except Exception as error:
        # What another program or library throws must not cost the figures measured so far.
        if not method.optional:
            raise
        words = str(error) if isinstance(error, ScotopicError) else f"{type(error).__name__}: {error}"
        tally.left_out[method.name] = f"failed on {shot.pair.name}: {words}"
        return None
    seconds = time.perf_counter() - start + (0 if method.from_file else shot.prepared_s)
    megapixels = shot.mosaic.data.size / 1e6
    tally.seconds_per_mp.setdefault(method.name, []).append(seconds / megapixels)
    return made


def _wipes(
    tally: Tally, chosen: Chosen, amplification: str, profiles: Profiles | None, progress: Progress
) -> list[Wipe]:
    """The featured method's best, median and worst pair, by the first way; fewer if pairs are.

    `amplification` is the first way's.
    """
    values = tally.figures.get(tally.ways[0], {}).get(chosen.featured, {}).get("psnr", [])
    by_quality = sorted(
        ((value, index) for index, value in enumerate(values) if value is not None), reverse=True
    )
    if not by_quality:
        return []
    last = len(by_quality) - 1
    wipes: dict[int, Wipe] = {}
    for which, place in (("best", 0), ("worst", last), ("median", last // 2)):
        value, index = by_quality[place]
        pair = tally.pairs[index]
        if index in wipes:
            continue
        progress(f"showing the {which}: {pair.name}")
        (shot,) = take(pair, (amplification,), profiles)
        pictures = (
            (f"LibRaw, brightened x{shot.ratio:.3g}", traditional_picture(shot)),
            (chosen.featured, chosen.show(shot)),
            ("long exposure", turned_as(shot, long_picture(pair.long))),
        )
        shown = tuple((words, for_page(picture)) for words, picture in pictures)
        wipes[index] = Wipe(which, pair.name, value, shot.ratio, shown)
    return sorted(wipes.values(), key=lambda wipe: ("best", "median", "worst").index(wipe.which))


def for_page(picture: Picture) -> Picture:
    """Small enough for a page: shrunk by whole steps, at most SHRINK_MAX, then the middle of it."""
    height, width = picture.shape[:2]
    step = max(1, min(SHRINK_MAX, height // PAGE_SIZE[0], width // PAGE_SIZE[1]))
    small = np.asarray(Image.fromarray(picture).reduce(step)) if step > 1 else picture
    top, left = (max(0, (n - most) // 2) for n, most in zip(small.shape, PAGE_SIZE, strict=False))
    cut = small[top : top + PAGE_SIZE[0], left : left + PAGE_SIZE[1]]
    return np.ascontiguousarray(cut)
