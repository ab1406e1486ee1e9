"""How the files of one run are treated, and what of it does not go together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scotopic.balance import Balance
from scotopic.calibration.apply import Profiles
from scotopic.develop import ColourSpace, Look, Rendering, default_look
from scotopic.dng.light import DngWhite
from scotopic.dng.write import Compression
from scotopic.effort import Fringes
from scotopic.errors import SettingsError
from scotopic.formats.table import FACTS, Kind
from scotopic.models import Card
from scotopic.reference import ReferenceFrame
from scotopic.run import DEFAULT_TILE
from scotopic.write import bits_of, check_quality, check_space

Way = Literal["scotopic", "traditional"]


@dataclass(frozen=True)
class Settings:
    """How the files of one run are treated."""

    ratio: float | None = None
    ev: float | None = None
    like: ReferenceFrame | None = None
    """What all pictures are to be as bright as, in one white balance: stands in for `ratio` and `ev`."""
    strength: float = 1.0
    passes: int = 1
    fringes: Fringes = "keep"
    look: Look | None = None
    wb: Balance = "camera"
    space: ColourSpace = "srgb"
    kind: Kind = "jpg"
    bits: int | None = None
    """Bits a colour; None for what the format is usually written with."""
    quality: int | None = None
    """Of a JPEG, 1 to 100; None for the usual one."""
    dng_compression: Compression = "none"
    dng_white: DngWhite = "light"
    """What a DNG's WhiteLevel stands for: "sensor" for frames of one sequence, which are to be alike."""
    way: Way = "scotopic"
    overwrite: bool = False
    skip_existing: bool = False
    strip_gps: bool = False
    again: bool = False
    """Enhance even what has been enhanced."""
    dry_run: bool = False
    sandbox: bool = False
    """Decode files in a child of limited means: they are of strangers."""
    tile: int = DEFAULT_TILE
    profiles: Profiles | None = None
    """Of the user's own cameras."""


def check_kind(kind: Kind, way: Way, card: Card | None) -> None:
    """Raise SettingsError where a linear DNG is wanted of what gives finished pictures only."""
    if kind != "dng":
        return
    if way == "traditional":
        raise SettingsError(
            "a linear DNG holds light before development, and develop gives finished pictures: use "
            "enhance --format dng, or another format"
        )
    if card is not None and card.kind != "linear":
        raise SettingsError(
            f"{card.name} goes from RAW straight to sRGB and knows no linear light, which a DNG holds: use "
            "another format or a model of kind linear"
        )


def check_output(settings: Settings) -> None:
    """Raise SettingsError for a look, a colour space, a quality or a compression that does not go with the format."""
    if settings.quality is not None and not FACTS[settings.kind].has_quality:
        raise SettingsError("a quality is for JPEGs: leave it out or choose jpg")
    check_quality(settings.quality)
    if settings.kind != "dng":
        if settings.dng_compression != "none":
            raise SettingsError("--dng-compression is for DNGs: leave it out or choose --format dng")
        if settings.dng_white != "light":
            raise SettingsError("--dng-white is for DNGs: leave it out or choose --format dng")
        check_space(settings.kind, settings.space, settings.look or default_look(settings.space))
    elif settings.bits not in (None, *FACTS["dng"].depths):
        raise SettingsError(f"a DNG has 16 bits a colour, not {settings.bits}: leave --bits out")
    elif settings.space != "srgb" or settings.look == "linear":
        raise SettingsError(
            "a DNG holds light in the camera's own colours, and its look is that of the preview in it: leave "
            "--colour-space and --look linear out, or choose TIFF (--format tiff)"
        )
    rendering_of(settings)


def rendering_of(settings: Settings) -> Rendering:
    """How a finished picture is shown, or the preview in a DNG. Raises SettingsError as `bits_of` and `Rendering`."""
    if settings.kind == "dng":
        return Rendering(settings.look)
    look = settings.look or default_look(settings.space)
    linear = "linear" in (look, default_look(settings.space))
    return Rendering(settings.look, settings.space, bits_of(settings.kind, settings.bits, linear=linear))
