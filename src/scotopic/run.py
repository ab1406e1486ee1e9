"""Models and tiles: a mosaic of any size through a model in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.cores import STRIP_PIXELS, check_threads, threads_of
from scotopic.errors import ModelError, SettingsError
from scotopic.frame import Counts, Linear32
from scotopic.inference.devices import check_device, open_runtime
from scotopic.inference.onnx_runtime import Feed, Lane
from scotopic.inference.tiles import Span, spans, trimmed
from scotopic.inference.views import View, growth, views
from scotopic.models import (
    DEFAULT,
    INPUTS,
    OPTIONAL,
    OUTPUTS,
    Card,
    Tier,
    check_fits,
    default_for,
    find,
    is_packaged,
    verified,
    with_optional,
)
from scotopic.sandbox import try_graph
from scotopic.sensor.pattern import PATTERNS, Pattern, SensorKind, extended

DEFAULT_TILE = 1152
"""Side of a tile without its halo, in mosaic pixels, a multiple of every model's size multiple:
experiments.md, 2026-11-28."""

TRIAL_SIDE = 128
"""Pixels a side of the picture on which a model of somebody's is tried before it is opened here."""

MARGIN_STRIPS = 8
"""Height of pieces with margins over that of the margins, at least, as all that lies in margins is done twice."""

Put = Callable[[int, int, Linear32], None]
"""Takes a piece (3, h, w) of the picture, and the row and column at which it begins."""

Change = Callable[[int, int, Linear32, tuple[slice, slice]], Linear32]
"""Takes a piece with margins around it, and the rows and columns of it that are wanted, and gives another piece of
these."""


@dataclass(frozen=True)
class GraphInputs:
    """The graph's inputs beside the mosaic: values for R, G1, G2, B of a Bayer sensor, for R, G, B of X-Trans."""

    black: tuple[float, ...]
    white: tuple[float, ...]
    wb: tuple[float, ...]
    shot: tuple[float, ...]
    read: tuple[float, ...]
    ratio: float

    def feed(self) -> Feed:
        """As the session wants them."""
        planes = {n: np.array(getattr(self, n), np.float32) for n in INPUTS if n not in ("mosaic", "ratio")}
        return {**planes, "ratio": np.array([self.ratio], np.float32)}


