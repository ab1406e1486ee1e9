"""RawTherapee and darktable, where they are installed: what a patient photographer gets today.

Neither can amplify by hundreds and reduce noise by its true strength at once: their exposure controls end
at a few stops, and they choose noise reduction by the ISO that the file states. So both are handed the
photo amplified already: a DNG whose counts above black are multiplied by the ratio (what falls below black
is kept on a pedestal, what rises above white is clipped), and develop it at their default exposure without
a tone curve.

- RawTherapee: its neutral profile, AMaZE, "Noise Reduction" with chrominance automatic over the whole
  picture and luminance at RAWTHERAPEE_LUMINANCE, for which it has no automatic. Bayer only: it misreads
  the colour pattern of X-Trans DNGs.
- darktable: its defaults with the workflow "none", and "denoise (profiled)" (wavelets, default strength).
  Its profile is not looked up by camera and ISO, which would not know of the amplification: it is given
  the noise that our own blind fit finds, which is more than a user can do.

Both write 16-bit sRGB; the curve is then taken off and LibRaw's put on, so that curves are not compared.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from scotopic.colour import bt709_curve, srgb_to_linear
from scotopic.dng.write import write_mosaic
from scotopic.errors import ScotopicError
from scotopic.frame import Mosaic, NoiseProfile

Picture = npt.NDArray[np.uint8]

PROGRAMS = {"rawtherapee": "rawtherapee-cli", "darktable": "darktable-cli"}
"""The programs by the names that `--method` knows."""

RAWTHERAPEE_LUMINANCE = 60
"""RawTherapee's luminance noise reduction, 0 to 100. Chosen on one simulated photo at x100: 40 gave 29.8 dB, 80 gave
30.6 dB, in between less is smeared."""

SECONDS_MAX = 1800
"""A program that takes longer for one picture is taken to hang."""

_PEDESTAL_MAX = 1.0
"""Noise below black is kept down to minus this share of the range; the rest is clipped."""

_TOP = 65535
"""White of the 16-bit files that the programs write."""


class ProgramFailed(ScotopicError):
    """Another program could not develop a picture."""


def missing(name: str) -> str | None:
    """Why a program of PROGRAMS cannot be used; None where it can."""
    program = PROGRAMS[name]
    return None if shutil.which(program) else f"{program} is not installed"


def develop_elsewhere(
    name: str, mosaic: Mosaic, ratio: float, noise: NoiseProfile, *, srgb_curve: bool = False
) -> Picture:
    """What a program of PROGRAMS makes of a mosaic amplified by `ratio`: (H, W, 3), upright.

    `noise` is that of the mosaic before amplification. The curve is LibRaw's, or sRGB's.
    Raises ProgramFailed when the program fails.
    """
    if name == "rawtherapee" and not mosaic.is_bayer:
        # Seen with 5.9: colours are swapped, 10 dB lost.
        raise ProgramFailed(
            f"{PROGRAMS[name]}: misreads the colour pattern of X-Trans DNGs; only Bayer is fair"
        )
    with tempfile.TemporaryDirectory(prefix="scotopic-") as words:
        folder = Path(words)
        source, target = folder / "amplified.dng", folder / "developed.tif"
        write_mosaic(source, amplified(mosaic, ratio))
        _run(command(name, source, target, ratio, noise))
        try:
            shown = tifffile.imread(target)
        except (OSError, ValueError) as error:
            raise ProgramFailed(f"{PROGRAMS[name]}: wrote no picture that can be read ({error})") from error
    if shown.dtype != np.uint16 or shown.ndim != 3 or shown.shape[2] != 3:
        raise ProgramFailed(
            f"{PROGRAMS[name]}: wrote {shown.dtype} {shown.shape}; 16-bit RGB was asked for"
        )
    return np.rint(shown / (_TOP / 255)).astype(np.uint8) if srgb_curve else with_libraw_curve(shown)


def command(name: str, source: Path, target: Path, ratio: float, noise: NoiseProfile) -> list[str | Path]:
    """How a program of PROGRAMS is told to develop an amplified DNG to a 16-bit TIFF, with its denoising.

    `noise` is that of the mosaic before amplification. Settings are put beside `target`.
    """
    folder = target.parent
    if name == "rawtherapee":
        settings = folder / "settings.pp3"
        settings.write_text(_PP3)
        return [PROGRAMS[name], "-o", target, "-p", settings, "-b16", "-t", "-Y", "-c", source]
    settings = folder / "settings.xmp"
    settings.write_text(_xmp(noise, ratio))
    words: list[str | Path] = [PROGRAMS[name], source, settings, target, "--icc-type", "SRGB", "--core"]
    words += ["--configdir", folder / "config", "--cachedir", folder / "cache"]
    words += ["--conf", "plugins/darkroom/workflow=none"]
    return [*words, "--conf", "plugins/imageio/format/tiff/bpp=16"]


def amplified(mosaic: Mosaic, ratio: float) -> Mosaic:
    """A 16-bit mosaic whose counts above black are `ratio` times those of `mosaic`, its shading evened out."""
    mosaic = mosaic.evened()
    size = len(mosaic.cfa)
    light = np.empty(mosaic.data.shape, np.float32)
    for place, (_, plane) in enumerate(mosaic.colour_planes()):
        dy, dx = divmod(place, size)
        light[dy::size, dx::size] = plane * np.float32(ratio)
    below = min(max(-float(light.min()), 0.0), _PEDESTAL_MAX)
    black = round(below / (1 + below) * _TOP)
    counts = np.clip(np.rint(light * (_TOP - black) + black), 0, _TOP)
    return mosaic.with_changes(
        data=counts.astype(np.uint16),
        black=np.full((size, size), float(black)),
        white=float(_TOP),
        saturation=float(_TOP),
        noise=None,
    )


def with_libraw_curve(shown: npt.NDArray[np.uint16]) -> Picture:
    """16-bit sRGB (H, W, 3) with the curve of LibRaw's default development instead, 8 bit."""
    values = np.arange(_TOP + 1) / _TOP
    table: Picture = np.rint(255 * bt709_curve(srgb_to_linear(values))).astype(np.uint8)
    return table[shown]


