"""Figures as tables to read and as JSON to keep."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scotopic.evaluate.figures import sorted_labels
from scotopic.write import place_bytes


@dataclass(frozen=True)
class Grid:
    """A table of words: a title, the head of each column, the rows."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def table(result: dict[str, Any]) -> str:
    """Markdown for the result of any protocol."""
    return _synthetic_table(result) if result["protocol"] == "synthetic" else _pairs_table(result)


def write_json(path: Path, result: dict[str, Any], *, overwrite: bool = False) -> None:
    """Write the whole result; an existing file is kept unless `overwrite`."""
    place_bytes(path, (json.dumps(result, indent=1) + "\n").encode(), overwrite=overwrite)


def title(result: dict[str, Any]) -> str:
    """The protocol and its data in a line."""
    names = {
        "sid": "See-in-the-Dark protocol, developed 8-bit sRGB",
        "pairs": "own pairs, developed 8-bit sRGB",
        "raw": "ELD raw protocol, four channels in 0..1",
    }
    measured, found = len(result["pairs"]), result["pairs_found"]
    of = "" if measured == found else f" of the {found} found (a fixed shuffle)"
    camera = f"{result['camera']}, " if result.get("camera") else ""
    return f"{names[result['protocol']]}: {camera}split {result['split']}, {measured} pairs{of}"


def grids(result: dict[str, Any], *, every: bool = True) -> Iterator[Grid]:
    """The tables of a result on pairs: for each way the variants, then the ratios of each variant.

    Without `every` only the first variant's ratios.
    """
    variants = result["variants"]
    labels = sorted_labels(pair["ratio_group"] for pair in result["pairs"])
    rows = {(r["way"], r["method"], r["variant"], r["ratio"]): r for r in result["summary"]}

    def grid(words: str, way: str, columns: list[tuple[str, str, str]]) -> Grid:
        methods = result["figures"][way]
        cells = tuple(
            (name, *(_cell(rows[way, name, variant, ratio]) for _, variant, ratio in columns))
            for name in methods
        )
        return Grid(f"{words}, {way}", ("method", *(head for head, _, _ in columns)), cells)

    for way in result["ways"]:
        yield grid("All ratios", way, [(_head(v), v["name"], "all") for v in variants])
        for variant in variants if every else variants[:1]:
            columns = []
            for ratio in labels:
                inside = [
                    r for r in result["summary"] if (r["variant"], r["ratio"]) == (variant["name"], ratio)
                ]
                columns.append((f"{ratio} (n = {inside[0]['pairs']})", variant["name"], ratio))
            yield grid(f"Each ratio, {variant['name']}", way, columns)


def cost_grid(result: dict[str, Any]) -> Grid:
    """Seconds a megapixel of each method."""
    cost = result["seconds_per_megapixel"]
    return Grid(
        "Cost",
        ("method", "seconds a megapixel (median)"),
        tuple((name, f"{seconds:.3g}") for name, seconds in cost.items()),
    )


def notes(result: dict[str, Any]) -> list[str]:
    """What must be known to read the tables; what was left out, and why."""
    off = result["automatic_ratio_stops_off"]
    lines = [
        "Cells: mean PSNR dB / mean SSIM (medians). Means are over the n pairs, as in the papers.",
        f"Automatic ratio against the true one: off by {off['median_absolute']:.2f} stops (median of "
        f"absolute), {off['median']:+.2f} (median).",
    ]
    lines.append("Cost is that of this machine, from file to result, the start of other programs included.")
    for name, why in result["left_out"].items():
        lines.append(f"{name}: SKIPPED, {why}")
    served = Counter(pair["profile"] for pair in result["pairs"] if pair["profile"])
    lines += [
        f"Short frames of {count} pairs were put right by your profile of the {name}."
        for name, count in served.items()
    ]
    for pair in result["pairs"]:
        lines += [f"Note: {pair['name']}: {words}." for words in pair["odd"]]
    if any(pair["misaligned"] for pair in result["pairs"]) and len(result["variants"]) == 1:
        lines.append("Misaligned scenes are among the pairs.")
    lines.append(f"scotopic {result['version']}, rawpy {result['rawpy']} (its LibRaw makes the truth).")
    return lines


def _pairs_table(result: dict[str, Any]) -> str:
    lines = [title(result)]
    for grid in (*grids(result, every=False), cost_grid(result)):
        lines += [
            "",
            f"{grid.title}:",
            "",
            _markdown(grid.head),
            "| --- |" + " ---: |" * (len(grid.head) - 1),
        ]
        lines += [_markdown(row) for row in grid.rows]
    return "\n".join([*lines, "", *notes(result)])


def _markdown(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _head(variant: dict[str, Any]) -> str:
    full = variant["in_full_dataset"]
    return f"{variant['name']} (n = {variant['pairs']}{f' of {full}' if full else ''})"


def _cell(row: dict[str, Any]) -> str:
    if not row["measured"]:
        return "-"
    words = f"{row['psnr_mean']:.2f} / {row['ssim_mean']:.3f} ({row['psnr_median']:.2f} / {row['ssim_median']:.3f})"
    return words if row["measured"] == row["pairs"] else f"{words} [only {row['measured']}]"


def _synthetic_table(result: dict[str, Any]) -> str:
    """Median PSNR, SSIM and brightness of every method at every setting, in Markdown."""
    settings = result["settings"]
    # Not every way is for every condition.
    methods = list(dict.fromkeys(name for s in settings for name in s["methods"]))
    head = [s["head"] for s in settings]
    lines = [
        f"Median of {len(result['scenes'])} scenes: PSNR dB / SSIM (brightness, truth = 1)",
        "",
        "| method | " + " | ".join(head) + " |",
        "| --- |" + " --- |" * len(head),
    ]
    for method in methods:
        cells = []
        for setting in settings:
            row = setting["methods"].get(method)
            cells.append(
                f"{row['psnr_median']:.2f} / {row['ssim_median']:.3f} ({row['brightness_median']:.2f})"
                if row
                else "-"
            )
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    lines.append("")
    for setting, words in zip(settings, head, strict=True):
        for method, row in setting["methods"].items():
            bias = row["bias_by_decile"]
            if bias is not None:
                figures = " ".join(f"{100 * b:+.1f}" for b in bias)
                lines.append(f"{words}, {method}: linear error by brightness decile, %: {figures}")
                lines.append(
                    f"{words}, {method}: steps between the network's squares {row['grid_median']:.2f}, patterns in "
                    f"the spectrum {row['pattern_median']:.2f} (none = 1)"
                )
        off = setting["automatic_ratio_stops_off"]
        lines.append(
            f"{words}: automatic ratio off by {statistics.median(map(abs, off)):.2f} stops (median of "
            f"absolute), {statistics.median(off):+.2f} (median)"
        )
    return "\n".join(lines)