class Model:
    """A verified model, opened once, used for many pictures.

    `device` is "auto", "cpu", "cuda" or "openvino"; `threads` None for one a core, and never more than the machine has.
    Raises ModelError for a model that is missing or was changed, SettingsError for a device that is not there and for
    less than a thread.
    """

    def __init__(
        self, name: str | Path = DEFAULT, *, device: str = "auto", threads: int | None = None
    ) -> None:
        check_threads(threads)
        self.card, self.pattern, graph = _unopened(name, device)
        if not is_packaged(self.card):
            side = -(-TRIAL_SIDE // self.card.size_multiple) * self.card.size_multiple
            try_graph(self.card.graph, len(self.pattern.colour_of_plane), side)
        try:
            self._runtime = open_runtime(
                with_optional(graph) if self.card.edge else graph, device, threads_of(threads)
            )
        except SettingsError:
            raise
        except Exception as error:
            raise ModelError(f"{self.card.graph}: cannot be opened on {device} ({error})") from error
        self.device = self._runtime.device
        self._check_contract()

    def run(
        self,
        mosaic: Counts,
        inputs: GraphInputs,
        *,
        strength: float = 1.0,
        passes: int = 1,
        multiply: tuple[float, float, float] = (1.0, 1.0, 1.0),
        before: tuple[int, int] = (0, 0),
        tile: int = DEFAULT_TILE,
        halo: int | None = None,
        change: Change | None = None,
        margin: int = 0,
        progress: Callable[[float], None] = lambda _: None,
    ) -> Linear32:
        """Linear, white-balanced, amplified RGB (H, W, 3) of a mosaic (H, W) in DN that begins with the
        model's pattern, or would with `before` rows and columns more.

        From a model of kind `srgb`: display sRGB, 0..1, and no strength but 1.

        `strength` blends from the plain demosaic (0) to the model's result (1). The result is the mean of so many
        `passes` (1 to 4), each of another look at the mosaic (`views`). `multiply` scales its three colours. `halo` is
        the card's unless given; `change` and `margin` are those of `run_into`. `progress` is told the share done, 0..1.
        Raises ModelError where the model gives no numbers, SettingsError for settings out of range.
        """
        # Planes one after the other in memory: what the graph gives and what development reads.
        planes = np.empty((3, *mosaic.shape), np.float32)

        def put(top: int, left: int, light: Linear32) -> None:
            height, width = light.shape[1:]
            planes[:, top : top + height, left : left + width] = light

        self.run_into(
            put,
            mosaic,
            inputs,
            strength=strength,
            passes=passes,
            multiply=multiply,
            before=before,
            tile=tile,
            halo=halo,
            change=change,
            margin=margin,
            progress=progress,
        )
        return planes.transpose(1, 2, 0)

    def run_into(
        self,
        put: Put,
        mosaic: Counts,
        inputs: GraphInputs,
        *,
        strength: float = 1.0,
        passes: int = 1,
        multiply: tuple[float, float, float] = (1.0, 1.0, 1.0),
        before: tuple[int, int] = (0, 0),
        tile: int = DEFAULT_TILE,
        halo: int | None = None,
        change: Change | None = None,
        margin: int = 0,
        progress: Callable[[float], None] = lambda _: None,
    ) -> None:
        """As `run`, in pieces that together cover the picture once, each handed to `put` while it is in the
        processor's cache: no whole picture in floats is kept. `put` is called by several threads at once.

        Each piece goes through `change` before, which sees it with a `margin` wherever the picture goes on.
        """
        multiple = self.card.size_multiple
        halo = self.card.halo if halo is None else halo
        if tile < multiple or tile % multiple or halo < 0 or halo % multiple:
            raise SettingsError(f"tile {tile} and halo {halo} must be multiples of {multiple}")
        halo = max(halo, margin + -margin % multiple)
        looks = views(self.pattern.sensor, passes)
        if not strength:
            # The plain demosaic is the first look's.
            looks = looks[:1]
        lengths = [n + b for n, b in zip(mosaic.shape, before, strict=True)]
        rows, columns = (list(spans(n + -n % multiple, tile, halo, multiple)) for n in lengths)
        # The largest first, so that the lanes end at about the same time.
        places = sorted(product(rows, columns), key=_pixels_read, reverse=True)
        largest = _pixels_read(places[0], growth(looks, multiple))
        count = min(self._runtime.lanes, len(places))
        idle: SimpleQueue[Lane] = SimpleQueue()
        for _ in range(count):
            idle.put(self._runtime.lane(inputs.feed(), _outputs_for(strength), largest))

        def through(row: Span, column: Span) -> None:
            lane = idle.get()
            try:
                keep, top, own_rows = row.kept(lengths[0], before[0], margin)
                cut, left, own_columns = column.kept(lengths[1], before[1], margin)
                piece = self._piece(mosaic, row, column, before, multiple)
                light = self._mean(lane, piece, (keep, cut), looks, halo)

                def hand_on(start: int, stop: int) -> None:
                    begin, end = max(0, start - margin), stop + margin
                    piece = self._blended(
                        {name: values[:, begin:end] for name, values in light.items()}, strength, scale
                    )
                    if change is not None:
                        own = slice(start - begin, stop - begin), own_columns
                        piece = change(top + begin, left, piece, own)
                    put(top + start, left + own_columns.start, piece)

                self._by_strips(hand_on, own_rows, next(iter(light.values())).shape[2], margin)
            finally:
                idle.put(lane)

        scale = np.array(multiply, np.float32) if any(factor != 1 for factor in multiply) else None
        with ThreadPoolExecutor(count) as threads:
            tasks = [threads.submit(through, row, column) for row, column in places]
            try:
                for done, task in enumerate(as_completed(tasks), 1):
                    task.result()
                    progress(done / len(places))
            finally:
                # After an error, or Ctrl-C, no other tile is begun.
                threads.shutdown(wait=False, cancel_futures=True)

    def _piece(
        self, mosaic: Counts, row: Span, column: Span, before: tuple[int, int], multiple: int
    ) -> Counts:
        """What one tile reads, as if the mosaic had been extended `before` and to a whole multiple after."""
        margins: list[tuple[int, int]] = []
        inside, cut = [], []
        for span, length, first in zip((row, column), mosaic.shape, before, strict=True):
            # Beyond its own, what the extension of the far edge looks at: mirrored pixels, or a cell.
            start = max(0, min(span.read_start - first, length - multiple - self.pattern.cell))
            stop = min(length, span.read_stop - first)
            ahead = first if start == 0 else 0
            after = span.read_stop - first - stop
            margins.append((ahead, after))
            inside.append(slice(start, stop))
            skipped = span.read_start - (start + first - ahead)
            cut.append(slice(skipped, skipped + span.read_length))
        piece = mosaic[inside[0], inside[1]]
        for axis, (ahead, after) in enumerate(margins):
            both = [(0, 0), (0, 0)]
            # First what completes the pattern, then what makes the size a multiple: as for the whole picture.
            for both[axis] in ((ahead, 0), (0, after)):
                piece = extended(piece, both, self.pattern.cell)
        return piece[cut[0], cut[1]]

    def _by_strips(self, hand_on: Callable[[int, int], None], rows: slice, width: int, margin: int) -> None:
        """Call `hand_on` with the first row and the end of each strip of `rows`, on this lane's cores."""
        height = max(1, STRIP_PIXELS // width, MARGIN_STRIPS * margin)
        strips = [(start, min(start + height, rows.stop)) for start in range(rows.start, rows.stop, height)]
        if self._runtime.cores == 1:
            for start, stop in strips:
                hand_on(start, stop)
        else:
            with ThreadPoolExecutor(self._runtime.cores) as threads:
                list(threads.map(hand_on, *zip(*strips, strict=True)))

    def _blended(
        self, outputs: dict[str, Linear32], strength: float, scale: npt.NDArray[np.float32] | None
    ) -> Linear32:
        """The graph's outputs (3, h, w) in one, times a factor for each colour."""
        blend = outputs["plain" if "plain" in outputs else "rgb"]
        if len(outputs) == 2:
            blend = blend + np.float32(strength) * (outputs["rgb"] - blend)
        if scale is not None:
            blend = blend * scale[:, None, None]
        # Four times as fast as a plain sum.
        if not np.isfinite(np.einsum("chw->", blend)):
            raise ModelError(
                f"{self.card.name}: gave no picture, this one's noise or light is beyond what it was made "
                "for; amplify less, with --ratio or --ev"
            )
        return blend

    def _mean(
        self, lane: Lane, piece: Counts, kept: tuple[slice, slice], looks: Sequence[View], halo: int
    ) -> dict[str, Linear32]:
        """The outputs (3, h, w) for what is kept of a piece: the mean of what the network makes of all looks, and the
        plain demosaic of the first. Of a single look they lie in the lane's memory until its next."""
        first, *others = looks
        outputs = self._looked(lane, first, piece, kept, halo)
        if others:
            outputs = {name: values.copy() for name, values in outputs.items()}
            for look in others:
                outputs["rgb"] += self._looked(lane, look, piece, kept, halo)["rgb"]
            outputs["rgb"] *= np.float32(1 / len(looks))
        return outputs

    def _looked(
        self, lane: Lane, look: View, piece: Counts, kept: tuple[slice, slice], halo: int
    ) -> dict[str, Linear32]:
        """What one look gives, turned back."""
        rows, columns = look.steps
        seen = self._tile(lane, *look.of(piece, kept, self.pattern, self.card.size_multiple, halo))
        return {name: values[:, rows, columns] for name, values in seen.items()}

    def _tile(self, lane: Lane, piece: Counts, kept: tuple[slice, slice]) -> dict[str, Linear32]:
        """The outputs for what is kept of a piece, in the lane's memory."""
        (height, width), edge = piece.shape, self.card.edge
        trim = trimmed(kept[0], height, edge), trimmed(kept[1], width, edge)
        try:
            given = lane.run(piece, trim)
        except Exception as error:
            raise ModelError(f"{self.card.name}: failed on {self.device} ({error})") from error
        rows, columns = (
            slice(own.start - ahead, own.stop - ahead) for own, (ahead, _) in zip(kept, trim, strict=True)
        )
        return {name: values[:, rows, columns] for name, values in given.items()}

    def gives(self, outputs: Iterable[str]) -> bool:
        """Whether the graph has outputs of all these names."""
        return self._runtime.outputs.issuperset(outputs)

    def _check_contract(self) -> None:
        inputs, needed = self._runtime.inputs, OUTPUTS[self.card.kind]
        if self.card.edge and inputs & set(OPTIONAL):
            raise ModelError(
                f"{self.card.folder / 'card.json'}: tells an edge of {self.card.edge}, but the graph does not hold "
                f"the constants {' and '.join(OPTIONAL)}, which that is about; set it to 0"
            )
        if inputs != set(INPUTS) or not self.gives(needed):
            raise ModelError(
                f"{self.card.graph}: has inputs {sorted(inputs)} and outputs {sorted(self._runtime.outputs)}; the "
                f"contract of kind {self.card.kind} is {list(INPUTS)} and {list(needed)}"
            )
        if (
            kind := next(kind for kind, outputs in OUTPUTS.items() if self.gives(outputs))
        ) != self.card.kind:
            raise ModelError(
                f"{self.card.folder / 'card.json'}: tells kind {self.card.kind}, but the graph has the outputs "
                f"{' and '.join(OUTPUTS[kind])} of kind {kind}; write that into the card"
            )


def _unopened(name: str | Path, device: str) -> tuple[Card, Pattern, bytes]:
    """A model's card, its sensors' pattern and its verified graph. Raises what `Model` raises but for what shows only
    when the graph is opened."""
    card = find(name)
    patterns = [p for p in PATTERNS if p.sensor == card.cfa]
    if card.kind not in OUTPUTS or not patterns:
        raise ModelError(
            f"{card.name}: is of kind {card.kind} for {card.cfa} sensors; this version runs models of kind "
            f"{' and '.join(OUTPUTS)} for {' and '.join(p.sensor for p in PATTERNS)}"
        )
    if card.size_multiple % patterns[0].cell:
        raise ModelError(
            f"{card.folder / 'card.json'}: size multiple {card.size_multiple} must be a multiple of "
            f"{patterns[0].cell}, the side of the pattern of {card.cfa} sensors"
        )
    check_device(device, card)
    return card, patterns[0], verified(card)


class Models:
    """The models of one run, each opened when the first picture needs it.

    `name` is a model's name or folder for all pictures; None takes the packaged one of `tier` that fits the
    sensor. Settings as `Model`. Threads may share one. Pickled, it goes without what it has opened.
    """

    def __init__(
        self,
        name: str | Path | None = None,
        *,
        tier: Tier = "fast",
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        check_threads(threads)
        self._name, self._tier, self._device, self._threads = name, tier, device, threads
        self._opened: dict[str, Model] = {}
        self._opening = Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {n: v for n, v in vars(self).items() if n not in ("_opened", "_opening")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _opened={}, _opening=Lock())

    def card(self, sensor: SensorKind = "bayer") -> Card:
        """The card of the model for a sensor; raises ModelError where there is none."""
        return find(self._name or default_for(sensor, self._tier))

    def check_device(self) -> None:
        """Raise SettingsError for a device that is not there, or not for the model that is named."""
        check_device(self._device, self.card())

    def check(self, sensor: SensorKind) -> Card:
        """The card of the model for a sensor; raises what shows, without opening it, of why it cannot be used."""
        card, _, _ = _unopened(self._name or default_for(sensor, self._tier), self._device)
        check_fits(card, sensor)
        return card

    def open(self, sensor: SensorKind) -> Model:
        """The model for a sensor; raises what `Model` raises."""
        name = str(self._name or default_for(sensor, self._tier))
        with self._opening:
            if name not in self._opened:
                self._opened[name] = Model(name, device=self._device, threads=self._threads)
            return self._opened[name]


def _pixels_read(place: tuple[Span, Span], more: int = 0) -> int:
    """Pixels of a tile with so many rows and columns more."""
    row, column = place
    return (row.read_length + more) * (column.read_length + more)


def _outputs_for(strength: float) -> list[str]:
    return {1.0: ["rgb"], 0.0: ["plain"]}.get(strength, ["rgb", "plain"])
