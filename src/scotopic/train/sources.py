"""Where a run's batches come from: pairs of exposures, clean pictures given noise, or both.

A batch is decided by a seed and its number alone, not by what was drawn before it: a run that was killed goes on with
the very batches it would have had, and several processes share a step without talking about it.
"""

from __future__ import annotations

import hashlib
import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from scotopic.calibration.apply import Profiles
from scotopic.data.pairs import Camera, Pair, find_pairs, find_sid, is_sid, sid_folder
from scotopic.disk.files import check_there, is_of_photos
from scotopic.errors import DatasetError
from scotopic.sensor.pattern import SensorKind
from scotopic.train.cache import PairCache
from scotopic.train.datasets import CleanPhotos, PairCrops, check_first, fault, find_photos, split
from scotopic.train.recipes import Recipe
from scotopic.train.simulate import Batch, Simulator

Seed = TypeVar("Seed")

VALIDATION_BATCHES = 6
VALIDATION_CROPS = 8
"""Crops of simulated pairs, or of real ones, by which a run is watched."""


class Source(Protocol):
    """Gives batches."""

    def draw(self, seed: int, number: int | None = None) -> Batch:
        """The batch of that seed, on the training device; `number` counts a run's batches, for what goes in turn."""


@dataclass(frozen=True)
class Data:
    """What there is to learn from."""

    pairs: list[Pair]
    photos: list[Path]

    def facts(self) -> dict[str, Any]:
        """What tells these data from others: counts, and a digest of names, ratios and splits."""
        rows = [f"{p.short.name} {p.long.name} {p.ratio} {p.scene} {p.split}" for p in self.pairs]
        rows += [p.name for p in self.photos]
        digest = hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()
        return {"pairs": len(self.pairs), "photos": len(self.photos), "names_sha256": digest}


def find_data(folders: Iterable[Path], sensor: SensorKind = "bayer") -> Data:
    """What the folders hold: the See-in-the-Dark dataset, your own pairs, or clean pictures and RAWs.

    Of the dataset the half that fits the sensor is taken; what is named twice counts once. Raises DatasetError for a
    folder that holds none of these.
    """
    wanted: tuple[Camera, Camera] = ("Sony", "Fuji") if sensor == "bayer" else ("Fuji", "Sony")
    pairs: list[Pair] = []
    photos: list[Path] = []
    for folder in {path.resolve(): path for path in folders}.values():
        check_there(folder, folder=True)
        if is_sid(folder, wanted[0]):
            pairs += find_sid(folder, wanted[0])
        elif sid_folder(folder, wanted[1]) is not None:
            raise DatasetError(
                f"{folder}: holds the {wanted[1]} half of the dataset alone, and this network is for {sensor} "
                f"sensors: give the {wanted[0]} half or another network (--set network=...)"
            )
        elif (folder / "pairs.csv").is_file() or _looks_like_pairs(folder):
            pairs += find_pairs(folder)
        else:
            photos += find_photos(folder)
    return Data(pairs, photos)


def _looks_like_pairs(folder: Path) -> bool:
    """Whether a subfolder is called short: its dark frames must never pass for clean pictures."""
    return any(
        p.name.lower() == "short" and is_of_photos(*p.relative_to(folder).parts) and p.is_dir()
        for p in folder.rglob("*")
    )


def seed_of(*numbers: int) -> int:
    """A seed for a generator from whole numbers, well mixed: alike numbers give unlike seeds."""
    digest = hashlib.blake2b(" ".join(map(str, numbers)).encode(), digest_size=7)
    return int.from_bytes(digest.digest(), "big")


class Simulated:
    """Clean pictures, unprocessed and given the noise of random sensors on the training device."""

    def __init__(self, paths: list[Path], recipe: Recipe, device: torch.device, size: int) -> None:
        self.photos = CleanPhotos(paths, recipe.crop, device)
        self.size = size
        self.crops = torch.Generator()
        self.simulator = Simulator(recipe.noise, device, torch.Generator(device), recipe.packing)

    def draw(self, seed: int, number: int | None = None) -> Batch:
        """As `Source` says."""
        self.crops.manual_seed(seed)
        self.simulator.generator.manual_seed(seed_of(seed, 1))
        with torch.no_grad():
            return self.simulator.expose(
                *self.simulator.unprocess(*self.photos.batch(self.size, self.crops))
            )


