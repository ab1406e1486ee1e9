"""A recipe is all that decides a training run, frozen; it is stored beside the result."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from scotopic.calibration.profile import CameraProfile
from scotopic.errors import SettingsError
from scotopic.models import default_for
from scotopic.sensor.pattern import PATTERNS
from scotopic.train.blocks import Architecture
from scotopic.train.filters import PACKINGS, Packing
from scotopic.train.networks import GRAPH, size_multiple
from scotopic.train.ranges import Range, check_ranges
from scotopic.train.simulate import NoiseRange

Network = Literal["bayer", "xtrans", "paper", "paper-linear"]
Kind = Literal["linear", "srgb"]
Loss = Literal["encoded", "encoded-mse", "l1", "mse"]
Schedule = Literal["cosine", "step", "constant"]
Precision = Literal["float32", "bfloat16", "float16"]

Part = TypeVar("Part")

_CHOICES: dict[str, tuple[str, ...]] = {
    "network": get_args(Network),
    "loss": get_args(Loss),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
}


SEED_MAX = 2**63 - 1
"""Largest seed that torch's generators take."""

_RANGES: dict[str, Range] = {
    "real_share": (0, 1),
    "crop": (1, 2**15),
    "batch": (1, 2**16),
    "accumulate": (1, 2**16),
    "steps": (1, 1e12),
    "epochs": (0, 1e9),
    "minutes": (0, 1e8),
    "learning_rate": (0, 100),
    "final_rate": (0, 100),
    "warmup_steps": (0, 1e12),
    "weight_decay": (0, 100),
    "gradient_clip": (0, 1e9),
    "average_decay": (0, 1),
}
"""Ranges of a recipe's numbers, far beyond what anybody needs: they keep out infinity, and what would overflow once the
run has begun."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a run; the defaults are ours: an encoded loss on simulated and real pairs."""

    name: str = "scotopic"
    network: Network = "bayer"
    """`bayer` and `xtrans` are ours, for either kind of sensor (networks.py), `paper` is the U-Net of
    "Learning to See in the Dark" (paper.py) straight to sRGB, `paper-linear` the same to linear light; both for Bayer
    sensors."""
    architecture: Architecture = field(default_factory=Architecture)
    """The sizes of our network."""
    loss: Loss = "encoded"
    noise: NoiseRange = field(default_factory=NoiseRange)
    """The sensors simulated where the data are clean pictures."""
    real_share: float = 0.5
    """Share of micro-batches of real pairs where there are clean pictures too."""
    crop: int = 192
    """Side of a crop in mosaic pixels."""
    batch: int = 4
    """Crops of a micro-batch."""
    accumulate: int = 1
    """Micro-batches of a step, over all processes: more processes share them out."""
    steps: int = 100_000
    epochs: int = 0
    """Instead of steps where it is above 0: a pass takes one crop of one frame of each scene, in
    an order of its own; of clean pictures, as many crops as there are pictures."""
    minutes: float = 0.0
    """The schedule ends after so many minutes at the latest; 0 for no limit. With a limit the learning
    rate follows the clock, and a resumed run is no exact repetition."""
    learning_rate: float = 5e-4
    final_rate: float = 1e-5
    schedule: Schedule = "cosine"
    """`step` goes to the final rate half way."""
    warmup_steps: int = 300
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0 for no limit."""
    average_decay: float = 0.999
    """Decay of the moving average of the weights, which is what a run gives; 0 for the weights themselves."""
    precision: Precision = "float32"
    """Precision of the network's own arithmetic; everything around it stays float32."""
    compile: bool = False
    """Fuse the step by torch.compile: a minute to start, a fifth faster on a CPU."""
    deterministic: bool = False
    """Only operations that give the same bits every time; slower on a graphics card."""
    seed: int = 1
    held_out: tuple[str, ...] = (
        "budgie-backgrounds__",
        "18f-site__IMG_",
        "18f-site__eiti",
        "18f-site__college-scorecard",
        "circus_arena",
        "autoshop_01",
        "st_peters_square_night",
        "thatch_chapel",
        "dikhololo_night",
    )
    """Beginnings of names: whole series of clean pictures that training never sees. Where none bears one,
    a tenth of the pictures is held out."""

    def __post_init__(self) -> None:
        check_ranges(self, _RANGES)
        if not self.learning_rate > 0:
            raise SettingsError(f"learning_rate {self.learning_rate} must be above 0")
        if self.average_decay == 1:
            raise SettingsError("average_decay 1 must be below 1: the average would never move")
        if not -SEED_MAX <= self.seed <= SEED_MAX:
            raise SettingsError(f"seed {self.seed} must be in -{SEED_MAX}..{SEED_MAX}")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise SettingsError(
                    f"{name} {getattr(self, name)!r} is unknown: known are {', '.join(known)}"
                )
        multiple = size_multiple(self.packing)
        if self.crop % multiple:
            raise SettingsError(f"crop {self.crop} must be a multiple of {multiple}")
        if self.kind == "srgb" and self.loss.startswith("encoded"):
            raise SettingsError(
                "the encoded losses are for linear light: the paper network takes l1 or mse"
            )

    @property
    def kind(self) -> Kind:
        """What the network gives and learns from: linear light, or display sRGB as the paper's does."""
        return "srgb" if self.network == "paper" else "linear"

    @property
    def packing(self) -> Packing:
        """The sensors that the network is for."""
        return PACKINGS["xtrans" if self.network == "xtrans" else "bayer"]

    def of_camera(self, profile: CameraProfile) -> Recipe:
        """This recipe for the noise of one camera alone.

        Raises SettingsError where its sensor is of another kind than the network's, or its gain is not known.
        """
        sensor = next((p.sensor for p in PATTERNS if p.cell == len(profile.cfa)), None)
        if sensor is None:
            raise SettingsError(
                f"the profile is of the {profile.name}, whose colours are neither Bayer's nor X-Trans"
            )
        if sensor != self.packing.pattern.sensor:
            recipe = {"bayer": "scotopic", "xtrans": "xtrans"}[sensor]
            raise SettingsError(
                f"the profile is of the {profile.name}, whose sensor is of the {sensor} kind, and this recipe is for "
                f"{self.packing.pattern.sensor} sensors: train the recipe {recipe}, --from {default_for(sensor)}"
            )
        return dataclasses.replace(self, noise=self.noise.narrowed_to(profile))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, and which graph they are for."""
        return {**dataclasses.asdict(self), "graph": GRAPH}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """The inverse of `to_dict`, of any graph. Raises TypeError or SettingsError for what is no recipe."""

        def frozen(part: dict[str, Any]) -> dict[str, Any]:
            return {k: tuple(v) if isinstance(v, list) else v for k, v in part.items()}

        whole = frozen(values)
        whole.pop("graph", None)
        noise = NoiseRange(**frozen(whole.pop("noise")))
        return cls(
            **whole | {"noise": noise, "architecture": Architecture.from_dict(whole["architecture"])}
        )

    def changed_by_words(self, words: list[str]) -> Recipe:
        """A copy with fields changed by words like `crop=256`, values written as JSON.

        Fields of a part are written `noise.row_share_max=0.2`. Steps take the place of epochs. Raises
        SettingsError for words of another form, unknown fields and values of another type.
        """
        changed, names = self, []
        for word in words:
            name, equals, text = word.partition("=")
            if not equals:
                raise SettingsError(f"{word!r} changes no recipe field: write NAME=VALUE")
            changed = _with(changed, name, text, word)
            names.append(name)
        if "steps" in names and "epochs" not in names:
            changed = dataclasses.replace(changed, epochs=0)
        return changed


def _with(part: Part, name: str, text: str, word: str) -> Part:
    """A copy of a frozen dataclass with the field `name` (dotted for a part's) read from `text`."""
    first, _, rest = name.partition(".")
    fields = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}  # type: ignore[arg-type]
    current = fields.get(first)
    if first not in fields or dataclasses.is_dataclass(current) != bool(rest):
        known = [f"{k}.*" if dataclasses.is_dataclass(v) else k for k, v in fields.items()]
        raise SettingsError(f"{word!r} changes no recipe field: known here are {', '.join(known)}")
    value = _with(current, rest, text, word) if rest else _parsed(current, text, word)
    return dataclasses.replace(part, **{first: value})  # type: ignore[type-var]


