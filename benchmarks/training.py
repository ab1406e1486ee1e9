"""Training crops per second, for the paper's U-Net and for ours, with and without loading.

    python benchmarks/training.py [--steps 10] [--laps 5] [--device auto] [--peak-tflops 989] [-o training.json]

"Loading" is all that brings crops to the training device: reading pairs from the cache, cropping photos.
Giving them the noise of a sensor happens on that device and is part of a step; how long it takes is told
apart. Laps with and without loading alternate, so that their ratio holds on a busy machine. Pairs are
simulated and small.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import print_result
from torch.utils.flop_counter import FlopCounterMode

from scotopic.dng.write import write_mosaic
from scotopic.evaluate.scenes import load_all
from scotopic.sensor.simulated import expose, sony_a7s2
from scotopic.train.loop import AHEAD
from scotopic.train.losses import loss_named
from scotopic.train.recipes import Recipe, recipe_named
from scotopic.train.simulate import Batch
from scotopic.train.sources import Data, Simulated, Source, ahead, find_data, open_sources
from scotopic.train.weights import Graph, build

RATIO, ISO = 100, 3200
SCENES, SIDE = 4, 1280


def pairs(folder: Path) -> Data:
    """A few large simulated pairs under the dataset's names."""
    for part in ("short", "long"):
        (folder / "Sony" / part).mkdir(parents=True)
    for i in range(SCENES):
        scene = load_all(limit=SCENES)[i].camera
        repeats = (-(-SIDE // scene.shape[0]), -(-SIDE // scene.shape[1]), 1)
        frame = np.tile(scene, repeats)[:SIDE, :SIDE]
        for part, ratio, seconds in (("short", RATIO, "0.1s"), ("long", 1, "10s")):
            mosaic = expose(frame, sony_a7s2(ISO), ratio, np.random.default_rng(i))
            write_mosaic(folder / "Sony" / part / f"0000{i}_00_{seconds}.ARW", mosaic)
    return find_data([folder])


class Trainer:
    """One step after another on what a source draws."""

    def __init__(self, recipe: Recipe, device: torch.device, precision: torch.dtype | None) -> None:
        self.recipe = recipe
        self.graph: Graph = build(recipe).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.graph.autocast = precision
        self.optimizer = torch.optim.AdamW(self.graph.net.parameters(), lr=1e-6)
        self.device = device

    def step(self, batch: Batch) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        rgb = self.graph(*batch.inputs())[0]
        loss = loss_named(self.recipe.loss, rgb, batch.target, batch.to_srgb, self.recipe.packing.cell)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def seconds(self, batches: Iterator[Batch], steps: int) -> float:
        """Seconds a step, mean of `steps`."""
        self.step(next(batches))
        self.wait()
        start = time.perf_counter()
        for _ in range(steps):
            self.step(next(batches))
        self.wait()
        return (time.perf_counter() - start) / steps

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def flops(self, batch: Batch) -> int:
        """Floating-point operations of one step, forward and backward."""
        with FlopCounterMode(display=False) as counter:
            self.step(batch)
        return int(counter.get_total_flops())


def measure(trainer: Trainer, on: Source, off: Source, steps: int, laps: int) -> dict[str, Any]:
    depth = AHEAD if trainer.device.type == "cuda" else 0
    still = on.draw(0)

    def through(source: Source) -> float:
        batches = ahead(source.draw, count(1), depth)
        took = trainer.seconds(batches, steps)
        batches.close()  # type: ignore[attr-defined]
        return took

    ways: dict[str, Callable[[], float]] = {
        "loading on": lambda: through(on),
        "loading off": lambda: through(off),
        "the same batch": lambda: trainer.seconds(iter(lambda: still, None), steps),
    }
    rows = [{name: way() for name, way in ways.items()} for _ in range(laps + 1)][1:]
    median = {name: statistics.median(row[name] for row in rows) for name in ways}
    flops = trainer.flops(still)
    return {
        "crop": trainer.recipe.crop,
        "batch": trainer.recipe.batch,
        "crops_per_s": {name: round(trainer.recipe.batch / s, 3) for name, s in median.items()},
        "on_over_off": round(statistics.median(r["loading off"] / r["loading on"] for r in rows), 3),
        "synthesis_share": round(1 - median["the same batch"] / median["loading off"], 3),
        "tflops": round(flops / median["loading on"] / 1e12, 3),
    }


class Still:
    """The same loaded crops again and again; what happens on the device still happens."""

    def __init__(self, source: Source) -> None:
        self.source = source
        if isinstance(source, Simulated):
            drawn = source.photos.batch(source.size, torch.Generator().manual_seed(0))
            source.photos.batch = lambda *_: drawn  # type: ignore[method-assign]
        else:
            batch = source.draw(0)

            def same(seed: int, number: int | None = None) -> Batch:
                return batch

            source.draw = same  # type: ignore[method-assign]

    def draw(self, seed: int, number: int | None = None) -> Batch:
        return self.source.draw(seed, number)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--laps", type=int, default=5)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--batch", type=int, help="Crops a step of our network; its recipe's if left out.")
    parser.add_argument("--crop", type=int, help="Side of a crop of both; their recipes' if left out.")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--peak-tflops", type=float, help="The card's peak, to tell the share reached.")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    cuda = options.device != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    precision = torch.bfloat16 if options.precision == "bfloat16" else None
    result: dict[str, Any] = {
        "benchmark": "training",
        "device": torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "precision": options.precision,
        "networks": {},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = find_data([Path(str(files("scotopic.evaluate") / "held_out"))])
        for network, data in (("article", pairs(folder / "sid")), ("scotopic", photos)):
            recipe = recipe_named(network)
            if network == "scotopic":
                # All photos here are held out by the recipe; nothing is kept of what is learnt.
                recipe = dataclasses.replace(recipe, batch=options.batch or recipe.batch, held_out=())
            recipe = dataclasses.replace(recipe, crop=options.crop or recipe.crop)
            on, off = (
                open_sources(data, recipe, folder / f"cache-{network}", device).training for _ in range(2)
            )
            row = measure(Trainer(recipe, device, precision), on, Still(off), options.steps, options.laps)
            if options.peak_tflops:
                row["share_of_peak"] = round(row["tflops"] / options.peak_tflops, 4)
            result["networks"][network] = row
    print_result(result, options.output)


if __name__ == "__main__":
    main()
