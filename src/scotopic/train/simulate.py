"""Clean pictures to training pairs: unprocessed to camera RAW, then given the noise of a sensor.

Everything runs in torch on the training device. The physics is that of `scotopic.sensor.simulated`, drawn over
all plausible cameras at once; tests compare the two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from scotopic.calibration.profile import CameraProfile
from scotopic.colour import CAMERA_MATRICES, camera_to_srgb
from scotopic.errors import SettingsError
from scotopic.exposure import LUMINANCE
from scotopic.train.filters import PACKINGS, Packing, laid_out, sampled
from scotopic.train.lens import moved
from scotopic.train.ranges import check_bounds, check_ranges

GAUSSIAN_LAMBDA = 0.14
"""The shape at which Tukey's distribution is as good as Gaussian."""

CLEAN_ELECTRONS = 8000.0
"""Electrons at white from which on a noise fit may take texture for noise."""

COLUMN_SHARE = 0.25
"""Share of the pictures in which columns are off too."""

LIT_SHARE, PAINTED_SHARE, VIVID_SHARE, UNLIKE_SHARE = 0.15, 0.2, 0.15, 0.08
"""Shares of the pictures in which the light is coloured (LIT), shapes are painted in other colours (PAINTED), colours
are stronger (VIVID), the three colours are pictures of their own (UNLIKE). Clean photos are mostly of pale things in
white light, and a network that has seen nothing else takes what one colour alone shows for noise."""

AS_BRIGHT_SHARE, FLAT_SHARE = 0.5, 0.3
"""Shares of the painted pictures in which both colours are about as bright (AS_BRIGHT), and in which there is nothing
but the shapes (FLAT)."""

BRIGHTER_MAX = 4.0
"""Factor by which a colour is made brighter, at most, to be as bright as another."""

FAINTEST_COLOUR = 0.01
"""Faintest colour of a coloured light, as a share of its strongest."""

STARRY_SHARE = 0.3
"""Share of the pictures in which there are stars."""

STARS = 96
"""Stars in a starry picture, at most."""

STAR_LIGHT = (0.003, 10.0)
"""Range of a star's peak, in times display white: wherever a sensor's noise lies, some stand out barely, some
clearly."""

STAR_SIDE = 9
"""Side of a star, in pixels."""

LATERAL_SHARE, LATERAL = 0.6, (0.05, 1.5)
"""Share of the pictures whose red and blue lie beside green, as lenses have it off the middle of a picture, and by how
many pixels. Where training sees none of it, a network makes saws of edges (experiments.md, 2026-11-30)."""

READ_LEAST_DN = 0.3
"""Read noise in DN, at least: it is no finer than what the converter of such a camera resolves."""

PROFILE_MARGIN = 1.1
"""Factor by which a camera's noise is drawn wider than its profile says: temperature moves it."""


