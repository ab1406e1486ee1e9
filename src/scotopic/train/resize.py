"""A trained network in other sizes: a start to train on from, not a result.

Of fewer channels those are left out that the layers after them draw least from. More channels, and blocks that
were not there, give the very same pictures at first: what they give out is drawn at random, and taken with
weights of 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from scotopic.errors import DatasetError, SettingsError
from scotopic.train.blocks import Architecture
from scotopic.train.networks import MosaicGraph
from scotopic.train.recipes import Recipe
from scotopic.train.sources import Simulated, find_data, seed_of
from scotopic.train.weights import fill, load_start, stored_recipe

Weights = dict[str, Tensor]

BATCHES = 24
"""Micro-batches of simulated crops that show what channels are worth."""


def resized(start: str, changes: list[str], photos: Path) -> tuple[Recipe, Weights]:
    """A trained network with the sizes that `changes` name, such as `architecture.fine=32`.

    `start` is a run's folder, a model's name or folder. Returns the recipe that trains it on, and the weights
    to start from. Raises DatasetError for what holds no network of ours, SettingsError for sizes that do not
    fit.
    """
    recipe = stored_recipe(start)
    if recipe is None:
        raise DatasetError(
            f"{start}: does not say by what recipe it was trained; give a run's folder or a model"
        )
    if recipe.network not in ("bayer", "xtrans"):
        raise SettingsError(f"{start}: is the paper's network; only ours can be resized")
    graph = MosaicGraph(recipe.packing, recipe.architecture).eval()
    fill(graph.net, load_start(start), start)
    other = recipe.changed_by_words(changes)
    found = find_data([photos], recipe.packing.pattern.sensor)
    source = Simulated(found.photos, recipe, torch.device("cpu"), 1)
    shown = (source.draw(seed_of(recipe.seed, i)).inputs() for i in range(BATCHES))
    return other, resize(graph, other.architecture, shown)


@dataclass(frozen=True)
class Channels:
    """Channels that come and go together: the layers that give them, and those that take them."""

    keep: int
    made_by: tuple[str, ...]
    taken_by: tuple[str, ...]


def channels_of(target: Architecture) -> list[Channels]:
    """All channels of a network, and how many of them `target` has."""
    first, *bottom, last, finest = target.inside
    blocks = [f"bottom.{i}" for i in range(target.bottom_blocks)]
    inside = {"encode_middle": first, **dict(zip(blocks, bottom, strict=True)), "decode_middle": last}
    inside["decode_fine"] = finest
    if target.fine_encoder:
        inside["encode_fine"] = target.fine_encoder
    by_level = {
        "fine": (target.fine, ["encode_fine", "decode_fine"]),
        "middle": (target.middle, ["encode_middle", "decode_middle"]),
        "coarse": (target.coarse, blocks),
    }
    made = {
        "fine": ["stem", "up_fine"],
        "middle": ["down_middle", "up_middle"],
        "coarse": ["down_coarse"],
    }
    taken = {
        "fine": ["down_middle", "head"],
        "middle": ["down_coarse", "up_fine"],
        "coarse": ["up_middle"],
    }
    groups = []
    for level, (keep, names) in by_level.items():
        there = [n for n in names if n in inside]
        groups.append(
            Channels(
                keep,
                (*made[level], *(f"{n}.second" for n in there)),
                (*taken[level], *(f"{n}.first" for n in there)),
            )
        )
    return groups + [Channels(keep, (f"{n}.first",), (f"{n}.second",)) for n, keep in inside.items()]


def resize(graph: MosaicGraph, target: Architecture, inputs: Iterable[tuple[Tensor, ...]]) -> Weights:
    """The weights of `graph.net` in the sizes of `target`; `inputs` show what channels are worth.

    A channel is worth the mean energy that each layer after it draws from it, as a share of that layer's.
    Raises SettingsError where `target` has another number of blocks at the bottom, or lacks a block.
    """
    of = graph.architecture
    if target.bottom_blocks != of.bottom_blocks or (of.fine_encoder and not target.fine_encoder):
        raise SettingsError(
            f"the network has {of.bottom_blocks} blocks at the bottom and {bool(of.fine_encoder):d} on the way in at "
            f"the finest level, and keeps them: {target.bottom_blocks} and {bool(target.fine_encoder):d} were asked for"
        )
    energy = _energy(graph, inputs)
    weights = {k: v.detach().clone() for k, v in graph.net.state_dict().items()}
    if target.fine_encoder and not of.fine_encoder:
        weights |= _idle_encoder(graph, target.fine_encoder)
        energy["encode_fine.first"] = energy["down_middle"]
    weights["head.weight"] = _cut_or_framed(weights["head.weight"], target.head)
    fresh = MosaicGraph(graph.packing, target).net.state_dict()
    groups = [(g, len(weights[f"{g.made_by[0]}.bias"])) for g in channels_of(target)]
    for group, have in groups:
        if group.keep < have:
            _narrow(weights, energy, group)
    for group, have in groups:
        if group.keep > have:
            _widen(weights, fresh, group, have)
    return {k: v.contiguous() for k, v in weights.items()}


def _idle_encoder(graph: MosaicGraph, inner: int) -> Weights:
    """The block at the finest level on the way in as a fresh network has it, adding nothing yet."""
    fresh = MosaicGraph(graph.packing, replace(graph.architecture, fine_encoder=inner)).net.state_dict()
    block = {k: v for k, v in fresh.items() if k.startswith("encode_fine.")}
    return block | {k: torch.zeros_like(v) for k, v in block.items() if ".second." in k}


def _cut_or_framed(filters: Tensor, side: int) -> Tensor:
    """Filters (N, C, s, s) of another odd side: their middle, or with zeros around."""
    margin = (side - filters.shape[-1]) // 2
    return nn.functional.pad(filters, (margin,) * 4)


def _narrow(weights: Weights, energy: dict[str, Tensor], group: Channels) -> None:
    """Leave the channels out that bring least."""
    shares = [_drawn(weights, name, energy[name]) for name in group.taken_by]
    worth = torch.stack([share / share.sum().clamp_min(1e-30) for share in shares]).sum(0)
    kept = worth.topk(group.keep).indices.sort().values
    for name in group.made_by:
        weights[f"{name}.weight"] = weights[f"{name}.weight"].index_select(_gives(name), kept)
        weights[f"{name}.bias"] = weights[f"{name}.bias"][kept]
    for name in group.taken_by:
        weights[f"{name}.weight"] = weights[f"{name}.weight"].index_select(1 - _gives(name), kept)


def _widen(weights: Weights, fresh: Weights, group: Channels, have: int) -> None:
    """Add channels as a fresh network has them, of which nothing is taken yet."""
    for name in group.made_by:
        new, old = fresh[f"{name}.weight"], weights[f"{name}.weight"]
        axis = _gives(name)
        added = new.narrow(axis, have, group.keep - have)
        # What a fresh network takes of the channels that are there.
        added = added.narrow(1 - axis, 0, old.shape[1 - axis])
        weights[f"{name}.weight"] = torch.cat([old, added], axis)
        weights[f"{name}.bias"] = torch.cat([weights[f"{name}.bias"], fresh[f"{name}.bias"][have:]])
    for name in group.taken_by:
        old = weights[f"{name}.weight"]
        shape = list(old.shape)
        shape[1 - _gives(name)] = group.keep - have
        weights[f"{name}.weight"] = torch.cat([old, old.new_zeros(shape)], 1 - _gives(name))


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
        raise SettingsError("resizing needs pictures that show what channels are worth")
    return found


def _drawn(weights: Weights, name: str, energy: Tensor) -> Tensor:
    """The energy that a layer draws from each channel that comes in."""
    axis = 1 - _gives(name)
    return weights[f"{name}.weight"].square().sum([d for d in range(4) if d != axis]) * energy


def _gives(name: str) -> int:
    """The axis of a layer's weights that counts the channels it gives: transposed convolutions have it second."""
    return 1 if name.startswith("up_") else 0
