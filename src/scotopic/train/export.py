"""A trained run to a model folder: ONNX by the graph contract, card, weights checked against torch."""

from __future__ import annotations

import datetime
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from scotopic.enhance import graph_inputs, plan
from scotopic.errors import FileExistsRefusal, ModelError, SettingsError
from scotopic.models import CARD_FORMAT, INPUTS, OUTPUTS, sha256
from scotopic.run import Model
from scotopic.sensor import expose, sony_a7s2
from scotopic.train.loop import load_run
from scotopic.train.networks import SIZE_MULTIPLE, BayerGraph

PARITY = 2e-4
"""Largest difference allowed between torch and ONNX Runtime, relative to 1 + the value."""

TILE_AGREEMENT = 1e-3
"""Share of the display's range by which two tilings may differ."""

HALO_MAX = 96

OPSET = 18


class _SinglePicture(nn.Module):
    """The contract's shapes: one mosaic, one value a colour, without a batch."""

    def __init__(self, graph: BayerGraph) -> None:
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
    ) -> tuple[Tensor, Tensor]:
        rgb, plain = self.graph(
            mosaic, black[None], white[None], wb[None], shot[None], read[None], ratio[None]
        )
        return rgb, plain


def export(
    run: Path,
    folder: Path,
    *,
    name: str,
    version: str,
    facts: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write `folder` with `model.onnx`, `card.json` and a `README.md` from a training run.

    torch and ONNX Runtime are compared and the halo is measured first; the folder gets its files only
    when both are well. A README that is there is kept. `facts` goes into the card as it is (data, metrics).
    Raises ModelError when results disagree, FileExistsRefusal for a model that is there already.
    """
    if (folder / "card.json").exists() and not overwrite:
        raise FileExistsRefusal(f"{folder}: holds a model already, which is kept; use --overwrite")
    stored, graph = load_run(run)
    clashing = {"name", "version", "kind", "cfa", "halo", "sha256", *stored} & set(facts or {})
    if clashing:
        raise SettingsError(f"the facts must not name {', '.join(sorted(clashing))}: these are measured")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as made:
        _build(Path(made), graph, name, version, {**stored, **(facts or {})})
        for part in ("model.onnx", "card.json"):
            (Path(made) / part).replace(folder / part)
    readme = folder / "README.md"
    if not readme.exists():
        readme.write_text(f"# {name}\n\nTrained with scotopic; `card.json` says how and on what.\n")


def _build(folder: Path, graph: BayerGraph, name: str, version: str, facts: dict[str, Any]) -> None:
    """Export, compare, measure, and write both files."""
    target = folder / "model.onnx"
    example = _example(96, 128)
    torch.onnx.export(
        _SinglePicture(graph).eval(),
        example,
        target,
        input_names=list(INPUTS),
        output_names=list(OUTPUTS),
        dynamic_axes={n: {2: "height", 3: "width"} for n in ("mosaic", *OUTPUTS)},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(target)
    del model.metadata_props[:]
    model.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)
    error = parity(graph, target)
    if not error < PARITY:
        raise ModelError(f"ONNX and torch differ by {error:.2g}, allowed is {PARITY:g}")
    card = {
        "format": CARD_FORMAT,
        "name": name,
        "version": version,
        "created": datetime.date.today().isoformat(),
        "kind": "linear",
        "cfa": "bayer",
        "size_multiple": SIZE_MULTIPLE,
        "halo": 0,
        "parameters": sum(p.numel() for p in graph.net.parameters()),
        "sha256": sha256(target),
        "onnx_parity": error,
        **facts,
    }
    write_card(folder, card)
    card["halo"] = measure_halo(folder)
    write_card(folder, card)


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write `card.json`."""
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")


def measure_halo(folder: Path) -> int:
    """The smallest halo at which tiles agree with the whole picture to TILE_AGREEMENT of the range.

    Raises ModelError when HALO_MAX is not enough.
    """
    model = Model(folder, device="cpu")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:640, 0:640]
    scene = np.stack([0.3 + 0.25 * np.sin(x / p) * np.cos(y / (p + 3)) for p in (5, 9, 40)], -1)
    scene[300:340, 300:340] = 30
    mosaics = [
        (expose(scene, sony_a7s2(iso), ratio, rng), ratio)
        for iso, ratio in ((100, 1), (250, 100), (320, 300), (6400, 300))
    ]
    prepared = [(m.data, graph_inputs(m, plan(m, ratio=ratio))) for m, ratio in mosaics]
    wholes = [model.run(data, inputs, tile=640) for data, inputs in prepared]
    for halo in range(SIZE_MULTIPLE, HALO_MAX + 1, SIZE_MULTIPLE):
        worst = 0.0
        for (data, inputs), whole in zip(prepared, wholes, strict=True):
            tiled = model.run(data, inputs, tile=256, halo=halo)
            difference = np.abs(tiled - whole) / np.maximum(np.abs(whole), 1)
            worst = max(worst, float(difference.max()))
        if worst < TILE_AGREEMENT:
            return halo
    raise ModelError(
        f"tiles differ by {worst:.2g} of the range even with a halo of {HALO_MAX} pixels; a network with "
        "a smaller receptive field is needed"
    )


def parity(graph: BayerGraph, onnx_file: Path) -> float:
    """The largest difference between torch and ONNX Runtime, relative to 1 + the value."""
    session = ort.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    worst = 0.0
    for height, width in ((96, 128), (64, 32), (160, 224)):
        inputs = _example(height, width)
        with torch.no_grad():
            expected = _SinglePicture(graph)(*inputs)
        got = session.run(list(OUTPUTS), {n: t.numpy() for n, t in zip(INPUTS, inputs, strict=True)})
        for mine, theirs in zip(expected, got, strict=True):
            difference = np.abs(mine.numpy() - theirs) / (1 + np.abs(mine.numpy()))
            worst = max(worst, float(difference.max()))
    return worst


def _example(height: int, width: int) -> tuple[Tensor, ...]:
    """Inputs of the contract: a dim ramp with noise and one lamp."""
    rng = np.random.default_rng(height * width)
    mosaic = 512 + np.linspace(0, 150, width) + rng.normal(0, 8, (1, 1, height, width))
    mosaic[..., 20:28, 20:28] = 15000

    def four(*values: float) -> Tensor:
        return torch.tensor(values, dtype=torch.float32)

    return (
        torch.from_numpy(mosaic.astype(np.float32)),
        four(512, 510, 513, 512),
        four(16383, 16383, 16383, 16383),
        four(2.1, 1, 1, 1.6),
        four(3e-4, 3e-4, 3e-4, 3e-4),
        four(2e-7, 2e-7, 2e-7, 2e-7),
        four(100),
    )
