"""The files that the worker's test opens, and what Python makes of them.

worker-pictures.py make DIR           beside each DNG lies Python's picture as plain RGB; its size and numbers as JSON
worker-pictures.py compare A.dng B    how far B's light is from that of A enhanced by Python, a stop brighter
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import scotopic
from scotopic.dng.write import write_mosaic
from scotopic.enhance import plan
from scotopic.frame import Linear, Mosaic

SAMPLE = Path(__file__).parent.parent.parent / "examples" / "dark_eagles.dng"


def make(folder: Path) -> dict[str, object]:
    mosaic = scotopic.read(SAMPLE)
    assert isinstance(mosaic, Mosaic)
    cuts = {"small": (slice(360, 680), slice(200, 616), 6), "tiny": (slice(400, 464), slice(300, 364), 1)}
    model = scotopic.Model(device="cpu")
    found: dict[str, object] = {}
    for name, (rows, columns, orientation) in cuts.items():
        cut = mosaic.with_changes(
            data=np.ascontiguousarray(mosaic.data[rows, columns]), orientation=orientation
        )
        path = folder / f"{name}.dng"
        write_mosaic(path, cut)
        read = scotopic.read(path)
        made = plan(read)
        linear = scotopic.enhance(read, model, plan_made=made)
        shown = scotopic.develop(linear).data
        plain = scotopic.develop(
            scotopic.enhance(read, model, plan_made=made, strength=0.0), look="libraw"
        ).data
        (folder / f"{name}.rgb").write_bytes(shown.tobytes())
        (folder / f"{name}.plain.rgb").write_bytes(plain.tobytes())
        found[name] = {
            "path": str(path),
            "rgb": str(folder / f"{name}.rgb"),
            "plain": str(folder / f"{name}.plain.rgb"),
            "width": shown.shape[1],
            "height": shown.shape[0],
            "ratio": made.exposure.ratio,
            "noise": made.noise.profile.source,
        }
    return found


def compare(source: Path, written: Path) -> dict[str, float]:
    enhanced = scotopic.enhance(scotopic.read(source), scotopic.Model(device="cpu"))
    light = enhanced.data * 2
    found = scotopic.read(written)
    assert isinstance(found, Linear)
    assert found.orientation == enhanced.orientation
    off = np.abs(found.data - np.maximum(light, 0)) / np.maximum(light, 1)
    return {"mean": float(off.mean()), "most": float(off.max())}


if __name__ == "__main__":
    verb, *paths = sys.argv[1], *map(Path, sys.argv[2:])
    print(json.dumps({"make": make, "compare": compare}[verb](*paths)))
