"""Weights on disk and the graphs they belong to: of a run, of a model folder, of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from scotopic.errors import DatasetError, ScotopicError, WriteError
from scotopic.models import find, verified
from scotopic.train.checkpoint import refuse_pickle
from scotopic.train.networks import MosaicGraph
from scotopic.train.paper import PaperGraph, PaperLinearGraph
from scotopic.train.recipes import Recipe

Graph = MosaicGraph | PaperGraph | PaperLinearGraph

IN_ONNX = "graph.net."
"""How the names of the network's weights begin in an exported file."""

HALF = ".half"
"""How they end where they are stored as float16."""


def build(recipe: Recipe) -> Graph:
    """The graph a recipe trains, with fresh weights."""
    match recipe.network:
        case "paper":
            return PaperGraph()
        case "paper-linear":
            return PaperLinearGraph()
        case "bayer" | "xtrans":
            return MosaicGraph(recipe.packing, recipe.architecture)


def save_weights(weights: dict[str, Tensor], out: Path) -> None:
    """Write `out/weights.safetensors`, whole or not at all."""
    temporary = out / "weights.safetensors.part"
    try:
        save_file({k: v.contiguous().cpu() for k, v in weights.items()}, temporary)
        temporary.replace(out / "weights.safetensors")
    except (OSError, SafetensorError) as error:
        raise WriteError(f"{out}: the weights could not be written ({error})") from error


def load_run(run: Path) -> tuple[dict[str, Any], Graph]:
    """A run's recipe and result (as stored) and its graph with the averaged weights, on the CPU.

    Raises DatasetError when the folder holds no run.
    """
    refuse_pickle(run / "weights.safetensors")
    try:
        facts = {"recipe": json.loads((run / "recipe.json").read_text())}
        if (run / "result.json").is_file():
            facts["result"] = json.loads((run / "result.json").read_text())
        graph = build(Recipe.from_dict(facts["recipe"]))
        graph.net.load_state_dict(load_file(run / "weights.safetensors"))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        ScotopicError,
        SafetensorError,
    ) as error:
        raise DatasetError(f"{run}: holds no training run that can be read ({error})") from error
    return facts, graph.eval()


def load_start(name: str) -> dict[str, Tensor]:
    """Weights to go on from: a safetensors file, a run's folder, a model's name or folder.

    Raises DatasetError where there are none, ModelError for a model that is missing or was changed.
    """
    path = Path(name)
    if path.is_file():
        refuse_pickle(path)
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise DatasetError(f"{path}: holds no weights ({error})") from error
    if (path / "recipe.json").is_file():
        return load_run(path)[1].net.state_dict()
    card = find(name)
    graph = onnx.load_from_string(verified(card)).graph
    weights = {
        tensor.name.removeprefix(IN_ONNX).removesuffix(HALF): _float32(tensor)
        for tensor in graph.initializer
        if tensor.name.startswith(IN_ONNX)
    }
    if not weights:
        raise DatasetError(f"{name}: its graph does not hold the network's weights by name")
    return weights


def _float32(tensor: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32))
