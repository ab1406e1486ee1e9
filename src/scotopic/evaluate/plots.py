"""The report's plots, drawn as inline SVG: quality against cost, and quality at each ratio.

Colours are the page's custom properties `--s0` and on, so that they suit its dark and its light dress;
each method also has a mark of its own. All figures stand in the tables too.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scotopic.evaluate.figures import sorted_labels

WIDTH, HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 16, 48

_CHARACTER = 7.2
"""Width of a character in pixels, about."""

SERIES = 8
"""Colours of plots; further series begin with the first again."""


@dataclass(frozen=True)
class _Axis:
    """Values `low` to `high` onto `start` to `stop` in pixels."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def _free_box(x: float, y: float, label: str, taken: Sequence[_Box]) -> _Box:
    """Where a label fits beside its mark: right, left, above, below, further off; else at the right."""
    width, height = _CHARACTER * len(label), 16.0
    corners = [(x + 10, y - 8), (x - 10 - width, y - 8)]
    for far in (10, 26, 42):
        corners += [(x - width / 2, y - far - height), (x - width / 2, y + far)]
    boxes = [_Box(left, top, left + width, top + height) for left, top in corners]
    for box in boxes:
        inside = box.left >= _LEFT and box.right <= WIDTH and box.top >= 0
        if inside and box.bottom <= HEIGHT - _BOTTOM and not any(box.overlaps(other) for other in taken):
            return box
    return boxes[0]


def quality_against_cost(result: dict[str, Any]) -> str:
    """Mean PSNR of all pairs by the first way, over seconds a megapixel in a logarithmic scale."""
    way = result["ways"][0]
    cost = result["seconds_per_megapixel"]
    points = [
        (row["method"], math.log10(max(cost[row["method"]], 1e-6)), row["psnr_mean"])
        for row in _rows(result, way, "all")
        if row["psnr_mean"] is not None
    ]
    if not points:
        return ""
    logs = [log for _, log, _ in points]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    across = _Axis(low, max(high, low + 1), _LEFT, WIDTH - _RIGHT)
    up = _psnr_axis([value for _, _, value in points])
    marks = [_grid(up)]
    for power in range(low, int(across.high) + 1):
        marks.append(_upright_line(across.at(power), f"{10.0**power:g}"))
    marks.append(_caption("seconds a megapixel (less is better)"))
    order = _order(result)
    places = {name: (across.at(log), up.at(value)) for name, log, value in points}
    taken = [_Box(x - 7, y - 7, x + 7, y + 7) for x, y in places.values()]
    for name, _, value in points:
        x, y = places[name]
        label = f"{name} {value:.2f}"
        box = _free_box(x, y, label, taken)
        taken.append(box)
        marks.append(_mark(x, y, order[name]))
        marks.append(f'<text x="{box.left:.1f}" y="{box.bottom - 4:.1f}">{html.escape(label)}</text>')
    words = "; ".join(f"{name}: {value:.2f} dB at {10**log:.3g} s" for name, log, value in points)
    return _svg(marks, f"PSNR against seconds a megapixel. {words}")


def quality_by_ratio(result: dict[str, Any]) -> str:
    """Mean PSNR of all pairs at each ratio: the first way as a line, the second as one of dashes."""
    labels = sorted_labels(pair["ratio_group"] for pair in result["pairs"])
    across = _Axis(-0.5, len(labels) - 0.5, _LEFT, WIDTH - _RIGHT)
    order = _order(result)
    lines: list[tuple[str, str, list[tuple[int, float]]]] = []
    for way in result["ways"]:
        by_method: dict[str, list[tuple[int, float]]] = {}
        for place, label in enumerate(labels):
            for row in _rows(result, way, label):
                if row["psnr_mean"] is not None:
                    by_method.setdefault(row["method"], []).append((place, row["psnr_mean"]))
        lines += [(way, name, points) for name, points in by_method.items()]
    values = [value for _, _, points in lines for _, value in points]
    if not values:
        return ""
    up = _psnr_axis(values)
    marks = [_grid(up)]
    marks += [_upright_line(across.at(place), label, line=False) for place, label in enumerate(labels)]
    marks.append(_caption("amplification"))
    for way, name, points in lines:
        dashes = "" if way == result["ways"][0] else ' stroke-dasharray="5 4"'
        path = " ".join(f"{across.at(place):.1f},{up.at(value):.1f}" for place, value in points)
        colour = _colour(order[name])
        marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        marks += [
            _mark(across.at(place), up.at(value), order[name], hollow=bool(dashes))
            for place, value in points
        ]
    words = "; ".join(
        f"{name}, {way}: " + ", ".join(f"{labels[place]} {value:.2f} dB" for place, value in points)
        for way, name, points in lines
    )
    return _svg(marks, f"PSNR at each amplification. {words}")


