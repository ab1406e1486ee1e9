"""TensorBoard's files: curves and held-out pictures of a running training."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from scotopic.train.folder import writing
from scotopic.train.losses import displayed
from scotopic.train.recipes import Kind
from scotopic.train.simulate import Batch

PICTURES = 4
"""Held-out pictures shown."""


class Board:
    """Writes to `out/tensorboard`, from `step` on; does nothing where not `wanted`."""

    def __init__(self, out: Path, step: int, wanted: bool) -> None:
        self._writer: Any = None
        self._folder = out / "tensorboard"
        if wanted:
            from torch.utils.tensorboard import SummaryWriter

            with writing(self._folder):
                self._writer = SummaryWriter(self._folder, purge_step=step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            with writing(self._folder):
                self._writer.close()

    def figures(self, step: int, **values: float | None) -> None:
        """One point on each curve; None leaves a curve out."""
        if self._writer is not None:
            for name, value in values.items():
                if value is not None:
                    with writing(self._folder):
                        self._writer.add_scalar(name, value, step)

    def pictures(self, step: int, kind: Kind, batch: Batch, rgb: Tensor) -> None:
        """The result above the truth, side by side for the first few pictures of the batch."""
        if self._writer is None:
            return
        rows = [
            torch.cat(list(displayed(kind, v[:PICTURES], batch.to_srgb[:PICTURES])), dim=2)
            for v in (rgb, batch.target)
        ]
        with writing(self._folder):
            self._writer.add_image("held out: result above truth", torch.cat(rows, dim=1).cpu(), step)
