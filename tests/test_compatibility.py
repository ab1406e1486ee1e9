"""Every file against every output: what happens, and that docs/compatibility.md says just that.

`SCOTOPIC_WRITE_TABLES=1 pytest tests/test_compatibility.py -m "slow or not slow"` writes the page anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from conftest import BAYER_PHASES, MORE_DATA, ROOT
from dng_files import write
from scotopic import batch
from scotopic.dng.write import write_mosaic
from scotopic.evaluate.scenes import load_all
from scotopic.frame import X_TRANS, Linear
from scotopic.read import read
from scotopic.run import Models
from scotopic.sensor.simulated import eld_camera, expose, phone, sony_a7s2
from scotopic.settings import Settings
from test_shading import flat_file

PAGE = ROOT / "docs" / "compatibility.md"

KINDS = ("jpg", "png", "tiff", "avif", "jxl", "dng")

LARGE = 100_000_000
"""Pictures of more values than this are not tried in every format: minutes each."""

REAL = sorted(p.name for p in (MORE_DATA / "raws").glob("*") if p.is_file() and p.suffix.lower() != ".md")

PHASES = dict(zip(("RGGB", "BGGR", "GRBG", "GBRG"), BAYER_PHASES, strict=True))

SIMULATED: dict[str, Callable[[], tuple]] = {
    "Sony A7S II, ISO 250, RGGB, 14 bit": lambda: (sony_a7s2(250), PHASES["RGGB"]),
    "Sony A7S II, ISO 25600, RGGB, 14 bit": lambda: (sony_a7s2(25600), PHASES["RGGB"]),
    "Nikon D850, GBRG, 14 bit": lambda: (eld_camera("NikonD850", 2.0), PHASES["GBRG"]),
    "Canon 5D Mark IV, GRBG, 14 bit": lambda: (eld_camera("CanonEOS5D4", 2.0), PHASES["GRBG"]),
    "Canon 70D, BGGR, 14 bit": lambda: (eld_camera("CanonEOS70D", 2.0), PHASES["BGGR"]),
    "Canon 700D, RGGB, 14 bit": lambda: (eld_camera("CanonEOS700D", 2.0), PHASES["RGGB"]),
    "Oppo Reno 10x, ISO 1600, BGGR, 10 bit": lambda: (phone(1600), PHASES["BGGR"]),
    "Oppo Reno 10x, ISO 6400, GRBG, 10 bit": lambda: (phone(6400), PHASES["GRBG"]),
    "X-Trans (A7S II's noise, ISO 3200), 14 bit": lambda: (sony_a7s2(3200), X_TRANS),
}


def of_a_phone(folder: Path) -> Path:
    """A mosaic behind a lens that shades its corners, with the maps against it."""
    light = load_all(limit=1)[0].camera[:192, :256, 1] / 10
    return flat_file(folder / "phone.dng", PHASES["BGGR"], light, 192, 256)


def finished_colours(folder: Path) -> Path:
    """A linear DNG as Apple's ProRAW is one: integers, to be brightened by one and a half stops."""
    light = load_all(limit=1)[0].camera[:192, :288] / 40
    noisy = np.random.default_rng(0).normal(light, 0.003) * 65535
    tags = {50714: 528, 50717: 65535, 50730: 1.5}
    counts = np.clip(np.rint(noisy + 528), 0, 65535).astype(np.uint16)
    return write(folder / "linear.dng", counts, cell=None, tags=tags)


def of_floats(folder: Path) -> Path:
    """A mosaic of half floats, as programs that merge exposures write them."""
    light = load_all(limit=1)[0].camera[:192, :288, 1] / 40
    noisy = np.random.default_rng(0).normal(light, 0.003)
    return write(folder / "floats.dng", noisy.astype(np.float16), tags={50717: 1})


MADE: dict[str, Callable[[Path], Path]] = {
    "Phone with lens shading (GainMap), 10 bit": of_a_phone,
    "Finished colours (linear DNG), BaselineExposure 1.5": finished_colours,
    "Mosaic of half floats": of_floats,
}


@dataclass(frozen=True)
class Row:
    """One line of the table: a file and what became of it in each format."""

    name: str
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return f"| {self.name} | " + " | ".join(self.cells) + " |"


@pytest.fixture(scope="module")
def models() -> Models:
    return Models(device="cpu")


