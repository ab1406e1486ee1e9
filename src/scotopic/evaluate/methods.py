"""What is measured side by side: our models, any ONNX file with the graph's contract, and the other ways.

A method goes from a `Shot`, a dark photo with what was decided about it, to what the protocol compares: an
8-bit picture for the dataset's protocol (`for_pictures`), a mosaic for the raw one (`for_mosaics`).
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scotopic.data.pairs import Pair
from scotopic.develop import develop
from scotopic.enhance import Plan, enhance, finished
from scotopic.errors import ModelError, SettingsError
from scotopic.evaluate import external
from scotopic.evaluate.peers import bm3d_counts
from scotopic.evaluate.protocols import label
from scotopic.frame import Mosaic, NoiseProfile
from scotopic.models import CARD_FORMAT, GRAPH_MAX, kind_of, sha256, values_taken
from scotopic.run import Model
from scotopic.sensor.pattern import BAYER, PATTERNS, SensorKind
from scotopic.sensor.simulated import sony_a7s2
from scotopic.traditional import develop_traditional

Picture = npt.NDArray[np.uint8]

PICTURE_PEERS = ("libraw", "fbdd", "bm3d", "rawtherapee", "darktable")
"""The other ways from RAW to a picture, as `--method` names them."""

MOSAIC_PEERS = ("input", "bm3d")
"""The other ways in the raw protocol."""

SLOW = frozenset({"bm3d"})
"""Methods that are measured only when asked for by name, or by `all`: about 90 s a megapixel."""

HALO = 96
"""Halo in mosaic pixels of a bare ONNX file, which does not say its own: the most that the design allows."""


@dataclass(frozen=True, eq=False)
class Shot:
    """A dark photo as read, with amplification and noise decided; `way` says which amplification."""

    pair: Pair
    mosaic: Mosaic
    made: Plan
    way: str
    prepared_s: float
    """What reading the file and judging its noise took."""

    @property
    def ratio(self) -> float:
        """The amplification."""
        return self.made.exposure.ratio


@dataclass(frozen=True, eq=False)
class Method:
    """A named way. `run` gives (H, W, 3) uint8, or (H, W) float32 in 0..1 above black, for a mosaic."""

    name: str
    run: Callable[[Shot], npt.NDArray[Any]]
    from_file: bool = False
    """Whether it reads the file itself, so that `Shot.prepared_s` is none of its time."""
    optional: bool = False
    """Whether it may fail: it is then left out from there on, which the result says."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The methods of one evaluation, and those left out with the reason, in words."""

    methods: tuple[Method, ...]
    left_out: dict[str, str]
    models: dict[str, str]
    """SHA-256 of each model's graph."""
    featured: str
    """The method whose best, median and worst picture are shown."""
    show: Callable[[Shot], Picture]
    """Its picture for a display."""


