"""Decoding in a child of limited means: files of strangers cost a process, never this one."""

from scotopic.sandbox.limits import DEFAULT_LIMITS, Limits
from scotopic.sandbox.parent import (
    libraw_develop_sandboxed,
    read_origin_sandboxed,
    read_sandboxed,
    try_graph,
)

__all__ = [
    "DEFAULT_LIMITS",
    "Limits",
    "libraw_develop_sandboxed",
    "read_origin_sandboxed",
    "read_sandboxed",
    "try_graph",
]
