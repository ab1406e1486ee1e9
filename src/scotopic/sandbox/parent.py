"""A file read in a child that may not take more than its limits; whatever befalls it, this process goes on."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scotopic import errors
from scotopic.dng.origin import Origin
from scotopic.errors import DamagedFileError, ModelError, ReadError, SettingsError, UnsafeFileError
from scotopic.frame import Captured, Shown
from scotopic.identify import check_is_file
from scotopic.sandbox import wire
from scotopic.sandbox.limits import DEFAULT_LIMITS, Limits

_CHILD = (sys.executable, "-P", "-B", "-m", "scotopic.sandbox.child")

START_S = 60.0
"""Seconds until the child has to have loaded its libraries; one is usual."""

GRAPH_LIMITS = Limits(cpu_s=60, wall_s=120.0)
"""For a model that did not come with the package."""

_KEPT = (
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "PYTHONPATH",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)
"""Variables of the environment that the child gets: what an interpreter needs to start. Passwords and keys that stand
there stay here."""

_OWN = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""Variables of the environment that are set for the child: threads take address space for themselves, of which it has
little."""

_KINDS: dict[str, type[ReadError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, ReadError) and kind is not UnsafeFileError
}


def read_sandboxed(path: Path | str, limits: Limits = DEFAULT_LIMITS) -> Captured:
    """`read` in a child process with limits on memory, time and files; for files of strangers.

    LibRaw and all other decoders run there alone, on Linux with neither a network nor other files (see
    docs/reliability.md). Takes half a second more than `read`. Safe to call from several threads.

    Raises what `read` raises, and UnsafeFileError (a ReadError) where the file crashed its decoder, or took
    longer or more memory than allowed; SettingsError where the system knows no such limits (Windows).
    """
    path = Path(path)
    header, data = _answer(path, limits, {"what": "read"}, ("mosaic", "linear"))
    try:
        return wire.unpacked(header, data)
    except wire.WireError as error:
        raise _strange(path.name, error) from error


def libraw_develop_sandboxed(path: Path, **choices: Any) -> Shown:
    """`read.libraw_develop` in the same way: LibRaw's own development of a stranger's file."""
    shown: Shown = _answer(path, DEFAULT_LIMITS, {"what": "libraw", "choices": choices}, ("shown",))[1]
    return shown


def read_origin_sandboxed(path: Path, height: int, width: int) -> Origin:
    """`dng.origin.read_origin` in the same way: what a linear DNG carries over from its source.

    Like that, it goes on without where the file gives nothing that can be used.
    """
    try:
        with _Child(DEFAULT_LIMITS, path.name) as child:
            child.tell(_task(path, DEFAULT_LIMITS) | {"what": "origin", "size": [height, width]})
            return wire.unpacked_origin(child.header(), path.name)
    except (ReadError, wire.WireError):
        return Origin(path.name)


def try_graph(graph: Path, planes: int, side: int, limits: Limits = GRAPH_LIMITS) -> None:
    """Open a model's graph and run it on `side` x `side` pixels in the same way, before it is opened here.

    Constants beyond all measure and loops without end show there. `planes` values a colour are given.
    Raises ModelError where it takes more than the limits, crashes, or does not run.
    """
    if os.name != "posix":
        return
    name = str(graph)
    try:
        with _Child(limits, name) as child:
            child.tell(_task(graph, limits) | {"what": "graph", "planes": planes, "side": side})
            header = child.header()
    except ReadError as error:
        raise ModelError(f"{error}") from error
    if header.get("error") == "MemoryError":
        raise ModelError(
            f"{name}: a small picture takes more than {limits.memory_bytes >> 20} MiB in it; no network needs that"
        )
    if "error" in header or header.get("kind") != "graph":
        raise ModelError(
            f"{name}: ONNX Runtime cannot run it ({wire.clean(header.get('words', ''))[:500]})"
        )


def _answer(
    path: Path, limits: Limits, task: dict[str, Any], kinds: tuple[str, ...]
) -> tuple[dict[str, Any], Any]:
    """The header and the array that a child gives for a task."""
    check_is_file(path)
    with _Child(limits, path.name) as child:
        child.tell(_task(path, limits) | task)
        header = child.header()
        if "error" in header:
            raise _refusal(header, path.name, limits)
        try:
            if header.get("kind") not in kinds:
                raise wire.WireError("something else")
            data = wire.room(header, limits.memory_bytes)
        except wire.WireError as error:
            raise _strange(path.name, error) from error
        child.fill(data.data.cast("B"))
        return header, data


