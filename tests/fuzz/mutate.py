"""Mutations of RAW files: of their bytes, and of what their directories say. The same numbers, the same file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator

NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    22,
    255,
    256,
    4096,
    32767,
    32768,
    50_000,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
"""Where programs go wrong."""

SIZES = (256, 257, 258, 259, 262, 277, 278, 317, 322, 323, 339, 284, 254)
"""Tags that say how large a picture is and how it is stored."""

PLACES = (273, 279, 324, 325, 330, 34665, 34853, 513, 514)
"""Tags that say where something lies, and how long it is."""

COMPRESSIONS = (0, 1, 5, 6, 7, 8, 32773, 32946, 34712, 34892, 50000, 52546, 65535)

TYPE_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
"""Of a TIFF value, by its type."""


@dataclass(frozen=True)
class Entry:
    """One entry of a directory: where it stands in the file and what it says."""

    at: int
    tag: int
    kind: int
    count: int
    value_at: int
    """Where its values lie: in the entry itself where they fit."""


@dataclass(frozen=True)
class Directories:
    """The directories of a classic TIFF."""

    order: str
    entries: tuple[Entry, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    """Where each says what directory follows."""


def directories(content: bytes) -> Directories | None:
    """All that can be found; None for what is no classic TIFF."""
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    if order is None or len(content) < 16:
        return None
    entries: list[Entry] = []
    ends: list[int] = []
    waiting, seen = [struct.unpack_from(order + "I", content, 4)[0]], []
    while waiting and len(seen) < 40:
        start = waiting.pop(0)
        if start in seen or not 0 < start <= len(content) - 2:
            continue
        seen.append(start)
        (count,) = struct.unpack_from(order + "H", content, start)
        end = start + 2 + 12 * count
        if end + 4 > len(content) or count > 500:
            continue
        ends.append(end)
        waiting.append(struct.unpack_from(order + "I", content, end)[0])
        for at in range(start + 2, end, 12):
            tag, kind, n, value = struct.unpack_from(order + "HHII", content, at)
            size = (TYPE_BYTES[kind] if kind < len(TYPE_BYTES) else 0) * n
            entries.append(Entry(at, tag, kind, n, at + 8 if size <= 4 else value))
            if tag in (330, 34665, 34853) and size <= 4:
                waiting.append(value)
            elif tag == 330 and value + 4 * min(n, 8) <= len(content):
                waiting += struct.unpack_from(f"{order}{min(n, 8)}I", content, value)
    return Directories(order, tuple(entries), tuple(seen), tuple(ends)) if entries else None


def flip_bits(content: bytearray, rng: Rng) -> None:
    """A few bits anywhere."""
    for _ in range(int(rng.integers(1, 30))):
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))


def flip_head(content: bytearray, rng: Rng) -> None:
    """A few bytes at the beginning, where directories stand."""
    for _ in range(int(rng.integers(1, 6))):
        content[int(rng.integers(min(len(content), 2000)))] = int(rng.choice([0, 1, 127, 128, 255]))


def overwrite_number(content: bytearray, rng: Rng) -> None:
    """A number where programs go wrong, at an even place."""
    at = 2 * int(rng.integers(max(1, len(content) // 2 - 2)))
    order = str(rng.choice(["<", ">"]))
    content[at : at + 4] = struct.pack(order + "I", int(rng.choice(NUMBERS)))[: len(content) - at]


def truncate(content: bytearray, rng: Rng) -> None:
    """Cut short, near the beginning or anywhere."""
    keep = int(
        rng.integers(1, min(len(content), 3000)) if rng.random() < 0.4 else rng.integers(len(content))
    )
    del content[max(1, keep) :]


def zero_block(content: bytearray, rng: Rng) -> None:
    """A block lost, as on a failing card."""
    at = int(rng.integers(len(content)))
    length = min(int(rng.choice([16, 64, 512, 4096])), len(content) - at)
    content[at : at + length] = bytes([int(rng.choice([0, 255]))]) * length


def noise_block(content: bytearray, rng: Rng) -> None:
    """A block of something else."""
    at = int(rng.integers(len(content)))
    length = min(int(rng.choice([4, 16, 64, 512])), len(content) - at)
    content[at : at + length] = rng.bytes(length)


def move_block(content: bytearray, rng: Rng) -> None:
    """A block taken out, or put in twice: everything behind it lies elsewhere."""
    at, length = int(rng.integers(len(content))), int(rng.choice([1, 2, 12, 100]))
    if rng.random() < 0.5:
        del content[at : at + length]
    else:
        content[at:at] = content[at : at + length]


def change_entries(content: bytearray, rng: Rng) -> None:
    """What directories say: sizes, places, types, counts and values that make no sense."""
    found = directories(bytes(content))
    if found is None:
        overwrite_number(content, rng)
        return
    sizes = [e for e in found.entries if e.tag in SIZES]
    places = [e for e in found.entries if e.tag in PLACES]
    for _ in range(int(rng.integers(1, 4))):
        chosen = [sizes, places, found.entries, found.entries][int(rng.integers(4))] or found.entries
        entry = chosen[int(rng.integers(len(chosen)))]
        match int(rng.integers(6)):
            case 0:
                struct.pack_into(found.order + "H", content, entry.at + 2, int(rng.integers(0, 20)))
            case 1:
                struct.pack_into(found.order + "I", content, entry.at + 4, int(rng.choice(NUMBERS)))
            case 2 if entry.tag != 259:
                near = (len(content), len(content) - 1, *found.starts)
                value = int(rng.choice(NUMBERS)) if rng.random() < 0.7 else int(rng.choice(near))
                struct.pack_into(found.order + "I", content, entry.at + 8, value)
            case 3:
                struct.pack_into(found.order + "H", content, entry.at, int(rng.choice(SIZES + PLACES)))
            case _:
                change_value(content, entry, found.order, rng)


def change_value(content: bytearray, entry: Entry, order: str, rng: Rng) -> None:
    """One of an entry's values."""
    size = TYPE_BYTES[entry.kind] if entry.kind < len(TYPE_BYTES) else 0
    at = entry.value_at + size * int(rng.integers(max(1, min(entry.count, 64))))
    if not size or at + size > len(content):
        return
    if entry.tag == 259:
        value = struct.pack(order + "H", int(rng.choice(COMPRESSIONS)))
    elif entry.kind in (11, 12):
        code = "f" if entry.kind == 11 else "d"
        strange = (float("nan"), float("inf"), float("-inf"), -1.0, 0.0, 1e-38, 3e38)
        value = struct.pack(order + code, float(rng.choice(strange)))
    elif entry.kind in (5, 10):
        value = struct.pack(order + "II", int(rng.choice(NUMBERS)), int(rng.choice(NUMBERS)))
    else:
        value = int(rng.choice(NUMBERS)).to_bytes(8, "little" if order == "<" else "big")
        value = value[:size] if order == "<" else value[-size:]
    content[at : at + len(value)] = value


