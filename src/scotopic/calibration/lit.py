"""Which dark frames are dark: those that have seen light, and damaged ones, differ from the others of their setting.

Light only ever adds. Of frames that differ the darker ones are right therefore, be they the fewer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scotopic.calibration.frames import Frame, by_setting, is_cut, typical_cut, words_of

FRAMES_ADVISED = 10
"""With ten frames the mean's noise is a third of a frame's: the pattern stands out well enough."""

LEAK_SHARE = 0.01
"""A dark frame whose median is above black by more than this share of the range has seen light: black levels
are known better than that."""

UNLIKE_SIGMAS = 1.0
"""A dark frame that is off the others by more than a pixel's noise is left out, as a whole or in some areas."""

NATURAL_SIGMAS = 6.0
"""An area that has seen light is also off by more than so many times what areas differ by from frame to frame anyway:
row noise is shared by all pixels of a row."""

GLOW_SHARE = 1.0
"""A camera that warms up glows more from frame to frame: by as much again as is there it may, which some 6 degrees
bring about."""

LIT_SHARE = 0.002
"""Share of a frame that has to be off before it counts as lit: a smaller spot is lost among hot pixels."""

LIGHT_SIGMAS = 3.0
"""Times a pixel's noise by which true black may be off the file's; frames above have seen light, it seems."""

CUT_TIMES, CUT_MORE = 4.0, 0.001
"""A frame with more pixels at 0 than so many times the others' share, and so much besides, is damaged: the share
in the tail of the noise does not vary so from frame to frame."""

NOISE_TIMES = 2.0
"""Frames of which some are so many times as noisy as others are of two settings; those of one are alike to a
hundredth."""

Reason = Callable[[Frame], str]
"""Why a frame is left out; empty where it is not."""


def dark_ones(frames: list[Frame], notes: list[str]) -> list[Frame]:
    """The frames that are dark, and like the others of their group."""
    kept: list[Frame] = []
    for group in by_setting(frames):
        good = group
        for step in (_not_dark, _damaged, _unlike, _unlike_in_areas):
            good = _without(good, step(good), notes) if good else []
        kept += good
        if good and is_cut(good):
            notes.append(
                f"{words_of(group[0])}: up to {max(f.cut for f in good):.0%} of the pixels are at 0: the "
                "camera cuts off what lies below black; read noise and hot pixels are told, black and dark shading "
                "cannot be"
            )
        quiet, loud = (which(good, key=lambda f: f.noise_dn, default=None) for which in (min, max))
        if quiet and loud and loud.noise_dn > NOISE_TIMES * quiet.noise_dn:
            notes.append(
                f"{words_of(group[0])}: the dark frames' noise is from {quiet.noise_dn:.3g} DN ({quiet.path.name}) to "
                f"{loud.noise_dn:.3g} DN ({loud.path.name}), and the profile's between: some were taken at another ISO "
                "than they say, or much warmer; leave them out, or take all again"
            )
        if 2 <= len(good) < FRAMES_ADVISED:
            notes.append(f"{words_of(group[0])}: {len(good)} dark frames; 10 or more tell more")
    return kept


def _without(group: list[Frame], reason: Reason, notes: list[str]) -> list[Frame]:
    reasons = [reason(frame) for frame in group]
    notes += [f"{f.path.name}: left out, {why}" for f, why in zip(group, reasons, strict=True) if why]
    return [frame for frame, why in zip(group, reasons, strict=True) if not why]


def _not_dark(group: list[Frame]) -> Reason:
    def reason(frame: Frame) -> str:
        if frame.level_dn <= LEAK_SHARE * frame.range_dn:
            return ""
        return f"not dark ({frame.level_dn:.0f} DN above black): put the cap on the lens and cover the viewfinder"

    return reason


def _damaged(group: list[Frame]) -> Reason:
    usual = typical_cut(group)

    def reason(frame: Frame) -> str:
        if is_cut(group) or frame.cut <= CUT_TIMES * usual + CUT_MORE:
            return ""
        return (
            f"{frame.cut:.1%} of its pixels are at 0, of the other dark frames {usual:.1%}: it is damaged"
        )

    return reason


def _level(frame: Frame) -> float:
    return float(np.median(frame.areas))


def _noise(group: list[Frame]) -> float:
    """A pixel's noise in DN; light has noise of its own."""
    return min(frame.spread_dn for frame in group)


def _unlike(group: list[Frame]) -> Reason:
    """As a whole. Levels that lie close together are one group, however long: black drifts."""
    levels, noise = sorted(map(_level, group)), UNLIKE_SIGMAS * _noise(group)
    alone = len(levels) > 2 and levels[1] - levels[0] > noise
    first = 1 if alone and levels[1] < LIGHT_SIGMAS * noise else 0
    last = first
    while last + 1 < len(levels) and levels[last + 1] - levels[last] <= noise:
        last += 1

    def reason(frame: Frame) -> str:
        level = _level(frame)
        if level > levels[last]:
            return (
                f"{level - levels[last]:.1f} DN brighter than the darkest of the dark frames, and light only adds: put "
                "the cap on the lens and cover the viewfinder"
            )
        return (
            f"{levels[first] - level:.1f} DN darker than the other dark frames"
            if level < levels[first]
            else ""
        )

    return reason


def _unlike_in_areas(group: list[Frame]) -> Reason:
    """In some areas, against the darkest of the others; the second darkest, so that damage to one is no measure."""
    if len(group) < 2:
        return lambda _: ""
    above = np.stack([frame.areas - np.float32(_level(frame)) for frame in group])
    place = min(len(group) - 2, 1)
    darkest = np.partition(above, place, axis=0)[place]
    off = above - darkest
    usual = 1.4826 * float(np.median(np.abs(np.diff(above, axis=0))))
    allowed = max(UNLIKE_SIGMAS * _noise(group), NATURAL_SIGMAS * usual) + GLOW_SHARE * np.maximum(
        darkest, 0
    )
    offs = dict(zip(map(id, group), off, strict=True))

    def reason(frame: Frame) -> str:
        brighter = offs[id(frame)]
        lit, dim = (float(np.mean(part > allowed)) for part in (brighter, -brighter))
        if lit > LIT_SHARE:
            return (
                f"{lit:.1%} of it is brighter than in the other dark frames, by up to {brighter.max():.0f} DN: light "
                "has leaked in; put the cap on the lens and cover the viewfinder"
            )
        if dim > LIT_SHARE:
            return (
                f"{dim:.1%} of it is darker than in the other dark frames, by up to {-brighter.min():.0f} DN: it is "
                "damaged"
            )
        return ""

    return reason
