"""Which devices there are for a model's graph, and opening it on one of them."""

from __future__ import annotations

import importlib

import onnxruntime as ort

from scotopic.errors import SettingsError
from scotopic.inference.onnx_runtime import CPU, CUDA, OPENVINO, PROVIDERS, OnnxRuntime, Runtime
from scotopic.models import Card, is_packaged

LANES = 2
"""Tiles under way at a time on a processor, with as many cores each: one's passes over memory fill the time in which
the other calculates, and each develops what it has while the other goes on (experiments.md, 2026-11-28)."""


def open_runtime(graph: bytes, device: str, cores: int) -> Runtime:
    """Open an ONNX file on "auto", "cpu", "cuda" or "openvino", with so many cores of a processor.

    Raises SettingsError for a device that is not there; what ONNX Runtime raises where it cannot open the graph.
    """
    lanes = min(LANES, cores)
    if device == OPENVINO:
        from scotopic.inference.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(graph, lanes, -(-cores // lanes))
    providers = _providers(device)
    if providers[0] != PROVIDERS[CPU]:
        lanes = 1
    return OnnxRuntime(graph, lanes, -(-cores // lanes), providers)


def check_device(device: str, card: Card | None = None) -> None:
    """Raise SettingsError for a device that is not there, or not for that model, before anything is opened on it."""
    if device == OPENVINO and card is not None and not is_packaged(card):
        raise SettingsError(
            f"device {OPENVINO} is for the models that come with scotopic, tried and tested; {card.name} is another: "
            "use --device cpu"
        )
    if device == OPENVINO:
        # Importing it raises SettingsError where OpenVINO is not installed.
        importlib.import_module("scotopic.inference.openvino_runtime")
    else:
        _providers(device)


def _providers(device: str) -> list[str]:
    present = ort.get_available_providers()
    if device == "auto":
        return [p for p in (PROVIDERS[CUDA], PROVIDERS[CPU]) if p in present]
    if device not in PROVIDERS:
        raise SettingsError(
            f"no device called {device}: known are auto, {', '.join(PROVIDERS)}, {OPENVINO}"
        )
    if PROVIDERS[device] not in present:
        raise SettingsError(
            f"device {device} is not available: this ONNX Runtime offers "
            f"{', '.join(p.removesuffix('ExecutionProvider').lower() for p in present)}"
        )
    return list(dict.fromkeys([PROVIDERS[device], PROVIDERS[CPU]]))
