"""Which pairs of a cache are odd: each is looked at once, and the index keeps what was seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scotopic.data.pairs import Pair
from scotopic.data.pairs_check import Glance, glance, glance_truth, odd_frames

LOOKED = 2
"""Number of the checks, raised when they see more: pairs are looked at again."""

KEPT_EVERY = 20
"""Pairs after which what was seen is written to the index: some seconds of work where frames are large."""


def compare(
    folder: Path,
    pairs: Sequence[Pair],
    keys: Sequence[tuple[str, str]],
    index: dict[str, dict[str, Any]],
    report: Callable[[str], None],
    keep: Callable[[], None],
) -> None:
    """Put into the index, beside each short frame, what is odd about it and its long one.

    `keys` are the names of both arrays of each pair in `folder` and in the index, which `keep` writes: as it
    goes, where anything is new. A verdict holds for these arrays and this ratio.
    """

    def of(pair: Pair, long: str) -> dict[str, Any]:
        return {"sha256": index[long]["sha256"], "ratio": pair.ratio, "looked": LOOKED}

    new = [
        (pair, short, long)
        for pair, (short, long) in zip(pairs, keys, strict=True)
        if of(pair, long) != {k: v for k, v in _verdict(index[short], long).items() if k != "odd"}
    ]
    if not new:
        return
    report(f"comparing the frames of {len(new)} pairs")
    bright: tuple[str, Glance] | None = None
    for done, (pair, short, long) in enumerate(sorted(new, key=lambda each: (each[2], each[1])), 1):
        facts = index[short]["facts"]
        black, white = float(np.mean(facts["black"])), facts["white"]
        if bright is None or bright[0] != long:
            full = (facts["saturation"] - black) / (white - black)
            truth = np.load(folder / long, mmap_mode="r", allow_pickle=False)
            bright = (long, glance_truth(truth, facts["cell"], full, is_light=long.endswith("-linear.npy")))
        mosaic = np.load(folder / short, mmap_mode="r", allow_pickle=False)
        dark = glance(mosaic, facts["cell"], black, white, facts["saturation"])
        index[short].setdefault("beside", {})[long] = of(pair, long) | {
            "odd": odd_frames(pair, dark, bright[1])
        }
        if done % KEPT_EVERY == 0 or done == len(new):
            keep()


def _verdict(record: dict[str, Any], long: str) -> dict[str, Any]:
    found: dict[str, Any] = record.get("beside", {}).get(long, {})
    return found