def legend(result: dict[str, Any]) -> str:
    """HTML: the mark of each method."""
    items = "".join(
        f'<li><svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">{_mark(8, 8, place)}</svg> '
        f"{html.escape(name)}</li>"
        for name, place in _order(result).items()
    )
    return f'<ul class="legend">{items}</ul>'


def _order(result: dict[str, Any]) -> dict[str, int]:
    names = dict.fromkeys(name for way in result["ways"] for name in result["figures"][way])
    return {name: place for place, name in enumerate(names)}


def _rows(result: dict[str, Any], way: str, ratio: str) -> list[dict[str, Any]]:
    variant = result["variants"][0]["name"]
    wanted = (way, variant, ratio)
    return [row for row in result["summary"] if (row["way"], row["variant"], row["ratio"]) == wanted]


def _psnr_axis(values: Sequence[float]) -> _Axis:
    low, high = math.floor(min(values) - 0.5), math.ceil(max(values) + 0.5)
    return _Axis(low, high, HEIGHT - _BOTTOM, _TOP)


def _grid(up: _Axis) -> str:
    step = next(s for s in (1, 2, 5, 10, 20, 50) if (up.high - up.low) / s <= 8)
    first = math.ceil(up.low / step) * step
    lines = [f'<text x="4" y="{_TOP}" class="axis">dB</text>']
    for value in range(first, int(up.high) + 1, step):
        y = up.at(value)
        lines.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" class="axis">{value}</text>')
    return "".join(lines)


def _upright_line(x: float, words: str, *, line: bool = True) -> str:
    bottom = HEIGHT - _BOTTOM
    drawn = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" class="grid"/>' if line else ""
    return (
        f'{drawn}<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle" class="axis">'
        f"{html.escape(words)}</text>"
    )


def _caption(words: str) -> str:
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    return f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle" class="axis">{words}</text>'


def _colour(place: int) -> str:
    return f"var(--s{place % SERIES})"


def _mark(x: float, y: float, place: int, *, hollow: bool = False) -> str:
    shapes: tuple[Callable[[float, float], str], ...] = (_circle, _square, _diamond, _triangle)
    colour = _colour(place)
    fill = "var(--page)" if hollow else colour
    return shapes[place % len(shapes)](x, y) + f' fill="{fill}" stroke="{colour}" stroke-width="2"/>'


def _circle(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"'


def _square(x: float, y: float) -> str:
    return f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"'


def _diamond(x: float, y: float) -> str:
    return (
        f'<polygon points="{x:.1f},{y - 6:.1f} {x + 6:.1f},{y:.1f} {x:.1f},{y + 6:.1f} {x - 6:.1f},{y:.1f}"'
    )


def _triangle(x: float, y: float) -> str:
    return f'<polygon points="{x:.1f},{y - 6:.1f} {x + 6:.1f},{y + 5:.1f} {x - 6:.1f},{y + 5:.1f}"'


def _svg(marks: Sequence[str], words: str) -> str:
    about = html.escape(words)
    return (
        f'<div class="table"><svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{about}">{"".join(marks)}</svg></div>'
    )
