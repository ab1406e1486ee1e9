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
        """What of the rows read is handed on, where that lies in the picture, and what of it is this tile's own.

        The axis has `length` rows (or columns). The first `first` rows are padding and not part of the picture. What is
        handed on reaches `margin` rows beyond the tile wherever the picture goes on. Returned are

        - `kept`: the slice of the rows read (which begin at `read_start`) that is handed on;
        - `top`: the picture's row, counted without the padding, at which `kept` begins;
        - `own`: the slice of `kept` that is this tile's own, without the margin.
        """
        start, stop = max(self.start, first), min(self.stop, length)
        begin = max(start - margin, first)
        kept = slice(begin - self.read_start, min(stop + margin, length) - self.read_start)
        top, own = begin - first, slice(start - begin, stop - begin)
        return kept, top, own


def trimmed(kept: slice, length: int, edge: int) -> tuple[int, int]:
    """Rows (or columns) that the graph can leave out at the beginning and at the end of the `length` that are read.

    `kept` is the slice that is needed; `edge` the card's: what is left out is a multiple of it, and so many rows at the
    ends of what the graph then gives are not to be used. 0 where the graph leaves nothing out.
    """
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