def open_model(name: str | Path, *, multiple: int = 32, device: str = "auto") -> Model:
    """A model by its name or folder, or a bare ONNX file with the graph's contract.

    A bare file says neither the size multiple its input needs, hence `multiple`, nor its halo: HALO is
    given. Its sensors are those whose pattern has as many values as `black`, and Bayer ones where the file does not
    tell. One without `plain` is of kind `srgb`. Raises ModelError for what is no model.
    """
    path = Path(name)
    if path.suffix.lower() != ".onnx" or not path.is_file():
        return Model(name, device=device)
    if multiple < 1:
        raise SettingsError(f"size multiple {multiple} is out of range: 1 or more")
    with path.open("rb") as file:
        graph = file.read(GRAPH_MAX)
    sensor = _sensor_of(graph)
    cell = next(p.cell for p in PATTERNS if p.sensor == sensor)
    if multiple % cell:
        raise SettingsError(
            f"{path}: is for {sensor} sensors, whose pattern has {cell} rows, of which the size multiple {multiple} is "
            f"none: give the network's own with --multiple, such as {8 * cell}"
        )
    card = {
        "format": CARD_FORMAT,
        "name": path.stem,
        "version": "a bare file",
        "kind": kind_of(graph),
        "cfa": sensor,
        "size_multiple": multiple,
        "halo": -(-HALO // multiple) * multiple,
        "parameters": 0,
        "sha256": sha256(path),
    }
    # A folder as models come in: only while it is opened, since the session keeps what it needs.
    with tempfile.TemporaryDirectory(prefix="scotopic-") as words:
        folder = Path(words)
        (folder / "card.json").write_text(json.dumps(card))
        (folder / "model.onnx").symlink_to(path.resolve())
        try:
            model = Model(folder, device=device)
        except ModelError as error:
            raise ModelError(str(error).replace(str(folder / "model.onnx"), str(path))) from error
    model.card = dataclasses.replace(model.card, folder=path)
    return model


def _sensor_of(graph: bytes) -> SensorKind:
    told = values_taken(graph, "black")
    return next((p.sensor for p in PATTERNS if len(p.colour_of_plane) == told), BAYER.sensor)


def for_pictures(
    models: Sequence[Model], peers: Sequence[str] = (), passes: Sequence[int] = (1,)
) -> Chosen:
    """Models, each with so many passes, and other ways for protocols that compare developed pictures.

    `peers` are names of PICTURE_PEERS, or "all", or "none"; empty for those that are quick. Programs that
    are not installed and ways that were not asked for stand in `left_out`. Raises SettingsError for a name
    that there is not, and where nothing is left to measure.
    """
    wanted, left_out = _wanted(peers, PICTURE_PEERS)
    methods = []
    for name in wanted:
        if name in external.PROGRAMS and (why := external.missing(name)):
            left_out[external.PROGRAMS[name]] = why
            continue
        methods.append(_picture_peer(name, models))
    return _chosen(methods, _picture_of, left_out, models, passes)


def for_mosaics(models: Sequence[Model], peers: Sequence[str] = (), passes: Sequence[int] = (1,)) -> Chosen:
    """Models, each with so many passes, and other ways for the raw protocol; `peers` are of MOSAIC_PEERS, as above.

    Raises SettingsError for a model of kind `srgb`, beside what `for_pictures` raises.
    """
    for model in models:
        if model.card.kind != "linear":
            raise SettingsError(
                f"{model.card.name}: is of kind {model.card.kind} and gives finished pictures, which cannot be "
                "mosaiced back; the raw protocol needs models of kind linear ('evaluate sid' takes both)"
            )
    wanted, left_out = _wanted(peers, MOSAIC_PEERS)
    methods = []
    if "input" in wanted:
        methods.append(Method("noisy input, amplified", lambda shot: in_range(shot.mosaic, shot.ratio)))
    if "bm3d" in wanted:
        methods.append(Method("BM3D, blind noise", _bm3d_mosaic, optional=True))
        methods.append(
            Method("BM3D, calibrated noise", lambda s: _bm3d_mosaic(s, calibrated(s.mosaic)), optional=True)
        )
    return _chosen(methods, _mosaic_of, left_out, models, passes)


def in_range(mosaic: Mosaic, ratio: float = 1.0) -> npt.NDArray[np.float32]:
    """A mosaic (H, W) as shares of the sensor's range above black, evened out, amplified, clipped to 0..1."""
    mosaic = mosaic.evened()
    size = len(mosaic.cfa)
    light = np.empty(mosaic.data.shape, np.float32)
    for place, (_, plane) in enumerate(mosaic.colour_planes()):
        dy, dx = divmod(place, size)
        light[dy::size, dx::size] = np.clip(plane * np.float32(ratio), 0, 1)
    return light


def calibrated(mosaic: Mosaic) -> NoiseProfile:
    """The published noise of the camera, for the Sony A7S II of the dataset.

    Below ISO 100 and above 25600 the nearest calibrated one. Raises SettingsError for other cameras.
    """
    if mosaic.model != "ILCE-7SM2" or not mosaic.iso:
        raise SettingsError(
            f"no calibration for {mosaic.make} {mosaic.model}: the Sony ILCE-7SM2 is known".replace(
                "  ", " "
            )
        )
    return sony_a7s2(min(max(mosaic.iso, 100), 25600)).noise_profile()


def _wanted(peers: Sequence[str], known: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """The other ways to measure, and those known but not asked for with the reason."""
    for name in peers:
        if name not in (*known, "all", "none"):
            raise SettingsError(f"no method called {name}: known are {', '.join(known)}, all and none")
    if "none" in peers and len(set(peers)) > 1:
        raise SettingsError("'none' and other methods contradict each other: give one")
    if not peers:
        wanted = [name for name in known if name not in SLOW]
    else:
        wanted = list(known) if "all" in peers else [name for name in known if name in peers]
    not_asked = {
        name: "slow, and not asked for (--method)"
        if name in SLOW and not peers
        else "not asked for (--method)"
        for name in known
        if name not in wanted
    }
    return wanted, not_asked


def _chosen(
    peers: list[Method],
    run_by: Callable[[Model, int], Callable[[Shot], npt.NDArray[Any]]],
    left_out: dict[str, str],
    models: Sequence[Model],
    passes: Sequence[int],
) -> Chosen:
    named = {label(model, models, n): (model, n) for model in models for n in passes}
    ours = [Method(name, run_by(*way)) for name, way in named.items()]
    methods = (*peers, *ours)
    if not methods:
        words = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise SettingsError(f"nothing is left to measure ({words}): give a model or a method")
    return Chosen(
        methods=methods,
        left_out=left_out,
        models={name: model.card.sha256 for name, (model, _) in named.items()},
        featured=ours[0].name if ours else methods[0].name,
        show=_picture_of(*next(iter(named.values()))) if named else traditional_picture,
    )


def _picture_peer(name: str, models: Sequence[Model]) -> Method:
    match name:
        case "libraw":
            return Method("LibRaw", traditional_picture, from_file=True)
        case "fbdd":
            return Method(
                "LibRaw + FBDD", lambda shot: traditional_picture(shot, fbdd=True), from_file=True
            )
        case "bm3d":
            linear = next((m for m in models if m.card.kind == "linear"), None)
            return Method("BM3D, blind noise", _bm3d_picture_with(linear or Model()), optional=True)
        case _:
            return Method(external.PROGRAMS[name], _elsewhere(name), optional=True)


def traditional_picture(shot: Shot, *, fbdd: bool = False) -> Picture:
    """LibRaw's own development, brightened, with or without its FBDD noise reduction."""
    shown = develop_traditional(shot.pair.short, shot.mosaic, ratio=shot.ratio, fbdd=fbdd)
    return np.asarray(shown.data, np.uint8)


def _elsewhere(name: str) -> Callable[[Shot], Picture]:
    return lambda shot: external.develop_elsewhere(name, shot.mosaic, shot.ratio, shot.made.noise.profile)


def _picture_of(model: Model, passes: int) -> Callable[[Shot], Picture]:
    look: Literal["libraw"] | None = "libraw" if model.card.kind == "linear" else None

    def picture(shot: Shot) -> Picture:
        shown = finished(shot.mosaic, model, plan_made=shot.made, passes=passes, look=look)
        return np.asarray(shown.data, np.uint8)

    return picture


def _mosaic_of(model: Model, passes: int) -> Callable[[Shot], npt.NDArray[np.float32]]:
    def mosaiced(shot: Shot) -> npt.NDArray[np.float32]:
        # Before white balance and amplified: the domain of the long exposure's counts.
        linear = enhance(shot.mosaic, model, plan_made=shot.made, passes=passes)
        light = np.empty(shot.mosaic.data.shape, np.float32)
        for dy, row in enumerate(shot.mosaic.cfa):
            for dx, colour in enumerate(row):
                size = len(row)
                np.clip(linear.data[dy::size, dx::size, colour], 0, 1, out=light[dy::size, dx::size])
        return light

    return mosaiced


def _bm3d_picture_with(model: Model) -> Callable[[Shot], Picture]:
    """BM3D on the mosaic, then the model's plain demosaic and LibRaw's colours."""

    def picture(shot: Shot) -> Picture:
        clean = shot.mosaic.with_changes(data=_bm3d_counts(shot, shot.made.noise.profile))
        linear = enhance(clean, model, plan_made=shot.made, strength=0)
        return np.asarray(develop(linear, look="libraw").data, np.uint8)

    return picture


def _bm3d_mosaic(shot: Shot, noise: NoiseProfile | None = None) -> npt.NDArray[np.float32]:
    clean = shot.mosaic.with_changes(data=_bm3d_counts(shot, noise or shot.made.noise.profile))
    return in_range(clean, shot.ratio)


def _bm3d_counts(shot: Shot, noise: NoiseProfile) -> npt.NDArray[np.float32]:
    if not shot.mosaic.is_bayer:
        raise SettingsError("BM3D is done on Bayer mosaics only")
    return bm3d_counts(shot.mosaic, noise)
