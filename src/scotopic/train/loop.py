"""The one training loop."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from scotopic.errors import DatasetError, SettingsError, TrainingError, WriteError
from scotopic.train.datasets import CleanPhotos, find_photos, split
from scotopic.train.losses import loss, psnr_by_picture
from scotopic.train.networks import Architecture, BayerGraph
from scotopic.train.recipes import Recipe
from scotopic.train.simulate import Batch, Simulator

VALIDATION_BATCHES = 6
CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True)
class Progress:
    """One report of a running training."""

    step: int
    seconds: float
    share_done: float
    loss: float
    rate: float
    validation_db: float | None


def train(
    recipe: Recipe,
    photos: Path,
    out: Path,
    *,
    start_from: Path | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    device: str = "auto",
) -> Path:
    """Train by `recipe` on the photos below `photos`; returns the folder `out` with the result.

    Writes `recipe.json`, `log.jsonl`, `weights.safetensors` (the moving average, renewed every two
    minutes and at the end) and, when done, `result.json`. `start_from` is a weights file to go on from.
    Raises DatasetError when photos are missing, WriteError when `out` holds a run already, TrainingError
    when the loss is no number any more.
    """
    place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    if place.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device cuda is not available: this PyTorch sees no graphics card")
    torch.manual_seed(recipe.seed)
    if (out / "recipe.json").exists():
        raise WriteError(f"{out}: holds a training run already, which is kept; give another folder")
    kept, held = split(find_photos(photos), recipe.held_out)
    data = CleanPhotos(kept, recipe.crop, place, torch.Generator().manual_seed(recipe.seed))
    simulator = Simulator(recipe.noise, place, torch.Generator(place).manual_seed(recipe.seed + 1))
    validation = _validation_batches(recipe, held, place)

    model = BayerGraph(recipe.architecture).to(place)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start_from is not None:
        try:
            model.net.load_state_dict(load_file(start_from, device=str(place)))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise DatasetError(f"{start_from}: holds no weights of this network ({error})") from error
    average = {k: v.detach().clone() for k, v in model.net.state_dict().items()}
    optimizer = torch.optim.AdamW(
        model.net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )

    def step_loss(inputs: tuple[Tensor, ...], target: Tensor, to_srgb: Tensor) -> Tensor:
        rgb, _ = model(*inputs)
        return loss(rgb, target, to_srgb)

    if recipe.compile:
        step_loss = torch.compile(step_loss)

    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.json").write_text(json.dumps(recipe.to_dict(), indent=2) + "\n")
    start = last_save = time.monotonic()
    smooth_loss, step = math.nan, 0
    with (out / "log.jsonl").open("a") as log:
        while True:
            seconds = time.monotonic() - start
            share = max(step / recipe.steps, seconds / (60 * recipe.minutes))
            if share >= 1:
                break
            rate = _rate(recipe, step, share)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.no_grad():
                scenes, hdr = data.batch(recipe.batch)
                batch = simulator.expose(*simulator.unprocess(scenes, hdr))
            value = step_loss(batch.inputs(), batch.target, batch.to_srgb)
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.net.parameters(), recipe.gradient_clip)
            optimizer.step()
            step += 1
            _follow(average, model.net, min(recipe.average_decay, (1 + step) / (10 + step)))

            current = float(value.detach())
            if not math.isfinite(current):
                raise TrainingError(
                    f"the loss became {current} at step {step}: lower the learning rate; the last weights saved "
                    f"in {out} are from before"
                )
            smooth_loss = current if math.isnan(smooth_loss) else 0.99 * smooth_loss + 0.01 * current
            saving = time.monotonic() - last_save > CHECKPOINT_SECONDS
            if saving or step % 50 == 0:
                quality = None
                if saving:
                    save_weights(average, out)
                    quality = _validate(recipe.architecture, average, validation, place)
                    last_save = time.monotonic()
                progress = Progress(step, seconds, share, smooth_loss, rate, quality)
                log.write(json.dumps(progress.__dict__) + "\n")
                log.flush()
                report(progress)
        quality = _validate(recipe.architecture, average, validation, place)
        final = Progress(step, time.monotonic() - start, 1.0, smooth_loss, 0.0, quality)
        log.write(json.dumps(final.__dict__) + "\n")
        report(final)
    save_weights(average, out)
    facts = {
        "steps": step,
        "minutes": round((time.monotonic() - start) / 60, 1),
        "device": torch.cuda.get_device_name() if place.type == "cuda" else "cpu",
        "photos": len(kept),
        "photos_held_out": len(held),
        "validation_db": quality,
        "started_from": start_from.name if start_from else None,
    }
    (out / "result.json").write_text(json.dumps(facts, indent=2) + "\n")
    return out


def save_weights(weights: dict[str, Tensor], out: Path) -> None:
    """Write `out/weights.safetensors`, whole or not at all."""
    temporary = out / "weights.safetensors.part"
    save_file({k: v.contiguous().cpu() for k, v in weights.items()}, temporary)
    temporary.replace(out / "weights.safetensors")


def load_run(run: Path) -> tuple[dict[str, Any], BayerGraph]:
    """A run's recipe and result (as stored) and its graph with the averaged weights, on the CPU.

    Raises DatasetError when the folder holds no run.
    """
    try:
        facts = {"recipe": json.loads((run / "recipe.json").read_text())}
        if (run / "result.json").is_file():
            facts["result"] = json.loads((run / "result.json").read_text())
        weights = load_file(run / "weights.safetensors")
        model = BayerGraph(Architecture.from_dict(facts["recipe"]["architecture"]))
        model.net.load_state_dict(weights)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise DatasetError(f"{run}: holds no training run that can be read ({error})") from error
    return facts, model.eval()


def _rate(recipe: Recipe, step: int, share: float) -> float:
    """Linear warm-up, then half a cosine down."""
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * share))
    return warm * (recipe.final_rate + (recipe.learning_rate - recipe.final_rate) * cosine)


@torch.no_grad()
def _follow(average: dict[str, Tensor], net: nn.Module, decay: float) -> None:
    for name, value in net.state_dict().items():
        average[name].lerp_(value, 1 - decay)


def _validation_batches(recipe: Recipe, held: list[Path], place: torch.device) -> list[Batch]:
    """The same held-out crops under the same noise at every look."""
    data = CleanPhotos(held, recipe.crop, place, torch.Generator().manual_seed(99))
    simulator = Simulator(recipe.noise, place, torch.Generator(place).manual_seed(99))
    return [simulator.expose(*simulator.unprocess(*data.batch(8))) for _ in range(VALIDATION_BATCHES)]


@torch.no_grad()
def _validate(
    architecture: Architecture,
    weights: dict[str, Tensor],
    batches: list[Batch],
    place: torch.device,
) -> float:
    model = BayerGraph(architecture).to(place).eval()
    model.net.load_state_dict(weights)
    scores = [psnr_by_picture(model(*b.inputs())[0], b.target, b.to_srgb) for b in batches]
    return float(torch.cat(scores).mean())
