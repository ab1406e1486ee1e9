"""Traditional beside enhanced: one labelled picture and one page with a wipe."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
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
    images = [_shrunk(p.data, PAGE_SIDE) for p in (before, after)]
    urls = [jpeg_url(image, p.icc) for image, p in zip(images, (before, after), strict=True)]
    page = _PAGE.format(
        title=html.escape(title),
        style=WIPE_STYLE,
        wipe=wipe(list(zip(labels, urls, strict=True)), images[0].size),
        script=WIPE_SCRIPT,
    )
    place_bytes(path, page.encode(), overwrite=overwrite)


def wipe(pictures: Sequence[tuple[str, str]], size: tuple[int, int], about: str = "") -> str:
    """HTML of labelled pictures, as data URLs, that lie over each other, and a slider between two of them.

    The first lies left and the second right; of three or more, each side can be chosen. `size` is their
    width and height, `about` what they show. The page needs WIPE_STYLE and WIPE_SCRIPT once.
    """
    labels = [html.escape(label) for label, _ in pictures]
    width, height = size
    images = "".join(
        f'<img src="{url}" alt="{label}{html.escape(f": {about}" if about else "")}" width="{width}" '
        f'height="{height}" class="{("left", "right", "")[min(i, 2)]}">'
        for i, (label, (_, url)) in enumerate(zip(labels, pictures, strict=True))
    )
    choice = ""
    if len(pictures) > 2:
        for shown, (side, word) in enumerate((("left", "Left"), ("right", "Right"))):
            options = "".join(
                f"<option{' selected' if i == shown else ''}>{label}</option>"
                for i, label in enumerate(labels)
            )
            choice += f'<label>{word} <select data-side="{side}">{options}</select></label> '
        choice = f'<p class="choice">{choice}</p>'
    return (
        f'<div class="wipe"><figure>{images}<div class="edge"></div>'
        f'<span class="left">{labels[0]}</span><span class="right">{labels[1]}</span></figure>'
        '<input type="range" min="0" max="100" step="any" value="50" aria-label="Wipe between the two '
        f'pictures">{choice}</div>'
    )


def jpeg_url(image: Image.Image, icc: bytes, quality: int = 88) -> str:
    """An image as a JPEG in a data URL."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, icc_profile=icc)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _shrunk(data: Shown, side: int) -> Image.Image:
    image = Image.fromarray(np.asarray(data, np.uint8))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _middle(data: Shown, width: int, height: int) -> Image.Image:
    top, left = max(0, (data.shape[0] - height) // 2), max(0, (data.shape[1] - width) // 2)
    return Image.fromarray(np.asarray(data[top : top + height, left : left + width], np.uint8))


WIPE_STYLE = """
.wipe figure { position: relative; margin: 0 auto; width: fit-content; max-width: 100%; --at: 50%;
  touch-action: pan-y; }
.wipe img { display: none; max-width: 100%; width: auto; height: auto; max-height: 84vh; }
.wipe img.left, .wipe img.right { display: block; }
.wipe img.right { position: absolute; inset: 0; width: 100%; height: 100%;
  clip-path: inset(0 0 0 var(--at)); }
.wipe .edge { position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; background: #fff;
  box-shadow: 0 0 2px #000; }
.wipe span { position: absolute; top: .6rem; padding: .1rem .5rem; background: #000b; color: #eee;
  border-radius: .3rem; max-width: 45%; }
.wipe span.left { left: .6rem; } .wipe span.right { right: .6rem; }
.wipe input { display: block; width: min(100%, 60rem); margin: 1rem auto; }
.wipe .choice { text-align: center; margin: 0 0 1rem; }
"""

WIPE_SCRIPT = """
for (const wipe of document.querySelectorAll(".wipe")) {
  const figure = wipe.querySelector("figure"), slider = wipe.querySelector("input");
  const images = [...wipe.querySelectorAll("img")], selects = [...wipe.querySelectorAll("select")];
  slider.addEventListener("input", () => figure.style.setProperty("--at", slider.value + "%"));
  figure.addEventListener("pointermove", (event) => {
    const box = figure.getBoundingClientRect();
    slider.value = 100 * (event.clientX - box.left) / box.width;
    slider.dispatchEvent(new Event("input"));
  });
  const choose = (changed) => {
    const [left, right] = selects;
    if (left.selectedIndex === right.selectedIndex) {
      const other = changed === left ? right : left;
      other.selectedIndex = (changed.selectedIndex + 1) % images.length;
    }
    for (const select of selects) {
      const side = select.dataset.side, shown = images[select.selectedIndex];
      for (const image of images) image.classList.toggle(side, image === shown);
      wipe.querySelector("span." + side).textContent = select.value;
    }
  };
  for (const select of selects) {
    select.selectedIndex = select.dataset.side === "left" ? 0 : 1;
    select.addEventListener("change", () => choose(select));
  }
}
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0; background: #181818; color: #eee; font: 16px/1.4 system-ui, sans-serif; }}
h1 {{ font-size: 1rem; font-weight: 500; margin: .8rem 1rem; }}
{style}</style></head>
<body><h1>{title}</h1>
{wipe}
<script>{script}</script></body></html>
"""
