"""Put into a model's card and its README what it reached in the synthetic benchmark: median PSNR and SSIM by condition.

    scotopic evaluate synthetic --condition all --variants -o figures.json
    python benchmarks/into_card.py src/scotopic/models/bayer-fast figures.json [more.json]

Figures of noise measured on the picture and the true ratio, as a photographer has them but for the brightness. Beside
them stand, where a file has them, the model's with the true noise and the best of the ways that learn nothing, which
may be in a file of their own. Of two files that have a condition the later counts. Other ways' figures of which no file
says anything stay as the card has them, since they are of the same photos; the model's own only with --keep, for more
conditions of the same graph.

Full figures go into `card.json`. The README's table is made of it, between the lines TABLE_BEGINS and TABLE_ENDS, so
that each number is rounded once; `--table` makes it anew without any file. `models verify` is about the graph, and
minds no figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from scotopic.evaluate.conditions import CONDITIONS
from scotopic.evaluate.protocols import NAMES
from scotopic.write import place_bytes

TABLE_BEGINS = "<!-- made by benchmarks/into_card.py -->"
TABLE_ENDS = "<!-- end -->"


def metrics(name: str, files: list[Path], known: dict[str, Any], *, keep: bool = False) -> dict[str, Any]:
    """What the benchmark's files say of a model, and what is `known` of it that stays."""
    before = known.get("conditions", {})
    found = {c: of if keep else _of_others(of) for c, of in before.items()}
    scenes = known.get("scenes", 0)
    for file in files:
        measured = json.loads(file.read_text())
        scenes = len(measured["scenes"])
        for setting in measured["settings"]:
            new, old = figures(name, setting["methods"]), found.get(setting["condition"], {})
            # A model's figures with the true noise are of the same graph as those without.
            found[setting["condition"]] = (_of_others(old) if "psnr_db" in new else old) | new
    return {
        "protocol": "scotopic evaluate synthetic",
        "what": "median over the scenes, 8-bit sRGB, noise measured on the picture, true ratio",
        "scenes": scenes,
        "conditions": {c.name: found[c.name] for c in CONDITIONS if "psnr_db" in found.get(c.name, {})},
    }


def _of_others(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in figures.items() if key == "best_other"}


def figures(name: str, methods: dict[str, Any]) -> dict[str, Any]:
    """The figures of a model in one condition, by the methods that were measured."""
    medians = {
        method: {"psnr_db": values["psnr_median"], "ssim": values["ssim_median"]}
        for method, values in methods.items()
    }
    others = [{"name": other, **medians[other]} for other in NAMES.values() if other in medians]
    return {
        **medians.get(name, {}),
        **({"true_noise": medians[true]} if (true := f"{name}, true noise") in medians else {}),
        **({"best_other": max(others, key=lambda other: float(other["psnr_db"]))} if others else {}),
    }


def table(card: dict[str, Any]) -> str:
    """The figures of a card as a table of Markdown, a row for each condition."""
    rows = [
        ["PSNR dB / SSIM", card["name"], "with the true noise", "the best that learns nothing", "gain"],
        ["---"] * 5,
    ]
    heads = {condition.name: condition.head for condition in CONDITIONS}
    for name, own in card["metrics"]["conditions"].items():
        other = own.get("best_other")
        gain = f"{own['psnr_db'] - other['psnr_db']:+.2f} dB" if other else "-"
        beside = f"{_words(other)} ({other['name']})" if other else "-"
        rows.append([heads[name], _words(own), _words(own.get("true_noise")), beside, gain])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _words(figures: dict[str, float] | None) -> str:
    return f"{figures['psnr_db']:.2f} / {figures['ssim']:.3f}" if figures else "-"


def with_table(readme: str, card: dict[str, Any]) -> str:
    """A README with the card's figures in the place of what stands there between the two lines."""
    before, _, rest = readme.partition(TABLE_BEGINS)
    _, end, after = rest.partition(TABLE_ENDS)
    if not end:
        raise SystemExit(f"{card['name']}: the README needs the lines {TABLE_BEGINS} and {TABLE_ENDS}")
    return f"{before}{TABLE_BEGINS}\n\n{table(card)}\n{TABLE_ENDS}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("figures", type=Path, nargs="*", help="JSON files of the benchmark")
    parser.add_argument("--keep", action="store_true", help="keep the card's figures that no file has")
    parser.add_argument(
        "--table", action="store_true", help="only make the README's table of the card anew"
    )
    options = parser.parse_args()
    if bool(options.figures) == options.table:
        parser.error("give either files of the benchmark or --table")
    file, page = options.model / "card.json", options.model / "README.md"
    card = json.loads(file.read_text())
    if not options.table:
        card["metrics"] = metrics(card["name"], options.figures, card.get("metrics", {}), keep=options.keep)
    text = with_table(page.read_text(), card)
    place_bytes(file, (json.dumps(card, indent=2) + "\n").encode(), overwrite=True)
    place_bytes(page, text.encode(), overwrite=True)
    print(table(card), end="")


if __name__ == "__main__":
    main()
