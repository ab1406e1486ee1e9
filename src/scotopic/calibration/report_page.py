"""What a calibration measured, as one HTML file: photon transfer, noise by ISO, the dark shading."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from scotopic.calibration.calibrate import Calibration
from scotopic.calibration.profile import CameraProfile, Setting
from scotopic.compare import jpeg_url
from scotopic.sensor.simulated import QUANTISATION_VARIANCE_DN2
from scotopic.write import place_bytes

WIDTH, HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 16, 48
_COLOURS = ("#0b6e99", "#c2571a", "#3d7a35", "#8a3fa0", "#a3812a", "#555555")
SHADING_SIDE = 640

Points = Sequence[tuple[float, float]]


def write_page(path: Path, measured: Calibration, *, overwrite: bool = False) -> None:
    """Write the page; an existing file is kept unless `overwrite`."""
    place_bytes(path, page(measured).encode(), overwrite=overwrite)


def page(measured: Calibration) -> str:
    """The page as HTML that needs nothing else."""
    profile = measured.profile
    name = html.escape(profile.name)
    parts = [f"<h1>Calibration of {name}</h1>", _table(profile)]
    if measured.transfer:
        parts += [
            "<h2>Photon transfer</h2>",
            "<p>Variance from frame to frame over mean, both in DN, of blocks of the flat frames. The line is "
            "gain x mean + read noise. Points that leave it are clipped, or their light was not steady.</p>",
            _photon_transfer(measured),
        ]
    parts += [
        "<h2>Noise by ISO</h2>",
        "<p>Read noise (filled) and row noise (hollow), in DN.</p>",
        _by_iso(profile),
    ]
    parts.append("<h2>Dark shading</h2>")
    for setting, pattern in zip(profile.settings, profile.patterns, strict=True):
        parts.append(_picture(setting, pattern.shading()))
    if profile.notes:
        items = "".join(f"<li>{html.escape(note)}</li>" for note in profile.notes)
        parts.append(f"<h2>Notes</h2><ul>{items}</ul>")
    return _PAGE.format(title=f"scotopic: calibration of {name}", body="\n".join(parts))


HEADS = (
    "ISO",
    "exposure s",
    "dark frames",
    "gain DN/e",
    "read DN",
    "row DN",
    "black error DN",
    "shading DN",
    "hot",
)


def rows(profile: CameraProfile) -> list[tuple[str, ...]]:
    """One row of words a setting, under HEADS."""
    return [
        (
            f"{s.iso:g}",
            "?" if s.exposure_s is None else f"{s.exposure_s:.3g}",
            f"{s.dark_frames}",
            "unknown" if s.gain_dn_per_e is None else f"{s.gain_dn_per_e:.4g} ({s.gain_source})",
            f"{s.read_std_dn:.3g} ({_shape(s)})",
            f"{s.row_std_dn:.3g}",
            f"{min(s.black_error_dn):+.2f} to {max(s.black_error_dn):+.2f}",
            f"{pattern.shading().std():.2f}",
            f"{len(pattern.hot)}",
        )
        for s, pattern in zip(profile.settings, profile.patterns, strict=True)
    ]


def _shape(setting: Setting) -> str:
    return "Gaussian" if setting.tukey_lambda is None else f"Tukey {setting.tukey_lambda:+.2f}"


def _table(profile: CameraProfile) -> str:
    head = "".join(f"<th>{word}</th>" for word in HEADS)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows(profile)
    )
    return f"<table><tr>{head}</tr>{body}</table>"


@dataclass(frozen=True)
class _LogAxis:
    """Values `low` to `high`, both above 0, onto `start` to `stop` in pixels."""

    low: float
    high: float
    start: float
    stop: float
    unit: float = 1.0
    """Ticks are at this times powers."""

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Powers of ten, or of two where there are few of those."""
        base = 10 if self.high / self.low > 100 else 2
        low, high = self.low / self.unit, self.high / self.unit
        first, last = math.ceil(math.log(low, base)), math.floor(math.log(high, base))
        return [self.unit * float(base) ** n for n in range(first, last + 1)]


