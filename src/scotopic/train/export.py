"""A trained run to a model folder: ONNX by the graph contract, card, weights checked against torch."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from scotopic.disk.files import is_there
from scotopic.enhance import graph_inputs, plan
from scotopic.errors import DatasetError, FileExistsRefusal, ModelError, SettingsError
from scotopic.models import CARD_FORMAT, INPUTS, OPTIONAL, OUTPUTS, sha256, with_optional
from scotopic.run import Model
from scotopic.sensor.simulated import expose, sony_a7s2
from scotopic.train.filters import Packing
from scotopic.train.folder import staging, writing
from scotopic.train.networks import GRAPH, MosaicGraph, PackedGraph, size_multiple
from scotopic.train.precision import Feed, Precision, halve_weights, quantise
from scotopic.train.recipes import Recipe
from scotopic.train.sources import Simulated, find_data, seed_of
from scotopic.train.tidy import tidy
from scotopic.train.weights import Graph, load_run
from scotopic.write import check_place, place

PARITY: dict[Precision, float] = {"float32": 2e-4, "float16": 1e-2, "int8": 0.1}
"""Difference allowed between torch and ONNX Runtime, relative to 1 + the value: the largest, for int8 the
mean."""

TILE_AGREEMENT: dict[Precision, float] = {"float32": 1e-3, "float16": 1e-3, "int8": 1e-2}
"""Share of the display's range by which two tilings may differ. In int8 the least change far off may tip a value over
to the next step."""

HALO_MAX, HALO_MAX_OTHERS = 96, 192
"""Halo in mosaic pixels, at most: of ours in floats; and of the others, the paper's U-Net, which sees 184 pixels far as
it is, and int8."""

OPSET = 18

CALIBRATION_BATCHES, CALIBRATION_CELLS = 16, 8
"""Crops that show the ranges, and the side of each in size multiples."""


class _SinglePicture(nn.Module):
    """The contract's shapes: one mosaic, one value a colour, without a batch."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(
        self,
        mosaic: Tensor,
        black: Tensor,
        white: Tensor,
        wb: Tensor,
        shot: Tensor,
        read: Tensor,
        ratio: Tensor,
        *optional: Tensor,
    ) -> tuple[Tensor, ...]:
        by_colour = (values[None] for values in (black, white, wb, shot, read, ratio))
        outputs: tuple[Tensor, ...] = self.graph(mosaic, *by_colour, *optional)
        return outputs


