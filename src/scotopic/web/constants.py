"""What the page calculates with, taken from the Python modules' own constants: nothing is typed twice.

The page's modules carry the names of those here, and each finds its numbers under its own name.
"""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from scotopic import balance, colour, exposure, frame, models, noise
from scotopic.develop import LIGHT_MAX, SHOULDER_SIZE, TABLE_SIZE, curve_table, srgb_profile
from scotopic.inference import views
from scotopic.sensor import (
    black,
    cut_blocks,
    laid,
    lateral,
    lines,
    mend,
    noise_line,
    own_noise,
    pattern,
    remosaic,
    simulated,
    smoothed,
)
from scotopic.version import __version__

ISO_STEPS_PER_STOP = 4
"""How finely a camera's noise is told between the ISO settings that its calibration knows. In logarithms the
calibrations are straight lines between these, or nearly so: the page is off by less than 1 in 1000."""

_BEFORE = 1 - 1e-6
"""Just before an ISO at which a camera switches its gain."""


def constants() -> dict[str, Any]:
    """All of them, by module, as JSON holds them."""
    return {
        "version": __version__,
        "pattern": {
            "patterns": [
                {
                    "sensor": p.sensor,
                    "cfa": p.cfa,
                    "planeOfPlace": p.plane_of_place,
                    "colourOfPlane": p.colour_of_plane,
                }
                for p in pattern.PATTERNS
            ],
        },
        "exposure": {
            "blocksAlong": exposure.BLOCKS_ALONG,
            "blockMin": exposure.BLOCK_MIN,
            "evRange": exposure.EV_RANGE,
            "ratioMaxAutomatic": exposure.RATIO_MAX_AUTOMATIC,
            "brightShare": exposure.BRIGHT_SHARE,
            "brightTarget": exposure.BRIGHT_TARGET,
            "meanTarget": exposure.MEAN_TARGET,
            "brightReach": exposure.BRIGHT_REACH,
            "lampTimes": exposure.LAMP_TIMES,
            "lampAbove": exposure.LAMP_ABOVE,
            "lampShare": exposure.LAMP_SHARE,
            "floor": exposure.FLOOR,
            "luminance": exposure.LUMINANCE,
            "darkDn": exposure.DARK_DN,
            "darkSigmas": exposure.DARK_SIGMAS,
        },
        "noise": {
            "block": cut_blocks.BLOCK,
            "squareBlock": noise.SQUARE_BLOCK,
            "flatQuantile": noise.FLAT_QUANTILE,
            "clippedMax": noise.CLIPPED_MAX,
            "cutMax": cut_blocks.CUT_MAX,
            "cutSeenMax": cut_blocks.CUT_SEEN_MAX,
            "cutNormal": cut_blocks.cut_normal().tolist(),
            "blocksMax": noise.BLOCKS_MAX,
            "blocksMin": noise.BLOCKS_MIN,
            "bins": noise.BINS,
            "shotMin": noise_line.SHOT_MIN,
            "shownLeast": noise.SHOWN_LEAST,
            "disagreement": noise.DISAGREEMENT,
            "textureSpread": noise.TEXTURE_SPREAD,
            "leftOver": noise.LEFT_OVER,
            "ownOfNoise": own_noise.OWN_OF_NOISE,
            "ridge": own_noise.RIDGE,
            "leastDn2": own_noise.LEAST_DN2,
            "fitRounds": noise_line.FIT_ROUNDS,
            "aboveWeight": noise_line.ABOVE_WEIGHT,
            "farAbove": noise_line.FAR_ABOVE,
            "shotMaxPerIso": noise_line.SHOT_MAX_PER_ISO,
            "shotLeastPerIso": noise_line.SHOT_LEAST_PER_ISO,
            "isoLeast": noise_line.ISO_LEAST,
            "even": noise_line.EVEN,
            "deepWhiteDn": noise_line.DEEP_WHITE_DN,
            "quietRows": noise.QUIET_ROWS,
            "flatFactor": noise.FLAT_FACTOR,
            "wholeFactor": noise.WHOLE_FACTOR,
            "squareFactor": noise.SQUARE_FACTOR,
            "wholeSquaresFactor": noise.WHOLE_SQUARES_FACTOR,
            "quantisationVarianceDn2": simulated.QUANTISATION_VARIANCE_DN2,
            "cameras": _cameras(),
        },
        "smoothed": {
            "block": smoothed.BLOCK,
            "blocksMax": smoothed.BLOCKS_MAX,
            "blocksMin": smoothed.BLOCKS_MIN,
            "bins": smoothed.BINS,
            "noisyLeast": smoothed.NOISY_LEAST,
            "lags": smoothed.LAGS,
            "flatQuantile": smoothed.FLAT_QUANTILE,
            "redLeast": smoothed.RED_LEAST,
            "levelMax": smoothed.LEVEL_MAX,
            "quietShare": smoothed.QUIET_SHARE,
            "sharedMax": smoothed.SHARED_MAX,
            "sharedLag": smoothed.SHARED_LAG,
            "rounded": smoothed.ROUNDED,
            "slowShare": smoothed.SLOW_SHARE,
        },
        "laid": {"near": laid.NEAR, "means": laid.MEANS, "noisy": laid.NOISY, "strip": laid.STRIP},
        "lateral": {
            "block": lateral.BLOCK,
            "around": lateral.AROUND,
            "farthest": lateral.FARTHEST,
            "blocksMax": lateral.BLOCKS_MAX,
            "blocksLeast": lateral.BLOCKS_LEAST,
            "steps": lateral.STEPS,
            "step": lateral.STEP,
            "noiseShares": lateral.NOISE_SHARES,
            "shows": lateral.SHOWS,
            "sure": lateral.SURE,
            "peerLeast": lateral.PEER_LEAST,
            "blockError": lateral.BLOCK_ERROR,
            "expected": lateral.EXPECTED,
            "least": lateral.LEAST,
            "leastErrors": lateral.LEAST_ERRORS,
            "saturated": lateral.SATURATED,
            "void": lateral.VOID,
            "tiny": float(lateral.TINY),
        },
        "black": {
            "block": black.BLOCK,
            "linesLeast": black.LINES_LEAST,
            "values": black.VALUES,
            "stepMax": black.STEP_MAX,
            "darkShare": black.DARK_SHARE,
            "errors": black.ERRORS,
            "leastSigmas": black.LEAST_SIGMAS,
            "wholeFrom": black.WHOLE_FROM,
            "voidSigmas": black.VOID_SIGMAS,
            "errorOfMedian": black.ERROR_OF_MEDIAN,
            "leastOfNormal": black.least_of_normal(),
        },
        "enhance": {
            "noLightSigmas": mend.NO_LIGHT_SIGMAS,
            "noLight": mend.NO_LIGHT,
            "readElectronsMax": simulated.READ_ELECTRONS_MAX,
        },
        "mend": {
            "hotTimes": mend.HOT_TIMES,
            "hotTimesAlike": mend.HOT_TIMES_ALIKE,
            "hotSigmas": mend.HOT_SIGMAS,
            "hotShareMin": mend.HOT_SHARE_MIN,
            "hotShareMax": mend.HOT_SHARE_MAX,
            "hotMin": mend.HOT_MIN,
            "band": mend.BAND,
            "sampled": mend.SAMPLED,
            "cutSigmas": mend.CUT_SIGMAS,
            "cutSigmaMinDn": mend.CUT_SIGMA_MIN_DN,
            "reach": mend.REACH,
            "boxQuantiles": mend.box_quantiles().tolist(),
            "normalQuantiles": mend.normal_quantiles().tolist(),
        },
        "lines": {
            "parts": lines.PARTS,
            "partsMin": lines.PARTS_MIN,
            "gap": lines.GAP,
            "groups": lines.GROUPS,
            "group": lines.GROUP,
            "lengthMin": lines.LENGTH_MIN,
            "oneWay": lines.ONE_WAY,
            "endOneWay": lines.END_ONE_WAY,
            "offSigmas": lines.OFF_SIGMAS,
            "alike": lines.ALIKE,
            "alikeSigmas": lines.ALIKE_SIGMAS,
            "scatter": lines.SCATTER,
            "beside": lines.BESIDE,
            "besideSigmas": lines.BESIDE_SIGMAS,
            "linesMax": lines.LINES_MAX,
        },
        "remosaic": {
            "whiteDn": remosaic.WHITE_DN,
            "rggb": frame.RGGB,
            "explained": remosaic.EXPLAINED,
            "reach": remosaic.REACH,
            "defect": remosaic.DEFECT,
            "isolated": remosaic.ISOLATED,
            "tiny": remosaic.TINY,
            "littleNoise": remosaic.LITTLE_NOISE,
        },
        "balance": {
            "gainMin": balance.GAIN_MIN,
            "gainMax": balance.GAIN_MAX,
            "blocks": balance.BLOCKS,
            "usable": balance.USABLE,
            "brightest": balance.BRIGHTEST,
            "farthest": balance.FARTHEST,
            "fewest": balance.FEWEST,
            "castLeast": balance.CAST_LEAST,
            "castFarthest": balance.CAST_FARTHEST,
            "blackOffDn": balance.BLACK_OFF_DN,
            "blackOffSigmas": balance.BLACK_OFF_SIGMAS,
            "castValues": balance.CAST_VALUES,
        },
        "colour": {
            "xyzFromSrgb": colour.XYZ_FROM_SRGB.tolist(),
            "d65Xyz": colour.D65_XYZ.tolist(),
            "gamutEdge": colour.GAMUT_EDGE,
            "gamutLeft": colour.GAMUT_LEFT,
            "hueHeld": colour.HUE_HELD,
            "shoulderStarts": colour.SHOULDER_STARTS,
            "whitens": colour.WHITENS,
            "lampsFrom": colour.LAMPS_FROM,
        },
        "develop": {
            "lightMax": LIGHT_MAX,
            "tableSize": TABLE_SIZE,
            "shoulderSize": SHOULDER_SIZE,
            "shownFrom": _shown_from(),
            "profile": base64.b64encode(srgb_profile()).decode("ascii"),
        },
        "views": {sensor: [asdict(view) for view in looks] for sensor, looks in views.VIEWS.items()},
        "models": _models(),
    }