@dataclass(frozen=True)
class NoiseRange:
    """What sensors the training draws; each strength log-uniform between the bounds."""

    electrons_at_white: tuple[float, float] = (1.5, 100_000.0)
    """Electrons of a green pixel at display white, after exposure, before amplification."""
    full_well_e: tuple[float, float] = (500.0, 150_000.0)
    read_std_e: tuple[float, float] = (0.4, 8.0)
    """Range of the read noise in electrons at a full well of 2000 electrons; it grows with the fourth root of the full
    well, as sensors at low gain read out with more noise."""
    tukey_lambda: tuple[float, float] = (-0.25, 0.2)
    row_share_max: float = 0.5
    """Standard deviation of row noise, as a share of read noise; that of columns where there is any."""
    band_share: float = 1 / 3
    """Share of the pictures in which neighbouring lines are off alike: bands."""
    band_lines: tuple[float, float] = (1.0, 16.0)
    """Range of the standard deviation, in lines, of the Gaussian by which lines of a band are alike; log-uniform."""
    black_error_share: float = 0.05
    """Standard deviation of the black level's error, as a share of read noise."""
    hot_share: tuple[float, float] = (1e-7, 5e-4)
    told_spread: float = 0.15
    """Spread of log(told / true) variance: the network must live with a noise fit's errors."""
    told_above: float = 1.0
    """Half of the pictures with more electrons at white than CLEAN_ELECTRONS are told too much noise, by up to so many
    stops for each doubling beyond: at base ISO a fit takes texture for noise, and the network must see for itself."""
    bits: int = 0
    """Bits of the simulated files; 0 draws what suits the full well."""

    def __post_init__(self) -> None:
        for name, most in (
            ("electrons_at_white", 1e9),
            ("full_well_e", 1e9),
            ("read_std_e", 1e6),
            ("band_lines", 1e6),
            ("hot_share", 1.0),
        ):
            check_bounds(name, getattr(self, name), 0, most)
        # From -1/2 down Tukey's distribution has no variance.
        check_bounds("tukey_lambda", self.tukey_lambda, -0.5, 2)
        shares = dict.fromkeys(("row_share_max", "black_error_share", "told_spread"), (0.0, 1e3))
        check_ranges(self, {**shares, "band_share": (0, 1), "told_above": (0, 16), "bits": (0, 32)})

    def narrowed_to(self, profile: CameraProfile) -> NoiseRange:
        """These ranges narrowed to one camera: full well and noise as its profile has them, at any of its ISOs.

        Raises SettingsError where the profile does not know the gain.
        """
        span = profile.white_dn - sum(profile.black_dn) / len(profile.black_dn)
        gains = [s.gain_dn_per_e for s in profile.settings if s.gain_dn_per_e]
        if len(gains) < len(profile.settings):
            raise SettingsError(
                f"the profile of this {profile.name} knows no gain: calibrate it again with --flat"
            )
        wells = [span / gain for gain in gains]
        # At a full well of 2000 electrons, as read_std_e is given.
        reads = [
            # What drowned in rounding cannot be told apart from this.
            max(setting.read_std_dn, READ_LEAST_DN) / gain / (well / 2000) ** 0.25
            for setting, gain, well in zip(profile.settings, gains, wells, strict=True)
        ]
        shapes = [GAUSSIAN_LAMBDA if s.tukey_lambda is None else s.tukey_lambda for s in profile.settings]
        shares = [s.row_std_dn / max(s.read_std_dn, 0.1) for s in profile.settings]
        low, high = self.electrons_at_white
        return replace(
            self,
            electrons_at_white=(max(low, min(wells) / 500), min(high, max(wells))),
            full_well_e=(min(wells), max(wells)),
            read_std_e=(min(reads) / PROFILE_MARGIN, max(reads) * PROFILE_MARGIN),
            tukey_lambda=(min(shapes), max(shapes)),
            row_share_max=max(shares),
            told_above=0.0,  # the profile tells
            bits=math.ceil(math.log2(profile.white_dn + 1)),
        )


@dataclass(frozen=True)
class Batch:
    """Graph inputs and the truth. `target` (B, 3, H, W), linear white-balanced; `to_srgb` (B, 3, 3)."""

    mosaic: Tensor
    black: Tensor
    white: Tensor
    wb: Tensor
    shot: Tensor
    read: Tensor
    ratio: Tensor
    target: Tensor
    to_srgb: Tensor

    def inputs(self) -> tuple[Tensor, ...]:
        """The graph's inputs in its order."""
        return (self.mosaic, self.black, self.white, self.wb, self.shot, self.read, self.ratio)