def simulated(name: str, folder: Path) -> Path:
    """A DNG of a scene 40 times too dark, lying on its side."""
    sensor, cfa = SIMULATED[name]()
    scene = load_all(limit=1)[0].camera[:192, :288]
    mosaic = expose(scene, sensor, 40, np.random.default_rng(0), cfa=cfa).with_changes(orientation=6)
    write_mosaic(folder / "simulated.dng", mosaic)
    return folder / "simulated.dng"


def row(name: str, source: Path, folder: Path, models: Models) -> Row:
    captured = None
    cells = []
    for kind in KINDS:
        if captured is not None and captured.data.size > LARGE and kind not in ("jpg", "dng"):
            cells.append("not tried")
            continue
        job = batch.Job(source, folder / f"out.{kind}")
        outcome = batch.treated(job, Settings(kind=kind, ratio=8.0), models)
        if outcome.status == "failed":
            assert not job.target.exists()
            assert "fault in scotopic" not in outcome.error, outcome.error
            cells.append("refused")
            continue
        captured = captured or read(source)
        check_opens(job.target, kind, captured)
        cells.append("yes")
    assert not list(folder.glob(".scotopic-*"))
    return Row(name, tuple(cells))


def check_opens(target: Path, kind: str, captured) -> None:
    """What others read from it has the source's size, stands upright and is no even grey."""
    match kind:
        case "dng":
            again = read(target)
            assert isinstance(again, Linear)
            assert again.data.shape[:2] == captured.data.shape[:2]
            assert again.orientation == captured.orientation
            return
        case "jxl":
            picture = imagecodecs.jpegxl_decode(target.read_bytes())
        case "tiff":
            picture = tifffile.imread(target)
        case _:
            with Image.open(target) as image:
                picture = np.asarray(image)
    height, width = captured.data.shape[:2]
    if captured.orientation >= 5:
        height, width = width, height
    if abs(captured.pixel_aspect - 1) < 0.005:
        assert picture.shape == (height, width, 3)
    assert picture.dtype == (np.uint16 if kind in ("tiff", "jxl") else np.uint8)
    assert picture.std() > 0.01 * np.iinfo(picture.dtype).max


def told(name: str) -> str:
    """The page's line for a file."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| {name} |")]
    assert len(lines) == 1, f"{PAGE.name} has {len(lines)} lines for {name}: write it anew"
    return lines[0]


ROWS: dict[str, Row] = {}


def judged(name: str, made: Row) -> None:
    ROWS[name] = made
    if os.environ.get("SCOTOPIC_WRITE_TABLES"):
        PAGE.write_text(page())
    else:
        assert str(made) == told(name)


@pytest.mark.parametrize("name", SIMULATED)
def test_simulated_sensors_come_out_in_every_format(name, tmp_path, models):
    made = row(name, simulated(name, tmp_path), tmp_path, models)
    judged(name, made)
    assert set(made.cells) == {"yes"}


@pytest.mark.parametrize("name", MADE)
def test_other_kinds_of_dng_come_out_in_every_format(name, tmp_path, models):
    made = row(name, MADE[name](tmp_path), tmp_path, models)
    judged(name, made)
    assert set(made.cells) == {"yes"}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_files_fare_in_every_format_as_the_page_says(name, tmp_path, models):
    judged(name, row(name, MORE_DATA / "raws" / name, tmp_path, models))


def page() -> str:
    head = f"| file | {' | '.join(KINDS)} |\n|{' --- |' * (len(KINDS) + 1)}\n"
    groups = {
        "Real files": [n for n in REAL if n in ROWS],
        "Simulated sensors, read through LibRaw from DNG": [n for n in SIMULATED if n in ROWS],
        "Other kinds of DNG, made by the tests": [n for n in MADE if n in ROWS],
    }
    text = INTRODUCTION
    for title, names in groups.items():
        text += f"\n## {title}\n\n{head}" + "".join(f"{ROWS[n]}\n" for n in names)
    return text


INTRODUCTION = """# What goes in and what comes out

Written by a test run (tests/test_compatibility.py), and checked by the next ones. `yes`: enhanced, written, opened
again by another program's reader (Pillow, tifffile, libjxl, LibRaw), of the right size, upright. `refused`: a
one-line error that says why, and no file left. `not tried`: very large, and one format is as another. Formats are
at their usual depths in sRGB here; other depths and colour spaces have tests of their own (tests/test_write.py,
tests/test_colour_spaces.py).

No Fujifilm RAF, CR3, NEF or phone DNG of real make was at hand: X-Trans and phones stand below as simulated
sensors only. Which of real makes LibRaw decodes, its own list says.
"""
