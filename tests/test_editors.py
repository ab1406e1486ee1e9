"""Our linear DNGs in other programs: each opens them, and shows what it shows of a long exposure."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile

from scotopic.colour import XYZ_FROM_SRGB, srgb_to_linear
from scotopic.develop import develop
from scotopic.dng.origin import read_origin
from scotopic.dng.write import write_linear, write_mosaic
from scotopic.enhance import enhance
from scotopic.evaluate.external import PROGRAMS, darktable_sidecar, missing
from scotopic.frame import Linear
from scotopic.read import read
from scotopic.sensor.simulated import expose, sony_a7s2
from test_shading import flat_file

BLOCK, FURTHEST = 64, 3.0
"""Pixels of a block's side, and how far its colour may be off in CIE76."""

RATIO = 100

WAYS = [
    ("libraw", "neutral"),
    ("rawtherapee", "neutral"),
    ("darktable", "neutral"),
    ("darktable", "display"),
]

NEUTRAL_PP3 = """[Version]
AppVersion=5.9
Version=346

[Exposure]
Auto=false
Compensation={ev:.6f}
HistogramMatching=false
CurveMode=Standard
Curve=0;

[RAW Bayer]
Method=amaze
Border=0

[Color Management]
InputProfile=(camera)
ToneCurve=false
ApplyLookTable=false
ApplyBaselineExposureOffset=false
ApplyHueSatMap=false
OutputProfile=RTv4_sRGB
"""


def shown_by(name: str, way: str, source: Path, ev: float) -> np.ndarray:
    """What a program makes of a file at its plainest settings, `ev` stops brighter: 16-bit sRGB.

    "display" is darktable's display-referred workflow with its base curve, at its own exposure.
    """
    if name == "libraw":
        with rawpy.imread(str(source)) as raw:
            return raw.postprocess(
                use_camera_wb=True,
                no_auto_bright=True,
                adjust_maximum_thr=0,
                bright=2**ev,
                output_bps=16,
                gamma=(2.4, 12.92),
            )
    if reason := missing(name):
        pytest.skip(reason)
    # A folder of its own: nobody's settings, and no sidecar of the last time.
    folder = source.parent / f"{source.stem}-{name}-{way}"
    folder.mkdir()
    target, program = folder / "shown.tif", PROGRAMS[name]
    if name == "rawtherapee":
        settings = folder / "settings.pp3"
        settings.write_text(NEUTRAL_PP3.format(ev=ev))
        command = [program, "-o", target, "-p", settings, "-b16", "-t", "-Y", "-c", source]
    else:
        sidecar = folder / "settings.xmp"
        # Mode manual, black, stops, two for "automatic", the camera's bias left alone.
        parameters = struct.pack("<i4fi", 0, 0.0, ev, 50.0, -4.0, 0).hex()
        sidecar.write_text(darktable_sidecar("exposure", 6, parameters))
        workflow = "none" if way == "neutral" else "display-referred"
        command = [program, source, *([sidecar] if way == "neutral" else []), target, "--icc-type", "SRGB"]
        command += ["--core", "--configdir", folder / "config", "--cachedir", folder / "cache"]
        command += ["--conf", f"plugins/darkroom/workflow={workflow}"]
        command += ["--conf", "plugins/imageio/format/tiff/bpp=16"]
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **home, "LC_ALL": "C"},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )
    assert target.exists(), done.stderr.decode(errors="replace")[-500:]
    return tifffile.imread(target)


