"""Fewer channels for a trained network: those that the layers after them draw least from are left out.

What is left is a start to train on from, not a result.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from scotopic.errors import DatasetError, SettingsError
from scotopic.models import find
from scotopic.train.blocks import Architecture
from scotopic.train.networks import MosaicGraph
from scotopic.train.recipes import Recipe
from scotopic.train.sources import Simulated, find_data, seed_of
from scotopic.train.weights import load_start

Weights = dict[str, Tensor]

BATCHES = 24
"""Micro-batches of simulated crops that show what channels are worth."""


def pruned(start: str, changes: list[str], photos: Path) -> tuple[Recipe, Weights]:
    """A trained network with the sizes that `changes` name, such as `architecture.fine=32`.

    `start` is a run's folder, a model's name or folder. Returns the recipe that trains it on, and the weights
    to start from. Raises DatasetError for what holds no network of ours, SettingsError for sizes that do not
    fit.
    """
    run = Path(start)
    stored = run / "recipe.json" if (run / "recipe.json").is_file() else find(start).folder / "card.json"
    try:
        facts = json.loads(stored.read_text())
        recipe = Recipe.from_dict(facts.get("recipe", facts))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{start}: does not say by what recipe it was trained ({error})") from error
    if recipe.kind != "linear":
        raise SettingsError(f"{start}: is the paper's network; only ours can be pruned")
    graph = MosaicGraph(recipe.packing, recipe.architecture).eval()
    try:
        graph.net.load_state_dict(load_start(start))
    except RuntimeError as error:
        raise DatasetError(f"{start}: its weights are not of the sizes it tells ({error})") from error
    smaller = recipe.changed_by_words(changes)
    found = find_data([photos], recipe.packing.pattern.sensor)
    source = Simulated(found.photos, recipe, torch.device("cpu"), 1)
    shown = (source.draw(seed_of(recipe.seed, i)).inputs() for i in range(BATCHES))
    return smaller, prune(graph, smaller.architecture, shown)


@dataclass(frozen=True)
class Channels:
    """Channels that are left out together: the layers that give them, and those that take them."""

    keep: int
    made_by: tuple[str, ...]
    taken_by: tuple[str, ...]


def channels_of(target: Architecture) -> list[Channels]:
    """All channels of a network, and how many of them `target` has."""
    first, *bottom, last, finest = target.inside
    blocks = [f"bottom.{i}" for i in range(target.bottom_blocks)]
    groups = [
        Channels(
            target.fine,
            ("stem", "up_fine", "decode_fine.second"),
            ("decode_fine.first", "down_middle", "head"),
        ),
        Channels(
            target.middle,
            ("down_middle", "encode_middle.second", "up_middle", "decode_middle.second"),
            ("encode_middle.first", "down_coarse", "decode_middle.first", "up_fine"),
        ),
        Channels(
            target.coarse,
            ("down_coarse", *(f"{b}.second" for b in blocks)),
            (*(f"{b}.first" for b in blocks), "up_middle"),
        ),
    ]
    inside = {"encode_middle": first, **dict(zip(blocks, bottom, strict=True)), "decode_middle": last}
    for block, keep in {**inside, "decode_fine": finest}.items():
        groups.append(Channels(keep, (f"{block}.first",), (f"{block}.second",)))
    return groups


def prune(graph: MosaicGraph, target: Architecture, inputs: Iterable[tuple[Tensor, ...]]) -> Weights:
    """The weights of `graph.net` in the smaller sizes of `target`; `inputs` show what channels are worth.

    A channel is worth the mean energy that each layer after it draws from it, as a share of that layer's.
    Raises SettingsError where `target` has more of anything.
    """
    if target.bottom_blocks != graph.architecture.bottom_blocks:
        raise SettingsError(
            f"the network has {graph.architecture.bottom_blocks} blocks at the bottom, and pruning keeps them: "
            f"{target.bottom_blocks} were asked for"
        )
    energy = _energy(graph, inputs)
    weights = {k: v.detach().clone() for k, v in graph.net.state_dict().items()}
    for group in channels_of(target):
        shares = [_drawn(graph, name, energy[name]) for name in group.taken_by]
        worth = torch.stack([share / share.sum().clamp_min(1e-30) for share in shares]).sum(0)
        if group.keep > len(worth):
            raise SettingsError(
                f"{', '.join(group.made_by)}: has {len(worth)} channels, {group.keep} were asked for; pruning "
                "only takes away"
            )
        kept = worth.topk(group.keep).indices.sort().values
        for name in group.made_by:
            axis = 1 if _is_up(graph, name) else 0
            weights[f"{name}.weight"] = weights[f"{name}.weight"].index_select(axis, kept)
            weights[f"{name}.bias"] = weights[f"{name}.bias"][kept]
        for name in group.taken_by:
            axis = 0 if _is_up(graph, name) else 1
            weights[f"{name}.weight"] = weights[f"{name}.weight"].index_select(axis, kept)
    return {k: v.contiguous() for k, v in weights.items()}


def _energy(graph: MosaicGraph, inputs: Iterable[tuple[Tensor, ...]]) -> dict[str, Tensor]:
    """The mean square of each channel that comes into each convolution."""
    found: dict[str, Tensor] = {}
    handles = []
    for name, module in graph.net.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):

            def note(_module: nn.Module, given: tuple[Tensor, ...], name: str = name) -> None:
                square = given[0].square().mean((0, 2, 3))
                found[name] = found[name] + square if name in found else square

            handles.append(module.register_forward_pre_hook(note))
    with torch.no_grad():
        for values in inputs:
            graph(*values)
    for handle in handles:
        handle.remove()
    if not found:
        raise SettingsError("pruning needs pictures that show what channels are worth")
    return found


def _drawn(graph: MosaicGraph, name: str, energy: Tensor) -> Tensor:
    """The energy that a layer draws from each channel that comes in."""
    weight = graph.net.get_submodule(name).weight
    assert isinstance(weight, Tensor)
    axis = 0 if _is_up(graph, name) else 1
    return weight.detach().square().sum([d for d in range(4) if d != axis]) * energy


def _is_up(graph: MosaicGraph, name: str) -> bool:
    return isinstance(graph.net.get_submodule(name), nn.ConvTranspose2d)
