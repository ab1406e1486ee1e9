"""The one training loop."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from scotopic.calibration.apply import Profiles
from scotopic.disk.files import is_there
from scotopic.errors import DatasetError, TrainingError
from scotopic.train import checkpoint
from scotopic.train.board import Board
from scotopic.train.checkpoint import Checkpoint
from scotopic.train.distributed import World, joined
from scotopic.train.folder import check_apart, check_folder, cut_log, decided, held, write_whole, writing
from scotopic.train.losses import loss_named, psnr_by_picture
from scotopic.train.ranges import CHECKPOINT_SECONDS
from scotopic.train.recipes import Recipe
from scotopic.train.simulate import Batch
from scotopic.train.sources import Data, Sources, ahead, open_sources, seed_of
from scotopic.train.weights import Graph, build, fill, save_weights

REPORT_STEPS = 50
AHEAD = 2
"""Batches made while the graphics card works on others."""

_PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Progress:
    """One report of a running training."""

    step: int
    steps: int
    seconds: float
    share_done: float
    loss: float
    rate: float
    samples_per_s: float
    validation_db: float | None

    @property
    def seconds_left(self) -> float:
        """At the pace so far."""
        return self.seconds * (1 - self.share_done) / max(self.share_done, 1e-9)


@dataclass(frozen=True)
class Options:
    """How a run is carried out; nothing here changes what it learns."""

    start: dict[str, Tensor] | None = None
    """Weights to go on from."""
    start_name: str | None = None
    resume: bool = False
    """Go on with the run in the folder, if there is one."""
    cache: Path | None = None
    """Where pairs are decoded to; `cache` in the run's folder if None."""
    verify_cache: bool = False
    """Compare the checksums of what is decoded already, not only sizes and times."""
    profiles: Profiles | None = None
    """Camera profiles, which put pairs right as `plan` does."""
    device: str = "auto"
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    board: bool = True
    """Write TensorBoard's files."""
    stop: Callable[[], bool] = lambda: False
    """Asked between steps; once it says yes the run is saved and left."""