def _task(path: Path, limits: Limits) -> dict[str, Any]:
    if os.name != "posix":
        raise SettingsError("decoding in a sandbox needs Linux or macOS: leave --sandbox out")
    return {"path": os.fsencode(path).hex(), "limits": asdict(limits), "parent": os.getpid()}


def _strange(name: str, error: wire.WireError) -> UnsafeFileError:
    return UnsafeFileError(
        f"{name}: its decoder gave {wire.clean(error)}, which is no picture; do not trust this file"
    )


def _refusal(header: dict[str, Any], name: str, limits: Limits) -> ReadError:
    """The error that the child told of."""
    kind, words = str(header["error"]), wire.clean(header.get("words", ""))
    if kind == "MemoryError":
        return UnsafeFileError(
            f"{name}: decoding it takes more than the {limits.memory_bytes >> 20} MiB allowed; if the file is "
            "honest, allow more"
        )
    if kind in _KINDS:
        return _KINDS[kind](words)
    return DamagedFileError(f"{name}: could not be decoded ({words}); copy it from the card again")


class _Child:
    """A child process and its time; killed on leaving, whatever it does."""

    def __init__(self, limits: Limits, name: str) -> None:
        self._limits, self._name = limits, name
        self._until = time.monotonic() + START_S
        kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
        self._process = subprocess.Popen(
            _CHILD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept | _OWN,
            start_new_session=True,
        )

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        # The group too: it might have left children of its own.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()

    def tell(self, task: dict[str, Any]) -> None:
        """Give it its task, a line of less than a pipe holds, and wait until it is bound."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(task).encode("ascii") + b"\n")
            self._process.stdin.close()
        try:
            self.fill(memoryview(bytearray(1)))
        except UnsafeFileError as error:
            raise ReadError(
                f"{self._name}: not read, since the sandbox's process does not start (python -m "
                "scotopic.sandbox.child says why); nothing is wrong with the file"
            ) from error
        self._until = time.monotonic() + self._limits.wall_s

    def header(self) -> dict[str, Any]:
        """Its answer's header."""
        length = bytearray(8)
        self.fill(memoryview(length))
        (size,) = struct.unpack("<Q", length)
        try:
            if size > wire.HEADER_MAX:
                raise wire.WireError(f"a header of {size} bytes")
            content = bytearray(size)
            self.fill(memoryview(content))
            return wire.loaded(bytes(content))
        except wire.WireError as error:
            raise _strange(self._name, error) from error

    def fill(self, room: memoryview) -> None:
        """Read until `room` is full. Raises UnsafeFileError where the child ends or its time runs out first."""
        assert self._process.stdout is not None
        where = self._process.stdout.fileno()
        # Many files may be open in a server: poll, unlike select, has no limit.
        waiting = select.poll()
        waiting.register(where, select.POLLIN)
        while room:
            left = self._until - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                raise UnsafeFileError(
                    f"{self._name}: decoding it takes more than the {self._limits.wall_s:g} s allowed; if the file "
                    "is honest, allow more"
                )
            got = os.readv(where, [room])
            if not got:
                raise self._ended()
            room = room[got:]

    def _ended(self) -> UnsafeFileError:
        """Why the child fell silent."""
        try:
            status = self._process.wait(max(0.1, self._until - time.monotonic()))
        except subprocess.TimeoutExpired:
            return UnsafeFileError(f"{self._name}: its decoder fell silent; do not trust this file")
        if status == -signal.SIGXCPU:
            return UnsafeFileError(
                f"{self._name}: decoding it takes more than the {self._limits.cpu_s} s of computing allowed; if the "
                "file is honest, allow more"
            )
        words = f"signal {_signal_name(-status)}" if status < 0 else f"status {status}"
        return UnsafeFileError(
            f"{self._name}: its decoder crashed on it ({words}); the file is damaged, or made to do harm: copy it "
            "from the card again"
        )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
