"""A recipe is all that decides a training run, frozen; it is stored beside the result."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from scotopic.errors import SettingsError
from scotopic.train.networks import SIZE_MULTIPLE, Architecture
from scotopic.train.simulate import NoiseRange


@dataclass(frozen=True)
class Recipe:
    """Ours: clean photos, simulated sensors, an encoded loss."""

    name: str = "scotopic"
    architecture: Architecture = field(default_factory=Architecture)
    noise: NoiseRange = field(default_factory=NoiseRange)
    crop: int = 192
    batch: int = 4
    steps: int = 100_000
    minutes: float = 90.0
    """The schedule ends at `steps` or after `minutes`, whichever comes first."""
    learning_rate: float = 5e-4
    final_rate: float = 1e-5
    warmup_steps: int = 300
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    average_decay: float = 0.999
    compile: bool = False
    """Fuse the step by torch.compile: a minute to start, a fifth faster on a CPU."""
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
    """Beginnings of names: whole series that training never sees. Where no photo bears one, a tenth of the
    photos is held out."""

    def __post_init__(self) -> None:
        for name in ("crop", "batch", "steps", "warmup_steps", "minutes", "learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} {getattr(self, name)} must be above 0")
        if self.crop % SIZE_MULTIPLE:
            raise SettingsError(f"crop {self.crop} must be a multiple of {SIZE_MULTIPLE}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    def changed(self, changes: dict[str, Any]) -> Recipe:
        """A copy with some fields changed; raises SettingsError for a field that there is not."""
        known = {f.name for f in dataclasses.fields(self)}
        unknown = sorted(set(changes) - known)
        if unknown:
            raise SettingsError(
                f"unknown recipe field {', '.join(unknown)}: known are {', '.join(sorted(known))}"
            )
        return dataclasses.replace(self, **changes)

    def changed_by_words(self, words: list[str]) -> Recipe:
        """A copy with fields changed by words like `crop=256`, values written as JSON.

        Raises SettingsError for words of another form, unknown fields and values of another type.
        """
        changes: dict[str, Any] = {}
        for word in words:
            name, equals, text = word.partition("=")
            current = getattr(self, name, None)
            if not equals or not isinstance(current, (bool, int, float, str, tuple)):
                known = [
                    f.name
                    for f in dataclasses.fields(self)
                    if not dataclasses.is_dataclass(getattr(self, f.name))
                ]
                raise SettingsError(
                    f"{word!r} changes no recipe field: write NAME=VALUE with one of {', '.join(known)}"
                )
            try:
                value = text if isinstance(current, str) else json.loads(text)
            except ValueError:
                value = None
            if isinstance(current, float) and type(value) is int:
                value = float(value)
            if isinstance(current, tuple) and isinstance(value, list):
                value = tuple(map(str, value))
            if type(value) is not type(current):
                raise SettingsError(f"{word!r}: {name} is {type(current).__name__}, such as {current!r}")
            changes[name] = value
        return self.changed(changes)


def recipe_named(name: str) -> Recipe:
    """The recipe of that name; raises SettingsError when there is none."""
    match name:
        case "scotopic":
            return Recipe()
        case _:
            raise SettingsError(f"no recipe called {name}: known is scotopic")
