"""A sequence held to one of its frames: equal light comes out equally bright, whatever ISO, exposure time and aperture
became of, and in one white balance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Self

import numpy as np

from scotopic.balance import AnyCapture, Gains
from scotopic.calibration.apply import Profiles
from scotopic.calibration.profile import CameraProfile
from scotopic.enhance import plan
from scotopic.errors import SettingsError
from scotopic.exposure import EV_RANGE, RATIO_MAX_AUTOMATIC, next_to_no_light
from scotopic.frame import Capture, Captured, Linear, Mosaic
from scotopic.metadata import camera_in_words

F_NUMBER, APERTURE_VALUE = 0x829D, 0x9202
"""EXIF's f-number, and the same in stops: the logarithm of its square to the base of 2."""

F_NUMBERS = (0.3, 300.0)
"""Lenses have no others: what lies beyond is a lens's without contacts, or none."""


@dataclass(frozen=True)
class ReferenceFrame:
    """What other pictures are held to: how much a frame is amplified, how it was exposed, and its white balance."""

    name: str
    """Of the frame, in words about others."""
    ratio: float
    iso: float
    exposure_s: float
    f_number: float | None
    """None where nobody knows it, as of lenses without contacts."""
    wb: Gains
    camera: tuple[str, str, str]
    """Make, model, and whether the file holds a mosaic or finished colours."""
    span_dn: float | None = None
    """From the frame's mean black to its white; None for finished colours, whose white is no count."""

    @classmethod
    def of(
        cls,
        captured: Captured,
        *,
        ratio: float | None = None,
        ev: float | None = None,
        profiles: Profiles | CameraProfile | Iterable[CameraProfile] | None = None,
        name: str = "the reference frame",
    ) -> Self:
        """A frame at an amplification, as `plan` decides it.

        Raises SettingsError for what scotopic has enhanced already, for a frame that does not say its ISO or its
        exposure time, for next to no light where the amplification is to be judged, and as `plan`.
        """
        if captured.exif.enhanced:
            raise SettingsError(
                f"{name}: scotopic has enhanced it already, so that its ISO and exposure time no longer tell how "
                "bright it is: take the RAW file it was made from"
            )
        iso, exposure_s = captured.iso, captured.exposure_s
        if iso is None or exposure_s is None:
            raise SettingsError(
                f"{name}: says {_unsaid(captured)}, without which nothing can be held to it: take another frame, or "
                "give --ratio without --like"
            )
        made = plan(captured, ratio=ratio, ev=ev, profiles=profiles)
        at_most = made.exposure.source == "automatic" and made.exposure.ratio >= RATIO_MAX_AUTOMATIC
        if at_most and next_to_no_light(made.mosaic_of(captured), made.noise.profile):
            raise SettingsError(
                f"{name}: next to no light is in it, by which to judge how bright it is to be: take another frame, or "
                "give --ratio or --ev with it"
            )
        return cls(
            name=name,
            ratio=made.exposure.ratio,
            iso=float(iso),
            exposure_s=float(exposure_s),
            f_number=f_number_of(captured),
            wb=captured.wb,
            camera=_camera_of(captured),
            span_dn=_span_of(captured),
        )

    @property
    def source(self) -> str:
        """Where what is taken from it comes from, in words."""
        return f"as {self.name}"

    def ratio_of(self, captured: Captured) -> float:
        """The amplification at which a picture shows equal light as bright as this frame.

        Cameras count equal light alike whatever white they state, which with some hangs on the ISO: of one model, equal
        counts come out equally bright. Of two, white says as much as anything. Without the apertures where not both are
        known. Raises SettingsError where the picture does not say its ISO or its exposure time, and for an
        amplification out of range.
        """
        iso, exposure_s = captured.iso, captured.exposure_s
        if iso is None or exposure_s is None:
            raise SettingsError(
                f"says {_unsaid(captured)}, without which it cannot be made as bright as {self.name}: write into it "
                "what was set (exiftool -ISO=3200 -ExposureTime=10), or enhance it by itself, with --ratio and without "
                "--like"
            )
        ratio = self.ratio * ((self.iso * self.exposure_s) / (iso * exposure_s))
        f_number = f_number_of(captured)
        if self.f_number is not None and f_number is not None:
            ratio *= (f_number / self.f_number) ** 2
        span = _span_of(captured)
        if self.span_dn is not None and span is not None and _camera_of(captured) == self.camera:
            ratio *= _but_for_bits(span / self.span_dn)
        low, high = (2.0**stops for stops in EV_RANGE)
        if not low <= ratio <= high:
            raise SettingsError(
                f"is to be amplified {ratio:.4g} times to be as bright as {self.name}, and {low:g} to {high:g} can be: "
                "leave it out, or enhance it by itself, with --ratio and without --like"
            )
        return ratio

    def held(self, captured: AnyCapture) -> AnyCapture:
        """A picture in this frame's white balance where it is of the same camera, with notes on what is not known."""
        notes = [*captured.notes]
        camera = _camera_of(captured)
        if camera == self.camera:
            captured = captured.with_changes(wb=self.wb, wb_source=self.source)
        else:
            notes.append(f"{self._unlike(camera)}: that they are equally bright goes by what the files say")
        f_number = f_number_of(captured)
        if (f_number is None) != (self.f_number is None):
            knows = self.name if f_number is None else "it"
            notes.append(
                f"only {knows} says its f-number (f/{f_number or self.f_number:g}): it and {self.name} are taken for "
                "equally wide open; if they were not, enhance it by itself, with --ratio"
            )
        return captured.with_changes(notes=tuple(notes))

    def _unlike(self, camera: tuple[str, str, str]) -> str:
        """What tells another camera from this frame's, in words."""
        (*names, kind), (*own_names, own_kind) = camera, self.camera
        if names == own_names:
            return f"it holds {kind}, {self.name} {own_kind}"
        one, other = (camera_in_words(make, model, "?") for make, model in (names, own_names))
        return f"it is of {one}, {self.name} of {other}"

    def __str__(self) -> str:
        # Journals know a frame by these words: with more in them, runs that were begun before would not go on.
        aperture = f"f/{self.f_number:.4g}" if self.f_number is not None else "no f-number"
        gains = ",".join(f"{gain:.4g}" for gain in self.wb)
        exposed = f"ISO {self.iso:g}, {self.exposure_s:.4g} s, {aperture}"
        return f"{self.name} (x{self.ratio:.4g} at {exposed}; balance {gains})"


