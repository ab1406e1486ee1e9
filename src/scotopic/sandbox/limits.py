"""What a child may use, and how it binds itself to that before it looks at a file."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
import time
from dataclasses import dataclass

from scotopic.errors import SettingsError

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4

MEMORY_MIN = 1 << 29
"""Bytes of address space that Python and the libraries take before any picture: 512 MiB hold them."""


@dataclass(frozen=True)
class Limits:
    """What decoding one file may take. Raises SettingsError for what no decoder can work with."""

    memory_bytes: int = 4 << 30
    """Address space of the child. A mosaic of 150 million pixels, and all colours of 60 million, are read within
    half of it."""
    cpu_s: int = 120
    wall_s: float = 180.0
    open_files: int = 64

    def __post_init__(self) -> None:
        if self.memory_bytes < MEMORY_MIN or self.cpu_s < 1 or not self.wall_s > 0 or self.open_files < 16:
            raise SettingsError(
                f"limits {self} are too tight for any decoder: at least {MEMORY_MIN} bytes, 1 s and 16 files"
            )


DEFAULT_LIMITS = Limits()


def bind(limits: Limits, parent: int) -> None:
    """Bind this process; there is no way back. It dies with `parent`, leaves no dump and writes no file."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.open_files, limits.open_files))
    # Loading the libraries does not count. The first limit sends a signal that a decoder might catch, the second
    # kills.
    cpu_s = math.ceil(time.process_time()) + limits.cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