def export(
    run: Path,
    folder: Path,
    *,
    name: str,
    version: str,
    precision: Precision = "float32",
    calibration: Path | None = None,
    facts: dict[str, Any] | None = None,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Write `folder` with `model.onnx`, `card.json` and a `README.md` from a training run.

    torch and ONNX Runtime are compared and the halo is measured first; the folder is made, and gets its files, only
    when both are well. A README that is there is kept. `facts` goes into the card as it is (data, metrics).
    For int8 `calibration` is a folder of clean photos (not held-out ones) that shows the ranges.
    Raises ModelError when results disagree, FileExistsRefusal for a model that is there already, DatasetError for
    a run in another form of the graph, SettingsError for an empty name or version, WriteError when the disk refuses.
    """
    for what, words in (("name", name), ("version", version)):
        if not words.strip():
            raise SettingsError(
                f"the model's {what} is {words!r}: a word is needed, by which cards and errors call it"
            )
    if not overwrite and any(is_there(folder / file) for file in ("card.json", "model.onnx")):
        raise FileExistsRefusal(f"{folder}: holds a model already, which is kept; use --overwrite")
    check_place(folder / "card.json")
    stored, graph = load_run(run)
    recipe = Recipe.from_dict(stored["recipe"])
    if isinstance(graph, MosaicGraph) and stored["recipe"].get("graph", 1) != GRAPH:
        raise DatasetError(
            f"{run}: was trained in another form of the graph, in which its weights mean something else; train them "
            f"on first, with --from {run} and a new --out"
        )
    if precision == "int8" and recipe.kind == "srgb":
        raise SettingsError(
            f"{run}: its network gives finished pictures (kind srgb), and int8 is for models of kind linear: take "
            "float16"
        )
    if precision != "int8" and calibration is not None:
        raise SettingsError(
            f"photos that show the ranges are for int8 alone, not {precision}: give --precision int8 too"
        )
    if precision == "int8" and calibration is None:
        raise SettingsError(
            "int8 needs clean photos that show the ranges of values: give a folder with --calibrate"
        )
    clashing = {"name", "version", "kind", "cfa", "halo", "edge", "sha256", *stored} & set(facts or {})
    if clashing:
        raise SettingsError(f"the facts must not name {', '.join(sorted(clashing))}: these are measured")
    with writing(folder), staging(folder) as part:
        packing = recipe.packing
        _write_graph(part / "model.onnx", graph, recipe)
        difference = _check_parity(graph, part / "model.onnx", recipe, "float32")
        if precision != "float32":
            if precision == "int8":
                report("measuring the ranges of values for int8")
                assert calibration is not None
                quantise(part / "model.onnx", calibration_feeds(recipe, calibration))
            halve_weights(part / "model.onnx")
            difference = _check_parity(graph, part / "model.onnx", recipe, precision)
        card: dict[str, Any] = {
            "format": CARD_FORMAT,
            "name": name,
            "version": version,
            "created": datetime.date.today().isoformat(),
            "kind": recipe.kind,
            "cfa": packing.pattern.sensor,
            "size_multiple": size_multiple(packing),
            "halo": 0,
            "edge": graph.edge if isinstance(graph, PackedGraph) else 0,
            "precision": precision,
            "parameters": sum(p.numel() for p in graph.net.parameters()),
            "sha256": sha256(part / "model.onnx"),
            "onnx_parity": difference,
        }
        write_card(part, card)
        report("measuring how far the tiles must overlap")
        most = HALO_MAX if isinstance(graph, MosaicGraph) and precision != "int8" else HALO_MAX_OTHERS
        card["halo"] = measure_halo(part, most, TILE_AGREEMENT[precision])
        write_card(part, {**card, **stored, **(facts or {})})
        (part / "README.md").write_text(
            f"# {name}\n\nTrained with scotopic; `card.json` says how and on what.\n"
        )
        folder.mkdir(exist_ok=True)
        _put(part, folder, overwrite)


def _put(part: Path, folder: Path, overwrite: bool) -> None:
    """Give a model's files their names, the card last: who dies on the way leaves no card of another model."""

    def move(temporary: Path, file: str) -> None:
        (part / file).replace(temporary)
        if file == "model.onnx" and overwrite:
            (folder / "card.json").unlink(missing_ok=True)

    for file in ("README.md", "model.onnx", "card.json"):
        if file != "README.md" or not is_there(folder / file):
            place(folder / file, functools.partial(move, file=file), overwrite=overwrite)


def _write_graph(target: Path, graph: Graph, recipe: Recipe) -> None:
    outputs = OUTPUTS[recipe.kind]
    multiple = size_multiple(recipe.packing)
    example = _example(3 * multiple, 4 * multiple, recipe.packing)
    names = list(INPUTS)
    if isinstance(graph, PackedGraph):
        names += OPTIONAL
        example += (torch.tensor([1, 2, 3, 4]) * graph.edge, torch.tensor(False))
    with warnings.catch_warnings():
        # About folding constants, of interest to nobody who exports.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _SinglePicture(graph).eval(),
            example,
            target,
            input_names=names,
            output_names=list(outputs),
            dynamic_axes={n: {2: "height", 3: "width"} for n in ("mosaic", *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(target)
    tidy(model, recipe.packing.planes)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write `card.json`."""
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")


def measure_halo(folder: Path, most: int, agreement: float) -> int:
    """The smallest halo at which tiles agree with the whole picture to that share of the range.

    Raises ModelError when `most` pixels are not enough.
    """
    model = Model(folder, device="cpu")
    multiple, pattern = model.card.size_multiple, model.pattern
    side, tile = 2 * most + 14 * multiple, 6 * multiple
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side]
    scene = np.stack([0.3 + 0.25 * np.sin(x / p) * np.cos(y / (p + 3)) for p in (5, 9, 40)], -1)
    scene[300:340, 300:340] = 30
    mosaics = [
        (expose(scene, sony_a7s2(iso), ratio, rng, cfa=pattern.cfa), ratio)
        for iso, ratio in ((100, 1), (250, 100), (320, 300), (6400, 300))
    ]
    prepared = [(m.data, graph_inputs(m, plan(m, ratio=ratio))) for m, ratio in mosaics]
    wholes = [model.run(data, inputs, tile=side) for data, inputs in prepared]
    for halo in range(multiple, most + 1, multiple):
        worst = 0.0
        for (data, inputs), whole in zip(prepared, wholes, strict=True):
            tiled = model.run(data, inputs, tile=tile, halo=halo)
            difference = np.abs(tiled - whole) / np.maximum(np.abs(whole), 1)
            worst = max(worst, float(difference.max()))
        if worst < agreement:
            return halo
    raise ModelError(
        f"tiles differ by {worst:.2g} of the range even with a halo of {most} pixels; a network with "
        "a smaller receptive field is needed"
    )


def calibration_feeds(recipe: Recipe, photos: Path) -> list[Feed]:
    """The graph's inputs for simulated dark crops of clean photos, over all cameras of the recipe."""
    shown = dataclasses.replace(recipe, crop=CALIBRATION_CELLS * size_multiple(recipe.packing))
    source = Simulated(find_data([photos]).photos, shown, torch.device("cpu"), 1)
    feeds = []
    for i in range(CALIBRATION_BATCHES):
        inputs = source.draw(seed_of(77, i)).inputs()
        rows = [inputs[0], *(values[0] for values in inputs[1:])]
        feeds.append({n: t.contiguous().numpy() for n, t in zip(INPUTS, rows, strict=True)})
    return feeds


def _check_parity(graph: Graph, onnx_file: Path, recipe: Recipe, precision: Precision) -> float:
    worst, mean = parity(graph, onnx_file, recipe)
    error = mean if precision == "int8" else worst
    if not error < PARITY[precision]:
        raise ModelError(f"ONNX and torch differ by {error:.2g}, allowed is {PARITY[precision]:g}")
    return error


def parity(graph: Graph, onnx_file: Path, recipe: Recipe) -> tuple[float, float]:
    """Largest and mean difference between torch and ONNX Runtime, relative to 1 + the value."""
    content = onnx_file.read_bytes()
    options = ort.SessionOptions()
    # Without a word about inputs that may be left out.
    options.log_severity_level = 3
    asked: list[tuple[Tensor, ...]] = [()]
    if isinstance(graph, PackedGraph):
        content = with_optional(content)
        trim = torch.tensor([1, 0, 2, 3]) * graph.edge
        asked += [(trim, torch.tensor(plain)) for plain in (True, False)]
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    worst, means = 0.0, []
    multiple = size_multiple(recipe.packing)
    for height, width in ((3, 4), (2, 1), (5, 7)):
        inputs = _example(height * multiple, width * multiple, recipe.packing)
        feed = {n: t.numpy() for n, t in zip(INPUTS, inputs, strict=True)}
        # What is too small is not trimmed.
        for optional in asked if height > 2 else asked[:1]:
            with torch.no_grad():
                expected = _SinglePicture(graph)(*inputs, *optional)
            given = {n: t.numpy() for n, t in zip(OPTIONAL, optional, strict=False)}
            got = session.run(list(OUTPUTS[recipe.kind]), {**feed, **given})
            for mine, theirs in zip(expected, got, strict=True):
                difference = np.abs(mine.numpy() - theirs) / (1 + np.abs(mine.numpy()))
                worst = max(worst, float(difference.max()))
                means.append(float(difference.mean()))
    return worst, max(means)


def _example(height: int, width: int, packing: Packing) -> tuple[Tensor, ...]:
    """Inputs of the contract: a dim ramp with noise and one lamp."""
    rng = np.random.default_rng(height * width)
    mosaic = 512 + np.linspace(0, 150, width) + rng.normal(0, 8, (1, 1, height, width))
    mosaic[..., 20:28, 20:28] = 15000

    def planes(*values: float) -> Tensor:
        """Values for R, G, B, to those of the inputs."""
        return torch.tensor([values[c] for c in packing.pattern.colour_of_plane], dtype=torch.float32)

    return (
        torch.from_numpy(mosaic.astype(np.float32)),
        planes(512, 510, 513),
        planes(16383, 16383, 16383),
        planes(2.1, 1, 1.6),
        planes(3e-4, 3e-4, 3e-4),
        planes(2e-7, 2e-7, 2e-7),
        torch.tensor([100.0]),
    )