def train(
    recipe: Recipe,
    data: Data,
    out: Path,
    options: Options | None = None,
    *,
    report: Callable[[Progress], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Train by `recipe`; returns the folder `out` with the result.

    Writes `recipe.json`, `log.jsonl`, `checkpoints`, `weights.safetensors` (the moving average, renewed with
    every checkpoint) and, when done, `result.json`. Under torchrun all processes work on the one run.
    Raises DatasetError for data that are missing or damaged, WriteError when `out` holds a run already and
    may not be resumed or another process works on it, TrainingError when the loss is no number any more.
    """
    options = options or Options()
    with joined(options.device) as world, _repeatable(recipe.deterministic):
        world.micro_batches(recipe.accumulate)
        # A run that lies among frames already goes on there, which the first process alone knows.
        if not options.resume or (world.leads and not is_there(out / "recipe.json")):
            check_apart(out, data)
        torch.manual_seed(recipe.seed)
        graph = build(recipe)
        if options.start is not None:
            fill(graph.net, options.start, options.start_name or "the weights given")
        # What cannot begin is refused by here, before anything is made or decoded. The first process alone knows the
        # folder: other machines need not share it.
        with held(out) if world.leads else nullcontext():
            return _Run(recipe, data, out, options, world, graph, report, say).to_the_end()


class _Run:
    """The state of a run: network, optimiser, average, and how far it is."""

    def __init__(
        self,
        recipe: Recipe,
        data: Data,
        out: Path,
        options: Options,
        world: World,
        graph: Graph,
        report: Callable[[Progress], None],
        say: Callable[[str], None],
    ) -> None:
        self.recipe, self.out, self.options, self.world = recipe, out, options, world
        self.report, self.say = report, say
        self.micro_batches = world.micro_batches(recipe.accumulate)
        state = check_folder(out, recipe, data, options.resume) if world.leads else 0
        resuming = bool(world.agree(state))
        self.sources = _open_in_turn(data, recipe, options.cache or out / "cache", world, say, options)
        per_step = recipe.batch * recipe.accumulate
        passes = math.ceil(recipe.epochs * self.sources.scenes / per_step)
        self.steps = passes if recipe.epochs else recipe.steps

        self.graph = graph.to(world.device)
        self.graph = self.graph.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.graph.autocast = _PRECISIONS[recipe.precision]
        # Plain Adam where nothing decays.
        self.optimizer = torch.optim.AdamW(
            self.graph.net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.scaler = torch.amp.GradScaler(
            world.device.type, enabled=recipe.precision == "float16" and world.device.type == "cuda"
        )
        self.average = {k: v.detach().clone() for k, v in self.graph.net.state_dict().items()}
        self.step, self.seconds, self.smooth_loss = 0, 0.0, math.nan
        # Models are passed on with it, and where this computer keeps its runs is nobody's business.
        self.started_from = options.start_name and Path(options.start_name).name
        if resuming:
            self._resume()
        elif world.leads:
            for part, values in decided(recipe, data).items():
                write_whole(out / f"{part}.json", json.dumps(values, indent=2) + "\n")
        self.objective: nn.Module = _Objective(self.graph, recipe)
        if recipe.compile:
            self.objective = torch.compile(self.objective)  # type: ignore[assignment]
        if world.size > 1:
            self.objective = DistributedDataParallel(self.objective, broadcast_buffers=False)

    def to_the_end(self) -> Path:
        """Step until the schedule is through."""
        recipe, world, out = self.recipe, self.world, self.out
        share = self._agreed_share()
        if share >= 1:
            # A run may have been killed between its last checkpoint and what is made of it.
            if not world.leads:
                return out
            if all(is_there(out / name) for name in ("weights.safetensors", "result.json")):
                self.say(f"{out}: the run is finished already, at step {self.step}")
                return out
            self.say(
                f"{out}: the run is through, at step {self.step}; its weights and result are written now"
            )
        if world.leads:
            cut_log(out / "log.jsonl", self.step)
        depth = AHEAD if world.device.type == "cuda" else 0
        # Asked before the first step too: from then on Ctrl-C waits for the end of a step.
        stopping = self.options.stop() and world.size == 1
        rate = self._rate(share)
        pace = self.step * recipe.batch * recipe.accumulate / max(self.seconds, 1e-9)
        with ExitStack() as stack:
            with writing(out / "log.jsonl"):
                # Without a buffer, which would be tried again where the disk is full.
                log = (
                    stack.enter_context((out / "log.jsonl").open("ab", buffering=0))
                    if world.leads
                    else None
                )
            board = stack.enter_context(Board(out, self.step, self.options.board and world.leads))
            source = self.sources.training
            batches = ahead(lambda which: source.draw(*which), self._seeds(), depth)
            stack.callback(batches.close)  # type: ignore[attr-defined]
            started = last_save = time.monotonic()
            before, first = self.seconds, self.step
            while share < 1 and not stopping:
                rate = self._rate(share)
                current, stopping = self._one_step(batches, rate)
                self.step += 1
                now = time.monotonic()
                self.seconds = before + now - started
                if not math.isfinite(current):
                    raise TrainingError(
                        f"the loss became {current} at step {self.step}: lower the learning rate; what {out} "
                        "holds is from before"
                    )
                smooth = self.smooth_loss
                self.smooth_loss = current if math.isnan(smooth) else 0.99 * smooth + 0.01 * current
                pace = (self.step - first) * recipe.batch * recipe.accumulate / (now - started)
                share = self._agreed_share()
                if log is None or share >= 1 or stopping:
                    # What the last step asks for is done below, once.
                    continue
                saving = now - last_save >= self.options.checkpoint_seconds
                if saving or self.step % REPORT_STEPS == 0:
                    quality = None
                    if saving:
                        self._save()
                        quality = self._validate(board)
                        last_save = time.monotonic()
                    self._tell(log, board, self._share(), rate, pace, quality)
            if log is not None and share < 1:
                self._save()
                self.say(f"stopped at step {self.step}; go on with --resume")
            elif log is not None:
                self._save()
                quality = self._validate(board)
                self._tell(log, board, 1.0, rate, pace, quality)
                self._finish(quality)
        return out

    def _one_step(self, batches: Iterator[Batch], rate: float) -> tuple[float, bool]:
        """Forward, backward, update; returns the loss over all processes, and whether one of them is to stop."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.world.device)
        for i, _ in enumerate(self.micro_batches):
            batch = next(batches)
            last = i == len(self.micro_batches) - 1
            lonely = isinstance(self.objective, DistributedDataParallel) and not last
            with self.objective.no_sync() if lonely else nullcontext():  # type: ignore[operator]
                value = self.objective(batch.inputs(), batch.target, batch.to_srgb)
                value = value / len(self.micro_batches)
                self.scaler.scale(value).backward()
            total = total + value.detach()
        self.scaler.unscale_(self.optimizer)
        if self.recipe.gradient_clip:
            nn.utils.clip_grad_norm_(self.graph.net.parameters(), self.recipe.gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        decay = min(self.recipe.average_decay, (2 + self.step) / (11 + self.step))
        with torch.no_grad():
            for name, value in self.graph.net.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)
        # Said along with the loss: processes that stopped at different steps would wait for each other for ever.
        asked = torch.tensor(float(self.options.stop()), device=self.world.device)
        loss, stopping = self.world.mean(torch.stack([total, asked])).tolist()
        return loss, stopping > 0

    def _seeds(self) -> Iterator[tuple[int, int]]:
        """One a micro-batch, by the number of the step and of the micro-batch; and its number in the run."""
        step = self.step
        while True:
            for micro in self.micro_batches:
                yield seed_of(self.recipe.seed, step, micro), step * self.recipe.accumulate + micro
            step += 1

    def _share(self) -> float:
        """How much of the schedule is done, 0..1 and a little over, by this process's clock."""
        minutes = self.recipe.minutes
        return max(self.step / self.steps, self.seconds / (60 * minutes) if minutes else 0.0)

    def _agreed_share(self) -> float:
        share = self._share()
        return self.world.agree(share) if self.recipe.minutes else share

    def _rate(self, share: float) -> float:
        """The learning rate: a linear warm-up, then by the schedule."""
        r = self.recipe
        warm = min(1.0, (self.step + 1) / r.warmup_steps) if r.warmup_steps else 1.0
        match r.schedule:
            case "cosine":
                cosine = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
                return warm * (r.final_rate + (r.learning_rate - r.final_rate) * cosine)
            case "step":
                return warm * (r.learning_rate if share < 0.5 else r.final_rate)
            case "constant":
                return warm * r.learning_rate

    def _tell(
        self, log: Any, board: Board, share: float, rate: float, pace: float, quality: float | None
    ) -> None:
        progress = Progress(
            self.step, self.steps, self.seconds, min(share, 1.0), self.smooth_loss, rate, pace, quality
        )
        with writing(self.out / "log.jsonl"):
            log.write((json.dumps(asdict(progress)) + "\n").encode())
        board.figures(progress.step, loss=progress.loss, rate=rate, held_out_db=quality)
        self.report(progress)

    def _validate(self, board: Board) -> float | None:
        """The held-out pictures by the averaged weights: mean PSNR in dB; None where there are none."""
        if not self.sources.validation:
            return None
        graph = build(self.recipe).to(self.world.device).eval()
        graph.net.load_state_dict(self.average)
        scores = []
        with torch.no_grad():
            for i, batch in enumerate(self.sources.validation):
                rgb = graph(*batch.inputs())[0]
                scores.append(psnr_by_picture(self.recipe.kind, rgb, batch.target, batch.to_srgb))
                if i == 0:
                    board.pictures(self.step, self.recipe.kind, batch, rgb)
        return float(torch.cat(scores).mean())

    def _state(self) -> dict[str, Tensor]:
        """All tensors that the next step hangs on; views, so that loading into them restores the run."""
        tensors = {f"net.{k}": v for k, v in self.graph.net.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for name, parameter in self.graph.net.named_parameters():
            state = self.optimizer.state[parameter]
            if not state:
                state["step"] = torch.zeros(())
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
            tensors |= {f"optimizer.{name}.{k}": v for k, v in state.items()}
        return tensors

    def _save(self) -> None:
        facts = {
            "step": self.step,
            "seconds": self.seconds,
            "smooth_loss": self.smooth_loss,
            "scaler": self.scaler.state_dict(),
            "started_from": self.started_from,
        }
        checkpoint.save(self.out / "checkpoints", self.step, Checkpoint(self._state(), facts))
        save_weights(self.average, self.out)

    def _resume(self) -> None:
        """Take up the last sound checkpoint, read by the first process and given to all."""
        found = checkpoint.load_last(self.out / "checkpoints", self.say) if self.world.leads else None
        facts: dict[str, Any] = (
            found.facts if found else {"step": 0, "seconds": 0.0, "smooth_loss": math.nan}
        )
        state = self._state()
        if found:
            if state.keys() != found.tensors.keys():
                raise DatasetError(f"{self.out}: its checkpoints are of another network or version")
            with torch.no_grad():
                for name, tensor in state.items():
                    tensor.copy_(found.tensors[name])
        self.world.spread(state)
        facts = self.world.tell(facts)
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.smooth_loss = facts["smooth_loss"]
        self.started_from = facts.get("started_from")
        if facts.get("scaler"):
            self.scaler.load_state_dict(facts["scaler"])
        if self.world.leads:
            self.say(f"going on from step {self.step}")

    def _finish(self, quality: float | None) -> None:
        cuda = self.world.device.type == "cuda"
        facts = {
            "steps": self.step,
            "minutes": round(self.seconds / 60, 1),
            "device": torch.cuda.get_device_name() if cuda else "cpu",
            "processes": self.world.size,
            **self.sources.facts,
            "validation_db": quality,
            "started_from": self.started_from,
        }
        write_whole(self.out / "result.json", json.dumps(facts, indent=2) + "\n")


@contextmanager
def _repeatable(wanted: bool) -> Iterator[None]:
    """Deterministic operations where the device has them; torch warns where it has not."""
    before = torch.are_deterministic_algorithms_enabled()
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


class _Objective(nn.Module):
    """Graph and loss in one forward pass, which is what DistributedDataParallel and compile want."""

    def __init__(self, graph: Graph, recipe: Recipe) -> None:
        super().__init__()
        self.graph, self.loss, self.grid = graph, recipe.loss, recipe.packing.cell

    def forward(self, inputs: tuple[Tensor, ...], target: Tensor, to_srgb: Tensor) -> Tensor:
        return loss_named(self.loss, self.graph(*inputs)[0], target, to_srgb, self.grid)


def _open_in_turn(
    data: Data, recipe: Recipe, cache: Path, world: World, say: Callable[[str], None], options: Options
) -> Sources:
    """The first process decodes, or checks, what is to be; the others wait and find it done."""
    quiet = say if world.leads else (lambda _: None)
    if not world.leads:
        world.agree(0.0)
    verify, keep = options.verify_cache and world.leads, not world.leads
    opened = open_sources(
        data, recipe, cache, world.device, quiet, verify=verify, profiles=options.profiles, keep=keep
    )
    if world.leads:
        world.agree(0.0)
    return opened
