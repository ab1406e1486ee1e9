"""How a picture is cut into tiles that see beyond their edges, along one axis at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """One tile along one axis: `start:stop` of the result, read from `read_start:read_stop`."""

    start: int
    stop: int
    read_start: int
    read_stop: int

    @property
    def read_length(self) -> int:
        """What is read along the axis."""
        return self.read_stop - self.read_start

    def kept(self, length: int, first: int, margin: int) -> tuple[slice, int, slice]:
        """What is kept of what was read: the picture's, with a margin where it goes on; the row or column where that
        begins in the picture; and what of it is this tile's own. The axis is `length` long, of which the `first` are
        none of the picture's."""
        start, stop = max(self.start, first), min(self.stop, length)
        begin = max(start - margin, first)
        kept = slice(begin - self.read_start, min(stop + margin, length) - self.read_start)
        return kept, begin - first, slice(start - begin, stop - begin)


def trimmed(kept: slice, length: int, edge: int) -> tuple[int, int]:
    """How much of so many rows or columns read the graph can leave out at either end, where so much is kept and its
    card tells that `edge`."""
    ends = kept.start, length - kept.stop
    ahead, after = (max(0, n // edge - 1) * edge if edge else 0 for n in ends)
    return ahead, after


def spans(length: int, tile: int, halo: int, multiple: int) -> Iterator[Span]:
    """Cut an axis into tiles of about equal size, at most `tile`, starting on multiples of `multiple`.

    >>> [(s.start, s.stop, s.read_start, s.read_stop) for s in spans(160, 96, 32, 16)]
    [(0, 80, 0, 112), (80, 160, 48, 160)]
    """
    count = -(-length // tile)
    step = -(-length // (count * multiple)) * multiple
    for start in range(0, length, step):
        stop = min(start + step, length)
        yield Span(start, stop, max(0, start - halo), min(length, stop + halo))