def tie_knots(content: bytearray, rng: Rng) -> None:
    """Directories that follow themselves or each other, strips that lie over each other."""
    found = directories(bytes(content))
    if found is None:
        move_block(content, rng)
        return
    somewhere = int(rng.choice(found.starts))
    pointers = [e for e in found.entries if e.tag in (330, 34665, 34853)]
    strips = [e for e in found.entries if e.tag in (273, 324) and e.count > 1]
    if pointers and rng.random() < 0.5:
        entry = pointers[int(rng.integers(len(pointers)))]
        struct.pack_into(found.order + "I", content, entry.at + 8, somewhere)
    elif strips and rng.random() < 0.5:
        entry = strips[int(rng.integers(len(strips)))]
        if entry.kind == 4 and entry.value_at + 4 * entry.count <= len(content):
            first = content[entry.value_at : entry.value_at + 4]
            content[entry.value_at : entry.value_at + 4 * entry.count] = first * entry.count
    elif found.ends:
        struct.pack_into(found.order + "I", content, int(rng.choice(found.ends)), somewhere)


def nest(content: bytearray, rng: Rng) -> None:
    """Thousands of directories behind or below each other."""
    found = directories(bytes(content))
    if found is None or not found.ends:
        zero_block(content, rng)
        return
    many, below = int(rng.choice([50, 3000])), rng.random() < 0.5
    first = len(content) + len(content) % 2
    content += bytes(first - len(content))
    for i in range(many):
        following = first + 18 * (i + 1) if i < many - 1 else 0
        tag, next_one = (330, 0) if below else (254, following)
        content += struct.pack(found.order + "HHHIII", 1, tag, 4, 1, following, next_one)
    struct.pack_into(found.order + "I", content, int(rng.choice(found.ends)), first)


MUTATIONS: tuple[Callable[[bytearray, Rng], None], ...] = (
    flip_bits,
    flip_head,
    flip_head,
    overwrite_number,
    truncate,
    zero_block,
    noise_block,
    move_block,
    change_entries,
    change_entries,
    change_entries,
    change_entries,
    change_entries,
    tie_knots,
    nest,
)


def mutated(content: bytes, other: bytes, rng: Rng) -> tuple[bytes, str]:
    """A mutant of one file, now and then spliced with another, and what was done to it."""
    changed, names = bytearray(content), []
    if rng.random() < 0.06:
        head = int(rng.integers(8, min(len(changed), len(other), 4000)))
        changed[:head] = other[:head]
        names.append("splice")
    for _ in range(1 if names or rng.random() < 0.75 else 2):
        mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        if len(changed) > 16:
            mutation(changed, rng)
            names.append(mutation.__name__)
    return bytes(changed), "+".join(names)
