"""Several graphics cards or machines: torchrun starts the processes, DistributedDataParallel joins them.

    torchrun --nproc-per-node 4 -m scotopic train scotopic --data PHOTOS --out RUN --set accumulate=4

A step's micro-batches (`accumulate` of the recipe) are numbered over all processes and each draws its
crops by its number, so the same recipe learns from the same crops on one process and on many.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from scotopic.errors import SettingsError


@dataclass(frozen=True)
class World:
    """This process among all: `rank` of `size`, and the device it works on."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def micro_batches(self, accumulate: int) -> list[int]:
        """The numbers of this process's micro-batches of a step.

        Raises SettingsError where they cannot be shared out evenly.
        """
        if accumulate % self.size:
            raise SettingsError(
                f"accumulate {accumulate} cannot be shared out to {self.size} processes: give "
                f"--set accumulate={self.size} or a multiple of it"
            )
        return list(range(self.rank, accumulate, self.size))

    def agree(self, value: float) -> float:
        """The first process's value, for decisions that hang on its clock."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)

    def tell(self, facts: dict[str, Any]) -> dict[str, Any]:
        """The first process's plain facts, to all."""
        if self.size == 1:
            return facts
        shared = [facts]
        dist.broadcast_object_list(shared, 0, device=self.device)
        return shared[0]

    @torch.no_grad()
    def spread(self, tensors: dict[str, Tensor]) -> None:
        """Give the first process's tensors to all, in place."""
        if self.size > 1:
            for name in sorted(tensors):
                sent = tensors[name].to(self.device)
                dist.broadcast(sent, 0)
                tensors[name].copy_(sent)

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes."""
        if self.size > 1:
            dist.all_reduce(value)
            value = value / self.size
        return value


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Join the processes that torchrun started; alone where it did not.

    `device` is auto, cpu or cuda. Raises SettingsError for a device that is not there.
    """
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise SettingsError("device cuda is not available: this PyTorch sees no graphics card")
    use_cuda = cuda and device != "cpu"
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, torch.device("cuda" if use_cuda else "cpu"))
        return
    try:
        place = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if use_cuda else torch.device("cpu")
        if use_cuda:
            torch.cuda.set_device(place)
        # It takes the group there is for its arguments' defaults: imported later (an optimiser does so), it keeps the
        # group's threads until the interpreter is taken down, and one that lets a tensor go by then aborts the process.
        importlib.import_module("torch.distributed.nn.functional")
        # The first process may decode a whole dataset while the others wait.
        dist.init_process_group("nccl" if use_cuda else "gloo", timeout=timedelta(days=1))
    except (KeyError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"the {size} processes could not be joined ({error}): start them by torchrun, no more of them "
            "than the machine has graphics cards"
        ) from error
    try:
        yield World(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()
