"""Weights on disk and the graphs they belong to: of a run, of a model folder, of a file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from scotopic.disk.files import check_there, is_there
from scotopic.errors import DatasetError, ScotopicError, SettingsError, UnknownModelError
from scotopic.models import Card, available, find, verified
from scotopic.train.checkpoint import refuse_pickle, write_tensors
from scotopic.train.networks import MosaicGraph
from scotopic.train.paper import PaperGraph, PaperLinearGraph
from scotopic.train.recipes import Recipe, recipe_named

Graph = MosaicGraph | PaperGraph | PaperLinearGraph

IN_ONNX = "graph.net."
"""How the names of the network's weights begin in an exported file."""

NAMED = 3
"""Weights of another size that an error names; more are counted."""

HALF = ".half"
"""Ending of the names of weights that are stored as float16."""


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
    write_tensors(out / "weights.safetensors", {k: v.contiguous().cpu() for k, v in weights.items()})


def load_run(run: Path) -> tuple[dict[str, Any], Graph]:
    """A run's recipe and result (as stored) and its graph with the averaged weights, on the CPU.

    Raises DatasetError when the folder holds no run.
    """
    check_there(run, folder=True)
    if missing := [name for name in ("recipe.json", "weights.safetensors") if not is_there(run / name)]:
        raise DatasetError(f"{run}: holds no training run, whose {' and '.join(missing)} would lie in it")
    refuse_pickle(run / "weights.safetensors")
    try:
        facts = {"recipe": json.loads((run / "recipe.json").read_text())}
        if (run / "result.json").is_file():
            facts["result"] = json.loads((run / "result.json").read_text())
        graph = build(Recipe.from_dict(facts["recipe"]))
        fill(graph.net, load_file(run / "weights.safetensors"), str(run))
    except (OSError, ValueError, KeyError, TypeError, ScotopicError, SafetensorError) as error:
        raise DatasetError(f"{run}: holds no training run that can be read ({error})") from error
    return facts, graph.eval()


def fill(net: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    """Give a network its weights. Raises DatasetError, in few words, for those of another one."""
    wanted = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in weights.items()}
    differing = [
        f"{key} is {_size(found.get(key))} and not {_size(wanted.get(key))}"
        for key in [*wanted, *sorted(found.keys() - wanted.keys())]
        if found.get(key) != wanted.get(key)
    ]
    if differing:
        more = f" and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
        raise DatasetError(
            f"{name}: holds no weights of this network: {', '.join(differing[:NAMED])}{more}; "
            "set the sizes of these weights (--set architecture.fine=..., as 'models resize' says them): a model or a "
            "run's folder brings its own along"
        )
    net.load_state_dict(weights)


def _size(shape: tuple[int, ...] | None) -> str:
    return "not there" if shape is None else "x".join(map(str, shape)) or "one number"


def stored_recipe(name: str) -> Recipe | None:
    """The recipe of a run (its folder) or of a model (its name or folder); None for what tells of none.

    Raises DatasetError for a recipe that cannot be read, UnknownModelError for a model that is missing.
    """
    path = Path(name)
    if path.is_file():
        return None
    try:
        if (path / "recipe.json").is_file():
            stored = json.loads((path / "recipe.json").read_text())
        else:
            stored = _model(name).raw.get("recipe")
        return None if stored is None else Recipe.from_dict(stored)
    except UnknownModelError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SettingsError) as error:
        raise DatasetError(f"{name}: does not say by what recipe it was trained ({error})") from error


def recipe_from(name: str, changes: list[str], start: str | None = None) -> Recipe:
    """The recipe of that name with changes, of the sizes of what it starts from, where that tells them.

    Raises SettingsError for a start of another network.
    """
    recipe = recipe_named(name)
    before = stored_recipe(start) if start is not None else None
    if before is not None:
        recipe = dataclasses.replace(recipe, architecture=before.architecture)
    recipe = recipe.changed_by_words(changes)
    if before is not None and before.network != recipe.network:
        raise SettingsError(
            f"{start}: its network is {before.network}, and this run would train {recipe.network}: take the "
            "recipe that it is of, or start from another"
        )
    return recipe


def load_start(name: str) -> dict[str, Tensor]:
    """Weights to go on from: a safetensors file, a run's folder, a model's name or folder.

    Raises DatasetError where there are none, UnknownModelError for a model that is missing, ModelError for one that
    was changed.
    """
    path = Path(name)
    if path.is_file():
        refuse_pickle(path)
        try:
            weights = load_file(path)
        except (OSError, SafetensorError) as error:
            raise DatasetError(f"{path}: holds no weights ({error})") from error
        if any(key.startswith("optimizer.") for key in weights):
            raise DatasetError(
                f"{path}: is a run's checkpoint, with which the run itself goes on (--resume); a new run starts from "
                f"the run's folder, {path.resolve().parent.parent}"
            )
        return weights
    if (path / "recipe.json").is_file():
        return load_run(path)[1].net.state_dict()
    card = _model(name)
    graph = onnx.load_from_string(verified(card)).graph
    if any(node.op_type == "DequantizeLinear" for node in graph.node):
        raise DatasetError(
            f"{name}: is an int8 model, whose weights are rounded for good, and no start: give the folder of the run "
            "that it was exported from, or the same model in float16 or float32"
        )
    weights = {
        tensor.name.removeprefix(IN_ONNX).removesuffix(HALF): _float32(tensor)
        for tensor in graph.initializer
        if tensor.name.startswith(IN_ONNX)
    }
    if not weights:
        raise DatasetError(f"{name}: its graph does not hold the network's weights by name")
    return weights


def _model(name: str) -> Card:
    """The model of that name. Raises UnknownModelError that says what else may be started from, where there is none."""
    try:
        return find(name)
    except UnknownModelError as error:
        path = Path(name)
        known = ", ".join(card.name for card in available())
        words = "holds neither a run nor a model" if path.exists() else "is no model's name, folder or file"
        raise UnknownModelError(
            f"{name}: {words}: give a model ({known}, or its folder), a run's folder (with recipe.json and "
            "weights.safetensors) or a safetensors file of weights"
        ) from error


def _float32(tensor: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32))
