"""What a file holds and what would be done with it, as plain values: for `info`, for JSON, for a run's report."""

from __future__ import annotations

import math
from typing import Any

from scotopic.balance import Balance, rebalanced
from scotopic.calibration.apply import taken_out
from scotopic.develop import shown_size
from scotopic.dng.light import DngWhite, Scaling
from scotopic.enhance import Plan
from scotopic.exposure import RATIO_MAX_AUTOMATIC, next_to_no_light
from scotopic.frame import GREEN, Capture, Captured, Linear, Mosaic
from scotopic.sensor.levels import raised
from scotopic.sensor.mend import Replaced
from scotopic.sensor.remosaic import hardly_noisy

HARDLY_NOISY = "hardly any noise is in the finished colours of this file: they are kept nearly as they are"


_ALONE = ", by the same in all frames at this ratio; for a single picture give --dng-white light"

NO_BLACK = "its black level is stated as 0 or not at all, but nothing in it is darker than"

NO_LIGHT = "next to no light is in it: what shows may be the sensor's own"

EV_WORTH_A_WORD = 0.5
"""From so many stops on that an editor shows a DNG too dark, the user is told."""


def describe(captured: Captured, made: Plan | None, *, enhancing: bool = True) -> dict[str, Any]:
    """What a file holds and what would be done with it, as plain values; enhanced, or only developed."""
    height, width = captured.data.shape[:2]
    facts: dict[str, Any] = {
        "make": captured.make or None,
        "camera": captured.model or None,
        "taken": captured.exif.taken or None,
        "iso": captured.iso,
        "exposure_s": captured.exposure_s,
        "width": width,
        "height": height,
        "orientation": captured.orientation,
        **size_facts(*shown_size(captured)),
        **balance_facts(captured),
        "enhanced": captured.exif.enhanced,
    }
    if isinstance(captured, Mosaic):
        facts |= {
            "cfa": "".join("RGB"[c] for row in captured.cfa for c in row),
            "black_dn": captured.black.ravel().tolist(),
            "white_dn": captured.white,
            "saturation_dn": captured.saturation,
        }
    else:
        facts["cfa"] = "none (monochrome)" if captured.monochrome else "none (finished colours)"
    warnings = [made.noise.warning if made is not None else "", *captured.notes]
    if isinstance(captured, Mosaic):
        warnings += _black_words(captured)
    if made is not None:
        noise, ratio = made.noise.profile, made.exposure.ratio
        if enhancing and isinstance(captured, Linear) and hardly_noisy(noise, ratio):
            warnings.append(HARDLY_NOISY)
        # Where an amplification is told, somebody has looked.
        at_most = made.exposure.source == "automatic" and ratio >= RATIO_MAX_AUTOMATIC
        if at_most and isinstance(captured, Mosaic) and next_to_no_light(made.mosaic_of(captured), noise):
            warnings.append(NO_LIGHT)
        lowered = made.black_lowered if enhancing else None
        if lowered is not None:
            most = lowered.max()
            warnings.append(
                f"its darkest parts lie below the black that is stated, which is taken up to {most:.2g} DN lower"
            )
        facts |= {
            "ratio": round(ratio, 3),
            "ev": round(made.exposure.stops, 2),
            "ratio_source": made.exposure.source,
            "profile": made.profile.name if made.profile is not None else None,
            "profile_takes": (
                taken_out(made.profile, captured)
                if made.profile is not None and isinstance(captured, Mosaic)
                else []
            ),
            **(made.replaced if enhancing else Replaced()).facts(),
            "black_lowered_dn": lowered.ravel().tolist() if lowered is not None else [],
            "lateral_colour": made.lateral.facts() if enhancing and made.lateral is not None else None,
            "noise": {"shot": noise.shot, "read": noise.read, "source": noise.source},
        }
    if made is not None or any(warnings):
        facts["warning"] = "; ".join(filter(None, warnings)) or None
    return facts


def _black_words(mosaic: Mosaic) -> list[str]:
    """On black that is not where the file says it is."""
    low = raised(mosaic.data, mosaic.cfa, mosaic.black, mosaic.white)
    if low is None:
        return []
    return [
        f"{NO_BLACK} {low:g} of {mosaic.white:g}: where it comes out pale though there was no fog, give the file the "
        "BlackLevel that the camera's others have (exiftool can)"
    ]


def size_facts(height: int, width: int) -> dict[str, Any]:
    """The size of a result, as it is stored, beside the sensor's: upright, with square pixels, but in a DNG."""
    return {"output_width": width, "output_height": height}


def balance_facts(capture: Capture) -> dict[str, Any]:
    """The white balance gains and where they come from."""
    return {"wb": [round(g, 4) for g in capture.wb], "wb_source": capture.wb_source}


def balance_to_come(captured: Captured, choice: Balance) -> dict[str, Any]:
    """The white balance of a result that is still to be made: its gains are None where its light will tell them.

    Raises as `rebalanced`.
    """
    if choice == "auto":
        return {"wb": None, "wb_source": choice}
    return balance_facts(rebalanced(captured, choice))


def editor_words(linear: Linear, scaling: Scaling, white: DngWhite) -> list[str]:
    """On a DNG of this light, for editors that do not show it as bright as it is."""
    words = []
    if scaling.baseline_ev >= EV_WORTH_A_WORD:
        words.append(
            f"light up to {2**scaling.baseline_ev:.3g} times white is kept; editors that ignore "
            f"BaselineExposure, as RawTherapee and darktable do, show it {scaling.baseline_ev:.1f} stops too "
            f"dark: raise the exposure there{_ALONE if white == 'sensor' else ''}"
        )
    green_ev = math.log2(linear.wb[GREEN] / min(linear.wb))
    if green_ev >= EV_WORTH_A_WORD:
        besides = ", besides" if words else ""
        words.append(
            f"darktable shows it up to {green_ev:.1f} stops too dark{besides}, as it takes green's gain in the white "
            "balance for 1 and not the smallest: raise the exposure there"
        )
    return words