def _axes(points: Points) -> tuple[_LogAxis, _LogAxis]:
    def around(values: list[float]) -> tuple[float, float]:
        return min(values) / 1.4, max(values) * 1.4

    across, up = around([x for x, _ in points]), around([y for _, y in points])
    return _LogAxis(*across, _LEFT, WIDTH - _RIGHT), _LogAxis(*up, HEIGHT - _BOTTOM, _TOP)


def _photon_transfer(measured: Calibration) -> str:
    clouds = {
        iso: [(float(m), float(v)) for m, v in points if m > 0 and v > 0]
        for iso, points in measured.transfer.items()
    }
    across, up = _axes([point for cloud in clouds.values() for point in cloud])
    marks = [_grid(across, up, "mean, DN above black", "variance, DN²")]
    for place, (iso, cloud) in enumerate(clouds.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        marks += [
            f'<circle cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="1.5" fill="{colour}" opacity="0.5"/>'
            for x, y in cloud
        ]
        setting = min(measured.profile.settings, key=lambda s: abs(math.log(s.iso / iso)))
        if setting.gain_dn_per_e is not None:
            gain = setting.gain_dn_per_e * iso / setting.iso
            ground = setting.read_std_dn**2 + QUANTISATION_VARIANCE_DN2
            ends = [min(x for x, _ in cloud), max(x for x, _ in cloud)]
            line = " ".join(f"{across.at(x):.1f},{up.at(gain * x + ground):.1f}" for x in ends)
            marks.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        marks.append(
            f'<text x="{_LEFT + 12}" y="{_TOP + 18 + 18 * place}" fill="{colour}">ISO {iso:g}</text>'
        )
    return _svg(marks, "Variance over mean of flat frames, with the fitted line")


def _by_iso(profile: CameraProfile) -> str:
    read = [(s.iso, s.read_std_dn) for s in profile.settings if s.read_std_dn > 0]
    row = [(s.iso, s.row_std_dn) for s in profile.settings if s.row_std_dn > 0]
    if not read:
        return "<p>No read noise could be seen: it drowns in rounding.</p>"
    across, up = _axes(read + row)
    across = replace(across, unit=100.0)
    marks = [_grid(across, up, "ISO", "DN")]
    for points, fill in ((read, _COLOURS[0]), (row, "white")):
        marks += [
            f'<circle cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="5" fill="{fill}" stroke="{_COLOURS[0]}"/>'
            for x, y in points
        ]
    words = "; ".join(f"ISO {x:g}: {y:.3g} DN" for x, y in read)
    return _svg(marks, f"Read noise by ISO. {words}")


def _picture(setting: Setting, shading: npt.NDArray[np.float32]) -> str:
    """The shading, grey where it is 0, black and white at four times its spread."""
    step = max(1, max(shading.shape) // SHADING_SIDE)
    small = shading[::step, ::step]
    reach = max(4 * float(shading.std()), 1e-3)
    grey = np.clip(np.rint(127.5 + 127.5 * small / reach), 0, 255).astype(np.uint8)
    url = jpeg_url(Image.fromarray(grey), b"")
    time = f", {setting.exposure_s:.3g} s" if setting.exposure_s else ""
    words = f"ISO {setting.iso:g}{time}: black is {-reach:.2g}, white {reach:+.2g} DN"
    return f'<figure><img src="{url}" alt="{words}"><figcaption>{words}</figcaption></figure>'


def _grid(across: _LogAxis, up: _LogAxis, below: str, beside: str) -> str:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    lines = [
        f'<rect x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" height="{bottom - _TOP}" class="frame"/>'
    ]
    for value in across.ticks():
        x = across.at(value)
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" class="grid"/>')
        lines.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>')
    for value in up.ticks():
        y = up.at(value)
        lines.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        lines.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    lines.append(f'<text x="{right}" y="{HEIGHT - 8}" text-anchor="end">{below}</text>')
    lines.append(f'<text x="4" y="{HEIGHT - 8}">{beside}</text>')
    return "".join(lines)


def _svg(marks: Sequence[str], words: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(words)}">'
        f"{''.join(marks)}</svg>"
    )


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
td, th {{ padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }}
svg {{ width: 100%; max-width: 640px; font-size: 12px; }}
.grid {{ stroke: #ddd; }} .frame {{ fill: none; stroke: #999; }}
img {{ max-width: 100%; }} figure {{ margin: 1rem 0; }}
</style>
{body}
</html>
"""