def lab(shown: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of 16-bit sRGB."""
    xyz = srgb_to_linear(shown / 65535) @ XYZ_FROM_SRGB.T / (XYZ_FROM_SRGB @ np.ones(3))
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def blocks(picture: np.ndarray) -> np.ndarray:
    height, width = (n // BLOCK * BLOCK for n in picture.shape[:2])
    cut = picture[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3)
    return cut.transpose(0, 2, 1, 3, 4).reshape(-1, BLOCK * BLOCK, 3)


def distance(shown: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the blocks that are clipped in neither of how far their mean colours are apart."""
    whole = [
        not ((a >= 65000).any() or (b >= 65000).any())
        for a, b in zip(*map(blocks, (shown, truth)), strict=True)
    ]
    assert sum(whole) >= 6, "too few blocks are unclipped to tell"
    apart = blocks(lab(shown)).mean(axis=1) - blocks(lab(truth)).mean(axis=1)
    return float(np.linalg.norm(apart, axis=1)[whole].mean())


@pytest.fixture(scope="module")
def scene(photo) -> np.ndarray:
    """The photo, dark enough that a long exposure clips little."""
    return photo * 0.7


@pytest.fixture(scope="module")
def enhanced(scene, model) -> Linear:
    short = expose(scene, sony_a7s2(3200), RATIO, np.random.default_rng(7))
    return enhance(short, model, ratio=RATIO)


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_an_enhanced_dng_looks_like_a_long_exposure_in(name, way, scene, enhanced, tmp_path):
    ours, long = tmp_path / "enhanced.dng", tmp_path / "long.dng"
    scaling = write_linear(ours, enhanced, develop(enhanced))
    clean = expose(scene, sony_a7s2(100), 1, np.random.default_rng(7), noisy=False)
    write_mosaic(long, clean)
    shown, truth = shown_by(name, way, ours, scaling.baseline_ev), shown_by(name, way, long, 0.0)
    assert shown.shape == truth.shape
    assert distance(shown, truth) < FURTHEST


@pytest.mark.parametrize("name", ["libraw", "rawtherapee", "darktable"])
def test_lossless_jpeg_is_shown_as_uncompressed_by(name, enhanced, tmp_path):
    shown = []
    for compression in ("none", "lossless-jpeg"):
        path = tmp_path / f"{compression}.dng"
        ev = write_linear(path, enhanced, develop(enhanced), compression=compression).baseline_ev
        shown.append(shown_by(name, "neutral", path, ev))
    assert np.array_equal(*shown)


def corners_and_middle(shown: np.ndarray) -> np.ndarray:
    """Mean colours (5, 3) of 16x16 pixels, sixteen from the edge, 0..1."""
    down, across = (n // 2 - 8 for n in shown.shape[:2])
    places = [(16, 16), (16, -32), (-32, 16), (-32, -32), (down, across)]
    return np.array([shown[y : y + 16, x : x + 16].mean(axis=(0, 1)) for y, x in places]) / 65535


def test_darktable_reads_the_gain_maps_of_a_phone_as_we_do(model, tmp_path):
    source = flat_file(tmp_path / "phone.dng", ((0, 1), (1, 2)), 0.2, 192, 256)
    theirs = corners_and_middle(shown_by("darktable", "display", source, 0.0))
    assert np.abs(theirs / theirs[-1] - 1).max() < 0.02, "it evens out, by its own reading of the maps"
    picture = enhance(read(source), model, ratio=1, strength=0.0)
    ours = corners_and_middle(picture.data * 65535)
    assert np.abs(ours / ours[-1] - 1).max() < 0.02


@pytest.mark.parametrize("name", ["libraw", "rawtherapee", "darktable"])
def test_a_phones_shading_is_gone_once_and_for_all_in(name, model, tmp_path):
    source = flat_file(tmp_path / "phone.dng", ((2, 1), (1, 0)), 0.02, 192, 256)
    linear = enhance(read(source), model, ratio=10)
    write_linear(tmp_path / "a.dng", linear, develop(linear), origin=read_origin(source, 192, 256))
    seen = corners_and_middle(shown_by(name, "neutral", tmp_path / "a.dng", 0.0))
    assert np.abs(seen / seen[-1] - 1).max() < 0.05


@pytest.mark.parametrize("name", ["libraw", "rawtherapee", "darktable"])
def test_a_saturated_lamp_is_white_and_not_violet_in(name, model, tmp_path):
    y, x = np.mgrid[:192, :256]
    light = np.exp(-(np.hypot(y - 96, x - 128)[..., None] ** 2) / 450)
    lamp = np.array([0.12, 0.10, 0.08]) + light * np.array([300, 165, 45])
    short = expose(lamp, sony_a7s2(320), RATIO, np.random.default_rng(7))
    linear = enhance(short, model, ratio=RATIO)
    path = tmp_path / "lamp.dng"
    scaling = write_linear(path, linear, develop(linear))
    core = shown_by(name, "neutral", path, scaling.baseline_ev)[88:104, 120:136] / 65535
    assert core.min() > 0.98, "white in every colour"