def _parsed(current: Any, text: str, word: str) -> Any:
    try:
        value = text if isinstance(current, str) else json.loads(text)
    except ValueError:
        value = None
    if isinstance(current, float) and type(value) is int:
        value = _as_float(value)
    if isinstance(current, tuple) and isinstance(value, list):
        kinds = {type(v) for v in current}
        value = tuple(_as_float(v) if kinds == {float} and type(v) is int else v for v in value)
        if kinds and {type(v) for v in value} - kinds:
            value = None
    if type(value) is not type(current):
        raise SettingsError(f"{word!r}: the field is {type(current).__name__}, such as {current!r}")
    return value


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def recipe_named(name: str) -> Recipe:
    """The recipe of that name; raises SettingsError when there is none.

    `scotopic` is ours for Bayer sensors, `xtrans` the same for X-Trans ones.
    `article` is the 2018 article's: the paper's U-Net straight to sRGB, mean squared error, Adam at 1e-4,
    400 passes, crops of 512 pixels one at a time. `paper` is that of "Learning to See in the Dark": L1,
    1e-4 and then 1e-5 from the 2000th of 4000 passes, crops of 512 packed (1024 mosaic) pixels.
    """
    both = Recipe(
        network="paper",
        loss="l1",
        batch=1,
        learning_rate=1e-4,
        warmup_steps=0,
        weight_decay=0.0,
        gradient_clip=0.0,
        average_decay=0.0,
    )
    match name:
        case "scotopic":
            return Recipe()
        case "xtrans":
            return Recipe(
                name=name, network="xtrans", architecture=Architecture(fine=64, middle=96, coarse=128)
            )
        case "article":
            return dataclasses.replace(
                both, name=name, loss="mse", crop=512, epochs=400, schedule="constant"
            )
        case "paper":
            return dataclasses.replace(both, name=name, crop=1024, epochs=4000, schedule="step")
        case _:
            raise SettingsError(f"no recipe called {name}: known are scotopic, xtrans, article, paper")
