"""The recipe: amplify, then denoise and demosaic in one network, and hand on linear camera RGB."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scotopic import exposure, frame, noise
from scotopic.balance import Balance, FixedBalance, Gains, balanced, for_network, rebalanced, undoing
from scotopic.balance import given as given_balance
from scotopic.calibration.apply import Profiles, among, calibrated, corrected
from scotopic.calibration.profile import CameraProfile
from scotopic.develop import Canvas, ColourSpace, Look, Rendering, developed, upright
from scotopic.effort import Effort, Fringes, check_settings
from scotopic.errors import EnhancedAlreadyError, ModelError, SettingsError, check_kind_of
from scotopic.frame import Capture, Captured, Linear, Linear32, Mosaic, Rendered, fingerprint
from scotopic.models import Card, check_fits
from scotopic.run import DEFAULT_TILE, GraphInputs, Model
from scotopic.sensor.black import lowered as black_lowered
from scotopic.sensor.black import with_black_lowered
from scotopic.sensor.laid import aligned
from scotopic.sensor.lateral import Lateral, lateral_colour
from scotopic.sensor.lines import lines_off
from scotopic.sensor.mend import Mended, Replaced, mended, without_lines, without_voids
from scotopic.sensor.moved import moving_back
from scotopic.sensor.pattern import SensorKind, black_of_places, missing, of_even_black, pattern_of
from scotopic.sensor.remosaic import MARGIN, as_mosaic, in_counts, with_noise_taken
from scotopic.sensor.shading import evened
from scotopic.sensor.simulated import believable


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture made ready once: a mosaic, put right, and without what its camera's profile takes out."""

    of: tuple[object, ...]
    """The fingerprint of the data it was made of, which may be a buffer that holds another frame by now."""
    mosaic: Mosaic
    is_untouched: bool
    """Whether its data are those very data, in whose place the like are then to be taken."""

    @staticmethod
    def made(captured: Captured, ready: Mosaic) -> Prepared:
        """What `captured` was made into."""
        return Prepared(fingerprint(captured.data), ready, np.may_share_memory(captured.data, ready.data))


