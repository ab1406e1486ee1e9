"""Figures as a table to read and as JSON to keep."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from scotopic.write import place_bytes


def table(result: dict[str, Any]) -> str:
    """Median PSNR, SSIM and brightness of every method at every setting, in Markdown."""
    settings = result["settings"]
    methods = list(settings[0]["methods"])
    head = [f"x{s['ratio']} ISO {s['iso']}" for s in settings]
    lines = [
        f"Median of {len(result['scenes'])} scenes: PSNR dB / SSIM (brightness, truth = 1)",
        "",
        "| method | " + " | ".join(head) + " |",
        "| --- |" + " --- |" * len(head),
    ]
    for method in methods:
        cells = []
        for setting in settings:
            row = setting["methods"][method]
            cells.append(
                f"{row['psnr_median']:.2f} / {row['ssim_median']:.3f} ({row['brightness_median']:.2f})"
            )
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    lines.append("")
    for setting, words in zip(settings, head, strict=True):
        for method in methods:
            bias = setting["methods"][method]["bias_by_decile"]
            if bias is not None:
                figures = " ".join(f"{100 * b:+.1f}" for b in bias)
                lines.append(f"{words}, {method}: linear error by brightness decile, %: {figures}")
        off = setting["automatic_ratio_stops_off"]
        lines.append(
            f"{words}: automatic ratio off by {statistics.median(map(abs, off)):.2f} stops (median of "
            f"absolute), {statistics.median(off):+.2f} (median)"
        )
    return "\n".join(lines)


def write_json(path: Path, result: dict[str, Any], *, overwrite: bool = False) -> None:
    """Write the whole result; an existing file is kept unless `overwrite`."""
    place_bytes(path, (json.dumps(result, indent=1) + "\n").encode(), overwrite=overwrite)
