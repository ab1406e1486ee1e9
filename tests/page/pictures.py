"""The files that the tests of the page pick, and what Python makes of them. Called by page.test.mjs:

pictures.py make DIR            writes the files, prints their names as JSON
pictures.py compare A.png B     prints how far two pictures are apart, of 255, as JSON
pictures.py describe A.jpg      prints size, colours and EXIF of a JPEG as JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import exifread
import numpy as np
from PIL import Image

import scotopic
from scotopic.dng.write import write_linear, write_mosaic
from scotopic.evaluate.conditions import with_lateral_colour
from scotopic.evaluate.scenes import load_all
from scotopic.frame import Mosaic
from scotopic.sensor.simulated import expose, sony_a7s2

ROOT = Path(__file__).parent.parent.parent
SAMPLE = ROOT / "examples" / "dark_eagles.dng"
sys.path.insert(0, str(ROOT / "tests"))

from dng_files import write  # noqa: E402

SMALL = (slice(360, 744), slice(200, 712))
"""An eagle's face with note paper: fine texture, colour and shadow in few pixels."""


def make(folder: Path) -> dict[str, str]:
    """Whole and cropped sample with Python's pictures of both, and six files that are none."""
    mosaic = scotopic.read(SAMPLE)
    assert isinstance(mosaic, Mosaic)
    tags = {
        50714: mosaic.black.ravel().tolist(),
        50713: (2, 2),
        50717: mosaic.white,
        50728: [1 / gain for gain in mosaic.wb],
        50721: mosaic.xyz_to_camera,
    }
    small = write(folder / "small.dng", np.ascontiguousarray(mosaic.data[SMALL]), tags=tags)
    turned = write(folder / "turned.dng", np.ascontiguousarray(mosaic.data[SMALL]), tags=tags | {274: 6})
    # Light beyond the sliders' ends: a fire's glow, a pink lamp on a stage. And a camera whose colours nobody knows.
    matrix = np.asarray(mosaic.xyz_to_camera)
    for name, (x, y) in {"glow": (0.6, 0.38), "stage": (0.42, 0.25)}.items():
        seen = matrix @ np.array([x / y, 1, (1 - x - y) / y])
        write(
            folder / f"{name}.dng",
            np.ascontiguousarray(mosaic.data[SMALL]),
            tags=tags | {50728: seen / seen.max()},
        )
    unknown = {50721: None, 50778: None}
    write(folder / "unknown.dng", np.ascontiguousarray(mosaic.data[SMALL]), tags=tags | unknown)
    whole = folder / "dark_eagles.dng"
    whole.write_bytes(SAMPLE.read_bytes())
    model = scotopic.Model(device="cpu")
    for path in (small, turned, whole):
        linear = scotopic.enhance(scotopic.read(path), model)
        scotopic.write(path.with_suffix(".png"), scotopic.develop(linear), "png")
    twice = scotopic.enhance(scotopic.read(small), model, passes=2)
    scotopic.write(folder / "small-twice.png", scotopic.develop(twice), "png")
    # Behind a lens that draws red larger and blue smaller.
    scene = load_all(limit=1)[0]
    drawn = with_lateral_colour(scene)[:384, :512]
    fringed = folder / "fringed.dng"
    taken = expose(drawn, sony_a7s2(400), 4, np.random.default_rng(0))
    write_mosaic(fringed, taken)
    for name, fringes in (("fringed", "keep"), ("fringed-removed", "remove")):
        linear = scotopic.enhance(scotopic.read(fringed), model, fringes=fringes)
        scotopic.write(folder / f"{name}.png", scotopic.develop(linear), "png")
    # As iOS does: a developed picture under the name of the RAW.
    Image.open(small.with_suffix(".png")).save(folder / "IMG_0001.DNG", "JPEG")
    write_linear(folder / "again.dng", linear, scotopic.develop(linear))
    write(folder / "thumbnail.dng", np.zeros((12, 16), np.uint16), tags=tags)
    (folder / "cut.dng").write_bytes(small.read_bytes()[:250_000])
    (folder / "letter.dng").write_text("Dear photographer, this is no photo at all.\n" * 40)
    write(
        folder / "huge.dng",
        np.zeros((8400, 12000), np.uint16),
        tags=tags,
        compression="zlib",
        tile=(1200, 1200),
    )
    # More than a phone works on beside another: the same field many times.
    write(
        folder / "wide.dng",
        np.tile(np.ascontiguousarray(mosaic.data[SMALL]), (10, 9)),
        tags=tags,
        compression="zlib",
        tile=(384, 512),
    )
    return {path.stem: str(path) for path in sorted(folder.iterdir()) if path.suffix.lower() == ".dng"}


def compare(ours: Path, theirs: Path) -> dict[str, float]:
    first, second = (np.asarray(Image.open(p).convert("RGB"), np.int16) for p in (ours, theirs))
    assert first.shape == second.shape, f"{first.shape} is not {second.shape}"
    apart = np.abs(first - second)
    return {"mean": float(apart.mean()), "max": int(apart.max()), "light": float(first.mean())}


def describe(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        tags = exifread.process_file(file, details=False)
    picture = Image.open(path)
    picture.load()
    return {
        "format": picture.format,
        "size": picture.size,
        "profile": len(picture.info.get("icc_profile", b"")),
        "exif": {name: str(value) for name, value in tags.items() if not isinstance(value, bytes)},
    }


if __name__ == "__main__":
    verb, *paths = sys.argv[1], *map(Path, sys.argv[2:])
    print(json.dumps({"make": make, "compare": compare, "describe": describe}[verb](*paths)))