def _shown_from() -> list[int]:
    """For each display value above 0 the first entry of the curve's table, by the root of light, that has it."""
    table = curve_table("shown", 8)
    return [int(entry) for entry in np.searchsorted(table, np.arange(1, 256))]


def _models() -> dict[str, dict[str, str]]:
    """The packaged models' names by sensor and tier."""
    by_sensor: dict[str, dict[str, str]] = {}
    for (kind, tier), name in models.DEFAULTS.items():
        by_sensor.setdefault(kind, {})[tier] = name
    return by_sensor


def _cameras() -> list[dict[str, Any]]:
    """The published calibrations: for each camera gain and read noise by ISO, in DN."""
    found: dict[str, tuple[list[str], list[float]]] = {}
    for group in simulated.calibrations().values():
        for entry in group.values():
            if not isinstance(entry, dict) or "exif" not in entry:
                continue
            names, isos = entry["exif"], entry.get("iso", group.get("iso"))
            # Of a camera calibrated twice, `known_sensor` takes the one that knows more.
            if names[0] not in found or found[names[0]][1][-1] < isos[-1]:
                found[names[0]] = names, isos
    return [_camera(names, isos) for names, isos in found.values()]


def _camera(names: list[str], isos: list[float]) -> dict[str, Any]:
    """One camera's names and its values at the ISOs between which a line in logarithms serves."""
    steps = round(ISO_STEPS_PER_STOP * np.log2(isos[-1] / isos[0])) + 1
    # One that is a camera's own setting but for rounding, which machines do differently, would part it from itself.
    between = [
        i
        for i in np.geomspace(isos[0], isos[-1], steps)[1:-1].tolist()
        if min(abs(i / known - 1) for known in isos) > 1 - _BEFORE
    ]
    all_isos = sorted({float(i) for i in [*isos, *between, *(i * _BEFORE for i in isos[1:])]})
    found = [s for s in (_named(names[0], iso) for iso in all_isos) if s is not None]
    return {
        "names": [simulated.plain_name(name) for name in names],
        "source": found[0].source,
        "whiteDn": found[0].white_dn,
        "iso": [s.iso for s in found],
        "gain": [s.gain_dn_per_e for s in found],
        "readStd": [s.read_std_dn for s in found],
    }


def _named(name: str, iso: float) -> simulated.Sensor | None:
    make, _, model = name.partition(" ")
    return simulated.known_sensor(make, model, iso)


if __name__ == "__main__":
    json.dump(constants(), sys.stdout)
