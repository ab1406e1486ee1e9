"""How a network is to work on a picture, and what models can follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from scotopic.balance import Balance
from scotopic.develop import ColourSpace, Look
from scotopic.errors import SettingsError
from scotopic.frame import check_strength
from scotopic.inference.views import check_passes
from scotopic.models import Card
from scotopic.run import DEFAULT_TILE

Fringes = Literal["keep", "remove"]
"""What becomes of a lens's lateral colour: red and blue beside green as it has drawn them, or upon green."""

FRINGES: tuple[Fringes, ...] = get_args(Fringes)


@dataclass(frozen=True)
class Effort:
    """How the network works on a picture, as `enhance` says. Raises SettingsError for what is out of range."""

    strength: float = 1.0
    passes: int = 1
    fringes: Fringes = "keep"
    tile: int = DEFAULT_TILE
    progress: Callable[[float], None] = lambda _: None

    def __post_init__(self) -> None:
        check_strength(self.strength)
        check_passes(self.passes)
        if self.fringes not in FRINGES:
            raise SettingsError(f"fringes {self.fringes!r} cannot be: give {' or '.join(FRINGES)}")


def check_settings(
    card: Card,
    strength: float,
    look: Look | None,
    wb: Balance = "camera",
    space: ColourSpace = "srgb",
    fringes: Fringes = "keep",
) -> None:
    """Raise SettingsError for a strength out of range, and for what a model of kind `srgb` cannot follow."""
    check_strength(strength)
    free = (strength, look, wb, space, fringes) == (1, None, "camera", "srgb", "keep")
    if card.kind == "srgb" and not free:
        raise SettingsError(
            f"{card.name} goes from RAW straight to sRGB: strength, look, white balance, colour space and fringes "
            "cannot be set; leave them out or use a model of kind linear"
        )
