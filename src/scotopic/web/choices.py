"""What may be asked of the API for one picture, and the same as settings of the pipeline."""

from __future__ import annotations

import os
import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from scotopic.asked import kind_named
from scotopic.balance import parse
from scotopic.develop import ColourSpace, Look
from scotopic.dng.light import DngWhite
from scotopic.dng.write import Compression
from scotopic.effort import Fringes, check_settings
from scotopic.exposure import EV_RANGE, check
from scotopic.formats.table import BITS, LINEAR, Kind, in_words
from scotopic.inference.views import PASSES_MAX
from scotopic.models import DEFAULTS, Tier, available, default_for, find
from scotopic.settings import Settings, check_kind, check_output
from scotopic.write import JPEG_QUALITY, QUALITIES

NAME_MAX = 200
"""Characters of a file's name; on disk it is as many bytes at most, below what file systems hold."""

_NAME = r"^[^/\\\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+$"
"""Nothing that leads to another folder, breaks lines, moves a terminal's cursor or turns the reading direction."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._ -]")

_RATIO_MIN, _RATIO_MAX = 2.0 ** EV_RANGE[0], 2.0 ** EV_RANGE[1]


class Choices(BaseModel):
    """How one picture is enhanced; as the options of `scotopic enhance`. Unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: Annotated[
        Kind,
        BeforeValidator(kind_named),
        Field(description="Of the result; dng is light to go on editing."),
    ] = "jpg"
    ratio: Annotated[
        float | None,
        Field(
            ge=_RATIO_MIN, le=_RATIO_MAX, description="How many times longer the exposure should have been."
        ),
    ] = None
    ev: Annotated[
        float | None,
        Field(
            ge=EV_RANGE[0], le=EV_RANGE[1], description="The same in stops; without either it is judged."
        ),
    ] = None
    tier: Annotated[Tier, Field(description="The model; see api/status for those there are.")] = "fast"
    strength: Annotated[float, Field(ge=0, le=1, description="0: only demosaiced. 1: the full effect.")] = (
        1.0
    )
    passes: Annotated[
        int,
        Field(
            ge=1,
            le=PASSES_MAX,
            description="How often the network looks at the picture, each time turned otherwise: in so many times the "
            "time.",
        ),
    ] = 1
    fringes: Annotated[
        Fringes,
        Field(
            description="Colours that a lens has drawn beside each other: kept, or laid upon each other."
        ),
    ] = "keep"
    look: Annotated[Look | None, Field(description=f"linear: {in_words(LINEAR)}.")] = None
    wb: Annotated[
        str,
        Field(max_length=80, description="camera, auto, daylight, or gains for red, green, blue: 2,1,1.5."),
    ] = "camera"
    colour_space: Annotated[ColourSpace, Field(description=f"rec2020-linear: {in_words(LINEAR)}.")] = "srgb"
    bits: Annotated[
        int | None,
        Field(
            ge=min(BITS),
            le=max(BITS),
            description="Bits a colour: 16 for deep PNG, 10 for deep AVIF; without it the format's usual ones.",
        ),
    ] = None
    dng_compression: Annotated[
        Compression,
        Field(
            description="How a DNG is stored, always without loss: none opens everywhere, jxl is smallest."
        ),
    ] = "none"
    dng_white: Annotated[
        DngWhite,
        Field(
            description="Of a DNG: its WhiteLevel is the brightest light there is (light), or where the sensor "
            "saturates, the same for all frames at one ratio (sensor)."
        ),
    ] = "light"
    quality: Annotated[
        int | None,
        Field(
            ge=QUALITIES[0],
            le=QUALITIES[-1],
            description=f"Of a JPEG, which alone has one; without it {JPEG_QUALITY}.",
        ),
    ] = None
    strip_gps: Annotated[bool, Field(description="Leave the place out of the result.")] = False
    again: Annotated[bool, Field(description="Enhance even what scotopic has enhanced already.")] = False

    def settings(self) -> Settings:
        """For the pipeline. Raises SettingsError for choices that do not go together."""
        check(self.ratio, self.ev)
        balance = parse(self.wb)
        for sensor in ("bayer", "xtrans") if ("xtrans", self.tier) in DEFAULTS else ("bayer",):
            card = find(default_for(sensor, self.tier))
            check_settings(card, self.strength, self.look, balance, self.colour_space, self.fringes)
            check_kind(self.format, "scotopic", card)
        same = {name: getattr(self, name) for name in Choices.model_fields if name not in _OTHERWISE}
        settings = Settings(
            **same,
            kind=self.format,
            space=self.colour_space,
            wb=balance,
            # Whoever sends a file is a stranger; Windows knows no such limits.
            sandbox=os.name == "posix",
        )
        check_output(settings)
        return settings


_OTHERWISE = ("format", "colour_space", "wb", "tier")
"""Choices that are settings under another name or in another form, or choose the model; all others are settings of the
same name."""


class Upload(Choices):
    """The same, and what the file is called."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=NAME_MAX,
            pattern=_NAME,
            description="The file's name without folders, such as IMG_1.ARW; results and errors are named after it.",
        ),
    ]


_OPTION = re.compile(r"(?<![^\s(])--([a-z]+(?:-[a-z]+)*)")


def in_api_words(words: str) -> str:
    """The same with the command line's options called as they are here.

    >>> in_api_words("--dng-white is for DNGs: leave --workers and it out")
    'dng_white is for DNGs: leave --workers and it out'
    """

    def called(option: re.Match[str]) -> str:
        name = option[1].replace("-", "_")
        return name if name in Choices.model_fields else option[0]

    return _OPTION.sub(called, words)


def tiers() -> list[Tier]:
    """Those that the package has a model for."""
    packaged = {card.name for card in available()}
    return [
        tier for tier in ("fast", "best") if packaged & {n for (_, t), n in DEFAULTS.items() if t == tier}
    ]


def name_on_disk(name: str) -> str:
    """A name that any file system takes and that leads nowhere else.

    >>> name_on_disk("../Urlaub ä.ARW")
    'Urlaub _.ARW'
    >>> name_on_disk("...")
    'photo'
    """
    return _UNSAFE.sub("_", name.replace("\\", "/").rsplit("/", 1)[-1]).strip(". ")[-NAME_MAX:] or "photo"


def result_name(name: str, kind: str) -> str:
    """What the result is called on the user's side.

    >>> result_name("IMG_1.ARW", "jpg")
    'IMG_1-scotopic.jpg'
    """
    stem, dot, _ = name.rpartition(".")
    return f"{stem if dot and stem else name}-scotopic.{kind}"
