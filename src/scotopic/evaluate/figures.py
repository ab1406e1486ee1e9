"""Figures of many pairs put together: variants of the test set, means and medians, each ratio apart."""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from scotopic.data.pairs import Pair
from scotopic.errors import DatasetError

RATIOS_APART_MAX = 6
"""With more different ratios than this, pairs are grouped by the nearest power of two."""


@dataclass(frozen=True)
class Variant:
    """A choice of pairs that figures are given for; `full` is its size in the whole dataset."""

    name: str
    holds: Callable[[Pair], bool]
    full: int | None = None


ALL = Variant("all", lambda pair: True)

SID_VARIANTS = (
    Variant("all", lambda pair: True, 598),
    Variant("without misaligned", lambda pair: not pair.misaligned, 562),
    Variant("frame 00", lambda pair: pair.frame == "00", 93),
    Variant("frame 00, without misaligned", lambda pair: pair.frame == "00" and not pair.misaligned, 88),
)
"""Parts of the See-in-the-Dark test set, Sony, with their numbers of pairs: what different papers call "the test
set"."""


@dataclass
class Tally:
    """The figures of each way and method, one of each pair, in the order of `pairs`.

    A method that has none for a pair has None there.
    """

    pairs: Sequence[Pair]
    ways: tuple[str, ...]
    left_out: dict[str, str]
    figures: dict[str, dict[str, dict[str, list[float | None]]]] = field(default_factory=dict)
    seconds_per_mp: dict[str, list[float]] = field(default_factory=dict)
    automatic_ratios: list[float] = field(default_factory=list)

    def add(self, way: str, method: str, index: int, psnr: float, ssim: float) -> None:
        """Note the figures of a pair."""
        of_method = self.figures.setdefault(way, {}).setdefault(
            method, {name: [None] * len(self.pairs) for name in ("psnr", "ssim")}
        )
        of_method["psnr"][index], of_method["ssim"][index] = psnr, ssim

    def cost(self) -> dict[str, float]:
        """The median seconds a megapixel of each method."""
        return {name: statistics.median(values) for name, values in self.seconds_per_mp.items()}


def sample(pairs: Sequence[Pair], limit: int | None) -> list[Pair]:
    """At most `limit` pairs, in the order in which long frames come once each.

    A fixed shuffle by name, the same every time: taking each n-th would fall in step with the order of
    ratios. A larger limit holds what a smaller one held.
    """
    shuffled = sorted(pairs, key=lambda pair: zlib.crc32(pair.short.name.encode(errors="replace")))
    return sorted(shuffled[:limit], key=lambda pair: (str(pair.long), str(pair.short)))


def ratio_labels(pairs: Sequence[Pair]) -> list[str]:
    """The group of each pair: x100, or about x128 where there are too many ratios for that.

    >>> from pathlib import Path
    >>> ratio_labels([Pair(Path("a"), Path("b"), 100.2, "a", "test")])
    ['x100']
    """
    exact = [f"x{pair.ratio:.0f}" for pair in pairs]
    if len(set(exact)) <= RATIOS_APART_MAX:
        return exact
    return [f"about x{2 ** round(math.log2(pair.ratio))}" for pair in pairs]


def summary(tally: Tally, variants: Sequence[Variant]) -> list[dict[str, Any]]:
    """A row for each way, method, variant and ratio ("all" and each): pairs, means and medians.

    `measured` is the number of pairs that the method has figures for.
    """
    labels = ratio_labels(tally.pairs)
    rows = []
    for way, methods in tally.figures.items():
        for method, values in methods.items():
            for variant in variants:
                for ratio in ("all", *sorted_labels(labels)):
                    inside = [
                        i
                        for i, pair in enumerate(tally.pairs)
                        if variant.holds(pair) and ratio in ("all", labels[i])
                    ]
                    rows.append(
                        {
                            "way": way,
                            "method": method,
                            "variant": variant.name,
                            "ratio": ratio,
                            "pairs": len(inside),
                            **_of(values, inside),
                        }
                    )
    return rows


def sorted_labels(labels: Iterable[str]) -> list[str]:
    """Labels of ratios without repetition, by ratio."""
    return sorted(set(labels), key=lambda words: int(words.rpartition("x")[2]))


def counted(tally: Tally, variants: Sequence[Variant], whole: bool) -> list[dict[str, Any]]:
    """How many pairs each variant has here, and in the full dataset where `whole` is the split asked for."""
    return [
        {
            "name": variant.name,
            "pairs": sum(map(variant.holds, tally.pairs)),
            "in_full_dataset": variant.full if whole else None,
        }
        for variant in variants
    ]


def check_any(pairs: Sequence[Pair], words: str) -> None:
    """Raise DatasetError where there is nothing to measure on."""
    if not pairs:
        raise DatasetError(f"{words}: nothing to measure on; choose another split or folder")


def _of(values: dict[str, list[float | None]], inside: list[int]) -> dict[str, Any]:
    row: dict[str, Any] = {"measured": sum(values["psnr"][i] is not None for i in inside)}
    for name in ("psnr", "ssim"):
        there = [value for i in inside if (value := values[name][i]) is not None]
        row[f"{name}_mean"] = statistics.fmean(there) if there else None
        row[f"{name}_median"] = statistics.median(there) if there else None
    return row
