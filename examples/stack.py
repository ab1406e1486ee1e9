"""Average RAW frames of one exposure, from a tripod, and enhance the mean.

    python examples/stack.py OUT.jpg FRAME FRAME ... [--ratio R] [--overwrite]

OUT ends in .jpg, .png, .tiff, .avif, .jxl or .dng; .jpeg, .tif and capitals will do. Frames are averaged pixel by
pixel as the sensor counted them, before the network: what it has smoothed away in each frame is in no mean of its
results. Nothing is aligned.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import scotopic
from scotopic.asked import kind_named
from scotopic.disk.folders import check_folder_of
from scotopic.formats.table import FACTS
from scotopic.noise import from_table

ALIKE = ("make", "model", "iso", "exposure_s", "orientation", "cfa", "white")


def averaged(frames: Iterable[scotopic.Mosaic]) -> tuple[scotopic.Mosaic, int]:
    """The mean of frames of one camera and exposure, in float32 DN, and of how many. Raises ValueError for others."""
    first: scotopic.Mosaic | None = None
    total, black, count = np.zeros(1), np.zeros(1), 0
    saturation = np.inf
    for frame in frames:
        if first is None:
            first = frame
        for name in ALIKE:
            if getattr(frame, name) != getattr(first, name):
                raise ValueError(
                    f"frames differ in {name}: {getattr(first, name)} and {getattr(frame, name)}"
                )
        if frame.data.shape != first.data.shape:
            raise ValueError(f"frames differ in size: {first.data.shape} and {frame.data.shape}")
        total, black, count = total + frame.data, black + frame.black, count + 1
        saturation = min(saturation, frame.saturation)
    if first is None:
        raise ValueError("no frames are given")
    stated = first.noise or from_table(first)
    if stated is not None:
        # A mean of N independent values has an Nth of their variance, both of its parts. Where patterns that repeat
        # make it more, the picture contradicts it and is measured, as one of which nothing is stated.
        shot, read = (tuple(v / count for v in part) for part in (stated.shot, stated.read))
        stated = scotopic.NoiseProfile(shot, read, f"{stated.source}, of the mean of {count}")
    mean = (total / count).astype(np.float32)
    changes = {"data": mean, "black": black / count, "saturation": saturation, "noise": stated}
    return first.with_changes(**changes), count


def main() -> None:
    """As the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("frames", nargs="+")
    parser.add_argument(
        "--ratio", type=float, help="how much to amplify; judged from the mean if not given"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")
    words = parser.parse_args()
    try:
        stack(words.out, words.frames, words.ratio, words.overwrite)
    except (ValueError, scotopic.ScotopicError) as error:
        parser.error(str(error))


def stack(out: str, paths: list[str], ratio: float | None, overwrite: bool = False) -> None:
    """Average the frames, enhance the mean and write it.

    Raises ValueError or SettingsError, at once, for a place that cannot be it.
    """
    kind = kind_named(Path(out).suffix.removeprefix("."))
    if kind not in FACTS:
        raise ValueError(f"{out}: give a name that ends in {', '.join(f'.{each}' for each in FACTS)}")
    if Path(out).exists() and not overwrite:
        raise ValueError(f"{out}: exists and is kept; give --overwrite to replace it")
    check_folder_of(Path(out))
    mosaic, count = averaged(map(scotopic.read_mosaic, paths))
    plan = scotopic.plan(mosaic, ratio=ratio)
    frames = "1 frame" if count == 1 else f"{count} frames"
    noise = plan.noise
    print(f"{frames}, x{plan.exposure.ratio:.3g}, noise: {noise.profile.source} {noise.warning}".rstrip())
    model = scotopic.Models().open(scotopic.sensor_of(mosaic))
    light = scotopic.enhance(mosaic, model, plan_made=plan)
    if kind == "dng":
        scotopic.write_linear(out, light, scotopic.develop(light), white="sensor", overwrite=overwrite)
    else:
        picture = scotopic.develop(light, bits=FACTS[kind].depths[0])
        scotopic.write(out, picture, kind, overwrite=overwrite)


if __name__ == "__main__":
    main()