class Real:
    """Crops of real pairs from the cache.

    Batches with a number take all scenes in turn, in each pass in another order, as the paper's code does.
    """

    def __init__(self, crops: PairCrops, size: int, seed: int) -> None:
        self.crops, self.size, self.seed = crops, size, seed
        self.generator = torch.Generator()

    def draw(self, seed: int, number: int | None = None) -> Batch:
        """As `Source` says."""
        scenes = None if number is None else self._in_turn(number)
        self.generator.manual_seed(seed)
        return self.crops.batch(self.size, self.generator, scenes)

    def _in_turn(self, number: int) -> list[int]:
        """The scenes of a batch: those of a pass in an order that the number of the pass decides."""
        count = len(self.crops.scenes)
        first, last = number * self.size, (number + 1) * self.size - 1
        order: list[int] = []
        for turn in range(first // count, last // count + 1):
            self.generator.manual_seed(seed_of(self.seed, 2, turn))
            order += torch.randperm(count, generator=self.generator).tolist()
        return order[first % count :][: self.size]


class Mixed:
    """Now one, now the other: a whole batch of real pairs with the chance `share`."""

    def __init__(self, real: Source, simulated: Source, share: float) -> None:
        self.real, self.simulated, self.share = real, simulated, share

    def draw(self, seed: int, number: int | None = None) -> Batch:
        """As `Source` says."""
        source = self.real if random.Random(seed).random() < self.share else self.simulated
        return source.draw(seed, number)


@dataclass(frozen=True)
class Sources:
    """Batches to learn from, those to watch the run by, and how many scenes make a pass."""

    training: Source
    validation: list[Batch]
    scenes: int
    facts: dict[str, int]


def open_sources(
    data: Data,
    recipe: Recipe,
    cache: Path,
    device: torch.device,
    report: Callable[[str], None] = lambda _: None,
    *,
    verify: bool = False,
    profiles: Profiles | None = None,
    keep: bool = False,
) -> Sources:
    """Open what `data` holds for a recipe; pairs are decoded into the folder `cache`, the rest as there.

    Raises DatasetError where the recipe has nothing to learn from, or a file is missing or damaged.
    """
    found: list[Source] = []
    validation: list[Batch] = []
    facts: dict[str, int] = {}
    scenes = 0
    pairs = [pair for pair in data.pairs if pair.split != "test"]
    if pairs:
        pattern = recipe.packing.pattern
        if not (cache / "index.json").exists():
            check_first(pairs, recipe.crop, pattern)
        opened = PairCache.open(
            pairs,
            cache,
            truth=recipe.kind,
            report=report,
            verify=verify,
            profiles=profiles,
            keep=keep,
            fault=lambda frame: fault(len(frame.cfa), min(frame.data.shape), recipe.crop, pattern),
        )
        crops = PairCrops(opened, "train", recipe.crop, device, pattern)
        found.append(Real(crops, recipe.batch, recipe.seed))
        scenes += len(crops.scenes)
        facts |= {"pairs": len(pairs), "training_scenes": len(crops.scenes)}
        if opened.scenes("validation"):
            watched = Real(PairCrops(opened, "validation", recipe.crop, device, pattern), 1, recipe.seed)
            validation += [watched.draw(seed_of(99, i)) for i in range(VALIDATION_CROPS)]
    if data.photos and recipe.kind == "srgb":
        report(f"the recipe {recipe.name} learns from pairs alone: {len(data.photos)} photos are left out")
    elif data.photos:
        kept, held = split(data.photos, recipe.held_out)
        simulated = Simulated(kept, recipe, device, recipe.batch)
        watched_photos = Simulated(held, recipe, device, VALIDATION_CROPS)
        counts = {
            "photos": len(simulated.photos.photos),
            "photos_held_out": len(watched_photos.photos.photos),
        }
        if small := len(data.photos) - sum(counts.values()):
            report(f"{small} photos are too small for crops of {recipe.crop} and are left out")
        found.append(simulated)
        scenes += counts["photos"]
        facts |= counts
        validation += [watched_photos.draw(seed_of(99, i)) for i in range(VALIDATION_BATCHES)]
    if not found:
        raise DatasetError(
            f"the recipe {recipe.name} learns from pairs of a short and a long exposure, and there are none: "
            "give the See-in-the-Dark dataset or a folder with short and long"
        )
    if not validation:
        report(
            "nothing is left to watch this training by, and its figures in decibels stay empty: give two scenes or "
            "more, or a pairs.csv that calls a scene's split validation"
        )
    training = found[0] if len(found) == 1 else Mixed(found[0], found[1], recipe.real_share)
    return Sources(training, validation, scenes, facts)


def ahead(make: Callable[[Seed], Batch], seeds: Iterator[Seed], depth: int) -> Iterator[Batch]:
    """Batches in turn, up to `depth` of them made beforehand in a thread of their own; 0 for none.

    An error in the thread is raised here. The thread ends with the iterator.
    """
    if not depth:
        yield from map(make, seeds)
        return
    made: queue.Queue[Batch | BaseException | None] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: Batch | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                made.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for seed in seeds:
                if not put(make(seed)):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="scotopic-batches", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