@dataclass(frozen=True)
class Plan:
    """What will be done to a picture, decided before any work: amplification and noise."""

    exposure: exposure.Exposure
    noise: noise.NoiseEstimate
    profile: CameraProfile | None = None
    """The user's profile of the camera, whose black error and dark shading are taken out."""
    replaced: Replaced = field(default_factory=Replaced)
    black_lowered: npt.NDArray[np.float64] | None = field(default=None, compare=False)
    """DN by which black lies below the one stated at each place of the cell, as the picture proves; None: nowhere."""
    wb_told: Gains | None = field(default=None, compare=False)
    """The white balance that the network works in, whatever the picture's becomes; None: the picture's own."""
    lateral: Lateral | None = None
    """Where the lens has drawn red and blue beside green; None where it has not, or nobody can tell."""
    prepared: Prepared | None = field(default=None, repr=False, compare=False)
    """Kept so that it is not made again; a pickled plan goes without."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "prepared": None}

    def mosaic_of(self, captured: Captured) -> Mosaic:
        """The mosaic to work on. Made anew where `captured` is not what was planned for."""
        made = self.prepared
        if made is not None and made.of == fingerprint(captured.data):
            if not isinstance(captured, Mosaic):
                return made.mosaic
            ready = captured if made.is_untouched else in_counts(captured, made.mosaic.data)
            return with_black_lowered(ready, self.black_lowered)
        frame.check_light(captured)
        mosaic = as_mosaic(captured)
        if self.profile is not None:
            mosaic = corrected(self.profile, mosaic)
        sound = with_black_lowered(without_lines(mosaic, self.replaced.lines), self.black_lowered)
        return mended(sound, self.noise.profile).mosaic if isinstance(captured, Mosaic) else mosaic

    def balance_of(self, captured: Captured) -> Gains:
        """The white balance in which the network gives its light."""
        return captured.wb if self.wb_told is None else self.wb_told

    def upon_green(self, fringes: Fringes) -> tuple[int, ...]:
        """The colours that come out elsewhere than the lens has drawn them."""
        return self.lateral.colours if fringes == "remove" and self.lateral is not None else ()

    def amplified(self, captured: Captured, *, ratio: float | None = None, ev: float | None = None) -> Plan:
        """The same with another amplification: nothing else is decided again. Raises as `plan`."""
        return replace(self, exposure=_amplification(captured, self.mosaic_of(captured), ratio, ev))


def plan(
    captured: Captured,
    *,
    ratio: float | None = None,
    ev: float | None = None,
    profiles: Profiles | CameraProfile | Iterable[CameraProfile] | None = None,
) -> Plan:
    """Decide on amplification and noise; of `profiles`, be it a single one, the one of this camera is used.

    Raises SettingsError for an amplification out of range, for profiles that are none, for values that are no numbers,
    and for less than a cell.
    """
    _check_picture(captured)
    exposure.check(ratio, ev)
    frame.check_light(captured)
    known = among(profiles)
    mosaic = as_mosaic(captured)
    # Finished colours have lost their sensor's pattern: no profile is for them.
    usable = known if isinstance(captured, Mosaic) else Profiles()
    found = calibrated(usable, mosaic)
    note = found.note
    if known.asked and not isinstance(captured, Mosaic):
        note = "the profile is not used: this file holds finished colours, whose pattern is no longer the sensor's"
    estimate = noise.estimate(mosaic, found.noise, note)
    put_right, lines, by, drawn = Mended(found.mosaic), [], None, None
    if isinstance(captured, Mosaic):
        sound, as_read = found.mosaic, mosaic
        if lines := lines_off(found.mosaic, estimate.profile):
            sound = without_lines(found.mosaic, lines)
            as_read = sound if found.mosaic is mosaic else without_lines(mosaic, lines)
        # A profile's dark frames have told black.
        if found.profile is None and (off := black_lowered(sound, estimate.profile)).any():
            by = off
            sound = as_read = with_black_lowered(sound, by)
        if as_read is not mosaic:
            # Both pass for noise, so it is told again without them.
            estimate = noise.estimate(as_read, found.noise, note)
        put_right = mended(sound, estimate.profile)
        drawn = lateral_colour(put_right.mosaic, estimate.profile)
    ready = put_right.mosaic
    amplification = _amplification(captured, ready, ratio, ev)
    replaced = Replaced(put_right.hot, tuple(lines))
    balance, prepared = for_network(ready, estimate.profile), Prepared.made(captured, ready)
    return Plan(amplification, estimate, found.profile, replaced, by, balance, drawn, prepared)


def _amplification(
    captured: Captured, ready: Mosaic, ratio: float | None, ev: float | None
) -> exposure.Exposure:
    if ratio is None and ev is None and isinstance(captured, Mosaic):
        # How bright the picture is to be is judged as it will be seen.
        ready = ready.evened()
    return exposure.decide(ready, ratio=ratio, ev=ev)


def sensor_of(captured: Captured) -> SensorKind:
    """Which kind of model a picture needs; finished colours are sampled back to a Bayer mosaic.

    Raises UnsupportedRawError where no model fits.
    """
    return pattern_of(captured.cfa).sensor if isinstance(captured, Mosaic) else "bayer"


def enhance(
    captured: Captured,
    model: Model,
    *,
    ratio: float | None = None,
    ev: float | None = None,
    plan_made: Plan | None = None,
    strength: float = 1.0,
    passes: int = 1,
    fringes: Fringes = "keep",
    again: bool = False,
    tile: int = DEFAULT_TILE,
    progress: Callable[[float], None] = lambda _: None,
) -> Linear:
    """Give the picture that a longer exposure would have given, as linear camera RGB.

    `strength` 0..1 blends from the plain demosaic to the full effect; what came with finished colours keeps
    its own in place of the plain demosaic, and all that noise does not explain (`with_noise_taken`). The network looks
    at the picture in so many `passes` (1 to 4), each turned otherwise, and their mean is nearer to the truth (`views`).
    Where the lens has drawn red and blue beside green (`Plan.lateral`) they come out so, or upon green with `fringes`
    "remove".
    The result has the picture's height and width. `ratio` and `ev` are for what is not planned yet. Raises
    EnhancedAlreadyError for what scotopic has enhanced, unless it is wanted `again`, SettingsError for settings out of
    range and what `plan` refuses, UnsupportedRawError for patterns that no model knows, ModelError for a model of
    another sensor's kind, or of kind `srgb`, which knows no linear light.
    """
    _check_picture(captured, model)
    effort = Effort(strength, passes, fringes, tile, progress)
    _check_linear(model.card)
    return enhanced(captured, model, _planned(captured, plan_made, ratio, ev, again), effort)


def enhanced(captured: Captured, model: Model, made: Plan, effort: Effort) -> Linear:
    """The same of what is planned, be it enhanced already."""
    _check_linear(model.card)
    mosaic = made.mosaic_of(captured)
    amplification, clip = made.exposure.ratio, _clip(mosaic, made)
    capture = {f: getattr(mosaic, f) for f in Capture.__dataclass_fields__}
    capture["exif"] = mosaic.exif.marked()
    # Behind the network, which has learnt noise as sensors have it, the same from corner to corner. Only what tells
    # the two greens apart comes before it, as that would be taken for a pattern.
    shading, capture["shading"] = mosaic.shading, None
    own = captured if isinstance(captured, Linear) else None
    if own is not None and effort.strength == 0:
        light = own.data * np.float32(amplification / own.ratio)
    else:
        ready = mosaic if own is not None else mosaic.evened(whole=False)
        light = model.run(
            multiply=undoing(made.balance_of(captured)),
            **_told(ready, model, made, effort),
            **_effect(captured, made, effort),
        )
    return Linear(
        data=evened(light, shading),
        clip=clip,
        ratio=amplification,
        monochrome=own is not None and own.monochrome,
        **capture,
    )


def _check_picture(captured: Captured, *model: Model) -> None:
    check_kind_of("a picture to enhance", captured, (Mosaic, Linear), "give what `read` gives of a file")
    for each in model:
        check_kind_of(
            "model", each, Model, 'give `Model("bayer-fast")`, or of Models `open(sensor_of(picture))`'
        )


def _check_linear(card: Card) -> None:
    if card.kind != "linear":
        raise ModelError(
            f"{card.name}: gives finished sRGB pictures, no linear light; use a model of kind linear"
        )


def _planned(
    captured: Captured, made: Plan | None, ratio: float | None, ev: float | None, again: bool
) -> Plan:
    if not again:
        check_fresh(captured)
    if made is None:
        return plan(captured, ratio=ratio, ev=ev)
    if ratio is not None or ev is not None:
        raise SettingsError(
            f"an amplification is given beside a plan, which has one of {made.exposure.ratio:g}: give it to `plan`, or "
            "leave plan_made out"
        )
    return made


def _effect(captured: Captured, made: Plan, effort: Effort) -> dict[str, Any]:
    """How the model's work is taken, as arguments of `Model.run`.

    A mosaic's plain demosaic is blended with it; finished colours, amplified, are changed by it as far as noise
    explains.
    """
    if isinstance(captured, Mosaic):
        back = made.lateral if effort.fringes == "keep" else None
        return {"strength": effort.strength, **moving_back(back, captured.data.shape)}
    noise, ratio = made.noise.profile, made.exposure.ratio
    amplify = np.float32(ratio / captured.ratio)

    def change(top: int, left: int, light: Linear32, own: tuple[slice, slice]) -> Linear32:
        _, height, width = light.shape
        given = captured.data[top : top + height, left : left + width].transpose(2, 0, 1)
        if captured.monochrome:
            light = np.repeat(light.mean(axis=0, keepdims=True), 3, axis=0)
        return with_noise_taken(
            np.multiply(given, amplify, order="C"), light, own, noise, ratio, effort.strength
        )

    return {"change": change, "margin": MARGIN}


def check_fresh(captured: Captured) -> None:
    """Raise EnhancedAlreadyError for a picture that scotopic has enhanced already."""
    if captured.exif.enhanced:
        raise EnhancedAlreadyError(
            "scotopic has enhanced this picture already, and a second time would take texture for noise: use "
            "the RAW file it was made from, develop this one in an editor, or give --again (in Python, again=True)"
        )


def finished(
    captured: Captured,
    model: Model,
    *,
    ratio: float | None = None,
    ev: float | None = None,
    plan_made: Plan | None = None,
    strength: float = 1.0,
    passes: int = 1,
    fringes: Fringes = "keep",
    again: bool = False,
    look: Look | None = None,
    wb: Balance = "camera",
    space: ColourSpace = "srgb",
    bits: Literal[8, 16] = 8,
    tile: int = DEFAULT_TILE,
    progress: Callable[[float], None] = lambda _: None,
) -> Rendered:
    """The same as a picture for a display, by a model of either kind; `look` None as in `develop`.

    Raises SettingsError, beside what `enhance` raises, for a strength, look, white balance or colour
    space with a model of kind `srgb`: such a network has blended and developed already.
    """
    _check_picture(captured, model)
    rendering, effort = Rendering(look, space, bits), Effort(strength, passes, fringes, tile, progress)
    wb = given_balance(wb)
    made = _planned(captured, plan_made, ratio, ev, again)
    return picture_of(captured, model, made, effort, wb, rendering)


def picture_of(
    captured: Captured, model: Model, made: Plan, effort: Effort, wb: Balance, rendering: Rendering
) -> Rendered:
    """The same of what is planned, be it enhanced already."""
    check_settings(model.card, effort.strength, rendering.look, wb, rendering.space, effort.fringes)
    if model.card.kind == "linear":
        by_network = isinstance(captured, Mosaic) or effort.strength > 0
        if by_network and captured.shading is None and wb != "auto":
            return _picture_at_once(captured, model, made, effort, wb, rendering)
        return developed(balanced(enhanced(captured, model, made, effort), wb), rendering)
    mosaic = made.mosaic_of(captured)
    if isinstance(captured, Mosaic):
        mosaic = mosaic.evened()
    # Such a graph's colours are final: nothing could be taken back.
    rgb = model.run(**_told(mosaic, model, replace(made, wb_told=None, lateral=None), effort))
    top = 2**rendering.bits - 1
    shown = np.rint(np.clip(rgb, 0, 1) * top).astype(np.uint8 if rendering.bits == 8 else np.uint16)
    return upright(shown, captured.with_changes(exif=captured.exif.marked()))


def _picture_at_once(
    captured: Captured, model: Model, made: Plan, effort: Effort, wb: FixedBalance, rendering: Rendering
) -> Rendered:
    """Each piece is developed as soon as the network gives it: no whole picture of light is kept.

    The same as `developed(balanced(enhanced(captured, ...), wb), rendering)` but for the last bit of a float.
    """
    mosaic = made.mosaic_of(captured)
    # A mosaic's light is put balanced, as the model gives it; finished colours are those of the camera.
    as_given, plain = isinstance(captured, Mosaic), (1.0, 1.0, 1.0)
    canvas = Canvas(
        rebalanced(captured, wb).with_changes(exif=captured.exif.marked()),
        mosaic.data.shape,
        _clip(mosaic, made),
        rendering,
        given=made.balance_of(captured) if as_given else plain,
    )
    model.run_into(
        canvas.put,
        multiply=plain if as_given else undoing(made.balance_of(captured)),
        **_told(mosaic, model, made, effort),
        **_effect(captured, made, effort),
    )
    return canvas.rendered()


def _clip(mosaic: Mosaic, made: Plan) -> float:
    """The light at which the sensor saturated, amplified."""
    mean_black = float(np.mean(mosaic.black))
    return made.exposure.ratio * (mosaic.saturation - mean_black) / (mosaic.white - mean_black)


def _told(mosaic: Mosaic, model: Model, made: Plan, effort: Effort) -> dict[str, Any]:
    """What the model is told of a picture and of how to work, as arguments of `Model.run`."""
    check_fits(model.card, pattern_of(mosaic.cfa).sensor)
    before = missing(mosaic.cfa)
    counted = without_voids(mosaic, made.noise.profile, made.exposure.ratio)
    if made.lateral is not None:
        counted = aligned(counted, made.lateral, made.noise.profile)
    return {
        "mosaic": of_even_black(counted),
        "inputs": graph_inputs(mosaic, made, before),
        # So many rows and columns before the counts turn their phase into the one that the model knows.
        "before": before,
        "passes": effort.passes,
        "tile": effort.tile,
        "progress": effort.progress,
    }


def graph_inputs(mosaic: Mosaic, made: Plan, offset: tuple[int, int] = (0, 0)) -> GraphInputs:
    """The graph's inputs for a mosaic with `offset` rows and columns put before it.

    The graph sees the sensor's true saturation as white, so that lamps are known for what they are.
    With white lowered by a factor, x and its noise grow, and the amplification shrinks alike: the
    result keeps its scale.
    """
    pattern = pattern_of(mosaic.cfa)
    places = np.roll(black_of_places(mosaic), offset, axis=(0, 1)).ravel()
    black = np.zeros(len(pattern.colour_of_plane))
    black[list(pattern.plane_of_place)] = places
    mean_black = float(np.mean(mosaic.black))
    scale = (mosaic.white - mean_black) / (mosaic.saturation - mean_black)
    profile = made.noise.profile

    def by_plane(values: tuple[float, float, float], factor: float = 1.0) -> tuple[float, ...]:
        return tuple(values[colour] * factor for colour in pattern.colour_of_plane)

    wb = made.balance_of(mosaic)
    noises = (
        believable(shot, read, min(0.5, 0.5 / (made.exposure.ratio * gain)))
        for shot, read, gain in zip(profile.shot, profile.read, wb, strict=True)
    )
    shots, reads = zip(*noises, strict=True)
    white: npt.NDArray[np.float64] = black + (mosaic.white - black) / scale
    return GraphInputs(
        black=tuple(black.tolist()),
        white=tuple(white.tolist()),
        wb=by_plane(wb),
        shot=by_plane(shots, scale),
        read=by_plane(reads, scale * scale),
        ratio=made.exposure.ratio / scale,
    )
