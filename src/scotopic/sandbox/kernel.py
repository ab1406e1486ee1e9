"""What Linux itself forbids a process: files beyond a few, the network, other programs. For good, and without rights.

Two means, each used where the kernel has it: Landlock (Linux 5.13) for files, a seccomp filter for system calls.
Neither Python's library nor a small one on the package index offers both; a dozen calls through ctypes do.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from pathlib import Path

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
"""System calls that have one number on every processor."""

_EPERM, _ENOSYS, _ENOTTY = 1, 38, 25

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many rights to files Landlock knows, by the version that brought the last of them: REFER, TRUNCATE, IOCTL_DEV
(linux/landlock.h). A kernel that is asked to handle one that it does not know handles none."""

_ARGUMENT = 16
"""Where the arguments begin in seccomp's data: number, architecture, instruction pointer, six of 64 bits."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CLONE_THREAD = 0x10000

_SHARED_NUMBERS = (
    *range(424, 434),  # pidfd_send_signal, io_uring, open_tree, move_mount, fsopen and its like
    434,  # pidfd_open
    437,  # openat2, whose flags lie in memory where a filter cannot look
    438,  # pidfd_getfd
)
"""From 424 on calls have one number on every processor."""

_NEWER = 439
"""Number of system calls from which on the child is told that the kernel knows none (ENOSYS), as one of before 2020:
none is needed, the C library falls back on older ones, and some change files by new ways (fchmodat2, setxattrat,
file_setattr), as those to come may."""

_FORBIDDEN = {
    "x86_64": (
        *(41, 42, 43, 44, 45, 46, 47, 49, 50, 53, 288),  # sockets
        *(57, 58, 59, 322),  # fork, vfork, execve, execveat
        *(62, 200, 129, 297),  # kill, tkill and signals with a value
        *(101, 310, 311, 312),  # ptrace, other processes' memory
        *(76, 77, 82, 83, 84, 85, 86, 87, 88, 90, 91, 92, 93, 94, 133),  # truncate, rename, mkdir ... mknod
        *(258, 259, 260, 263, 264, 265, 266, 268, 316),  # the same below a folder
        *(132, 235, 261, 280),  # times of files: utime, utimes, futimesat, utimensat
        *(188, 189, 190, 197, 198, 199),  # extended attributes
        *(161, 165, 166, 167, 169, 170, 175, 176, 313, 304, 272, 308),  # mounts, modules, name spaces
        *(29, 30, 64, 68, 240, 248, 249, 250),  # System V shared memory, queues, keys
        *(160, 298, 321, 323),  # setrlimit, perf, bpf, userfaultfd
    ),
    "aarch64": (
        *(198, 199, 200, 201, 202, 203, 206, 207, 211, 212, 242),
        *(221, 281),
        *(129, 130, 138, 240),
        *(117, 270, 271, 272),
        *(33, 34, 35, 36, 37, 38, 45, 46, 52, 53, 54, 55, 88, 276),
        *(5, 6, 7, 14, 15, 16),
        *(39, 40, 51, 105, 106, 142, 273, 265, 97, 268),
        *(180, 186, 190, 194, 217, 218, 219),
        *(164, 241, 280, 282),
    ),
}
"""System calls refused with EPERM, by the processor's name."""

_CALLS = {
    "x86_64": {
        "arch": 0xC000003E,
        "open": 2,
        "openat": 257,
        "clone": 56,
        "tgkill": 234,
        "prlimit": 302,
        "ioctl": 16,
    },
    "aarch64": {"arch": 0xC00000B7, "openat": 56, "clone": 220, "tgkill": 131, "prlimit": 261, "ioctl": 29},
}
"""Calls whose arguments decide, by the processor's name; and its name in the kernel (linux/audit.h)."""

_CLONE3 = 435