def _run(command: list[str | Path]) -> None:
    # Both programs number-format and name colours by the locale.
    environment = {**os.environ, "LC_ALL": "C"}
    program = str(command[0])
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            env=environment,
            timeout=SECONDS_MAX,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramFailed(f"{program}: {error}") from error
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise ProgramFailed(f"{program}: ended with status {done.returncode}: {last[0]}")


_PP3 = f"""[Version]
AppVersion=5.9
Version=346

[Exposure]
Auto=false
Compensation=0
HistogramMatching=false
CurveMode=Standard
Curve=0;

[Directional Pyramid Denoising]
Enabled=true
Enhance=false
Median=false
Luma={RAWTHERAPEE_LUMINANCE}
Ldetail=0
Chroma=15
Method=Lab
LMethod=SLI
CMethod=AUT
C2Method=AUTO
SMethod=shal
Redchro=0
Bluechro=0
Gamma=1.7
Passes=1

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


def _xmp(noise: NoiseProfile, ratio: float) -> str:
    """A darktable sidecar that switches "denoise (profiled)" on, for the noise after amplification."""
    shot = [value * ratio for value in noise.shot]
    read = [value * ratio**2 for value in noise.read]
    bands = [band / 6 for band in range(7)]
    # The module's parameters, version 11: patch, search radius, strength, shadows, bias, scattering,
    # central weight, overshooting; a and b of variance = a x + b for R, G, B; wavelets; six curves of
    # seven bands, x then y; adaptive, fixed and new transform; Y0U0V0.
    parameters = struct.pack(
        "<8f6fi84f4i",
        *(1.0, 7.0, 1.0, 1.0, 0.0, 0.0, 0.1, 1.0),
        *(*shot, *read),
        1,
        *(*bands * 6, *[0.5] * 42),
        *(1, 1, 1, 1),
    ).hex()
    return darktable_sidecar("denoiseprofile", 11, parameters)


def darktable_sidecar(operation: str, version: int, parameters: str) -> str:
    """A darktable sidecar that switches one module on; `parameters` are its own structure, hexadecimal."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:darktable="http://darktable.sf.net/" darktable:xmp_version="4"
 darktable:raw_params="0" darktable:auto_presets_applied="1" darktable:history_end="1"
 darktable:iop_order_version="2"><darktable:history><rdf:Seq>
<rdf:li darktable:num="0" darktable:operation="{operation}" darktable:enabled="1"
 darktable:modversion="{version}" darktable:params="{parameters}" darktable:multi_name=""
 darktable:multi_priority="0" darktable:blendop_version="1" darktable:blendop_params="00000000"/>
</rdf:Seq></darktable:history></rdf:Description></rdf:RDF></x:xmpmeta>
"""
