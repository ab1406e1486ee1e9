"""Traditional beside enhanced: one labelled picture and one page with a wipe."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scotopic.frame import Rendered, Shown
from scotopic.write import place_bytes

PANEL = 1200
"""Longest side of one panel of the picture, and of the whole views in it."""

PAGE_SIDE = 2400
"""Longest side of the pictures in the page."""

_GAP, _LABEL = 16, 48


def write_picture(
    path: Path, before: Rendered, after: Rendered, labels: tuple[str, str], *, overwrite: bool
) -> None:
    """One JPEG: above the whole picture in both ways, below the same part of both at 100%."""
    wholes = [_shrunk(p.data, PANEL) for p in (before, after)]
    width, height = wholes[0].size
    crops = [_middle(p.data, width, min(height, PANEL * 2 // 3)) for p in (before, after)]
    sheet = Image.new(
        "RGB",
        (2 * width + 3 * _GAP, _LABEL + height + crops[0].height + 3 * _GAP),
        (24, 24, 24),
    )
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=max(12, min(28, width // 22)))
    for column, (whole, crop, label) in enumerate(zip(wholes, crops, labels, strict=True)):
        left = _GAP + column * (width + _GAP)
        pen.text((left, _GAP // 2), label, fill=(235, 235, 235), font=font)
        sheet.paste(whole, (left, _LABEL))
        sheet.paste(crop, (left, _LABEL + height + _GAP))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=90, icc_profile=after.icc)
    place_bytes(path, buffer.getvalue(), overwrite=overwrite)


def write_page(
    path: Path, before: Rendered, after: Rendered, labels: tuple[str, str], title: str, *, overwrite: bool
) -> None:
    """One HTML file that needs nothing else: both pictures and a slider that wipes between them."""
    pictures = [_data_url(_shrunk(p.data, PAGE_SIDE), p.icc) for p in (before, after)]
    page = _PAGE.format(
        title=html.escape(title),
        before=pictures[0],
        after=pictures[1],
        before_label=html.escape(labels[0]),
        after_label=html.escape(labels[1]),
    )
    place_bytes(path, page.encode(), overwrite=overwrite)


def _shrunk(data: Shown, side: int) -> Image.Image:
    image = Image.fromarray(np.asarray(data, np.uint8))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _middle(data: Shown, width: int, height: int) -> Image.Image:
    top, left = max(0, (data.shape[0] - height) // 2), max(0, (data.shape[1] - width) // 2)
    return Image.fromarray(np.asarray(data[top : top + height, left : left + width], np.uint8))


def _data_url(image: Image.Image, icc: bytes) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88, icc_profile=icc)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0; background: #181818; color: #eee; font: 16px/1.4 system-ui, sans-serif; }}
h1 {{ font-size: 1rem; font-weight: 500; margin: .8rem 1rem; }}
figure {{ position: relative; margin: 0 auto; width: fit-content; max-width: 100vw; --at: 50%; }}
img {{ display: block; max-width: 100vw; max-height: 84vh; }}
img + img {{ position: absolute; inset: 0; width: 100%; height: 100%;
  clip-path: inset(0 0 0 var(--at)); }}
.edge {{ position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; background: #fff; }}
span {{ position: absolute; top: .6rem; padding: .1rem .5rem; background: #000a; border-radius: .3rem; }}
.left {{ left: .6rem; }} .right {{ right: .6rem; }}
input {{ display: block; width: min(90vw, 60rem); margin: 1rem auto; }}
</style></head>
<body><h1>{title}</h1>
<figure><img src="{before}" alt="{before_label}"><img src="{after}" alt="{after_label}">
<div class="edge"></div><span class="left">{before_label}</span><span class="right">{after_label}</span>
</figure>
<input type="range" min="0" max="100" step="0.1" value="50" aria-label="Wipe between the two pictures">
<script>
const figure = document.querySelector("figure"), slider = document.querySelector("input");
slider.addEventListener("input", () => figure.style.setProperty("--at", slider.value + "%"));
figure.addEventListener("pointermove", (event) => {{
  const box = figure.getBoundingClientRect();
  slider.value = 100 * (event.clientX - box.left) / box.width;
  slider.dispatchEvent(new Event("input"));
}});
</script></body></html>
"""