def srgb_to_linear(v: Tensor) -> Tensor:
    """IEC 61966-2-1, for values in 0..1."""
    return torch.where(v <= 0.04045, v / 12.92, ((v.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


class Simulator:
    """Draws random cameras, sensors and scenes. All randomness comes from the generator given."""

    def __init__(
        self,
        noise: NoiseRange,
        device: torch.device,
        generator: torch.Generator,
        packing: Packing = PACKINGS["bayer"],
    ) -> None:
        self.noise = noise
        self.packing = packing
        self.device = device
        self.generator = generator
        matrices = [camera_to_srgb(m) for m in CAMERA_MATRICES.values()]
        self.matrices = torch.stack([torch.tensor(m, dtype=torch.float32) for m in matrices]).to(device)

    def _uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        u = torch.rand(shape, generator=self.generator, device=self.device)
        return low + (high - low) * u

    def _log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return torch.exp(self._uniform(*shape, low=math.log(low), high=math.log(high)))

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def _lines(self, b: int, count: int) -> Tensor:
        """What rows or columns are off by (b, count), of standard deviation 1: each for itself, or bands."""
        lines = torch.arange(count, device=self.device)
        width = self._log_uniform(*self.noise.band_lines, b)
        width = torch.where(self._uniform(b) < self.noise.band_share, width, 1e-3)
        alike = torch.exp(-0.5 * ((lines[:, None] - lines) / width.view(b, 1, 1)).square())
        alike = alike / alike.norm(dim=2, keepdim=True)
        off: Tensor = alike @ self._normal(b, count, 1)
        return off[..., 0]

    def unprocess(self, linear_srgb: Tensor, is_hdr: Tensor) -> tuple[Tensor, Tensor]:
        """Linear sRGB scenes to white-balanced camera RGB, with highlights no JPEG keeps.

        `linear_srgb` (B, 3, H, W), 1.0 = display white; `is_hdr` (B,) says whose highlights are real.
        Returns the truth (B, 3, H, W) and its matrix to linear sRGB (B, 3, 3).
        """
        b, _, h, w = linear_srgb.shape
        scene = linear_srgb
        jpeg = ~is_hdr[:, None, None, None]
        # A camera's curve on top of sRGB: half the pictures are taken out of an S-curve first.
        curve = self._uniform(b, 1, 1, 1, high=0.6) * (self._uniform(b, 1, 1, 1) < 0.5)
        root = scene.clamp(0, 1).sqrt()
        uncurved = 0.5 - torch.sin(torch.asin((1 - 2 * root).clamp(-1, 1)) / 3)
        scene = torch.where(jpeg, ((1 - curve) * root + curve * uncurved).square(), scene)
        # Where a JPEG is clipped the scene was brighter.
        brightest = scene.amax(1, keepdim=True)
        t = ((brightest - 0.85) / 0.15).clamp(0, 1)
        lift = self._log_uniform(1, 12, b, 1, 1, 1) - 1
        scene = torch.where(jpeg, scene * (1 + lift * t * t * (3 - 2 * t)), scene)
        scene = self._coloured(scene) * torch.exp2(self._uniform(b, 1, 1, 1, low=-2.0, high=0.5))
        scene = scene + self._lamps(b, h, w) + self._stars(b, h, w)

        pick = torch.randint(len(self.matrices), (2, b), generator=self.generator, device=self.device)
        mix = self._uniform(b, 1, 1)
        to_srgb = mix * self.matrices[pick[0]] + (1 - mix) * self.matrices[pick[1]]
        to_camera = torch.linalg.inv(to_srgb)
        truth = torch.einsum("bij,bjhw->bihw", to_camera, scene).clamp_min(0)
        return self._lateral(truth), to_srgb

    def _coloured(self, scene: Tensor) -> Tensor:
        """Scenes (B, 3, H, W) as coloured lamps, paints and screens have them, in some of the pictures."""
        b = len(scene)

        def some(share: float) -> Tensor:
            return self._uniform(b, 1, 1, 1) < share

        def light() -> Tensor:
            colour = self._log_uniform(FAINTEST_COLOUR, 1, b, 3, 1, 1)
            return colour / colour.amax(1, keepdim=True)

        # Each colour of another picture of the batch, or partly so.
        others = torch.stack([scene.roll(shift, 0)[:, c] for c, shift in enumerate((0, 1, 2))], 1)
        share = self._uniform(b, 1, 1, 1) * some(UNLIKE_SHARE)
        scene = scene + share * (others - scene)
        # Stronger colours about as bright.
        grey = scene.mean(1, keepdim=True)
        times = torch.where(some(VIVID_SHARE), self._log_uniform(1, 4, b, 1, 1, 1), 1.0)
        scene = (grey + times * (scene - grey)).clamp_min(0)
        # Shapes with hard edges: where another picture is brighter than its middle.
        shapes = scene.roll(1, 0).mean(1, keepdim=True)
        middle = shapes.flatten(1).median(1).values.view(b, 1, 1, 1)
        one, other = light(), light()
        brightness = scene.new_tensor(LUMINANCE).view(1, 3, 1, 1)
        as_bright = (one * brightness).sum(1, keepdim=True) / (other * brightness).sum(1, keepdim=True)
        other = torch.where(some(AS_BRIGHT_SHARE), other * as_bright.clamp_max(BRIGHTER_MAX), other)
        ground = torch.where(some(FLAT_SHARE), scene.mean((1, 2, 3), keepdim=True), scene)
        painted = ground * torch.where(shapes > middle, one, other)
        scene = torch.where(some(PAINTED_SHARE), painted, scene)
        return torch.where(some(LIT_SHARE), scene * light(), scene)

    def _lamps(self, b: int, h: int, w: int) -> Tensor:
        """Up to three soft or hard discs, 1 to 300 times white, in every third picture, most with a glow around."""
        y = torch.arange(h, device=self.device).view(1, 1, h, 1)
        x = torch.arange(w, device=self.device).view(1, 1, 1, w)
        lamps = torch.zeros(b, 3, h, w, device=self.device)
        for _ in range(3):
            on = (self._uniform(b, 1, 1, 1) < 0.15).float()
            radius = self._log_uniform(0.7, 25, b, 1, 1, 1)
            edge = self._log_uniform(0.3, 6, b, 1, 1, 1)
            cy, cx = self._uniform(b, 1, 1, 1, high=h), self._uniform(b, 1, 1, 1, high=w)
            stretch = self._log_uniform(0.3, 3, b, 1, 1, 1)
            distance = ((y - cy).square() * stretch + (x - cx).square() / stretch).sqrt()
            colour = self._uniform(b, 3, 1, 1, low=0.05)
            colour = colour / colour.amax(1, keepdim=True)
            light = self._log_uniform(1, 300, b, 1, 1, 1)
            glow = self._uniform(b, 1, 1, 1, low=-0.1, high=0.3).clamp_min(0)
            reach = self._log_uniform(4, 60, b, 1, 1, 1)
            around = glow * torch.exp((radius - distance).clamp_max(0) / reach)
            lamps = lamps + on * colour * (light * torch.sigmoid((radius - distance) / edge) + around)
        return lamps

    def _stars(self, b: int, h: int, w: int) -> Tensor:
        """Points of light, few or many, spread over a pixel or two by the lens, in some pictures."""
        stars = torch.zeros(b, 3, h * w, device=self.device)
        place = torch.randint(h * w, (b, 1, STARS), generator=self.generator, device=self.device)
        share = self._uniform(b, 1, 1) * (self._uniform(b, 1, 1) < STARRY_SHARE)
        light = self._log_uniform(*STAR_LIGHT, b, 1, STARS) * (self._uniform(b, 1, STARS) < share)
        # From reddish to bluish.
        warmth = self._uniform(b, 1, STARS, low=-0.5, high=0.5)
        colour = torch.cat([1 + warmth, torch.ones_like(warmth), 1 - warmth], 1)
        stars.scatter_add_(2, place.expand(-1, 3, -1), light * colour)
        # One lens a picture, and one place of the stars within their pixels.
        reach = torch.arange(STAR_SIDE, device=self.device) - STAR_SIDE // 2
        spread = self._log_uniform(0.45, 1.3, b, 1)
        rows, columns = (
            torch.exp(-0.5 * ((reach - self._uniform(b, 1, low=-0.5, high=0.5)) / spread).square())
            for _ in range(2)
        )
        filters = (rows[:, :, None] * columns[:, None, :]).repeat_interleave(3, 0)[:, None]
        picture = stars.view(1, b * 3, h, w)
        return F.conv2d(picture, filters, padding=STAR_SIDE // 2, groups=b * 3).view(b, 3, h, w)

    def _lateral(self, truth: Tensor) -> Tensor:
        """Red and blue moved, mostly apart, as a lens with lateral colour does in a part of its picture."""
        b = len(truth)
        far = self._log_uniform(*LATERAL, b) * (self._uniform(b) < LATERAL_SHARE)
        turn = self._uniform(b, high=2 * math.pi)
        blue = self._uniform(b, low=-1.0, high=0.25)
        along = torch.stack([far, torch.zeros_like(far), far * blue], 1)
        way = torch.stack([turn.sin(), turn.cos()], 1)
        return moved(truth, along[:, :, None] * way[:, None]).clamp_min(0)

    def expose(self, target: Tensor, to_srgb: Tensor) -> Batch:
        """Give the truth (B, 3, H, W) to a random sensor."""
        n = self.noise
        b, _, h, w = target.shape
        dev = self.device
        wb = torch.ones(b, self.packing.planes, device=dev)
        wb[:, 0] = self._log_uniform(1.0, 2.9, b)
        wb[:, -1] = self._log_uniform(1.1, 2.9, b)

        at_white_e = self._log_uniform(*n.electrons_at_white, b)
        well_low = torch.maximum(at_white_e, torch.full_like(at_white_e, n.full_well_e[0]))
        well_high = (at_white_e * 500).clamp_max(n.full_well_e[1]).clamp_min(well_low)
        full_well_e = well_low * (well_high / well_low) ** self._uniform(b)
        ratio = full_well_e / at_white_e
        deep = full_well_e > 12_000
        bits = torch.where(deep, 14.0, 10.0 + 2.0 * (self._uniform(b) * 3).floor())
        if n.bits:
            bits = torch.full_like(bits, n.bits)
        top = 2.0**bits - 1
        black_share = torch.tensor([0.0, 0.016, 0.03125, 0.0625, 0.125], device=dev)
        black_pick = torch.randint(5, (b,), generator=self.generator, device=dev)
        black_dn = (black_share[black_pick] * (top + 1)).round()
        white_dn = (top * self._uniform(b, low=0.92)).round()
        span_dn = white_dn - black_dn
        gain_dn = span_dn / full_well_e
        # Read noise no finer than what the converter of such a camera resolves.
        read_std_e = self._log_uniform(*n.read_std_e, b) * (full_well_e / 2000) ** 0.25
        read_std_e = torch.maximum(read_std_e, READ_LEAST_DN / gain_dn)

        mosaic_truth = sampled(target, self.packing)
        wb_mosaic = laid_out(wb, self.packing, h, w)

        def v(t: Tensor) -> Tensor:
            return t.view(b, 1, 1, 1)

        expected_e = mosaic_truth * v(at_white_e) / wb_mosaic
        electrons = torch.poisson(expected_e.clamp_max(4e6), generator=self.generator)

        u = self._uniform(b, 1, h, w, low=1e-5, high=1 - 1e-5)
        lam = self._uniform(b, low=n.tukey_lambda[0], high=n.tukey_lambda[1])
        lam = torch.where(lam.abs() < 0.01, torch.full_like(lam, 0.01), lam)
        tukey = (u ** v(lam) - (1 - u) ** v(lam)) / v(lam) / v(tukey_std(lam))
        use_tukey = v(self._uniform(b)) < 0.5
        read = torch.where(use_tukey, tukey, self._normal(b, 1, h, w)) * v(read_std_e)
        rows, columns = (v(self._uniform(b) * n.row_share_max * read_std_e) for _ in range(2))
        columns = columns * (v(self._uniform(b)) < COLUMN_SHARE)
        read = (
            read + rows * self._lines(b, h).view(b, 1, h, 1) + columns * self._lines(b, w).view(b, 1, 1, w)
        )
        off = self._normal(b, self.packing.planes) * n.black_error_share * read_std_e[:, None]
        read = read + laid_out(off, self.packing, h, w)

        dn = (electrons + read) * v(gain_dn) + v(black_dn)
        hot = self._uniform(b, 1, h, w) < v(self._log_uniform(*n.hot_share, b))
        hot_dn = v(black_dn) + v(span_dn) * self._uniform(b, 1, h, w) ** 3
        dn = torch.where(hot, hot_dn.maximum(dn), dn)
        dn = dn.round().clamp_min(0).minimum(v(white_dn))

        quantum = (1 / 12) / span_dn.square()
        shot = 1 / full_well_e
        read_variance = (read_std_e / full_well_e).square() + quantum
        wide = torch.where(self._uniform(b) < 0.1, 3.0, 1.0)

        def told() -> Tensor:
            return torch.exp(self._normal(b) * n.told_spread * wide)

        too_much = 2 ** (
            n.told_above * (at_white_e / CLEAN_ELECTRONS).log2().clamp_min(0) * self._uniform(b)
        )
        too_much = torch.where(self._uniform(b) < 0.5, too_much, 1.0)

        def by_plane(t: Tensor) -> Tensor:
            return t[:, None].expand(b, self.packing.planes)

        return Batch(
            mosaic=dn,
            black=by_plane(black_dn),
            white=by_plane(white_dn),
            wb=wb,
            shot=by_plane(shot * too_much * told()),
            read=by_plane(read_variance * too_much * told()),
            ratio=ratio[:, None],
            target=target,
            to_srgb=to_srgb,
        )


def tukey_std(lam: Tensor) -> Tensor:
    """Standard deviation of the Tukey lambda distribution of shape `lam` (above -0.5, not 0)."""
    beta = torch.exp(2 * torch.lgamma(lam + 1) - torch.lgamma(2 * lam + 2))
    return (2 / lam.square() * (1 / (1 + 2 * lam) - beta)).sqrt()