def f_number_of(capture: Capture) -> float | None:
    """A picture's f-number as its EXIF says; None for none.

    >>> from scotopic.metadata import Exif
    >>> [f_number_of(Capture(wb=(2, 1, 1.5), exif=Exif(exif=tags))) for tags in ({F_NUMBER: 0}, {APERTURE_VALUE: 4})]
    [None, 4.0]
    """
    low, high = F_NUMBERS
    stated, stops = (capture.exif.exif.get(tag) for tag in (F_NUMBER, APERTURE_VALUE))
    if isinstance(stated, Real) and low <= float(stated) <= high:
        return float(stated)
    # 0 stops, f/1, is what is written where nothing is known.
    if isinstance(stops, Real) and 0 < float(stops) <= 2 * math.log2(high):
        return float(2.0 ** (float(stops) / 2))
    return None


def _unsaid(capture: Capture) -> str:
    """What a picture does not say of its exposure, in words."""
    known = {"ISO": capture.iso, "exposure time": capture.exposure_s}
    return " and ".join(f"no {name}" for name, value in known.items() if value is None)


def _span_of(capture: Capture) -> float | None:
    return capture.white - float(np.mean(capture.black)) if isinstance(capture, Mosaic) else None


def _but_for_bits(spans: float) -> float:
    """One span over another without its powers of 2: files of one camera of 12 and of 14 bits count in other units.
    What is left is less than half a stop, and whites that hang on the ISO differ by no more.

    >>> [round(_but_for_bits(spans), 3) for spans in (13088 / 15871, 3967 / 15871, 3967 / 13088)]
    [0.825, 1.0, 1.212]
    """
    return float(spans / 2.0 ** round(math.log2(spans)))


def _camera_of(capture: Capture) -> tuple[str, str, str]:
    kind = "finished colours" if isinstance(capture, Linear) else "a mosaic"
    if isinstance(capture, Linear) and capture.monochrome:
        kind = "shades of grey"
    return capture.make.strip(), capture.model.strip(), kind
