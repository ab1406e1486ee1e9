"""What the server takes on, holds and waits for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What the server takes on. Chosen: a full card of large RAW files waits at the sender, not here."""

    upload_bytes: int = 512 << 20
    """Bytes of an upload, at most: the largest RAW files of today (150 million pixels, 16 bit) have 300 MB."""
    waiting: int = 8
    """Pictures that wait or are being sent, beside the one in work."""
    kept: int = 1000
    """Finished jobs, failed ones too; each takes a few kB of memory, so that their files count long before."""
    kept_s: float = 1800.0
    """Seconds that jobs are kept after their end, or after they were last asked for."""
    kept_bytes: int = 4 << 30
    """Bytes of uploads and results together that are kept, once finished."""
    kept_share: float = 0.5
    """Share that finished files may take of what the disk would have free without them: the other half is for what
    comes and is worked on."""
    owed_s: float = 120.0
    """Seconds that a result which nobody has fetched is not given up for room: its sender may just be about to."""
    result_times: int = 8
    """Room made free before the work, in sizes of the upload: 16-bit TIFF of a compressed RAW file, and some more."""
    stalled_s: float = 60.0
    """Seconds that an upload may take for each `least_bytes`; then it is given up."""
    least_bytes: int = 600_000
    """Bytes that have to come in `stalled_s`, 10 kB a second: a phone with a bar of reception sends that, and gets over
    a pause of half a minute."""
    sender_share: float = 0.5
    """Share of the places that the uploads of one sender may take at a time."""
