"""What the server takes on, holds and waits for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What the server takes on. Chosen: a full card of large RAW files waits at the sender, not here."""

    upload_bytes: int = 512 << 20
    """The largest RAW files of today (150 million pixels, 16 bit) have 300 MB."""
    waiting: int = 8
    """Pictures that wait or are being sent, beside the one in work."""
    kept: int = 1000
    """Finished jobs, failed ones too; each takes a few kB of memory, so that their files count long before."""
    kept_s: float = 1800.0
    """After their end, or after they were last asked for."""
    kept_bytes: int = 4 << 30
    """Of uploads and results together, once finished."""
    kept_share: float = 0.5
    """Of what the disk would have free without them: the other half is for what comes and is worked on."""
    owed_s: float = 120.0
    """A result that nobody has fetched is not given up for room before: its sender may just be about to."""
    result_times: int = 8
    """So many times the upload is made free before the work: 16-bit TIFF of a compressed RAW file, and some more."""
    stalled_s: float = 60.0
    """So long an upload may take for each `least_bytes`; then it is given up."""
    least_bytes: int = 600_000
    """10 kB a second: a phone with a bar of reception sends that, and gets over a pause of half a minute."""
    sender_share: float = 0.5
    """Of the places, which the uploads of one sender may take at a time."""
