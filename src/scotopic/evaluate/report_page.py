"""The report: one HTML file that needs nothing else, with plots, every table, and pictures to wipe over."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from PIL import Image

from scotopic.compare import WIPE_SCRIPT, WIPE_STYLE, jpeg_url, wipe
from scotopic.develop import srgb_profile
from scotopic.evaluate import plots
from scotopic.evaluate.pair_measures import Measured, Wipe
from scotopic.evaluate.report import Grid, cost_grid, grids, notes, title
from scotopic.write import place_bytes

PICTURES_MAX_BYTES = 2_600_000
"""Bytes of all pictures of a page together, as they stand in it; JPEG quality falls until they fit."""

_QUALITIES = (88, 80, 70, 60, 45, 30)


def write_page(path: Path, measured: Measured, *, overwrite: bool = False) -> None:
    """Write the report of an evaluation on pairs; an existing file is kept unless `overwrite`."""
    place_bytes(path, page(measured).encode(), overwrite=overwrite)


def page(measured: Measured) -> str:
    """The report as HTML."""
    result = measured.result
    all_grids = list(grids(result))
    body = [
        f"<h1>{html.escape(title(result))}</h1>",
        _list(notes(result)),
        "<h2>Quality against cost</h2>",
        f"<p>Mean PSNR over all pairs, {html.escape(result['ways'][0])}; up and to the left is better.</p>",
        plots.quality_against_cost(result),
        _table(cost_grid(result)),
        "<h2>Quality at each amplification</h2>",
        _ways_in_words(result),
        plots.quality_by_ratio(result),
        plots.legend(result),
        _wipes(measured.wipes, result["featured"]),
        "<h2>Tables</h2>",
        *map(_table, all_grids),
        "<h2>Every pair</h2>",
        f"<details><summary>{len(result['pairs'])} pairs, PSNR dB / SSIM</summary>",
        *(_table(_pair_grid(result, way)) for way in result["ways"]),
        "</details>",
    ]
    return _PAGE.format(
        title=html.escape(f"scotopic: {title(result)}"),
        style=WIPE_STYLE,
        body="\n".join(body),
        script=WIPE_SCRIPT,
    )


def _wipes(wipes: list[Wipe], featured: str) -> str:
    if not wipes:
        return ""
    urls: list[list[str]] = []
    for quality in _QUALITIES:
        urls = [
            [jpeg_url(Image.fromarray(picture), srgb_profile(), quality) for _, picture in shown.pictures]
            for shown in wipes
        ]
        if sum(len(url) for row in urls for url in row) <= PICTURES_MAX_BYTES:
            break
    parts = [
        f"<h2>Best, median and worst of {html.escape(featured)}</h2>",
        "<p>Parts of the pictures, amplified as in the first of the tables. Move over a picture, or use the slider "
        "(arrow keys work); choose what lies left and right below it.</p>",
    ]
    for shown, row in zip(wipes, urls, strict=True):
        height, width = shown.pictures[0][1].shape[:2]
        heading = f"{shown.which}: {shown.pair}, x{shown.ratio:.3g}, {shown.psnr:.2f} dB"
        panels = [(words, url) for (words, _), url in zip(shown.pictures, row, strict=True)]
        parts.append(f"<h3>{html.escape(heading)}</h3>")
        parts.append(wipe(panels, (width, height), f"pair {shown.pair}, the {shown.which}"))
    return "\n".join(parts)


def _pair_grid(result: dict[str, Any], way: str) -> Grid:
    methods = result["figures"][way]
    rows = []
    for index, pair in enumerate(result["pairs"]):
        cells = [
            f"{pair['name']}{' (misaligned)' if pair['misaligned'] else ''}",
            f"x{pair['ratio']:.4g}",
            f"x{pair['automatic_ratio']:.4g}",
        ]
        for values in methods.values():
            psnr, ssim = values["psnr"][index], values["ssim"][index]
            cells.append("-" if psnr is None else f"{psnr:.2f} / {ssim:.3f}")
        rows.append(tuple(cells))
    return Grid(way, ("pair", "true ratio", "automatic", *methods), tuple(rows))


def _ways_in_words(result: dict[str, Any]) -> str:
    lines = (
        f"{'filled marks, full lines' if place == 0 else 'hollow marks, dashes'}: {html.escape(way)}"
        for place, way in enumerate(result["ways"])
    )
    return f"<p>Mean PSNR over all pairs of a ratio; {'; '.join(lines)}.</p>"


def _table(grid: Grid) -> str:
    head = "".join(f'<th scope="col">{html.escape(words)}</th>' for words in grid.head)
    rows = "".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in grid.rows
    )
    return (
        f'<div class="table"><table><caption>{html.escape(grid.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _list(lines: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ --page: #fff; --ink: #1b1b1b; --soft: #555; --line: #d5d5d5;
  --s0: #b35900; --s1: #7a5195; --s2: #2a7f3f; --s3: #c2185b; --s4: #0b62b8; --s5: #6b6b00;
  --s6: #008080; --s7: #a03020; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --page: #181818; --ink: #ececec; --soft: #b0b0b0; --line: #3c3c3c;
    --s0: #ffb266; --s1: #c9a3e6; --s2: #7ed492; --s3: #ff8ab5; --s4: #74b9ff; --s5: #d9d95a;
    --s6: #5fd6d6; --s7: #ff9a85; }}
}}
body {{ margin: 0 auto; max-width: 62rem; padding: 1rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.3rem; line-height: 1.3; }}
h2 {{ font-size: 1.15rem; margin-top: 2.2rem; }}
h3 {{ font-size: 1rem; font-weight: 600; }}
.table {{ overflow-x: auto; margin: 1rem 0; }}
table {{ border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; font-weight: 600; padding: .3rem 0; white-space: nowrap; }}
th, td {{ border-bottom: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: right;
  white-space: nowrap; font-weight: 400; }}
thead th {{ color: var(--soft); white-space: normal; vertical-align: bottom; }}
th:first-child {{ text-align: left; }}
.plot {{ display: block; width: 100%; min-width: 30rem; max-width: 44rem; height: auto; }}
.plot text {{ font-size: 13px; fill: var(--ink); }}
.plot text.axis {{ font-size: 12px; fill: var(--soft); }}
.plot .grid {{ stroke: var(--line); stroke-width: 1; }}
.legend {{ list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; }}
.legend svg {{ vertical-align: -3px; }}
summary {{ cursor: pointer; }}
{style}</style></head>
<body>
{body}
<script>{script}</script></body></html>
"""
