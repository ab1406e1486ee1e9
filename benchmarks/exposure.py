"""How far the automatic amplification is off, in stops, on photos and on HDR scenes, and what a lamp does to it.

    python benchmarks/exposure.py [--photos DIR] [--hdr DIR] [-o exposure.json]

Every picture is taken by a simulated Sony A7S II at x100 ISO 250, x250 ISO 8000 and x300 ISO 320; the right
answer is the ratio it was darkened by, the exposure that its maker chose: display white is at 255 in a photo, at
1.0 in an EXR file. The photos are those that come with scotopic unless a folder is named; HDR scenes (panoramas
and others, unclipped) come with a folder alone. `lamp` is how far the answer moves when a disc of 1% of the picture,
30 times above display white, is put into it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from results import print_result

from scotopic import exposure
from scotopic.colour import CAMERA_MATRICES, camera_to_srgb
from scotopic.evaluate.conditions import LAMP_LIGHT
from scotopic.evaluate.scenes import CAMERA, WB, load_all
from scotopic.sensor.simulated import expose, sony_a7s2

SETTINGS = ((100.0, 250.0), (250.0, 8000.0), (300.0, 320.0))
LAMP_SHARE = 0.01

Light = npt.NDArray[np.float64]


def hdr_scenes(folder: Path) -> Iterator[tuple[str, Light]]:
    """The EXR files of a folder as light of the camera (H, W, 3), even sides."""
    import OpenEXR

    to_camera = np.linalg.inv(camera_to_srgb(CAMERA_MATRICES[CAMERA]))
    for path in sorted(folder.rglob("*.exr")):
        with OpenEXR.File(str(path)) as file:
            channels = file.channels()
            pixels = channels["RGBA" if "RGBA" in channels else "RGB"].pixels[..., :3]
        light = np.maximum(np.nan_to_num(np.asarray(pixels, np.float64)) @ to_camera.T, 0)
        height, width = (n & ~1 for n in light.shape[:2])
        yield path.stem, light[:height, :width]


def with_lamp(light: Light) -> Light:
    """The same with a disc of LAMP_SHARE of the picture at a third of its height and width."""
    height, width = light.shape[:2]
    y, x = np.mgrid[:height, :width]
    inside = (y - height / 3) ** 2 + (x - width / 3) ** 2 < LAMP_SHARE * height * width / np.pi
    lit = light.copy()
    lit[inside] = LAMP_LIGHT
    return lit


def stops_off(light: Light, ratio: float, iso: float, seed: int) -> float:
    rng = np.random.default_rng(seed)
    mosaic = expose(light, sony_a7s2(iso), ratio, rng, wb=WB)
    return float(np.log2(exposure.automatic_ratio(mosaic) / ratio))


def measured(pictures: list[tuple[str, Light]]) -> dict[str, Any]:
    found: dict[str, Any] = {"pictures": [name for name, _ in pictures]}
    for ratio, iso in SETTINGS:
        off = [stops_off(light, ratio, iso, i) for i, (_, light) in enumerate(pictures)]
        lit = [stops_off(with_lamp(light), ratio, iso, i) for i, (_, light) in enumerate(pictures)]
        moved = [abs(b - a) for a, b in zip(off, lit, strict=True)]
        found[f"x{ratio:g} ISO {iso:g}"] = {
            "median_absolute": round(statistics.median(map(abs, off)), 3),
            "ninth_decile_absolute": round(float(np.quantile(np.abs(off), 0.9)), 3),
            "median": round(statistics.median(off), 3),
            "lamp_median": round(statistics.median(moved), 3),
            "lamp_most": round(max(moved), 3),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="a folder of photos in place of scotopic's own")
    parser.add_argument("--hdr", type=Path, help="a folder of EXR scenes")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {"benchmark": "exposure"}
    result["photos"] = measured([(s.name, s.camera) for s in load_all(options.photos)])
    if options.hdr:
        result["hdr"] = measured(list(hdr_scenes(options.hdr)))
    print_result(result, options.output)


if __name__ == "__main__":
    main()