_SYSTEM = (
    *("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/etc/ld.so.cache"),
    *("/etc/localtime", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom"),
    *("/proc/cpuinfo", "/sys/devices/system/cpu"),
)


def confine(readable: list[Path]) -> tuple[str, ...]:
    """Forbid this process all files but those to read (files or whole folders), and what no decoder needs.

    Returns which means the kernel had: of "files" and "calls", either, both or none.
    """
    if sys.platform != "linux":
        return ()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return ()
    held = [("files", _landlocked(libc, readable)), ("calls", _filtered(libc))]
    return tuple(name for name, holds in held if holds)


def libraries() -> list[Path]:
    """What Python and the libraries are loaded from, and what they look up about this machine."""
    own = [sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path, str(Path(__file__).parents[1])]
    return [Path(p) for p in dict.fromkeys([*own, *_SYSTEM]) if p]


def _landlocked(libc: ctypes.CDLL, readable: list[Path]) -> bool:
    version = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False
    handled = (1 << max(rights for since, rights in _FILE_RIGHTS.items() if since <= version)) - 1
    rules = libc.syscall(_LANDLOCK_CREATE, struct.pack("<Q", handled), 8, 0)
    if rules < 0:
        return False
    for path in readable:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        rights = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
        libc.syscall(_LANDLOCK_ADD, rules, 1, struct.pack("<Qi", rights, place), 0)
        os.close(place)
    done = libc.syscall(_LANDLOCK_RESTRICT, rules, 0) == 0
    os.close(rules)
    return bool(done)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def _filtered(libc: ctypes.CDLL) -> bool:
    machine = platform.machine()
    if machine not in _CALLS or sys.byteorder != "little" or sys.maxsize < 2**32:
        return False
    content = _filter(machine, os.getpid())
    program = _Program(len(content) // 8, content)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _filter(machine: str, own: int) -> bytes:
    """The filter as classic BPF: one test after another, each of which may refuse."""
    calls = _CALLS[machine]
    tests: list[bytes] = [
        _load(4) + _equal(calls["arch"], 1, 0) + _refuse(_EPERM),
        # The numbers of x86's other interface would slip through all tests below.
        _load(0) + _any_bit(0x40000000, 0, 1) + _refuse(_EPERM),
    ]
    tests += [_equal(n, 0, 1) + _refuse(_EPERM) for n in (*_FORBIDDEN[machine], *_SHARED_NUMBERS)]
    # Without clone3, whose flags lie in memory, the C library falls back on clone; without ioctl all is no terminal.
    tests += [
        _equal(_CLONE3, 0, 1) + _refuse(_ENOSYS),
        _at_least(_NEWER, 0, 1) + _refuse(_ENOSYS),
        _equal(calls["ioctl"], 0, 1) + _refuse(_ENOTTY),
    ]
    decided = [
        ("open", _load(_ARGUMENT + 8) + _any_bit(_WRITING, 0, 1) + _refuse(_EPERM)),
        ("openat", _load(_ARGUMENT + 16) + _any_bit(_WRITING, 0, 1) + _refuse(_EPERM)),
        ("clone", _load(_ARGUMENT) + _any_bit(_CLONE_THREAD, 1, 0) + _refuse(_EPERM)),
        ("tgkill", _load(_ARGUMENT) + _equal(own, 1, 0) + _refuse(_EPERM)),
        (
            "prlimit",
            _load(_ARGUMENT + 16)
            + _equal(0, 0, 2)
            + _load(_ARGUMENT + 20)
            + _equal(0, 1, 0)
            + _refuse(_EPERM),
        ),
    ]
    for name, test in decided:
        if name in calls:
            whole = test + _ALLOW
            tests.append(_equal(calls[name], 0, len(whole) // 8) + whole)
    return b"".join(tests) + _ALLOW


def _instruction(code: int, k: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, true, false, k)


def _load(offset: int) -> bytes:
    return _instruction(0x20, offset)


def _equal(k: int, true: int, false: int) -> bytes:
    """How many instructions to leap over if the word is `k`, and if not."""
    return _instruction(0x15, k, true, false)


def _at_least(k: int, true: int, false: int) -> bytes:
    return _instruction(0x35, k, true, false)


def _any_bit(k: int, true: int, false: int) -> bytes:
    return _instruction(0x45, k, true, false)


def _refuse(number: int) -> bytes:
    return _instruction(0x06, 0x00050000 | number)


_ALLOW = _instruction(0x06, 0x7FFF0000)
